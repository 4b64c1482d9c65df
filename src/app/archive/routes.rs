//! `GET /archive`, `GET /archive/{year}`

use actix_web::{HttpResponse, web};

use super::{
    queries::{end_of, list_years, start_of},
    views::{ArchivePage, Dated, Month, YearPage},
};
use crate::{
    app::{
        layout::Link,
        lists::{Cursor, cut, format_place, format_query},
        posts::queries::{self, DatedTitle, Direction, Place},
        visit::Visit,
    },
    base::{Error, Result},
};

/// Posts on one screen of a year.
const MAX_ON_SCREEN: usize = 100;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/archive", web::get().to(list))
        .route("/archive/{year}", web::get().to(show));
}

async fn list(visit: Visit) -> Result<HttpResponse> {
    let zone = visit.site.zone.clone();
    let years = visit
        .app
        .database
        .read(move |connection| list_years(connection, &zone))
        .await?;
    let shell = visit.shell("Archive", "");
    visit.public_page(&ArchivePage {
        shell,
        years: years.into_iter().map(year_link).collect(),
    })
}

struct Year {
    posts: Vec<DatedTitle>,
    newer: Option<Place>,
    older: Option<Place>,
    previous: Option<i16>,
    next: Option<i16>,
}

async fn show(
    visit: Visit,
    year: web::Path<String>,
    cursor: web::Query<Cursor>,
) -> Result<HttpResponse> {
    let year = parse_year(&year)?;
    let (from, direction) = cursor.parse()?;
    let query = format_query((from, direction));
    let zone = visit.site.zone.clone();
    let of_year = visit
        .app
        .database
        .read(move |connection| {
            let (start, end) = (start_of(year, &zone), end_of(year, &zone));
            let from = if from == Place::TOP { end } else { from };
            let is_in =
                |post: &DatedTitle| post.published_at.0 >= start.at && post.published_at.0 < end.at;
            let mut posts = queries::list_titles(connection, from, direction, MAX_ON_SCREEN + 1)?;
            posts.retain(is_in);
            let (has_newer, has_older) = cut(&mut posts, MAX_ON_SCREEN, direction, from == end);
            let place_of = |post: &DatedTitle| Place {
                at: post.published_at.0,
                id: post.id,
            };
            let year_at = |place, direction| -> Result<Option<i16>> {
                let post = queries::list_titles(connection, place, direction, 1)?.pop();
                Ok(post.map(|post| post.published_at.date_in(&zone).year()))
            };
            Ok(Year {
                newer: posts.first().filter(|_| has_newer).map(place_of),
                older: posts.last().filter(|_| has_older).map(place_of),
                posts,
                previous: year_at(start, Direction::Older)?,
                next: year_at(end, Direction::Newer)?,
            })
        })
        .await?;
    if of_year.posts.is_empty() {
        return Err(Error::NotFound);
    }
    let mut shell = visit.shell(&format!("Archive {year}"), "");
    (shell.path, shell.query) = (format!("/archive/{year}"), query);
    let screen =
        |word: &str, place: Place| format!("/archive/{year}?{word}={}", format_place(place));
    visit.public_page(&YearPage {
        year,
        months: by_month(&visit, of_year.posts),
        previous_year: of_year.previous.map(year_link),
        next_year: of_year.next.map(year_link),
        newer: of_year.newer.map(|place| screen("after", place)),
        older: of_year.older.map(|place| screen("before", place)),
        shell,
    })
}

/// A year as its address writes it, and in no other way.
fn parse_year(text: &str) -> Result<i16> {
    let year: i16 = text.parse().map_err(|_| Error::NotFound)?;
    if year.to_string() == text && (-9999..=9999).contains(&year) {
        Ok(year)
    } else {
        Err(Error::NotFound)
    }
}

fn year_link(year: i16) -> Link {
    Link {
        title: year.to_string(),
        href: format!("/archive/{year}"),
    }
}

fn by_month(visit: &Visit, posts: Vec<DatedTitle>) -> Vec<Month> {
    let mut months: Vec<Month> = Vec::new();
    for post in posts {
        let month = post.published_at.date_in(&visit.site.zone).month();
        let name = usize::try_from(month - 1)
            .ok()
            .and_then(|i| MONTHS.get(i))
            .copied()
            .unwrap_or("");
        let dated = Dated {
            title: post.title,
            href: post.address.href(),
            published: post.published_at,
        };
        match months.last_mut() {
            Some(last) if last.name == name => last.posts.push(dated),
            _ => months.push(Month {
                name: name.to_owned(),
                posts: vec![dated],
            }),
        }
    }
    months
}
