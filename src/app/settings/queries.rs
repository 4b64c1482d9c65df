//! Reading and changing the settings.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use rusqlite::{Connection, OptionalExtension};

use crate::{
    app::{
        layout::{Link, Site},
        posts::queries::list_pages,
    },
    auth::users::has_users,
    base::{Id, Result},
    db::Change,
};

/// Posts on a screen of a list where nothing else is set.
const POSTS_PER_PAGE: usize = 10;
/// Characters of the site's name, and of its tagline.
pub const MAX_SITE_TITLE_CHARS: usize = 120;
/// Pages in the menu; more do not fit.
const MAX_IN_MENU: usize = 12;

/// The settings as they are stored: name to value.
pub fn list_settings(connection: &Connection) -> Result<HashMap<String, String>> {
    let settings = connection
        .prepare_cached("SELECT name, value FROM settings ORDER BY name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(settings)
}

/// The site: its settings, its menu, and whether it has an owner.
pub fn load_site(connection: &Connection) -> Result<Site> {
    let mut settings = list_settings(connection)?;
    let mut take = |name: &str| settings.remove(name).unwrap_or_default();
    let zone = TimeZone::get(&take("time_zone")).unwrap_or(TimeZone::UTC);
    let language = take("language");
    Ok(Site {
        id: find_site_id(connection)?,
        title: take("title"),
        tagline: take("tagline"),
        language: if language.is_empty() {
            "en".to_owned()
        } else {
            language
        },
        zone,
        posts_per_page: take("posts_per_page").parse().unwrap_or(POSTS_PER_PAGE),
        menu: list_pages(connection)?
            .into_iter()
            .take(MAX_IN_MENU)
            .map(|page| Link {
                href: page.address.href(),
                title: page.title,
            })
            .collect(),
        is_set_up: has_users(connection)?,
    })
}

fn find_site_id(connection: &Connection) -> Result<Id> {
    let id = connection
        .prepare_cached("SELECT id FROM settings WHERE name = 'title'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(Id(id.unwrap_or(0)))
}

/// Sets settings, name and value each.
pub fn update_settings(settings: &[(&'static str, String)]) -> Change {
    let mut change = Change::new();
    for (name, value) in settings {
        change.push(
            "INSERT INTO settings (id, name, value) VALUES (?1, ?2, ?3) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            vec![Id::new().into(), (*name).into(), value.into()],
        );
    }
    change
}
