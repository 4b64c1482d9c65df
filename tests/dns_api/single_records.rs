//! Providers where single records are changed: Cloudflare and OVH.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Value, json};

use super::{
    Protocol, Reply, Seen,
    protocols::{Records, TOKEN, ZONE, assert_polite, assert_value, below_zone},
};

/// Cloudflare, as in
/// <https://developers.cloudflare.com/api/resources/zones/methods/list/>,
/// <https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/list/> and its neighbours
/// `create`, `edit` and `delete`, and <https://developers.cloudflare.com/fundamentals/api/reference/limits/>.
#[derive(Default)]
pub(crate) struct Cloudflare {
    pub(crate) records: Records,
}

/// 32 hexadecimal digits.
const ZONE_ID: &str = "023e105f4ecef8ad9ca31a8372d0c353";

fn record_id(id: u64) -> String {
    format!("{id:032x}")
}

fn found(result: Value) -> Reply {
    let count = result.as_array().map_or(1, Vec::len);
    Reply::json(
        200,
        json!({
            "success": true, "errors": [], "messages": [], "result": result,
            "result_info": { "count": count, "page": 1, "per_page": 100, "total_count": count, "total_pages": 1 },
        }),
    )
}

fn refused(status: u16, code: u32, message: &str) -> Reply {
    let error = json!({ "code": code, "message": message });
    Reply::json(
        status,
        json!({ "success": false, "errors": [error], "messages": [], "result": null }),
    )
}

impl Cloudflare {
    fn shown(&self, id: u64) -> Value {
        let (name, kind, value, ttl) = self.records.find(id).unwrap();
        let full = if name.is_empty() {
            ZONE.to_owned()
        } else {
            format!("{name}.{ZONE}")
        };
        json!({
            "id": record_id(id), "name": full, "type": kind, "content": value, "ttl": ttl,
            "proxied": false, "proxiable": kind != "TXT", "comment": null, "tags": [], "settings": {}, "meta": {},
            "created_on": "2014-01-01T05:20:00.12345Z", "modified_on": "2014-01-01T05:20:00.12345Z",
        })
    }
}

impl Protocol for Cloudflare {
    fn answer(&mut self, seen: &Seen) -> Reply {
        assert_polite(seen);
        if seen.header("authorization") != format!("Bearer {TOKEN}") {
            return refused(403, 9109, "Invalid access token");
        }
        if seen.line() == "GET /client/v4/zones" {
            assert_eq!(seen.query_keys(), ["name"]);
            let is_ours = seen.query("name") == Some(ZONE);
            let zone = json!({ "id": ZONE_ID, "name": ZONE, "status": "active", "type": "full" });
            return found(if is_ours { json!([zone]) } else { json!([]) });
        }
        let folder = format!("/client/v4/zones/{ZONE_ID}/dns_records");
        let rest = seen
            .path
            .strip_prefix(&folder)
            .unwrap_or_else(|| panic!("{}", seen.path));
        let id = (!rest.is_empty()).then(|| {
            let digits = rest.strip_prefix('/').unwrap();
            assert_eq!(digits.len(), 32);
            u64::from_str_radix(digits, 16).unwrap()
        });
        match (&*seen.method, id) {
            ("GET", None) => {
                assert_eq!(seen.query_keys(), ["name.exact", "type"]);
                let name = below_zone(seen.query("name.exact").unwrap());
                let set = self
                    .records
                    .set(&name, seen.query("type").unwrap())
                    .unwrap_or_default();
                found(set.values.iter().map(|(id, _)| self.shown(*id)).collect())
            }
            ("POST", None) => {
                assert!(seen.query.is_empty());
                assert_eq!(seen.json_keys(), ["content", "name", "ttl", "type"]);
                let body = seen.json();
                let [kind, name, value] =
                    ["type", "name", "content"].map(|key| body[key].as_str().unwrap());
                let ttl = u32::try_from(body["ttl"].as_u64().unwrap()).unwrap();
                assert!(ttl == 1 || (60..=86400).contains(&ttl), "{ttl}");
                assert_value(kind, value);
                let name = below_zone(name);
                if self
                    .records
                    .values(&name, kind)
                    .iter()
                    .any(|old| old == value)
                {
                    return refused(400, 81058, "An identical record already exists.");
                }
                let id = self.records.add(&name, kind, ttl, value);
                found(self.shown(id))
            }
            ("PATCH", Some(id)) => {
                assert_eq!(seen.json_keys(), ["content"]);
                let Some((_, kind, ..)) = self.records.find(id) else {
                    return refused(404, 81044, "Record does not exist.");
                };
                let body = seen.json();
                assert_value(&kind, body["content"].as_str().unwrap());
                self.records.change(id, body["content"].as_str().unwrap());
                found(self.shown(id))
            }
            ("DELETE", Some(id)) => {
                self.records.remove(id);
                found(json!({ "id": record_id(id) }))
            }
            _ => panic!("there is no {}", seen.line()),
        }
    }
}

