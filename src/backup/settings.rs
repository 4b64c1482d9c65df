//! `[backup]` in `webstead.toml`.

use std::path::Path;

use jiff::civil::Time;
use serde::Deserialize;

use super::{Recipient, Rule, Target, s3::S3Settings, schedule::When, sftp::SftpSettings};

/// Where backups go, when, and which are kept.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The place; without it there are only backups by hand.
    pub to: Option<Target>,
    /// `[backup.s3]`: the store of a bucket.
    pub s3: S3Settings,
    /// `[backup.sftp]`: the machine that is reached by SFTP.
    pub sftp: SftpSettings,
    /// The time of day [default: half past three at night].
    pub at: Option<At>,
    /// The time between two, instead.
    pub every: Option<Every>,
    /// For how many hours before the last backup the last one of each is kept, and one from before all these.
    pub keep_hours: u16,
    /// For how many days with backups one is kept.
    pub keep_days: u16,
    /// The same for weeks.
    pub keep_weeks: u16,
    /// The same for months.
    pub keep_months: u16,
    /// Whether `secrets/` comes along.
    pub secrets: bool,
    /// To whose public keys they are encrypted; nobody's: they are not.
    pub encrypt_to: Vec<Recipient>,
    /// The room for the log of changes that leads to moments between backups, in MiB; 0: none is kept.
    pub changes_mib: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            to: None,
            s3: S3Settings::default(),
            sftp: SftpSettings::default(),
            at: None,
            every: None,
            keep_hours: 24,
            keep_days: 7,
            keep_weeks: 4,
            keep_months: 12,
            secrets: false,
            encrypt_to: Vec::new(),
            changes_mib: 32,
        }
    }
}

impl Settings {
    /// Which are kept.
    pub fn rule(&self) -> Rule {
        Rule {
            hours: self.keep_hours.into(),
            days: self.keep_days.into(),
            weeks: self.keep_weeks.into(),
            months: self.keep_months.into(),
        }
    }

    /// The most bytes of the log of changes.
    pub fn most_log_bytes(&self) -> u64 {
        u64::from(self.changes_mib) << 20
    }

    /// What of them cannot work for the site in a data folder, each with the remedy.
    pub fn problems(&self, data: &Path) -> Vec<String> {
        let mut problems: Vec<String> = self
            .to
            .iter()
            .filter_map(|to| to.problem(data))
            .map(|why| format!("[backup]: {why}"))
            .collect();
        if self.at.is_some() && self.every.is_some() {
            problems.push(
                "[backup]: `at` and `every` are both set, and only `every` counts; leave one of them out"
                    .into(),
            );
        }
        let rule = self.rule();
        if (rule.days, rule.weeks, rule.months) == (0, 0, 0) {
            problems.push(
                "[backup]: keep_days, keep_weeks and keep_months are all 0, so nothing stays of the days before; \
                 leave them out to keep 7 days, 4 weeks and 12 months"
                    .into(),
            );
        }
        problems
    }

    /// When they are made.
    pub fn when(&self) -> When {
        match self.every {
            Some(Every(seconds)) => When::Every(seconds),
            None => When::Daily(self.at.map_or(Time::constant(3, 30, 0, 0), |at| at.0)),
        }
    }
}

/// A time of day: `03:30`, or `3:30`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct At(pub(super) Time);

impl TryFrom<String> for At {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        // People leave the zero out; who reads times of ISO 8601 does not.
        let zero = if text.find(':') == Some(1) { "0" } else { "" };
        let time = format!("{zero}{text}").parse().map(Self);
        time.map_err(|_| format!("{text:?} is not a time of day; write one such as \"03:30\""))
    }
}

/// Seconds, written as `6 hours`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct Every(pub(super) i64);

/// More often than this, the next one would begin before this one is done.
const SHORTEST_S: i64 = 10 * 60;
const LONGEST_S: i64 = 31 * 24 * 3600;

impl TryFrom<String> for Every {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let seconds = seconds_of(&text).filter(|s| (SHORTEST_S..=LONGEST_S).contains(s));
        seconds.map(Self).ok_or_else(|| {
            format!(
                "{text:?} is not a time from 10 minutes to 31 days; write one such as \"6 hours\""
            )
        })
    }
}

/// A number and a unit.
fn seconds_of(text: &str) -> Option<i64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let number: i64 = number.parse().ok()?;
    let unit = match unit.trim().trim_end_matches('s') {
        "minute" => 60,
        "hour" => 3600,
        "day" => 24 * 3600,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_mistakes_have_a_remedy() {
        let read =
            |text: &str| toml::from_str::<Settings>(text).map_err(|e| e.message().to_owned());
        for (time, hour, minute) in [
            ("4:05", 4, 5),
            ("04:05", 4, 5),
            ("0:00", 0, 0),
            ("23:59", 23, 59),
        ] {
            let settings = read(&format!("to = \"/mnt/x\"\nat = \"{time}\"")).unwrap();
            let daily = When::Daily(Time::constant(hour, minute, 0, 0));
            assert_eq!(settings.when(), daily, "{time}");
        }
        assert_eq!(
            read("every = \"6 hours\"").unwrap().when(),
            When::Every(6 * 3600)
        );
        assert_eq!(
            read("every = \"1 day\"").unwrap().when(),
            When::Every(86400)
        );
        for (text, problems) in [
            ("at = \"4:00\"", 0),
            ("every = \"6 hours\"", 0),
            ("at = \"4:00\"\nevery = \"6 hours\"", 1),
        ] {
            let found = read(text).unwrap().problems(Path::new("/data"));
            assert_eq!(found.len(), problems, "{found:?}");
        }
        for (text, word) in [
            ("at = \"noon\"", "03:30"),
            ("at = \"24:00\"", "03:30"),
            ("at = \"9:60\"", "03:30"),
            ("at = \":30\"", "03:30"),
            ("at = \"a:30\"", "03:30"),
            ("every = \"1 minute\"", "6 hours"),
            ("every = \"often\"", "6 hours"),
            ("to = \"\"", "folder"),
            ("to = \"~/backups\"", "/home/ada/backups"),
            ("[s3]\nroots = \"~/ca.pem\"", "/home/ada/ca.pem"),
            ("[sftp]\nkey_file = \"~/.ssh/id\"", "/home/ada/.ssh/id"),
            ("to = \"gopher://x\"", "path"),
            ("to = \"s3://X\"", "s3://my-bucket/site"),
            ("[s3]\nendpoint = \"http://example.org\"", "https://"),
            ("[s3]\nsecret = \"x\"", "secret"),
            ("to = \"sftp://nas.example/x\"", "who we are"),
            ("[sftp]\nhost_key = \"aa:bb\"", "SHA256:"),
            ("keep_days = -1", "keep_days"),
            ("keeps = 1", "keeps"),
            ("encrypt_to = [\"AGE-SECRET-KEY-1X\"]", "public one"),
        ] {
            let message = read(text).unwrap_err();
            assert!(
                message.contains(word) || word == "keep_days",
                "{text}: {message}"
            );
        }
    }
}
