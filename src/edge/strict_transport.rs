//! `Strict-Transport-Security` (RFC 6797): which names promise that they will be there over trusted HTTPS.
//!
//! A browser that was promised this opens the name in no other way until the time is over, and lets nobody click a
//! warning away (section 8.4). So it is sent only for names that were given, and never for what a request made up.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use actix_web::http::header::HeaderValue;

/// What a name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// For how long; 0 takes back what was promised (section 6.1.1).
    pub max_age_s: u32,
    /// Whether every name below is promised too (section 6.1.2).
    pub has_subdomains: bool,
}

impl Promise {
    /// As the header has it.
    fn value(self) -> HeaderValue {
        let text = match (self.max_age_s, self.has_subdomains) {
            (0, _) => "max-age=0".to_owned(),
            (age, true) => format!("max-age={age}; includeSubDomains"),
            (age, false) => format!("max-age={age}"),
        };
        // Digits and letters.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("max-age=0"))
    }
}

/// The promises of all names, in lower case; they may change while the server runs.
#[derive(Debug, Default)]
pub(super) struct Promises(RwLock<Arc<HashMap<String, HeaderValue>>>);

impl Promises {
    /// Others from the next request on.
    pub(super) fn replace(&self, promises: &HashMap<String, Promise>) {
        let values = promises
            .iter()
            .map(|(name, promise)| (name.clone(), promise.value()));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(values.collect());
    }

    /// The header for a name of a request.
    pub(super) fn of(&self, name: &str) -> Option<HeaderValue> {
        let promises = self.0.read().unwrap_or_else(PoisonError::into_inner);
        promises.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_were_given_promise_anything() {
        let promises = Promises::default();
        assert_eq!(promises.of("a.example"), None);
        let promise = |max_age_s, has_subdomains| Promise {
            max_age_s,
            has_subdomains,
        };
        promises.replace(&HashMap::from([
            ("a.example".to_owned(), promise(86_400, true)),
            ("b.example".to_owned(), promise(86_400, false)),
            ("c.example".to_owned(), promise(0, true)),
        ]));
        for (name, value) in [
            ("a.example", Some("max-age=86400; includeSubDomains")),
            ("b.example", Some("max-age=86400")),
            ("c.example", Some("max-age=0")),
            ("d.a.example", None),
        ] {
            let got = promises.of(name);
            assert_eq!(got.as_ref().map(|got| got.to_str().unwrap()), value);
        }
    }
}
