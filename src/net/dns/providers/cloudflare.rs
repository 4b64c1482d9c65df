//! Cloudflare (<https://developers.cloudflare.com/api/resources/dns/subresources/records/>).

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::{Answer, Api},
    records::{Kind, Owner, Record, Records, steps},
};
use crate::net::dns::failure::Failure;

/// Where its interface is.
pub(super) const API: &str = "https://api.cloudflare.com/client/v4";
/// The shortest that every account may have, in seconds.
const TTL_S: u32 = 60;
/// The longest name of a zone or record there.
const MOST_ID_BYTES: usize = 32;

/// A zone there; `token` may read the zone and edit its DNS.
pub(super) struct Cloudflare {
    pub(super) api: Api,
}

/// What every answer of success is.
#[derive(Deserialize)]
struct Found<T> {
    success: bool,
    result: T,
}

#[derive(Deserialize)]
struct FoundZone {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct FoundRecord {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    content: String,
    ttl: Option<u32>,
}

impl Cloudflare {
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let answer = self.api.send_to(method, path, body).await?;
        let found: Found<Value> = self.api.read(&answer)?;
        if found.success {
            return Ok(answer);
        }
        Err(self.api.failure(&answer))
    }

    /// Where the records of the zone are: `/zones/ID/dns_records`.
    async fn folder(&self) -> Result<String, Failure> {
        let zone = self.zone();
        let path = format!("/zones?name={zone}");
        let answer = self.send(Method::GET, &path, None).await?;
        let found: Found<Vec<FoundZone>> = self.api.read(&answer)?;
        let found = found.result.into_iter().find(|found| found.name == zone);
        let found = found.ok_or_else(|| {
            Failure::refused(format!(
                "Cloudflare has no zone {zone} that this token may see; it needs the permissions Zone Read and \
                 DNS Edit for it"
            ))
        })?;
        Ok(format!("/zones/{}/dns_records", checked(found.id)?))
    }
}

impl Records for Cloudflare {
    fn zone(&self) -> &str {
        &self.api.zone
    }

    async fn list(&self, owner: &Owner<'_>, kind: Kind) -> Result<Vec<Record>, Failure> {
        let (name, kind) = (owner.full, kind.name());
        let path = format!("{}?type={kind}&name.exact={name}", self.folder().await?);
        let answer = self.send(Method::GET, &path, None).await?;
        let found: Found<Vec<FoundRecord>> = self.api.read(&answer)?;
        let ours = found.result.into_iter();
        ours.filter(|found| found.kind == kind && found.name == name)
            .map(|found| {
                Ok(Record {
                    id: checked(found.id)?,
                    value: found.content,
                    ttl_s: found.ttl,
                })
            })
            .collect()
    }

    async fn replace(
        &self,
        owner: &Owner<'_>,
        kind: Kind,
        before: &[Record],
        values: &[String],
    ) -> Result<(), Failure> {
        let folder = self.folder().await?;
        let steps = steps(before, values);
        // All records of a name and type have one time (RFC 2181 section 5.2).
        let ttl_s = before
            .first()
            .and_then(|record| record.ttl_s)
            .unwrap_or(TTL_S);
        for (record, value) in steps.changed {
            // Whether it goes through Cloudflare, and its comment, stay as the owner has them.
            let path = format!("{folder}/{}", record.id);
            let body = json!({ "content": value });
            self.send(Method::PATCH, &path, Some(&body)).await?;
        }
        for value in steps.added {
            let (name, kind) = (owner.full, kind.name());
            let body = json!({ "type": kind, "name": name, "content": value, "ttl": ttl_s });
            self.send(Method::POST, &folder, Some(&body)).await?;
        }
        for record in steps.removed {
            let path = format!("{folder}/{}", record.id);
            self.send(Method::DELETE, &path, None).await?;
        }
        Ok(())
    }
}

/// What becomes a part of an address.
fn checked(id: String) -> Result<String, Failure> {
    let is_plain = id.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_plain && (1..=MOST_ID_BYTES).contains(&id.len()) {
        return Ok(id);
    }
    Err(Failure::trouble(
        "Cloudflare answered with a strange identifier",
    ))
}
