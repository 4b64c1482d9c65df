//! `seed DATA POSTS`: a site with so many posts, over eleven years, every one of them with the tag `news`.
//!
//! The years are the same however many posts there are, and the last has at least 100 (one full screen
//! of the archive), so that only the number of posts differs. POSTS is 110 or more.
//! With `--plain`, the texts are stored as in sites of before they were packed. `seed --html` prints the HTML that all of them have.

use std::{path::Path, sync::mpsc};

use webstead::{
    app::{
        posts::{changes::insert_post, post::Kind},
        settings::queries::update_settings,
    },
    base::{Id, Timestamp},
    db::{DataFolder, Database},
    text::address::Address,
};
use webstead_benches::{post, rendered, text};

type Failure = Box<dyn std::error::Error>;

/// 2014-01-01 and a year, in seconds.
const FIRST_S: i64 = 1_388_534_400;
const YEAR_S: i64 = 365 * 24 * 3600 + 6 * 3600;
const EARLIER_YEARS: usize = 10;
const THREADS: usize = 64;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == ["--html"] {
        print!("{}", rendered(&text()).html.unwrap_or_default());
        return Ok(());
    }
    let (data, posts, is_plain) = match &args[..] {
        [data, posts] => (data, posts, false),
        [data, posts, plain] if plain == "--plain" => (data, posts, true),
        _ => return Err("usage: seed DATA POSTS [--plain] | seed --html".into()),
    };
    let posts: usize = posts.parse()?;
    let folder = DataFolder::open_or_create(Path::new(data))?;
    let database = Database::open(&folder.database())?;
    let (markdown, started) = (text(), std::time::Instant::now());
    let mut html = rendered(&markdown);
    if is_plain {
        html.packed = None;
    }
    database.apply_blocking(update_settings(&[
        ("title", "The thing".into()),
        ("tagline", "What is new about it".into()),
    ]))?;
    for (number, title) in ["About", "Contact", "Colophon"].into_iter().enumerate() {
        let mut page = post(number, FIRST_S, &markdown);
        (page.kind, page.title) = (Kind::Page, title.into());
        page.address = Address::from_stored(format!("/{}", title.to_lowercase()));
        database.apply_blocking(insert_post(Id::new(), &page, &html, Timestamp(FIRST_S)))?;
    }
    // A thread waits for each save, and the writer commits together what is there.
    let (failed, failures) = mpsc::channel();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (database, markdown, html, failed) =
                (database.clone(), &markdown, &html, failed.clone());
            scope.spawn(move || {
                for number in (thread..posts).step_by(THREADS) {
                    let at = published_at(number, posts);
                    let change =
                        insert_post(Id::new(), &post(number, at, markdown), html, Timestamp(at));
                    if let Err(e) = database.apply_blocking(change) {
                        let _ = failed.send(e);
                        return;
                    }
                }
            });
        }
    });
    drop(failed);
    if let Ok(e) = failures.recv() {
        return Err(e.into());
    }
    println!("{posts} posts in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn published_at(number: usize, posts: usize) -> i64 {
    let in_a_year = if posts <= 1000 {
        (posts - 100) / EARLIER_YEARS
    } else {
        posts / (EARLIER_YEARS + 1)
    };
    let year = (number / in_a_year).min(EARLIER_YEARS);
    let in_this = if year == EARLIER_YEARS {
        posts - EARLIER_YEARS * in_a_year
    } else {
        in_a_year
    };
    let within = number - year * in_a_year;
    // Not on the first or the last day of a year: the archive's years begin at midnight.
    let day = 24 * 3600;
    let span = YEAR_S - 4 * day;
    let offset = span / in_this as i64 * within as i64;
    FIRST_S + YEAR_S * year as i64 + 2 * day + offset
}
