//! The addresses of the programs behind, by their names.
//!
//! The system is asked on a thread of its own: those of the server have the database to read, and a name server
//! that is silent is waited for a long time. What was found is used while a new answer is awaited, so that a
//! name server that is down takes nobody's program away.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
    vec,
};

use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tokio::{sync::watch, time::timeout_at};
use tower_service::Service;

/// How long an answer is used before the system is asked again.
const FRESH: Duration = Duration::from_secs(10);
/// How long a failure is.
const FAILED: Duration = Duration::from_secs(1);
/// Time for an answer; the question goes on, for who asks next.
const PATIENCE: Duration = Duration::from_secs(3);

/// Finds addresses; cheap to clone. It remembers every name that it was asked for, and asks one at a time.
#[derive(Clone, Default)]
pub(super) struct Resolver(Arc<Mutex<HashMap<String, watch::Sender<Known>>>>);

/// What is known of a name.
#[derive(Default)]
struct Known {
    /// The last that were found.
    addresses: Vec<SocketAddr>,
    /// Why there was no answer the last time.
    error: Option<String>,
    /// When to ask again.
    until: Option<Instant>,
    /// Since when it is being asked.
    asking: Option<Instant>,
}

impl Resolver {
    /// The addresses of a name, each with the port 0.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        self.found_by(name, |name| Ok((name, 0).to_socket_addrs()?.collect()))
            .await
    }

    /// [`addresses`](Self::addresses), as `ask` finds them.
    async fn found_by(&self, name: &str, ask: Ask) -> io::Result<Vec<SocketAddr>> {
        let (mut known, since) = self.asked(name, ask);
        if let Some(since) = since {
            let answer = known.wait_for(|known| known.asking.is_none());
            // Who comes late waits for the rest only.
            let _ = timeout_at((since + PATIENCE).into(), answer).await;
        }
        let known = known.borrow();
        if known.addresses.is_empty() {
            let why = known.error.as_deref().unwrap_or("no name server answers");
            return Err(io::Error::other(format!("{name} was not found: {why}")));
        }
        Ok(known.addresses.clone())
    }

    /// Asks for a name unless there is an answer; with the time since which it is being asked, if it is.
    fn asked(&self, name: &str, ask: Ask) -> (watch::Receiver<Known>, Option<Instant>) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.entry(name.to_owned()).or_default();
        let now = Instant::now();
        let (is_fresh, since) = {
            let known = known.borrow();
            (known.until.is_some_and(|until| now < until), known.asking)
        };
        if is_fresh || since.is_some() {
            return (known.subscribe(), since);
        }
        known.send_modify(|known| known.asking = Some(now));
        let (name, answered) = (name.to_owned(), known.clone());
        let asking = thread::Builder::new().name("names".to_owned());
        let begun = asking.spawn(move || {
            let found = ask(&name);
            answered.send_modify(|known| known.learn(found));
        });
        if let Err(e) = begun {
            known.send_modify(|known| known.learn(Err(e)));
        }
        (known.subscribe(), Some(now))
    }
}

type Ask = fn(&str) -> io::Result<Vec<SocketAddr>>;

impl Known {
    fn learn(&mut self, found: io::Result<Vec<SocketAddr>>) {
        let for_a_while = match found {
            Ok(addresses) => {
                self.addresses = addresses;
                self.error = None;
                FRESH
            }
            Err(e) => {
                self.error = Some(e.to_string());
                FAILED
            }
        };
        self.until = Some(Instant::now() + for_a_while);
        self.asking = None;
    }
}

/// As the HTTP client asks.
impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move { Ok(resolver.addresses(name.as_str()).await?.into_iter()) })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        net::SocketAddr,
        sync::atomic::{AtomicUsize, Ordering},
        thread,
        time::{Duration, Instant},
    };

    use super::{FAILED, PATIENCE, Resolver};

    fn here() -> Vec<SocketAddr> {
        vec![([127, 0, 0, 1], 0).into()]
    }

    #[tokio::test]
    async fn a_name_is_asked_for_once_and_its_answer_kept() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let resolver = Resolver::default();
        let ask = |_: &str| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(50));
            Ok(here())
        };
        let all = (0..20).map(|_| resolver.found_by("a", ask));
        for found in futures_util::future::join_all(all).await {
            assert_eq!(found.unwrap(), here());
        }
        assert_eq!(resolver.found_by("a", ask).await.unwrap(), here());
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
        assert_eq!(resolver.addresses("localhost").await.unwrap()[0].port(), 0);
    }

    #[tokio::test]
    async fn who_is_silent_is_not_waited_for_long_and_an_old_answer_is_better_than_none() {
        let silent = |_: &str| {
            thread::sleep(2 * PATIENCE);
            Err(io::Error::other("silence"))
        };
        let resolver = Resolver::default();
        let start = Instant::now();
        let error = resolver.found_by("a", silent).await.unwrap_err();
        assert!(
            error.to_string().contains("no name server answers"),
            "{error}"
        );
        assert!(start.elapsed() < 2 * PATIENCE, "{:?}", start.elapsed());
        let again = Instant::now();
        assert!(resolver.found_by("a", silent).await.is_err());
        assert!(
            again.elapsed() < PATIENCE / 2,
            "the patience is that of the first"
        );

        let known = Resolver::default();
        known.found_by("b", |_| Ok(here())).await.unwrap();
        for name in known.0.lock().unwrap().values() {
            name.send_modify(|known| known.until = Some(Instant::now()));
        }
        let failing = |_: &str| Err(io::Error::other("gone"));
        assert_eq!(known.found_by("b", failing).await.unwrap(), here());
    }

    #[tokio::test]
    async fn a_name_that_is_not_there_is_named_and_asked_for_again_soon() {
        let resolver = Resolver::default();
        let failing = |_: &str| Err(io::Error::other("not there"));
        let error = resolver.found_by("a", failing).await.unwrap_err();
        assert_eq!(error.to_string(), "a was not found: not there");
        tokio::time::sleep(FAILED).await;
        let found = resolver.found_by("a", |_| Ok(here())).await;
        assert_eq!(found.unwrap(), here());
    }
}
