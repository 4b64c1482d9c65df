//! Which backups are kept, and removing the others.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{civil::DateTime, tz::TimeZone};

use super::{
    list::{Listed, Trust},
    repository::{Kept, Repository},
};
use crate::base::{Result, Timestamp};

/// For how many days, weeks and months with backups the last good one of each is kept, and for how many hours before the
/// last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Hours. The last backup from before them stays too, so that every moment since can be reached from one.
    pub hours: usize,
    /// Days.
    pub days: usize,
    /// Weeks, from Monday.
    pub weeks: usize,
    /// Months.
    pub months: usize,
}

/// The year and the number of the period in it.
type Period = dyn Fn(&DateTime) -> (i16, i16);

const HOUR_S: i64 = 3600;

/// What was removed, or would be.
#[derive(Clone, Debug, Default)]
pub struct Pruned {
    /// The numbers of the backups that stay.
    pub kept: Vec<u64>,
    /// Of those that go.
    pub removed: Vec<u64>,
    /// Bytes that this frees; not known beforehand.
    pub freed_bytes: u64,
    /// Why what no backup needs any more could not be told apart, and stays; a line for each backup that is the reason.
    pub unswept: Vec<String>,
}

/// Removes what the rule does not keep; with `is_dry_run`, only says so.
///
/// # Errors
/// If somebody else is busy with the repository, or the place does not answer. What was removed until then is
/// gone; the backups that stay are whole at every moment.
pub fn prune(repository: &Repository, rule: Rule, is_dry_run: bool) -> Result<Pruned> {
    prune_to(repository, is_dry_run, |listed| {
        kept(listed, rule, &TimeZone::system())
    })
}

/// Removes what the rule will not keep once there is one more, so that there is room for it.
pub(super) fn prune_for_another(repository: &Repository, rule: Rule) -> Result<Pruned> {
    prune_to(repository, false, |listed| {
        kept_beside_another(listed, Timestamp::now(), rule, &TimeZone::system())
    })
}

fn prune_to(
    repository: &Repository,
    is_dry_run: bool,
    kept: impl Fn(&[Listed]) -> BTreeSet<u64>,
) -> Result<Pruned> {
    let _lock = repository.store.lock(!is_dry_run)?;
    let listed = super::list::list(repository)?;
    let kept = kept(&listed);
    let mut pruned = Pruned::default();
    for backup in listed.iter().filter(|backup| backup.number > 0) {
        if kept.contains(&backup.number) {
            pruned.kept.push(backup.number);
        } else {
            pruned.removed.push(backup.number);
        }
    }
    if is_dry_run {
        let unreadable = listed.into_iter().filter(|backup| backup.number == 0);
        pruned.unswept = unreadable
            .map(|backup| format!("{} cannot be read", backup.site))
            .collect();
        return Ok(pruned);
    }
    repository.store.sweep();
    let contents = repository.contents()?;
    let (stay, go): (Vec<_>, Vec<_>) = contents
        .kept
        .into_iter()
        .partition(|backup| kept.contains(&backup.manifest.number));
    for backup in &go {
        repository
            .store
            .remove(&format!("backups/{}.json", backup.name))?;
        repository.forget_tried(&backup.name)?;
    }
    (pruned.freed_bytes, pruned.unswept) = sweep(repository, &stay, &contents.unreadable)?;
    Ok(pruned)
}

/// Removes what none of these backups names; says how many bytes that were, or why it cannot be. Only with the lock for
/// changing.
///
/// What a damaged list names, or a manifest that cannot be read, is not known. It stays, because a person may still want
/// it.
pub(super) fn sweep(
    repository: &Repository,
    stay: &[Kept],
    unreadable: &[(String, String)],
) -> Result<(u64, Vec<String>)> {
    let (named, mut reasons) = repository.named(stay);
    reasons.extend(
        unreadable
            .iter()
            .map(|(file, why)| format!("{file}: {why}")),
    );
    if !reasons.is_empty() {
        return Ok((0, reasons));
    }
    let there = repository.store.list("objects")?;
    Ok((repository.sweep(&there, &named.objects)?, reasons))
}

/// [`kept`] as it will be when another one was made. Those that stay in any case are the last of those that there are.
fn kept_beside_another(
    listed: &[Listed],
    now: Timestamp,
    rule: Rule,
    zone: &TimeZone,
) -> BTreeSet<u64> {
    const ANOTHER: u64 = u64::MAX;
    let another = Listed {
        number: ANOTHER,
        of_file: None,
        made_at: now,
        site: String::new(),
        posts: 0,
        files: 0,
        bytes: 0,
        new_bytes: 0,
        warnings: Vec::new(),
        trust: Trust::Untried,
        changes: None,
    };
    let all: Vec<Listed> = [another]
        .into_iter()
        .chain(listed.iter().cloned())
        .collect();
    let mut kept = kept(&all, rule, zone);
    kept.remove(&ANOTHER);
    let last = listed.iter().find(|backup| backup.number > 0);
    kept.extend(last.map(|backup| backup.number));
    kept
}

