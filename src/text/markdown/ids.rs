//! Ids of one text: each is used once, and none is one of the page around it.

use std::collections::{HashMap, HashSet};

/// Ids that the page around the text uses or may use; a second one would make a link go astray.
const OF_THE_PAGE: &[&str] = &[
    "content", "footer", "header", "main", "menu", "nav", "search", "site", "title", "top",
];

/// The page's own ids start with `_`, so that no heading's slug can be one of them.
fn is_of_the_page(id: &str) -> bool {
    id.starts_with('_') || OF_THE_PAGE.contains(&id)
}

/// The ids that are taken.
#[derive(Default)]
pub(super) struct Ids {
    taken: HashSet<String>,
    /// The number that was last added to an id, so that a thousand equal headings stay cheap.
    last: HashMap<String, usize>,
}

impl Ids {
    /// The id, or the id with the first free number from 2 behind it.
    pub(super) fn claim(&mut self, wanted: &str) -> String {
        if !is_of_the_page(wanted) && self.taken.insert(wanted.to_owned()) {
            return wanted.to_owned();
        }
        let last = self.last.entry(wanted.to_owned()).or_insert(1);
        loop {
            *last += 1;
            let id = format!("{wanted}-{last}");
            if self.taken.insert(id.clone()) {
                return id;
            }
        }
    }

    /// The id of raw HTML, with a prefix only if it is taken.
    pub(super) fn claim_raw(&mut self, wanted: &str) -> String {
        if !is_of_the_page(wanted) && self.taken.insert(wanted.to_owned()) {
            return wanted.to_owned();
        }
        self.claim(&format!("text-{wanted}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn equal_ids_are_numbered_and_the_pages_own_are_never_given() {
        let mut ids = Ids::default();
        assert_eq!(ids.claim("a"), "a");
        assert_eq!(ids.claim("a-2"), "a-2");
        assert_eq!(ids.claim("a"), "a-3");
        assert_eq!(ids.claim("main"), "main-2");
        assert_eq!(ids.claim_raw("_main"), "text-_main");
        assert_eq!(ids.claim_raw("free"), "free");
        assert_eq!(ids.claim_raw("a"), "text-a");
    }
}