/// OVH, as in the guide "First steps with the `OVHcloud` APIs"
/// (<https://help.ovhcloud.com/csm/en-gb-api-getting-started-ovhcloud-api?id=kb_article_view&sysparm_article=KB0042777>)
/// and the console of its interface (<https://eu.api.ovh.com/console/?section=%2Fdomain&branch=v1>).
#[derive(Default)]
pub(crate) struct Ovh {
    pub(crate) records: Records,
    /// Changes that nobody sees before the zone is refreshed.
    pub(crate) unseen: usize,
}

/// What `webstead secret set dns` is given.
pub(crate) const OVH_SECRET: &str =
    "7kbG7Bk7S9Nt7ZSV EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1";
/// What time it is at OVH.
const TIME: i64 = 1_366_560_945;

fn ovh_refused(status: u16, class: &str, message: &str) -> Reply {
    let query = "EU.ext-2.00000000.0000.00000000000000000000000000000000";
    Reply::json(status, json!({ "class": class, "message": message })).with("x-ovh-queryid", query)
}

impl Protocol for Ovh {
    fn answer(&mut self, seen: &Seen) -> Reply {
        assert_polite(seen);
        if seen.line() == "GET /1.0/auth/time" {
            return Reply::json(200, json!(TIME));
        }
        let [application, secret, consumer] = OVH_SECRET.split(' ').collect::<Vec<_>>()[..] else {
            unreachable!()
        };
        assert_eq!(seen.header("x-ovh-timestamp"), TIME.to_string());
        if seen.header("x-ovh-application") != application {
            return ovh_refused(403, "Client::Forbidden", "This application key is invalid");
        }
        assert_eq!(seen.header("x-ovh-consumer"), consumer);
        let text = format!(
            "{secret}+{consumer}+{}+{}+{}+{TIME}",
            seen.method, seen.url, seen.body
        );
        let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let hex = data_encoding::HEXLOWER.encode(sum.as_ref());
        if seen.header("x-ovh-signature") != format!("$1${hex}") {
            return ovh_refused(400, "Client::BadRequest", "Invalid signature");
        }
        let Some(rest) = seen.path.strip_prefix(&format!("/1.0/domain/zone/{ZONE}")) else {
            return ovh_refused(404, "Client::NotFound", "This service does not exist");
        };
        let id = rest
            .strip_prefix("/record/")
            .map(|id| id.parse::<u64>().unwrap());
        match (&*seen.method, rest, id) {
            ("POST", "/refresh", _) => {
                assert_eq!(seen.body, "");
                self.unseen = 0;
                Reply::json(200, Value::Null)
            }
            ("GET", "/record", _) => {
                assert_eq!(seen.query_keys(), ["fieldType", "subDomain"]);
                let kind = seen.query("fieldType").unwrap();
                let mut ids: Vec<u64> = Vec::new();
                for name in ["", "www", "mail", "other"] {
                    // An empty one does not filter.
                    if name == seen.query("subDomain").unwrap()
                        || seen.query("subDomain") == Some("")
                    {
                        let set = self.records.set(name, kind).unwrap_or_default();
                        ids.extend(set.values.iter().map(|(id, _)| *id));
                    }
                }
                Reply::json(200, json!(ids))
            }
            ("GET", _, Some(id)) => match self.records.find(id) {
                Some((name, kind, value, ttl)) => Reply::json(
                    200,
                    json!({ "id": id, "zone": ZONE, "subDomain": name, "fieldType": kind, "target": value, "ttl": ttl }),
                ),
                None => ovh_refused(
                    404,
                    "Client::NotFound",
                    "The requested object (id) does not exist",
                ),
            },
            ("POST", "/record", _) => {
                assert_eq!(
                    seen.json_keys(),
                    ["fieldType", "subDomain", "target", "ttl"]
                );
                let body = seen.json();
                let text = |key: &str| body[key].as_str().unwrap().to_owned();
                let (kind, name, value) = (text("fieldType"), text("subDomain"), text("target"));
                let ttl = u32::try_from(body["ttl"].as_u64().unwrap()).unwrap();
                assert!(ttl >= 60);
                assert_value(&kind, &value);
                let id = self.records.add(&name, &kind, ttl, &value);
                self.unseen += 1;
                Reply::json(
                    200,
                    json!({ "id": id, "zone": ZONE, "subDomain": name, "fieldType": kind, "target": value, "ttl": ttl }),
                )
            }
            ("PUT", _, Some(id)) => {
                assert_eq!(seen.json_keys(), ["subDomain", "target", "ttl"]);
                let body = seen.json();
                let (name, kind, _, ttl) = self.records.find(id).unwrap();
                assert_eq!(
                    (&body["subDomain"], &body["ttl"]),
                    (&json!(name), &json!(ttl))
                );
                assert_value(&kind, body["target"].as_str().unwrap());
                self.records.change(id, body["target"].as_str().unwrap());
                self.unseen += 1;
                Reply::json(200, Value::Null)
            }
            ("DELETE", _, Some(id)) => {
                self.records.remove(id);
                self.unseen += 1;
                Reply::json(200, Value::Null)
            }
            _ => panic!("there is no {}", seen.line()),
        }
    }
}
