//! In which years there are posts.

use jiff::{civil::date, tz::TimeZone};
use rusqlite::Connection;

use crate::{
    app::posts::queries::{self, Direction, Place},
    base::{Id, Result, Timestamp},
};

/// The years that have posts, newest first.
///
/// Jumps from year to year through the index, so it costs as many steps as there are years.
pub fn list_years(connection: &Connection, zone: &TimeZone) -> Result<Vec<i16>> {
    let mut years = Vec::new();
    let mut place = Place::TOP;
    while let Some(post) = queries::list_titles(connection, place, Direction::Older, 1)?.pop() {
        let year = post.published_at.date_in(zone).year();
        years.push(year);
        place = start_of(year, zone);
    }
    Ok(years)
}

/// The place before (in time) all posts of a year, which is after all of the years before it.
pub fn start_of(year: i16, zone: &TimeZone) -> Place {
    let start = date(year, 1, 1)
        .to_zoned(zone.clone())
        .map_or(i64::MIN, |start| Timestamp::from(start.timestamp()).0);
    Place {
        at: start,
        id: Id(0),
    }
}

/// The place after all posts of a year.
pub fn end_of(year: i16, zone: &TimeZone) -> Place {
    if year >= 9999 {
        Place::TOP
    } else {
        start_of(year + 1, zone)
    }
}
