//! deSEC (<https://desec.readthedocs.io/en/latest/dns/rrsets.html>).

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::{
    api::Api,
    records::{Kind, Owner, Record, Records},
};
use crate::net::dns::failure::Failure;

/// Where its interface is.
pub(super) const API: &str = "https://desec.io/api/v1";
/// As short as it may be, but not shorter, in seconds.
const TTL_S: u32 = 60;

/// A zone there.
pub(super) struct Desec {
    pub(super) api: Api,
}

#[derive(Deserialize)]
struct FoundDomain {
    minimum_ttl: u32,
}

#[derive(Deserialize)]
struct FoundSet {
    records: Vec<String>,
    ttl: u32,
}

impl Desec {
    fn set_of(&self, owner: &Owner<'_>, kind: Kind) -> String {
        let (zone, name) = (self.zone(), owner.relative_or_at());
        format!("/domains/{zone}/rrsets/{name}/{}/", kind.name())
    }
}

impl Records for Desec {
    fn zone(&self) -> &str {
        &self.api.zone
    }

    async fn list(&self, owner: &Owner<'_>, kind: Kind) -> Result<Vec<Record>, Failure> {
        let Some(set) = self.api.find::<FoundSet>(&self.set_of(owner, kind)).await? else {
            return Ok(Vec::new());
        };
        let of_value = |value| Record {
            id: String::new(),
            value,
            ttl_s: Some(set.ttl),
        };
        Ok(set.records.into_iter().map(of_value).collect())
    }

    async fn replace(
        &self,
        owner: &Owner<'_>,
        kind: Kind,
        before: &[Record],
        values: &[String],
    ) -> Result<(), Failure> {
        if !before.is_empty() {
            // None of them removes the set. How long it is kept stays as the owner has it.
            let body = json!({ "records": values });
            let path = self.set_of(owner, kind);
            return self
                .api
                .send_to(Method::PATCH, &path, Some(&body))
                .await
                .map(drop);
        }
        let zone = format!("/domains/{}/", self.zone());
        let domain = self.api.send_to(Method::GET, &zone, None).await?;
        let domain: FoundDomain = self.api.read(&domain)?;
        let body = json!({
            "subname": owner.relative,
            "type": kind.name(),
            "ttl": TTL_S.max(domain.minimum_ttl),
            "records": values,
        });
        let sets = format!("{zone}rrsets/");
        self.api
            .send_to(Method::POST, &sets, Some(&body))
            .await
            .map(drop)
    }
}
