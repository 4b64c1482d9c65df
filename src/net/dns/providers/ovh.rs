//! `OVHcloud`: signed requests (<https://help.ovhcloud.com/csm/en-gb-api-getting-started-ovhcloud-api?id=kb_article_view&sysparm_article=KB0042777>)
//! to its zones (<https://eu.api.ovh.com/console/?section=%2Fdomain&branch=v1>).

use data_encoding::HEXLOWER;
use hyper::{Method, StatusCode, header::HeaderName};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::{Answer, Api},
    records::{Kind, Owner, Record, Records, steps},
};
use crate::net::dns::failure::Failure;

/// Where its interface is for customers in Europe.
pub(super) const API: &str = "https://eu.api.ovh.com/1.0";
/// The shortest there, in seconds.
const TTL_S: u32 = 60;
/// Each record of a name costs a request.
const MOST_RECORDS: usize = 50;

/// A zone there.
pub(super) struct Ovh {
    pub(super) api: Api,
    pub(super) keys: Keys,
}

/// What requests are signed with.
pub(super) struct Keys {
    pub(super) application: String,
    pub(super) secret: String,
    pub(super) consumer: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundRecord {
    id: u64,
    sub_domain: Option<String>,
    field_type: String,
    target: String,
    ttl: Option<u32>,
}

impl Ovh {
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let time = self.time().await?;
        let url = format!("{}{path}", self.api.base);
        let text = body.map(Value::to_string).unwrap_or_default();
        let headers = [
            ("x-ovh-application", self.keys.application.clone()),
            ("x-ovh-consumer", self.keys.consumer.clone()),
            ("x-ovh-timestamp", time.to_string()),
            (
                "x-ovh-signature",
                self.keys.sign(&method, &url, &text, time),
            ),
        ];
        let headers = headers.map(|(name, value)| (HeaderName::from_static(name), value));
        let answer = self.api.send(method, path, &headers, body).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(self.api.failure(&answer));
        }
        Ok(answer)
    }

    /// What time it is there: a signature of another time counts for nothing, and our clock may be wrong.
    async fn time(&self) -> Result<i64, Failure> {
        let answer = self.api.send(Method::GET, "/auth/time", &[], None).await?;
        self.api.read(&answer)
    }

    fn folder(&self) -> String {
        format!("/domain/zone/{}/record", self.zone())
    }
}

impl Keys {
    fn sign(&self, method: &Method, url: &str, body: &str, time: i64) -> String {
        let Self {
            secret, consumer, ..
        } = self;
        let text = format!("{secret}+{consumer}+{method}+{url}+{body}+{time}");
        let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        format!("$1${}", HEXLOWER.encode(sum.as_ref()))
    }
}

impl Records for Ovh {
    fn zone(&self) -> &str {
        &self.api.zone
    }

    async fn list(&self, owner: &Owner<'_>, kind: Kind) -> Result<Vec<Record>, Failure> {
        let (folder, name, kind) = (self.folder(), owner.relative, kind.name());
        let path = format!("{folder}?fieldType={kind}&subDomain={name}");
        let ids: Vec<u64> = self.api.read(&self.send(Method::GET, &path, None).await?)?;
        let mut records = Vec::new();
        // Those of the zone's own name cannot be asked for alone. One that is not looked at would be made twice.
        if ids.len() > MOST_RECORDS {
            return Err(Failure::refused(format!(
                "OVHcloud has {} records of type {kind} for {:?} in the zone {}; only up to {MOST_RECORDS} are looked \
                 through",
                ids.len(),
                name,
                self.zone()
            )));
        }
        for id in ids {
            let answer = self
                .send(Method::GET, &format!("{folder}/{id}"), None)
                .await?;
            let found: FoundRecord = self.api.read(&answer)?;
            if found.field_type == kind && found.sub_domain.as_deref().unwrap_or_default() == name {
                records.push(Record {
                    id: found.id.to_string(),
                    value: found.target,
                    ttl_s: found.ttl,
                });
            }
        }
        Ok(records)
    }

    async fn replace(
        &self,
        owner: &Owner<'_>,
        kind: Kind,
        before: &[Record],
        values: &[String],
    ) -> Result<(), Failure> {
        let folder = self.folder();
        let steps = steps(before, values);
        // All records of a name and type have one time (RFC 2181 section 5.2).
        let ttl_s = before
            .first()
            .and_then(|record| record.ttl_s)
            .unwrap_or(TTL_S);
        for (record, value) in steps.changed {
            let path = format!("{folder}/{}", record.id);
            let body = json!({ "subDomain": owner.relative, "target": value, "ttl": ttl_s });
            self.send(Method::PUT, &path, Some(&body)).await?;
        }
        for value in steps.added {
            let body = json!({
                "fieldType": kind.name(),
                "subDomain": owner.relative,
                "target": value,
                "ttl": ttl_s,
            });
            self.send(Method::POST, &folder, Some(&body)).await?;
        }
        for record in steps.removed {
            let path = format!("{folder}/{}", record.id);
            self.send(Method::DELETE, &path, None).await?;
        }
        // Nobody sees any of it before this.
        let path = format!("/domain/zone/{}/refresh", self.zone());
        self.send(Method::POST, &path, None).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::Keys;

    #[test]
    fn a_request_is_signed_as_the_guide_does_it() {
        // The example of the guide "First steps with the API", with its sum.
        let keys = Keys {
            application: "7kbG7Bk7S9Nt7ZSV".into(),
            secret: "EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF".into(),
            consumer: "MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1".into(),
        };
        let url = "https://eu.api.ovh.com/1.0/domain/";
        let signature = keys.sign(&Method::GET, url, "", 1_366_560_945);
        assert_eq!(signature, "$1$6a77f43f2871db97a029f1d1d81c4dcd3c6f7265");
    }
}
