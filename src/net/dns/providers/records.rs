//! What providers have in common: a name has records of a type, which can be listed and replaced.

use std::net::{IpAddr, SocketAddr};

use crate::net::{
    dns::{
        Addresses, Soon, Zone,
        failure::Failure,
        text::{MOST_BYTES, quoted, unquoted},
        visible,
    },
    names::is_in,
};

/// The types that are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
    Txt,
}

impl Kind {
    /// As every provider calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Txt => "TXT",
        }
    }

    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::A,
            IpAddr::V6(_) => Self::Aaaa,
        }
    }
}

/// One record, as the provider has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// What it is called there, where single records can be changed.
    pub(super) id: String,
    pub(super) value: String,
    /// Seconds that others may keep it.
    pub(super) ttl_s: Option<u32>,
}

/// A name in a zone.
pub(super) struct Owner<'a> {
    /// `www.example.org`
    pub(super) full: &'a str,
    /// `www`; empty for the zone's own name.
    pub(super) relative: &'a str,
}

impl<'a> Owner<'a> {
    /// The name in a zone.
    ///
    /// # Errors
    /// If it is in another one.
    pub(super) fn new(full: &'a str, zone: &str) -> Result<Self, Failure> {
        if !is_in(full, zone) {
            return Err(Failure::setup(format!("{full} is not in the zone {zone}")));
        }
        let relative = full[..full.len() - zone.len()].trim_end_matches('.');
        Ok(Self { full, relative })
    }

    /// [`Owner::relative`] with `@` for the zone's own name.
    pub(super) fn relative_or_at(&self) -> &str {
        if self.relative.is_empty() {
            "@"
        } else {
            self.relative
        }
    }
}

/// The records of a provider.
pub(super) trait Records {
    /// The zone that is changed.
    fn zone(&self) -> &str;

    /// The records of a name, of one type; none if there is no such name.
    async fn list(&self, owner: &Owner<'_>, kind: Kind) -> Result<Vec<Record>, Failure>;

    /// Makes the records of a name, of one type, those with these values, and leaves all others.
    ///
    /// `before` is what [`Records::list`] gave.
    async fn replace(
        &self,
        owner: &Owner<'_>,
        kind: Kind,
        before: &[Record],
        values: &[String],
    ) -> Result<(), Failure>;
}

/// A zone at a provider that has [`Records`].
pub(super) struct OfRecords<R> {
    pub(super) records: R,
    /// DNS servers that are asked whether a text is there, if not those of the zone.
    pub(super) check_at: Vec<SocketAddr>,
}

impl<R: Records> OfRecords<R> {
    async fn add(&self, name: &str, text: &str) -> Result<(), Failure> {
        if text.len() > MOST_BYTES {
            return Err(Failure::setup("a text for the DNS has at most 255 bytes"));
        }
        let owner = Owner::new(name, self.records.zone())?;
        let before = self.records.list(&owner, Kind::Txt).await;
        // Who was only asked has changed nothing.
        let before = before.map_err(Failure::untouched)?;
        if before.iter().any(|record| unquoted(&record.value) == text) {
            return Ok(());
        }
        let mut values: Vec<String> = before.iter().map(|record| record.value.clone()).collect();
        values.push(quoted(text));
        self.records
            .replace(&owner, Kind::Txt, &before, &values)
            .await
    }

    /// Takes those records of a name away that are meant.
    async fn remove(
        &self,
        name: &str,
        kind: Kind,
        is_meant: impl Fn(&Record) -> bool,
    ) -> Result<(), Failure> {
        let owner = Owner::new(name, self.records.zone())?;
        let before = self.records.list(&owner, kind).await?;
        let others = before.iter().filter(|record| !is_meant(record));
        let others: Vec<String> = others.map(|record| record.value.clone()).collect();
        if others.len() == before.len() {
            return Ok(());
        }
        self.records.replace(&owner, kind, &before, &others).await
    }

    async fn set(&self, name: &str, wanted: Addresses) -> Result<(), Failure> {
        let owner = Owner::new(name, self.records.zone())?;
        for address in wanted.iter() {
            let kind = Kind::of(address);
            let before = self.records.list(&owner, kind).await?;
            if let [only] = &before[..]
                && only.value.parse() == Ok(address)
            {
                continue;
            }
            let values = [address.to_string()];
            self.records.replace(&owner, kind, &before, &values).await?;
        }
        Ok(())
    }