/// The numbers of those that stay. `listed` has the last one first.
///
/// Of each period the last proven one stays; where none is, the last one. The last of all and the last proven
/// one stay whatever the rule says.
fn kept(listed: &[Listed], rule: Rule, zone: &TimeZone) -> BTreeSet<u64> {
    let readable: Vec<&Listed> = listed.iter().filter(|backup| backup.number > 0).collect();
    let is_proven = |backup: &&&Listed| matches!(backup.trust, Trust::Proven(_));
    let mut kept: BTreeSet<u64> = BTreeSet::new();
    kept.extend(readable.first().map(|backup| backup.number));
    kept.extend(readable.iter().find(is_proven).map(|backup| backup.number));
    let hour = |at: &DateTime| {
        (
            at.year(),
            at.date().day_of_year() * 24 + i16::from(at.hour()),
        )
    };
    let day = |at: &DateTime| (at.year(), at.date().day_of_year());
    let week = |at: &DateTime| {
        let week = at.date().iso_week_date();
        (week.year(), i16::from(week.week()))
    };
    let month = |at: &DateTime| (at.year(), i16::from(at.month()));
    let last = readable.first().map_or(0, |backup| backup.made_at.0);
    let hours = i64::try_from(rule.hours).unwrap_or(i64::MAX);
    let begin = last.saturating_sub(hours.saturating_mul(HOUR_S));
    let is_recent = |backup: &Listed| backup.made_at.0 > begin;
    if rule.hours > 0 {
        kept.extend(last_before_these(&readable, is_recent));
    }
    // Hours are those before the last one, and not those with backups: one each night would fill them.
    let recent: Vec<&Listed> = readable.iter().copied().filter(|b| is_recent(b)).collect();
    let periods: [(usize, &Period, &[&Listed]); 4] = [
        (rule.hours, &hour, &recent),
        (rule.days, &day, &readable),
        (rule.weeks, &week, &readable),
        (rule.months, &month, &readable),
    ];
    for (count, of, among) in periods {
        let mut best: BTreeMap<(i16, i16), &Listed> = BTreeMap::new();
        for backup in among {
            let at = DateTime::from(backup.made_at.to_jiff().to_zoned(zone.clone()));
            let there = best.entry(of(&at)).or_insert(backup);
            if is_proven(&backup) && !is_proven(&&*there) {
                *there = backup;
            }
        }
        kept.extend(best.values().rev().take(count).map(|backup| backup.number));
    }
    kept
}

