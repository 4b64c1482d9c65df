//! Providers where all records of a name and type are changed together: deSEC, Gandi and Hetzner.

use serde_json::{Value, json};

use super::{
    Protocol, Reply, Seen,
    protocols::{Records, TOKEN, ZONE, assert_polite, assert_value, from_at},
};

/// deSEC, as in <https://desec.readthedocs.io/en/latest/dns/rrsets.html>, `dns/domains.html` and `rate-limits.html`.
#[derive(Default)]
pub(crate) struct Desec {
    pub(crate) records: Records,
}

/// What a domain has unless deSEC was asked for less.
const MINIMUM_TTL: u32 = 3600;

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap().iter();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

impl Desec {
    fn shown(&self, name: &str, kind: &str) -> Value {
        let set = self.records.set(name, kind).unwrap();
        let full = if name.is_empty() {
            format!("{ZONE}.")
        } else {
            format!("{name}.{ZONE}.")
        };
        json!({
            "created": "2019-09-18T16:32:16.510368Z", "touched": "2020-04-06T09:24:09.987436Z",
            "domain": ZONE, "subname": name, "name": full, "type": kind, "ttl": set.ttl,
            "records": self.records.values(name, kind),
        })
    }
}

impl Protocol for Desec {
    fn answer(&mut self, seen: &Seen) -> Reply {
        assert_polite(seen);
        assert!(seen.query.is_empty());
        if seen.header("authorization") != format!("Token {TOKEN}") {
            return Reply::json(401, json!({ "detail": "Invalid token." }));
        }
        assert!(seen.path.ends_with('/'), "{}", seen.path);
        let not_found = || Reply::json(404, json!({ "detail": "Not found." }));
        let Some(rest) = seen.path.strip_prefix(&format!("/api/v1/domains/{ZONE}/")) else {
            return not_found();
        };
        if (&*seen.method, rest) == ("GET", "") {
            return Reply::json(
                200,
                json!({
                    "created": "2018-09-18T16:36:16.510368Z", "published": "2018-09-18T17:21:38.348112Z",
                    "name": ZONE, "minimum_ttl": MINIMUM_TTL, "touched": "2018-09-18T17:21:38.348112Z", "keys": [],
                }),
            );
        }
        if (&*seen.method, rest) == ("POST", "rrsets/") {
            assert_eq!(seen.json_keys(), ["records", "subname", "ttl", "type"]);
            let body = seen.json();
            let (name, kind) = (
                body["subname"].as_str().unwrap(),
                body["type"].as_str().unwrap(),
            );
            let ttl = u32::try_from(body["ttl"].as_u64().unwrap()).unwrap();
            assert!((MINIMUM_TTL..=604_800).contains(&ttl), "{ttl}");
            let values = texts(&body["records"]);
            assert!(!values.is_empty());
            for value in &values {
                assert_value(kind, value);
            }
            if self.records.set(name, kind).is_some() {
                let why = "Another RRset with the same subdomain and type exists for this domain.";
                return Reply::json(400, json!({ "non_field_errors": [why] }));
            }
            self.records.replace(name, kind, ttl, &values);
            return Reply::json(201, self.shown(name, kind));
        }
        let set = rest
            .strip_prefix("rrsets/")
            .and_then(|rest| rest.strip_suffix('/'));
        let (name, kind) = set.and_then(|set| set.split_once('/')).unwrap();
        let name = from_at(name);
        let Some(set) = self.records.set(&name, kind) else {
            return not_found();
        };
        match &*seen.method {
            "GET" => Reply::json(200, self.shown(&name, kind)),
            "PATCH" => {
                assert_eq!(seen.json_keys(), ["records"]);
                let values = texts(&seen.json()["records"]);
                self.records.replace(&name, kind, set.ttl, &values);
                if values.is_empty() {
                    return Reply::text(204, "");
                }
                Reply::json(200, self.shown(&name, kind))
            }
            other => panic!("there is no {other}"),
        }
    }
}

/// Gandi, as in <https://api.gandi.net/docs/livedns/> ("Single domain's record, by name and type") and
/// <https://api.gandi.net/docs/authentication/>.
#[derive(Default)]
pub(crate) struct Gandi {
    pub(crate) records: Records,
}

fn gandi_refused(status: u16, cause: &str, message: &str) -> Reply {
    let object = if status == 404 {
        "dns-record"
    } else {
        "HTTPError"
    };
    Reply::json(
        status,
        json!({ "object": object, "cause": cause, "code": status, "message": message }),
    )
}

