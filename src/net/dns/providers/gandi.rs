//! Gandi's `LiveDNS` (<https://api.gandi.net/docs/livedns/>).

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::{
    api::Api,
    records::{Kind, Owner, Record, Records},
};
use crate::net::dns::failure::Failure;

/// Where its interface is.
pub(super) const API: &str = "https://api.gandi.net/v5/livedns";
/// The shortest there, in seconds.
const TTL_S: u32 = 300;

/// A zone there; `token` is a personal access token.
pub(super) struct Gandi {
    pub(super) api: Api,
}

#[derive(Deserialize)]
struct FoundSet {
    rrset_ttl: Option<u32>,
    rrset_values: Vec<String>,
}

impl Gandi {
    fn set_of(&self, owner: &Owner<'_>, kind: Kind) -> String {
        let (zone, name) = (self.zone(), owner.relative_or_at());
        format!("/domains/{zone}/records/{name}/{}", kind.name())
    }
}

impl Records for Gandi {
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
            ttl_s: set.rrset_ttl,
        };
        Ok(set.rrset_values.into_iter().map(of_value).collect())
    }

    async fn replace(
        &self,
        owner: &Owner<'_>,
        kind: Kind,
        before: &[Record],
        values: &[String],
    ) -> Result<(), Failure> {
        let path = self.set_of(owner, kind);
        if values.is_empty() {
            self.api.send_to(Method::DELETE, &path, None).await?;
        } else {
            let kept = before.first().and_then(|record| record.ttl_s);
            let body = json!({ "rrset_values": values, "rrset_ttl": kept.unwrap_or(TTL_S) });
            self.api.send_to(Method::PUT, &path, Some(&body)).await?;
        }
        Ok(())
    }
}
