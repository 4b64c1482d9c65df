//! Providers of DNS: what is asked of each, and what becomes of what they answer.

use std::net::{IpAddr, UdpSocket};

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use webstead::{
    base::secrets,
    net::dns::{Addresses, Failure, FailureKind, Settings, Zone, zone_of},
};

use crate::dns_api::{
    ApiServer, Protocol, Reply,
    protocols::{Records, TOKEN, ZONE},
    sets::{Desec, Gandi, Hetzner},
    simple::{DuckDns, DynDns2},
    single_records::{Cloudflare, OVH_SECRET, Ovh},
};

/// A provider in use.
struct Case<P> {
    server: ApiServer<P>,
    data: TempDir,
    settings: String,
    runtime: Runtime,
}

impl<P: Protocol> Case<P> {
    /// With the settings of `[dns]` beside where it is.
    fn new(protocol: P, path: &str, secret: &str, settings: &str) -> Self {
        let server = ApiServer::start(protocol);
        let data = tempfile::tempdir().unwrap();
        secrets::write(data.path(), "dns", secret).unwrap();
        let settings = format!("{settings}\n{}", server.settings(path));
        Self {
            server,
            data,
            settings,
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }

    fn zone(&self) -> Box<dyn Zone> {
        let settings: Settings = toml::from_str(&self.settings).unwrap();
        zone_of(&settings, self.data.path()).unwrap().unwrap()
    }

    fn add(&self, name: &str, text: &str) -> Result<(), Failure> {
        self.runtime.block_on(self.zone().add_text(name, text))
    }

    fn remove(&self, name: &str, text: &str) -> Result<(), Failure> {
        self.runtime.block_on(self.zone().remove_text(name, text))
    }

    fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        self.runtime.block_on(self.zone().addresses(name))
    }

    fn set(&self, name: &str, all: &[&str]) -> Result<(), Failure> {
        let all: Vec<IpAddr> = all.iter().map(|text| text.parse().unwrap()).collect();
        self.runtime
            .block_on(self.zone().set_addresses(name, Addresses::of(&all)))
    }

    fn take_away(&self, name: &str, address: &str) -> Result<(), Failure> {
        let address = address.parse().unwrap();
        self.runtime
            .block_on(self.zone().remove_address(name, address))
    }
}

/// The records of a provider that has some.
trait HasRecords: Protocol {
    fn records(&mut self) -> &mut Records;
}

macro_rules! has_records {
    ($($name:ty),*) => {
        $(impl HasRecords for $name {
            fn records(&mut self) -> &mut Records {
                &mut self.records
            }
        })*
    };
}
has_records!(Cloudflare, Desec, Gandi, Hetzner, Ovh);

const SPF: &str = "\"v=spf1 -all\"";
const FIRST: &str = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0";
const SECOND: &str = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

/// What must hold for every provider that has records: only what is asked for is changed.
fn assert_records_are_looked_after<P: HasRecords>(case: &Case<P>) {
    for below in ["www", ""] {
        let full = if below.is_empty() {
            ZONE.to_owned()
        } else {
            format!("{below}.{ZONE}")
        };
        let values = |kind: &str| case.server.state().records().values(below, kind);
        {
            let mut state = case.server.state();
            state
                .records()
                .replace(below, "TXT", 7200, &[SPF.to_owned()]);
            state
                .records()
                .replace(below, "MX", 7200, &["10 mx.dyn.test.".to_owned()]);
            state
                .records()
                .replace("mail", "A", 7200, &["9.9.9.9".to_owned()]);
        }
        case.add(&full, FIRST).unwrap();
        case.add(&full, SECOND).unwrap();
        case.add(&full, SECOND).unwrap();
        let quoted = |text: &str| format!("\"{text}\"");
        assert_eq!(
            values("TXT"),
            [SPF.to_owned(), quoted(FIRST), quoted(SECOND)]
        );
        case.remove(&full, FIRST).unwrap();
        case.remove(&full, FIRST).unwrap();
        assert_eq!(values("TXT"), [SPF.to_owned(), quoted(SECOND)]);
        case.remove(&full, SECOND).unwrap();
        assert_eq!(values("TXT"), [SPF]);
        let set = case.server.state().records().set(below, "TXT").unwrap();
        assert_eq!(set.ttl, 7200, "the owner's own");

        assert_eq!(case.addresses(&full).unwrap(), Vec::<IpAddr>::new());
        case.set(&full, &["8.8.4.4", "2a00:1450::1"]).unwrap();
        let has: Vec<String> = case
            .addresses(&full)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(has, ["8.8.4.4", "2a00:1450::1"]);
        case.server.take_met();
        case.set(&full, &["8.8.4.4", "2a00:1450::1"]).unwrap();
        let met = case.server.take_met();
        assert!(
            met.iter().all(|line| line.starts_with("GET ")),
            "nothing differs: {met:?}"
        );
        case.set(&full, &["8.8.8.8"]).unwrap();
        assert_eq!(
            (values("A"), values("AAAA")),
            (vec!["8.8.8.8".into()], vec!["2a00:1450::1".into()])
        );
        let more = ["9.9.9.1", "9.9.9.2"].map(String::from);
        case.server
            .state()
            .records()
            .replace(below, "A", 600, &more);
        case.set(&full, &["8.8.8.8"]).unwrap();
        assert_eq!(values("A"), ["8.8.8.8"]);
        case.take_away(&full, "2a00:1450::1").unwrap();
        case.take_away(&full, "2a00:1450::1").unwrap();
        case.take_away(&full, "1.1.1.1").unwrap();
        assert_eq!(
            (values("A"), values("AAAA")),
            (vec!["8.8.8.8".into()], Vec::new())
        );
        assert_eq!(values("MX"), ["10 mx.dyn.test."]);
        assert_eq!(
            case.server.state().records().values("mail", "A"),
            ["9.9.9.9"]
        );
    }
    let elsewhere = case.add("www.other.test", FIRST).unwrap_err();
    assert!(
        elsewhere.text.contains("not in the zone dyn.test"),
        "{elsewhere}"
    );
    case.server.assert_all_was_right();
}