    async fn addresses_of(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let owner = Owner::new(name, self.records.zone())?;
        let mut all = Vec::new();
        for kind in [Kind::A, Kind::Aaaa] {
            let records = self.records.list(&owner, kind).await?;
            all.extend(
                records
                    .iter()
                    .filter_map(|record| record.value.parse::<IpAddr>().ok()),
            );
        }
        Ok(all)
    }
}

impl<R: Records> Zone for OfRecords<R> {
    fn add_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a> {
        Box::pin(self.add(name, text))
    }

    fn remove_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a> {
        let is_meant = move |record: &Record| unquoted(&record.value) == text;
        Box::pin(self.remove(name, Kind::Txt, is_meant))
    }

    fn await_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a> {
        let zone = self.records.zone();
        let asked = (None, &*self.check_at);
        Box::pin(visible::everywhere(zone, asked, name, text))
    }

    fn addresses<'a>(&'a self, name: &'a str) -> Soon<'a, Vec<IpAddr>> {
        Box::pin(self.addresses_of(name))
    }

    fn set_addresses<'a>(&'a self, name: &'a str, wanted: Addresses) -> Soon<'a> {
        Box::pin(self.set(name, wanted))
    }

    fn remove_address<'a>(&'a self, name: &'a str, address: IpAddr) -> Soon<'a> {
        let is_meant = move |record: &Record| record.value.parse() == Ok(address);
        Box::pin(self.remove(name, Kind::of(address), is_meant))
    }
}

/// What is to be done where single records are changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Steps<'a> {
    /// Records that get another value.
    pub(super) changed: Vec<(&'a Record, &'a str)>,
    /// Values that get a record.
    pub(super) added: Vec<&'a str>,
    /// Records that go.
    pub(super) removed: Vec<&'a Record>,
}

/// The steps from some records to others; a record that goes makes way for a value that comes.
pub(super) fn steps<'a>(before: &'a [Record], values: &'a [String]) -> Steps<'a> {
    let is_kept = |record: &&Record| values.contains(&record.value);
    let mut removed: Vec<&Record> = before.iter().filter(|record| !is_kept(record)).collect();
    let is_there = |value: &&String| before.iter().any(|record| record.value == **value);
    let mut added: Vec<&str> = values
        .iter()
        .filter(|value| !is_there(value))
        .map(String::as_str)
        .collect();
    let pairs = removed.len().min(added.len());
    let changed = removed.drain(..pairs).zip(added.drain(..pairs)).collect();
    Steps {
        changed,
        added,
        removed,
    }
}

#[cfg(test)]
mod tests {
    use super::{Owner, Record, steps};

    fn record(id: &str, value: &str) -> Record {
        Record {
            id: id.into(),
            value: value.into(),
            ttl_s: None,
        }
    }

    #[test]
    fn only_what_differs_is_changed() {
        let before = [record("1", "a"), record("2", "b"), record("3", "c")];
        let steps = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|&v| v.to_owned()).collect();
            let found = steps(&before, &values);
            (
                found
                    .changed
                    .iter()
                    .map(|(r, v)| format!("{}={v}", r.id))
                    .collect::<Vec<_>>(),
                found
                    .added
                    .iter()
                    .map(|&v| v.to_owned())
                    .collect::<Vec<_>>(),
                found
                    .removed
                    .iter()
                    .map(|r| r.id.clone())
                    .collect::<Vec<_>>(),
            )
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(
            steps(&["a", "b", "c"]),
            (none.clone(), none.clone(), none.clone())
        );
        assert_eq!(
            steps(&["a", "b", "c", "d"]),
            (none.clone(), vec!["d".into()], none.clone())
        );
        assert_eq!(
            steps(&["a", "c"]),
            (none.clone(), none.clone(), vec!["2".into()])
        );
        assert_eq!(
            steps(&["x"]),
            (
                vec!["1=x".into()],
                none.clone(),
                vec!["2".into(), "3".into()]
            )
        );
    }

    #[test]
    fn a_name_is_split_at_its_zone() {
        for (name, relative) in [
            ("example.org", Some("")),
            ("www.example.org", Some("www")),
            ("_acme-challenge.a.example.org", Some("_acme-challenge.a")),
            ("badexample.org", None),
            ("org", None),
        ] {
            let owner = Owner::new(name, "example.org").ok();
            assert_eq!(
                owner.map(|owner| owner.relative.to_owned()).as_deref(),
                relative
            );
        }
    }
}
