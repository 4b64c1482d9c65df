//! What the interfaces have in common: a zone with records, and what is true of every request.

use std::collections::BTreeMap;

use super::Seen;

/// The zone of every provider here.
pub(crate) const ZONE: &str = "dyn.test";
/// The token of every provider here.
pub(crate) const TOKEN: &str = "tok-0123456789abcdef";

/// The records of a zone, by the name below it (empty for its own) and the type.
#[derive(Default)]
pub(crate) struct Records {
    sets: BTreeMap<(String, String), Set>,
    next: u64,
    /// Is told of a name below the zone, a type, and the values that it has now.
    pub(crate) publish: Option<Publish>,
}

/// Shows a change to the world.
pub(crate) type Publish = Box<dyn Fn(&str, &str, &[String]) + Send>;

#[derive(Clone, Default)]
pub(crate) struct Set {
    pub(crate) ttl: u32,
    /// With what each is called.
    pub(crate) values: Vec<(u64, String)>,
}

impl Records {
    /// The values of a name.
    pub(crate) fn values(&self, name: &str, kind: &str) -> Vec<String> {
        let set = self.set(name, kind).unwrap_or_default();
        set.values.into_iter().map(|(_, value)| value).collect()
    }

    pub(crate) fn set(&self, name: &str, kind: &str) -> Option<Set> {
        self.sets.get(&(name.to_owned(), kind.to_owned())).cloned()
    }

    /// Lets a name have these values; none of them lets it go.
    pub(crate) fn replace(&mut self, name: &str, kind: &str, ttl: u32, values: &[String]) {
        let key = (name.to_owned(), kind.to_owned());
        let before = self.sets.remove(&key).unwrap_or_default();
        let mut set = Set {
            ttl,
            values: Vec::new(),
        };
        for value in values {
            let same = before.values.iter().find(|(_, old)| old == value);
            let id = same.map_or_else(|| self.next_id(), |(id, _)| *id);
            set.values.push((id, value.clone()));
        }
        if !set.values.is_empty() {
            self.sets.insert(key, set);
        }
        self.tell(name, kind);
    }

    pub(crate) fn add(&mut self, name: &str, kind: &str, ttl: u32, value: &str) -> u64 {
        let id = self.next_id();
        let set = self
            .sets
            .entry((name.to_owned(), kind.to_owned()))
            .or_default();
        // All of a set have one time (RFC 2181 section 5.2).
        assert!(
            set.values.is_empty() || set.ttl == ttl,
            "{name} {kind}: {ttl}"
        );
        set.ttl = ttl;
        set.values.push((id, value.to_owned()));
        self.tell(name, kind);
        id
    }

    /// The name, type, value and time of a record.
    pub(crate) fn find(&self, id: u64) -> Option<(String, String, String, u32)> {
        self.sets.iter().find_map(|((name, kind), set)| {
            let (_, value) = set.values.iter().find(|(own, _)| *own == id)?;
            Some((name.clone(), kind.clone(), value.clone(), set.ttl))
        })
    }

    pub(crate) fn change(&mut self, id: u64, to: &str) {
        let (name, kind, ..) = self.find(id).unwrap();
        let set = self.sets.get_mut(&(name.clone(), kind.clone())).unwrap();
        let (_, value) = set.values.iter_mut().find(|(own, _)| *own == id).unwrap();
        to.clone_into(value);
        self.tell(&name, &kind);
    }

    pub(crate) fn remove(&mut self, id: u64) {
        let (name, kind, _, ttl) = self.find(id).unwrap();
        let set = self.set(&name, &kind).unwrap();
        let others = set.values.into_iter().filter(|(own, _)| *own != id);
        let others: Vec<String> = others.map(|(_, value)| value).collect();
        self.replace(&name, &kind, ttl, &others);
    }

    fn next_id(&mut self) -> u64 {
        self.next += 1;
        self.next + 1_000_000
    }

    fn tell(&self, name: &str, kind: &str) {
        if let Some(publish) = &self.publish {
            publish(name, kind, &self.values(name, kind));
        }
    }
}

/// `www.dyn.test` is `www`, and the zone itself is empty.
pub(crate) fn below_zone(full: &str) -> String {
    let name = full
        .strip_suffix(ZONE)
        .unwrap_or_else(|| panic!("{full} is in another zone"));
    name.trim_end_matches('.').to_owned()
}

/// `@` stands for the zone's own name.
pub(crate) fn from_at(name: &str) -> String {
    assert!(!name.is_empty() && !name.ends_with('.'), "{name:?}");
    if name == "@" {
        String::new()
    } else {
        name.to_owned()
    }
}

/// What is true of a value of a type, as every provider wants it.
pub(crate) fn assert_value(kind: &str, value: &str) {
    match kind {
        "A" => drop(value.parse::<std::net::Ipv4Addr>().unwrap()),
        "AAAA" => drop(value.parse::<std::net::Ipv6Addr>().unwrap()),
        "TXT" => {
            let is_quoted = value.starts_with('"') && value.ends_with('"') && value.len() >= 2;
            assert!(is_quoted && value.len() <= 257, "{value}");
        }
        other => panic!("nobody changes {other}"),
    }
}

/// What is true of every request.
pub(crate) fn assert_polite(seen: &Seen) {
    assert!(
        seen.header("user-agent").starts_with("Webstead/"),
        "{:?}",
        seen.headers
    );
    if seen.body.is_empty() {
        assert_eq!(seen.header("content-type"), "");
    }
    if seen.method == "GET" || seen.method == "DELETE" {
        assert_eq!(seen.body, "");
    }
}