/// What must hold whatever a provider answers. `no_zone` is what it says of a zone that it does not have.
fn assert_answers_are_not_believed<P: Protocol>(case: &mut Case<P>, provider: &str) {
    let name = "www.dyn.test";
    let big = "x".repeat(300_000);
    let secret = secrets::read(case.data.path(), "dns").unwrap().unwrap();
    let first_part = secret.split(' ').next().unwrap().to_owned();
    let echo = format!("{{\"message\":\"no {secret} here, nor {first_part}\"}}");
    for (reply, kind, word) in [
        (
            Reply::text(200, "garbage"),
            FailureKind::Trouble,
            "no answer",
        ),
        (Reply::text(200, ""), FailureKind::Trouble, "no answer"),
        (
            Reply::text(200, "[[[{}]]]"),
            FailureKind::Trouble,
            "no answer",
        ),
        (
            Reply::text(200, "{\"success\":true,\"result\":3}"),
            FailureKind::Trouble,
            "no answer",
        ),
        (
            Reply::text(200, &"[".repeat(100_000)),
            FailureKind::Trouble,
            "no answer",
        ),
        (Reply::text(200, &big), FailureKind::Trouble, "broke off"),
        (
            Reply::text(500, "<html>oops</html>"),
            FailureKind::Trouble,
            "(status 500)",
        ),
        (
            Reply::text(503, "maintenance"),
            FailureKind::Trouble,
            "maintenance",
        ),
        (
            Reply::text(302, "").with("location", "https://127.0.0.1/"),
            FailureKind::Trouble,
            "status 302",
        ),
        (
            Reply::text(418, "{\"message\":\"short\\nand stout\"}"),
            FailureKind::Refused,
            "short and stout",
        ),
        (Reply::text(401, &echo), FailureKind::Refused, "here, nor …"),
        (
            Reply::text(429, "slow down").with("retry-after", "120"),
            FailureKind::RateLimited,
            "slow down",
        ),
    ] {
        let shown = reply.body.chars().take(40).collect::<String>();
        case.server.answer_next(reply);
        let failure = case.addresses(name).unwrap_err();
        assert_eq!(failure.kind, kind, "{provider}, {shown}: {failure}");
        assert!(
            failure.text.contains(word),
            "{provider}, {shown}: {failure}"
        );
        assert!(!failure.text.contains(&first_part), "{provider}: {failure}");
        if kind == FailureKind::RateLimited {
            let wait = failure.retry_at.unwrap().0 - webstead::base::Timestamp::now().0;
            assert!((100..=120).contains(&wait), "{wait}");
        }
    }
    // A right that is missing, in the provider's own words.
    let wrong: Vec<&str> = vec!["wrong-0123456789"; secret.split(' ').count()];
    secrets::write(case.data.path(), "dns", &wrong.join(" ")).unwrap();
    let failure = case.set(name, &["8.8.4.4"]).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
    assert!(
        failure.text.contains(provider) && failure.text.contains(": "),
        "{failure}"
    );
    secrets::write(case.data.path(), "dns", &secret).unwrap();
    // A zone that is another's.
    let settings = case.settings.clone();
    case.settings = settings.replace(ZONE, "else.test");
    let failure = case.set("www.else.test", &["8.8.4.4"]).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
    assert!(failure.text.contains("no zone else.test"), "{failure}");
    case.settings = settings;
    case.server.assert_all_was_right();
    // Nobody is there, or somebody else.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let good = case.server.base().to_owned();
    case.settings = case.settings.replace(&good, &format!("https://{free}"));
    let failure = case.addresses(name).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable, "{failure}");
    assert!(failure.text.contains("cannot be reached"), "{failure}");
}