impl Protocol for Gandi {
    fn answer(&mut self, seen: &Seen) -> Reply {
        assert_polite(seen);
        assert!(seen.query.is_empty());
        if seen.header("authorization") != format!("Bearer {TOKEN}") {
            return gandi_refused(403, "Forbidden", "Access was denied to this resource.");
        }
        let Some(rest) = seen
            .path
            .strip_prefix(&format!("/v5/livedns/domains/{ZONE}/records/"))
        else {
            return gandi_refused(404, "Not Found", "Unknown domain");
        };
        let (name, kind) = rest.split_once('/').unwrap();
        assert!(["A", "AAAA", "TXT"].contains(&kind));
        let name = from_at(name);
        let set = self.records.set(&name, kind);
        match (&*seen.method, set) {
            ("PUT", _) => {
                assert_eq!(seen.json_keys(), ["rrset_ttl", "rrset_values"]);
                let body = seen.json();
                let ttl = u32::try_from(body["rrset_ttl"].as_u64().unwrap()).unwrap();
                assert!((300..=2_592_000).contains(&ttl), "{ttl}");
                let values = texts(&body["rrset_values"]);
                assert!(!values.is_empty());
                for value in &values {
                    assert_value(kind, value);
                }
                self.records.replace(&name, kind, ttl, &values);
                Reply::json(201, json!({ "message": "DNS Record Created" }))
            }
            (_, None) => gandi_refused(404, "Not Found", "Can't find the DNS record in the zone"),
            ("GET", Some(set)) => Reply::json(
                200,
                json!({
                    "rrset_name": rest.split_once('/').unwrap().0, "rrset_type": kind, "rrset_ttl": set.ttl,
                    "rrset_values": self.records.values(&name, kind), "rrset_href": seen.url,
                }),
            ),
            ("DELETE", Some(_)) => {
                self.records.replace(&name, kind, 0, &[]);
                Reply::text(204, "")
            }
            (other, _) => panic!("there is no {other}"),
        }
    }
}

/// Hetzner, as in <https://docs.hetzner.cloud/reference/cloud#zone-rrsets>, `#zone-rrset-actions`, `#actions`,
/// `#errors` and `#rate-limiting`.
#[derive(Default)]
pub(crate) struct Hetzner {
    pub(crate) records: Records,
    /// Actions that were started, and how many times each was asked after.
    actions: Vec<usize>,
    /// What becomes of actions from now on, if they fail.
    pub(crate) fails_with: Option<String>,
}

fn hetzner_refused(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(
        status,
        json!({ "error": { "code": code, "message": message, "details": null } }),
    )
}

impl Hetzner {
    fn action(&self, id: usize, status: &str) -> Reply {
        let error = self.fails_with.as_ref().filter(|_| status == "error");
        Reply::json(
            if status == "running" { 201 } else { 200 },
            json!({ "action": {
                "id": id + 1, "command": "add_rrset_records", "status": status, "progress": 50,
                "started": "2016-01-30T23:55:00Z", "finished": null,
                "resources": [{ "id": 42, "type": "zone" }],
                "error": error.map(|why| json!({ "code": "action_failed", "message": why })),
            }}),
        )
    }
}

impl Protocol for Hetzner {
    fn answer(&mut self, seen: &Seen) -> Reply {
        assert_polite(seen);
        assert!(seen.query.is_empty());
        if seen.header("authorization") != format!("Bearer {TOKEN}") {
            return hetzner_refused(401, "unauthorized", "unable to authenticate");
        }
        if let Some(id) = seen.path.strip_prefix("/v1/zones/actions/") {
            assert_eq!(seen.method, "GET");
            let id = id.parse::<usize>().unwrap() - 1;
            self.actions[id] += 1;
            let end = if self.fails_with.is_some() {
                "error"
            } else {
                "success"
            };
            return self.action(id, end);
        }
        let Some(rest) = seen.path.strip_prefix(&format!("/v1/zones/{ZONE}/rrsets/")) else {
            return hetzner_refused(404, "not_found", "zone not found");
        };
        let parts: Vec<&str> = rest.split('/').collect();
        let (name, kind) = (from_at(parts[0]), parts[1]);
        let set = self.records.set(&name, kind);
        let Some(["actions", action]) = parts.get(2..).filter(|rest| !rest.is_empty()) else {
            assert_eq!(seen.method, "GET");
            let Some(set) = set else {
                return hetzner_refused(404, "not_found", "rrset not found");
            };
            let values = self.records.values(&name, kind);
            let records: Vec<Value> = values
                .iter()
                .map(|value| json!({ "value": value, "comment": "kept" }))
                .collect();
            return Reply::json(
                200,
                json!({ "rrset": {
                    "id": format!("{}/{kind}", parts[0]), "name": parts[0], "type": kind, "ttl": set.ttl,
                    "labels": {}, "protection": { "change": false }, "records": records, "zone": 42,
                }}),
            );
        };
        assert_eq!(seen.method, "POST");
        let body = seen.json();
        let mut changed = Vec::new();
        for record in body["records"].as_array().unwrap() {
            assert_eq!(record.as_object().unwrap().len(), 1);
            let value = record["value"].as_str().unwrap();
            assert_value(kind, value);
            changed.push(value.to_owned());
        }
        let mut values = self.records.values(&name, kind);
        let mut ttl = set.as_ref().map_or(0, |set| set.ttl);
        match *action {
            "add_records" => {
                if set.is_some() {
                    assert_eq!(seen.json_keys(), ["records"], "the time is that of the set");
                } else {
                    assert_eq!(seen.json_keys(), ["records", "ttl"]);
                    ttl = u32::try_from(body["ttl"].as_u64().unwrap()).unwrap();
                    assert!((60..=2_147_483_647).contains(&ttl));
                }
                for value in changed {
                    assert!(!values.contains(&value), "{value} is there");
                    values.push(value);
                }
            }
            "remove_records" => {
                assert_eq!(seen.json_keys(), ["records"]);
                for value in changed {
                    assert!(values.contains(&value), "{value} is not there");
                    values.retain(|other| *other != value);
                }
            }
            other => panic!("there is no {other}"),
        }
        if self.fails_with.is_none() {
            self.records.replace(&name, kind, ttl, &values);
        }
        self.actions.push(0);
        self.action(self.actions.len() - 1, "running")
    }
}
