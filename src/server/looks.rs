//! Looks at places that may hang, such as a share whose server is gone: by a thread for each place, at which nobody has
//! to wait for long.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::timeout_at};

/// Looks, and what they found last, by place.
pub(super) struct Looks<T> {
    /// For how long somebody waits.
    patience: Duration,
    places: Mutex<HashMap<String, Look<T>>>,
    changed: Notify,
}

/// One place.
struct Look<T> {
    /// Since when a thread looks.
    since: Option<Instant>,
    /// How many times one has.
    times: u64,
    found: Option<T>,
}

/// What is known of a place.
pub(super) struct Known<T> {
    /// What was found the last time, if it has ever answered.
    pub(super) found: Option<T>,
    /// For how long it has not answered, if it does not.
    pub(super) silent: Option<Duration>,
}

impl<T: Clone + Send + 'static> Looks<T> {
    pub(super) fn new(patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            patience,
            places: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn places(&self) -> MutexGuard<'_, HashMap<String, Look<T>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a place, if nobody does already, and waits for what is found, but not for long.
    pub(super) async fn at(
        self: &Arc<Self>,
        place: &str,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Known<T> {
        let times = self.begin(place, look);
        let until = tokio::time::Instant::now() + self.patience;
        loop {
            // It counts from here on, also before it is waited for.
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if let Some(known) = self.known(place, times) {
                return known;
            }
            if timeout_at(until, changed).await.is_err() {
                let places = self.places();
                let look = places.get(place);
                return Known {
                    found: look.and_then(|look| look.found.clone()),
                    silent: look
                        .and_then(|look| look.since)
                        .map(|since| since.elapsed()),
                };
            }
        }
    }

    /// What was found, once somebody has looked more than so many times.
    fn known(&self, place: &str, times: u64) -> Option<Known<T>> {
        let places = self.places();
        let look = places.get(place)?;
        (look.times > times).then(|| Known {
            found: look.found.clone(),
            silent: None,
        })
    }

    /// Begins to look, unless somebody does; gives how many times one has before.
    fn begin(self: &Arc<Self>, place: &str, look: impl FnOnce() -> T + Send + 'static) -> u64 {
        let mut places = self.places();
        // What is not looked at any more is forgotten.
        places.retain(|name, look| name == place || look.since.is_some());
        let entry = places.entry(place.to_owned()).or_insert(Look {
            since: None,
            times: 0,
            found: None,
        });
        if entry.since.is_none() {
            let (this, place) = (Arc::clone(self), place.to_owned());
            let begun = thread::Builder::new().name("look".into()).spawn(move || {
                let end = End(this, place);
                let found = look();
                if let Some(look) = end.0.places().get_mut(&end.1) {
                    look.found = Some(found);
                }
            });
            match begun {
                Ok(_) => entry.since = Some(Instant::now()),
                Err(e) => log::error!("the place of the backups is not looked at: {e}"),
            }
        }
        entry.times
    }
}

/// A look ends, however it does.
struct End<T: Clone + Send + 'static>(Arc<Looks<T>>, String);

impl<T: Clone + Send + 'static> Drop for End<T> {
    fn drop(&mut self) {
        if let Some(look) = self.0.places().get_mut(&self.1) {
            look.since = None;
            look.times += 1;
        }
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_place_that_hangs_holds_nobody_up_and_is_looked_at_by_one_thread() {
        let looks = Looks::new(Duration::from_millis(50));
        let known = looks.at("a", || 1).await;
        assert_eq!((known.found, known.silent), (Some(1), None));
        let (end, hangs) = mpsc::channel::<()>();
        let known = looks
            .at("a", move || {
                let _ = hangs.recv();
                2
            })
            .await;
        assert_eq!(known.found, Some(1), "what was known before");
        assert!(known.silent.is_some());
        for _ in 0..5 {
            let known = looks.at("a", || panic!("one thread is enough")).await;
            assert_eq!(known.found, Some(1));
        }
        // Another place is another matter.
        let known = looks.at("b", || 3).await;
        assert_eq!((known.found, known.silent), (Some(3), None));
        end.send(()).unwrap();
        let begun = Instant::now();
        while looks
            .places()
            .get("a")
            .is_some_and(|look| look.since.is_some())
        {
            assert!(begun.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let known = looks.at("a", || 4).await;
        assert_eq!((known.found, known.silent), (Some(4), None));
    }
}