fn settings(provider: &str) -> String {
    format!("provider = \"{provider}\"\nzone = \"{ZONE}\"")
}

#[test]
fn cloudflare_is_asked_as_its_documentation_says() {
    let mut case = Case::new(
        Cloudflare::default(),
        "/client/v4",
        TOKEN,
        &settings("cloudflare"),
    );
    assert_records_are_looked_after(&case);
    // An identifier that would lead elsewhere.
    let bad =
        serde_json::json!({ "success": true, "result": [{ "id": "../../user", "name": ZONE }] });
    case.server.answer_next(Reply::json(200, bad));
    let failure = case.addresses("www.dyn.test").unwrap_err();
    assert!(failure.text.contains("strange identifier"), "{failure}");
    assert_answers_are_not_believed(&mut case, "Cloudflare");
}

#[test]
fn desec_is_asked_as_its_documentation_says() {
    let mut case = Case::new(Desec::default(), "/api/v1", TOKEN, &settings("desec"));
    assert_records_are_looked_after(&case);
    assert_answers_are_not_believed(&mut case, "deSEC");
}

#[test]
fn gandi_is_asked_as_its_documentation_says() {
    let mut case = Case::new(Gandi::default(), "/v5/livedns", TOKEN, &settings("gandi"));
    assert_records_are_looked_after(&case);
    assert_answers_are_not_believed(&mut case, "Gandi");
}

#[test]
fn hetzner_is_asked_as_its_documentation_says() {
    let mut case = Case::new(Hetzner::default(), "/v1", TOKEN, &settings("hetzner"));
    assert_records_are_looked_after(&case);
    let limited = serde_json::json!({ "error": { "code": "rate_limit_exceeded", "message": "limit of 3600 requests per hour reached" } });
    let reset = webstead::base::Timestamp::now().0 + 77;
    case.server
        .answer_next(Reply::json(429, limited).with("ratelimit-reset", &reset.to_string()));
    let failure = case.addresses("www.dyn.test").unwrap_err();
    assert_eq!(failure.retry_at.unwrap().0, reset, "{failure}");
    assert!(failure.text.contains("3600 requests"), "{failure}");
    case.server.state().fails_with = Some("zone is locked".into());
    let failure = case.set("other.dyn.test", &["8.8.4.4"]).unwrap_err();
    assert!(
        failure.text.contains("gave up: zone is locked"),
        "{failure}"
    );
    case.server.state().fails_with = None;
    assert_answers_are_not_believed(&mut case, "Hetzner");
}

#[test]
fn ovh_is_asked_with_signatures_as_its_documentation_says() {
    let mut case = Case::new(Ovh::default(), "/1.0", OVH_SECRET, &settings("ovh"));
    assert_records_are_looked_after(&case);
    assert_eq!(case.server.state().unseen, 0, "all changes are shown");
    assert_answers_are_not_believed(&mut case, "OVH");
    secrets::write(case.data.path(), "dns", "one two").unwrap();
    let settings: Settings = toml::from_str(&case.settings).unwrap();
    let why = zone_of(&settings, case.data.path())
        .err()
        .unwrap()
        .to_string();
    assert!(why.contains("3 parts and not 2: application key"), "{why}");
}

/// A port on which nobody answers, so that no DNS server of this machine is asked.
fn nobody() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    format!("check_at = [\"{}\"]\n", socket.local_addr().unwrap())
}

