//! How it stands with the way from a visitor to the site, station by station.

use serde::Serialize;

use super::Timestamp;

/// A station of the way, in the order in which a visitor meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The site's name in the DNS.
    Name,
    /// The address of the home, or of the machine.
    Address,
    /// What stands between the internet and the machine.
    Router,
    /// The door that visitors knock at.
    Port,
    /// What proves to a browser that it is there.
    Certificate,
    /// The program, and the machine that it runs on.
    Server,
    /// What makes the pages.
    Application,
    /// Where everything is kept.
    Database,
}

impl Place {
    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Name => "Name",
            Self::Address => "Address",
            Self::Router => "Router",
            Self::Port => "Port",
            Self::Certificate => "Certificate",
            Self::Server => "Server",
            Self::Application => "Application",
            Self::Database => "Database",
        }
    }
}

/// How it stands with a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Visitors get past it.
    Well,
    /// Some or all of them do not, or soon will not.
    Wrong,
    /// This cannot be known from here; the sentence says why.
    Unknown,
}

impl Health {
    /// In a word, for who does not see colours.
    pub fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Wrong => "wrong",
            Self::Unknown => "not known",
        }
    }
}

/// One station, looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Station {
    /// Which one.
    pub place: Place,
    /// How it stands.
    pub health: Health,
    /// The state by its name, for programs: `name-elsewhere`. It stays the same from version to version.
    pub state: &'static str,
    /// The state in a plain sentence.
    pub says: String,
    /// The one thing to do, if there is one.
    pub remedy: Option<String>,
    /// The page of the site where that is done or explained.
    pub page: Option<&'static str>,
    /// Whether what is wrong at other stations may come of this, wherever they are on the way.
    #[serde(skip)]
    pub is_cause: bool,
}

impl Station {
    /// A station where all is well.
    pub fn well(place: Place, state: &'static str, says: impl Into<String>) -> Self {
        Self::new(place, Health::Well, state, says.into())
    }

    /// A station that keeps visitors from the site.
    pub fn wrong(place: Place, state: &'static str, says: impl Into<String>) -> Self {
        Self::new(place, Health::Wrong, state, says.into())
    }

    /// A station of which nothing is known, and why.
    pub fn unknown(place: Place, state: &'static str, says: impl Into<String>) -> Self {
        Self::new(place, Health::Unknown, state, says.into())
    }

    fn new(place: Place, health: Health, state: &'static str, says: String) -> Self {
        Self {
            place,
            health,
            state,
            says,
            remedy: None,
            page: None,
            is_cause: false,
        }
    }

    /// The same as what is to be mended first, because others may be wrong for no other reason.
    #[must_use]
    pub fn cause(mut self) -> Self {
        self.is_cause = true;
        self
    }

    /// The same with the one thing to do.
    #[must_use]
    pub fn remedy(mut self, what: impl Into<String>) -> Self {
        self.remedy = Some(what.into());
        self
    }

    /// The same with a page where that is done or explained.
    #[must_use]
    pub fn page(mut self, path: &'static str) -> Self {
        self.page = Some(path);
        self
    }
}

/// A further name of the site, looked at briefly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Further {
    /// The name.
    pub name: String,
    /// How it stands with it: what is wrong first, if something is.
    #[serde(flatten)]
    pub station: Station,
}

/// The whole way, looked at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// When it was looked at.
    pub at: Timestamp,
    /// How long that took.
    pub took_ms: u64,
    /// The name that visitors use, if the site has one.
    pub name: Option<String>,
    /// Every station, in order.
    pub stations: Vec<Station>,
    /// Further names of the site: that lead to it, of other hosts, and in certificates.
    pub further: Vec<Further>,
    /// How many of them were not looked at, because there are so many.
    pub further_left_out: usize,
}

impl Diagnosis {
    /// Whether no station and no further name is wrong.
    pub fn is_well(&self) -> bool {
        self.first_wrong().is_none()
    }

    /// The station to begin with: one from which what is wrong elsewhere may come, else the first that is wrong, because
    /// what is behind it may follow from it. Further names come after that.
    pub fn first_wrong(&self) -> Option<&Station> {
        let further = self.further.iter().map(|further| &further.station);
        let all = self.stations.iter().chain(further);
        let mut wrong = all.filter(|station| station.health == Health::Wrong);
        let cause = wrong.clone().find(|station| station.is_cause);
        cause.or_else(|| wrong.next())
    }

    /// The further name to begin with, if what to begin with is no station.
    pub fn first_wrong_name(&self) -> Option<&str> {
        let first = self.first_wrong()?;
        let mut further = self.further.iter();
        let of_name = further.find(|further| std::ptr::eq(&raw const further.station, first))?;
        Some(&of_name.name)
    }

    /// Stations of which nothing is known.
    pub fn count_unknown(&self) -> usize {
        let unknown = |station: &&Station| station.health == Health::Unknown;
        self.stations.iter().filter(unknown).count()
    }

    /// All of it in one sentence.
    pub fn summary(&self) -> String {
        match (self.first_wrong(), self.count_unknown()) {
            (Some(station), _) => format!("{}: {}", station.place.title(), station.says),
            (None, 0) => "All is well: the way from a visitor to the site is open.".into(),
            (None, 1) => "Nothing is wrong; one station cannot be judged from here.".into(),
            (None, count) => {
                format!("Nothing is wrong; {count} stations cannot be judged from here.")
            }
        }
    }
}
