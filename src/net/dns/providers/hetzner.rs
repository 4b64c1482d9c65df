//! Hetzner: the zones of the Cloud interface (<https://docs.hetzner.cloud/reference/cloud#zone-rrsets>), which took
//! the place of the DNS console's own.

use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    api::Api,
    records::{Kind, Owner, Record, Records},
};
use crate::net::dns::failure::Failure;

/// Where its interface is.
pub(super) const API: &str = "https://api.hetzner.cloud/v1";
/// The shortest there, in seconds.
const TTL_S: u32 = 60;
/// How often an action is asked after.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many times.
const MOST_LOOKS: usize = 60;

/// A zone there; `token` may read and write its project.
pub(super) struct Hetzner {
    pub(super) api: Api,
}

#[derive(Deserialize)]
struct FoundSet {
    rrset: Set,
}

#[derive(Deserialize)]
struct Set {
    ttl: Option<u32>,
    records: Vec<SetRecord>,
}

#[derive(Deserialize)]
struct SetRecord {
    value: String,
}

#[derive(Deserialize)]
struct FoundAction {
    action: Action,
}

/// What is done after the answer.
#[derive(Deserialize)]
struct Action {
    id: u64,
    status: String,
    error: Option<ActionError>,
}

#[derive(Deserialize)]
struct ActionError {
    message: String,
}

impl Hetzner {
    fn set_of(&self, owner: &Owner<'_>, kind: Kind) -> String {
        let (zone, name) = (self.zone(), owner.relative_or_at());
        format!("/zones/{zone}/rrsets/{name}/{}", kind.name())
    }

    /// Starts an action and waits until it is done.
    async fn act(&self, path: &str, body: &Value) -> Result<(), Failure> {
        let mut answer = self.api.send_to(Method::POST, path, Some(body)).await?;
        for _ in 0..MOST_LOOKS {
            let FoundAction { action } = self.api.read(&answer)?;
            match &*action.status {
                "success" => return Ok(()),
                "error" => {
                    let said = action
                        .error
                        .map_or_else(|| "no reason".into(), |e| e.message);
                    let said = self.api.without_secrets(&said);
                    return Err(Failure::refused(format!("Hetzner gave up: {said}")));
                }
                _ => {}
            }
            sleep(LOOK_EVERY).await;
            let path = format!("/zones/actions/{}", action.id);
            answer = self.api.send_to(Method::GET, &path, None).await?;
        }
        Err(Failure::trouble("Hetzner takes too long to change a name"))
    }
}

impl Records for Hetzner {
    fn zone(&self) -> &str {
        &self.api.zone
    }

    async fn list(&self, owner: &Owner<'_>, kind: Kind) -> Result<Vec<Record>, Failure> {
        let found = self.api.find(&self.set_of(owner, kind)).await?;
        let Some(FoundSet { rrset }) = found else {
            return Ok(Vec::new());
        };
        let of_record = |record: SetRecord| Record {
            id: String::new(),
            value: record.value,
            ttl_s: rrset.ttl,
        };
        Ok(rrset.records.into_iter().map(of_record).collect())
    }

    async fn replace(
        &self,
        owner: &Owner<'_>,
        kind: Kind,
        before: &[Record],
        values: &[String],
    ) -> Result<(), Failure> {
        let set = self.set_of(owner, kind);
        let is_there = |value: &&String| before.iter().any(|record| record.value == **value);
        let added: Vec<Value> = values
            .iter()
            .filter(|value| !is_there(value))
            .map(|value| json!({ "value": value }))
            .collect();
        let removed: Vec<Value> = before
            .iter()
            .filter(|record| !values.contains(&record.value))
            .map(|record| json!({ "value": record.value }))
            .collect();
        // What comes is there before what goes is gone, and the comments of the others stay.
        if !added.is_empty() {
            let mut body = json!({ "records": added });
            if before.is_empty() {
                // A set that is there has one already, and only that is taken.
                body["ttl"] = json!(TTL_S);
            }
            self.act(&format!("{set}/actions/add_records"), &body)
                .await?;
        }
        if !removed.is_empty() {
            let body = json!({ "records": removed });
            self.act(&format!("{set}/actions/remove_records"), &body)
                .await?;
        }
        Ok(())
    }
}