/// The last backup that is not recent, or, where all are, the first one: from there every moment since can be reached, as
/// long as the log of changes has them.
fn last_before_these(readable: &[&Listed], is_recent: impl Fn(&Listed) -> bool) -> Option<u64> {
    let usable = || {
        let backups = readable.iter();
        backups.filter(|backup| !matches!(backup.trust, Trust::Bad(_)))
    };
    let is_proven = |backup: &&&Listed| matches!(backup.trust, Trust::Proven(_));
    let older = || usable().filter(|backup| !is_recent(backup));
    let found = older().find(is_proven).or_else(|| older().next());
    found
        .or_else(|| usable().next_back())
        .map(|backup| backup.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;
    const RULE: Rule = Rule {
        hours: 0,
        days: 7,
        weeks: 4,
        months: 6,
    };

    fn backup(number: u64, made_at: i64, trust: Trust) -> Listed {
        Listed {
            number,
            of_file: Some(number),
            made_at: Timestamp(made_at),
            site: String::new(),
            posts: 0,
            files: 0,
            bytes: 0,
            new_bytes: 0,
            warnings: Vec::new(),
            trust,
            changes: None,
        }
    }

    /// Some each day for two years, the last one first.
    fn daily(each: u64) -> Vec<Listed> {
        let of_day = |day: u64| {
            (0..each).map(move |n| {
                let at = 1_700_000_000 + day as i64 * DAY + n as i64 * 60;
                backup(day * each + n + 1, at, Trust::Proven(Timestamp(at)))
            })
        };
        let mut all: Vec<Listed> = (0..730).flat_map(of_day).collect();
        all.reverse();
        all
    }

    #[test]
    fn the_last_of_each_day_week_and_month_stays() {
        let all = daily(3);
        let kept = kept(&all, RULE, &TimeZone::UTC);
        let days: Vec<u64> = (0..7).map(|n| 730 * 3 - n * 3).collect();
        assert!(days.iter().all(|number| kept.contains(number)), "{kept:?}");
        assert!(kept.len() <= 7 + 4 + 6 && kept.len() >= 12, "{kept:?}");
        let ages: Vec<u64> = kept.iter().map(|n| 729 - (n - 1) / 3).collect();
        assert!(ages[0] > 120 && ages[0] < 190, "{ages:?}");
    }

    #[test]
    fn with_a_backup_every_ten_minutes_each_moment_of_the_last_day_has_one_from_before_and_each_hour_one()
     {
        let rule = Rule { hours: 24, ..RULE };
        let begin = 1_700_000_000;
        let (mut there, mut most) = (Vec::<Listed>::new(), 0);
        for n in 0..6 * 24 * 4 {
            let at = begin + n * 600;
            // Now and then one is not tried, or found to be bad.
            let trust = match n % 10 {
                3 => Trust::Untried,
                7 => Trust::Bad(vec!["x".into()]),
                _ => Trust::Proven(Timestamp(at)),
            };
            there.insert(0, backup(n.unsigned_abs() + 1, at, trust));
            let stay = kept(&there, rule, &TimeZone::UTC);
            there.retain(|backup| stay.contains(&backup.number));
            let usable = there
                .iter()
                .filter(|backup| !matches!(backup.trust, Trust::Bad(_)));
            let first = usable.clone().map(|backup| backup.made_at.0).min().unwrap();
            assert!(
                first <= begin.max(at - DAY),
                "{n}: the way back begins at {first}"
            );
            let mut gaps = usable.map(|b| b.made_at.0).filter(|made| *made > at - DAY);
            let mut later = gaps.next().unwrap();
            for made in gaps {
                assert!(
                    later - made <= 2 * HOUR_S,
                    "{n}: nothing between {made} and {later}"
                );
                later = made;
            }
            most = most.max(there.len());
        }
        assert!(most < 24 + 7 + 4 + 6, "{most}");
        // One each night is thinned out as without the hours.
        let all = daily(1);
        assert_eq!(
            kept(&all, rule, &TimeZone::UTC),
            kept(&all, RULE, &TimeZone::UTC)
        );
    }

    #[test]
    fn pruning_every_day_comes_to_the_same_as_pruning_at_the_end() {
        let all = daily(1);
        let mut there: Vec<Listed> = Vec::new();
        for backup in all.iter().rev() {
            there.insert(0, backup.clone());
            let stay = kept(&there, RULE, &TimeZone::UTC);
            there.retain(|backup| stay.contains(&backup.number));
        }
        let stay: BTreeSet<u64> = there.iter().map(|backup| backup.number).collect();
        assert_eq!(stay, kept(&all, RULE, &TimeZone::UTC));
    }

    #[test]
    fn to_make_room_for_one_more_no_more_goes_than_that_will_push_out_and_never_twice() {
        let zone = TimeZone::UTC;
        let mut there = daily(1);
        let proven = there[0].number;
        there.retain(|backup| kept(&daily(1), RULE, &zone).contains(&backup.number));
        let now = Timestamp(there[0].made_at.0 + DAY);
        let stay = kept_beside_another(&there, now, RULE, &zone);
        let with_one_more: Vec<Listed> = std::iter::once(backup(proven + 1, now.0, Trust::Untried))
            .chain(there.iter().cloned())
            .collect();
        let mut then = kept(&with_one_more, RULE, &zone);
        then.remove(&(proven + 1));
        assert_eq!(stay, then);
        assert!(stay.len() < there.len() && stay.contains(&proven));
        // It fails again and again, also on later days.
        there.retain(|backup| stay.contains(&backup.number));
        for hours in 1..40 {
            let now = Timestamp(now.0 + hours * 3600);
            let still = kept_beside_another(&there, now, RULE, &zone);
            assert!(
                still.len() + 2 >= stay.len() && still.contains(&proven),
                "{hours}"
            );
        }
        // Where the last one is not proven, that and the last proven one stay.
        let mut two = daily(1);
        two.truncate(2);
        two[0].trust = Trust::Untried;
        let none = Rule {
            hours: 0,
            days: 1,
            weeks: 0,
            months: 0,
        };
        assert_eq!(kept_beside_another(&two, now, none, &zone).len(), 2);
    }

    #[test]
    fn a_backup_that_was_not_proven_does_not_push_out_one_that_was() {
        let bad = Trust::Bad(vec!["x".into()]);
        let all = [
            backup(4, 10 * DAY + 300, Trust::Untried),
            backup(3, 10 * DAY + 200, bad),
            backup(2, 10 * DAY + 100, Trust::Proven(Timestamp(0))),
            backup(1, 10 * DAY, Trust::Proven(Timestamp(0))),
        ];
        let rule = Rule {
            hours: 0,
            days: 1,
            weeks: 0,
            months: 0,
        };
        let stay = kept(&all, rule, &TimeZone::UTC);
        assert_eq!(stay.into_iter().collect::<Vec<_>>(), [2, 4]);
        let none = Rule { days: 0, ..rule };
        assert_eq!(kept(&all, none, &TimeZone::UTC).len(), 2);
        assert!(kept(&[], rule, &TimeZone::UTC).is_empty());
    }
}