#[test]
fn duckdns_is_asked_as_its_documentation_says() {
    let settings = format!("provider = \"duckdns\"\n{}", nobody());
    let case = Case::new(DuckDns::default(), "", TOKEN, &settings);
    let name = "home.duckdns.org";
    case.add("_acme-challenge.home.duckdns.org", FIRST).unwrap();
    assert_eq!(case.server.state().txt, FIRST);
    case.remove("_acme-challenge.home.duckdns.org", FIRST)
        .unwrap();
    assert_eq!(case.server.state().txt, "");
    case.set(name, &["8.8.4.4"]).unwrap();
    case.set(name, &["2a00:1450::1"]).unwrap();
    case.set("sub.home.duckdns.org", &["8.8.8.8"]).unwrap();
    {
        let state = case.server.state();
        assert_eq!((&*state.ip, &*state.ipv6), ("8.8.8.8", "2a00:1450::1"));
    }
    let failure = case.set("other.duckdns.org", &["8.8.4.4"]).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.text.contains("the token is wrong"), "{failure}");
    let failure = case.set("duckdns.org", &["8.8.4.4"]).unwrap_err();
    assert!(
        failure.text.contains("no domain below duckdns.org"),
        "{failure}"
    );
    let failure = case.addresses(name).unwrap_err();
    assert_eq!(
        failure.kind,
        FailureKind::Unreachable,
        "no DNS server answers"
    );
    for body in ["KO", "OKAY", "<html>OK</html>", "\nOK", ""] {
        case.server.answer_next(Reply::text(200, body));
        assert!(case.set(name, &["8.8.4.4"]).is_err(), "{body:?}");
    }
    secrets::write(case.data.path(), "dns", "a&domains=other").unwrap();
    let failure = case.set(name, &["8.8.4.4"]).unwrap_err();
    assert!(failure.text.contains("no token of DuckDNS"), "{failure}");
    case.server.assert_all_was_right();
}

#[test]
fn dyndns2_is_spoken_as_its_documentation_says_and_has_no_texts() {
    let settings = format!("provider = \"dyndns2\"\nuser = \"ada\"\n{}", nobody());
    let case = Case::new(DynDns2::default(), "/nic/update", TOKEN, &settings);
    let name = "home.dyn.test";
    case.set(name, &["8.8.4.4", "2a00:1450::1"]).unwrap();
    assert_eq!(case.server.state().address, "8.8.4.4,2a00:1450::1");
    case.set(name, &["8.8.4.4", "2a00:1450::1"]).unwrap();
    for (says, kind, word) in [
        ("badauth", FailureKind::Final, "user and the password"),
        ("abuse", FailureKind::Final, "blocked"),
        ("nohost", FailureKind::Final, "not in this account"),
        ("!donator", FailureKind::Final, "money"),
        ("badip", FailureKind::Address, "accept the address"),
        ("good 127.0.0.1", FailureKind::Final, "ignored"),
        ("dnserr", FailureKind::Trouble, "in trouble"),
        ("911", FailureKind::Trouble, "in trouble"),
        ("what?", FailureKind::Trouble, "does not know"),
    ] {
        case.server.state().says = Some(says);
        let failure = case.set(name, &["8.8.8.8"]).unwrap_err();
        assert_eq!(failure.kind, kind, "{says}: {failure}");
        assert!(failure.text.contains(word), "{says}: {failure}");
        let pause = failure
            .retry_at
            .map(|at| at.0 - webstead::base::Timestamp::now().0);
        assert_eq!(
            pause.is_some_and(|s| s > 1700),
            kind == FailureKind::Trouble,
            "{says}"
        );
    }
    for (reply, kind) in [
        (Reply::text(401, ""), FailureKind::Final),
        (Reply::text(400, "badip"), FailureKind::Address),
        (Reply::text(400, "good 8.8.8.8"), FailureKind::Address),
        (Reply::text(404, "nohost"), FailureKind::Final),
        (Reply::text(404, "<html>"), FailureKind::Refused),
        (Reply::text(429, "abuse"), FailureKind::Final),
        (Reply::text(429, "slow down"), FailureKind::RateLimited),
        (Reply::text(500, ""), FailureKind::Trouble),
    ] {
        case.server.answer_next(reply.clone());
        let failure = case.set(name, &["8.8.8.8"]).unwrap_err();
        assert_eq!(failure.kind, kind, "{reply:?}: {failure}");
    }
    let failure = case
        .add("_acme-challenge.home.dyn.test", FIRST)
        .unwrap_err();
    assert!(failure.text.contains("no place for a text"), "{failure}");
    let settings: Settings = toml::from_str(&case.settings).unwrap();
    assert!(!settings.has_texts());
    case.server.assert_all_was_right();
}
