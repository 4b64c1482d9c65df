//! Forms on their way in: bounded in size, in time, for each visitor and for all together.
//!
//! A form is read here and not in its handler, so that whoever sends slowly or much, on however many
//! connections, holds a bounded amount of memory for a bounded time.

use std::{net::IpAddr, sync::Arc, time::Duration};

use actix_web::{
    HttpMessage as _,
    body::BoxBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    web::{BytesMut, Data},
};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use crate::base::{Error, LimitKind, Limited, Result, Share, Shares, Timestamp};

/// The largest form: a full post, URL-encoded, kept through a sign-in (so encoded twice).
pub const MAX_FORM_BYTES: usize = 8 * 1024 * 1024;
/// Memory for the forms of one home network: two full ones and a few small ones.
const MAX_BYTES_OF_ONE: usize = 20 * 1024 * 1024;
/// Memory for all forms together.
const MAX_BYTES_OF_ALL: usize = 40 * 1024 * 1024;
/// What a form counts for before any of it has come: its connection, its request.
const BYTES_OF_A_REQUEST: usize = 16 * 1024;
/// Time for a form to arrive, and for each byte of it: 8 KiB a second are a slow telephone.
const PATIENCE: Duration = Duration::from_secs(30);
const BYTES_PER_SECOND: usize = 8 * 1024;

/// The memory that forms hold; cheap to clone, one for all threads.
#[derive(Clone)]
pub struct Incoming {
    memory: Shares,
    limited: Arc<Limited>,
}

/// Memory that one form holds, until dropped.
struct Held {
    /// In bytes.
    memory: Share,
    limited: Arc<Limited>,
}

impl Incoming {
    /// Nothing is on its way yet. Who is limited is noted.
    pub fn new(limited: Arc<Limited>) -> Self {
        Self {
            memory: Shares::new(MAX_BYTES_OF_ALL, MAX_BYTES_OF_ONE),
            limited,
        }
    }

    fn hold(&self, visitor: Option<IpAddr>) -> Result<Held> {
        let Some(memory) = self.memory.take(visitor, BYTES_OF_A_REQUEST) else {
            return Err(too_many(&self.limited, visitor));
        };
        Ok(Held {
            memory,
            limited: Arc::clone(&self.limited),
        })
    }
}

fn too_many(limited: &Limited, visitor: Option<IpAddr>) -> Error {
    limited.note(visitor, LimitKind::Forms, Timestamp::now());
    Error::Busy("too many forms are on their way in")
}

impl Held {
    fn grow(&mut self, bytes: usize) -> Result<()> {
        if self.memory.grow(bytes) {
            return Ok(());
        }
        Err(too_many(&self.limited, self.memory.network()))
    }

    /// Whoever sends it sent too much, or too slowly.
    fn note(&self) {
        let (network, now) = (self.memory.network(), Timestamp::now());
        self.limited.note(network, LimitKind::Forms, now);
    }
}

/// Who asks, as the pipeline knows it, and nobody if that is not known.
pub(super) struct Asker(pub(super) Option<IpAddr>);

/// Middleware: the handler gets a form that is there, whole.
pub async fn bounded(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if request.method() == Method::GET {
        return next.call(request).await;
    }
    let incoming = request
        .app_data::<Data<Incoming>>()
        .ok_or_else(|| Error::Internal("the server was put together without its limits".into()))?;
    let visitor = request
        .extensions()
        .get::<Asker>()
        .and_then(|asker| asker.0);
    let mut held = incoming.hold(visitor)?;
    let body = read(request.take_payload(), &mut held).await?;
    request.set_payload(Payload::from(body.freeze()));
    let response = next.call(request).await;
    drop(held);
    response
}

async fn read(mut payload: Payload, held: &mut Held) -> Result<BytesMut> {
    let mut body = BytesMut::new();
    let start = Instant::now();
    loop {
        let earned = Duration::from_secs((body.len() / BYTES_PER_SECOND) as u64);
        let chunk = match timeout_at(start + PATIENCE + earned, payload.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) => return Ok(body),
            Ok(Some(Err(e))) => {
                log::debug!("a form broke off: {e}");
                let text = "The form broke off before it was complete. Send it again.";
                return Err(Error::Invalid(text.into()));
            }
            Err(_) => {
                held.note();
                let text = "The form took too long to arrive, so nothing was saved. Send it again.";
                return Err(Error::Invalid(text.into()));
            }
        };
        if body.len() + chunk.len() > MAX_FORM_BYTES {
            held.note();
            return Err(Error::TooLarge(
                "This is more than the site takes in one piece. Nothing was saved; \
                 go back, make it shorter, and send it again."
                    .into(),
            ));
        }
        // What is held is counted, and not what of it is used.
        let before = body.capacity();
        if body.len() + chunk.len() > before {
            let wanted = (before * 2).clamp(body.len() + chunk.len(), MAX_FORM_BYTES);
            held.grow(wanted - before)?;
            let mut larger = BytesMut::with_capacity(wanted);
            larger.extend_from_slice(&body);
            body = larger;
        }
        body.extend_from_slice(&chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_hold_a_bounded_amount_of_memory_and_give_it_back() {
        let incoming = Incoming::new(Arc::default());
        let home = |n: u8| Some(IpAddr::from([10, 0, 0, n]));
        let fill = |network| {
            let mut held = Vec::new();
            while let Ok(mut one) = incoming.hold(network) {
                if one.grow(MAX_FORM_BYTES).is_err() {
                    break;
                }
                held.push(one);
            }
            held
        };
        let first = fill(home(1));
        assert_eq!(first.len(), 2, "two full forms of one home");
        let second = fill(home(2));
        assert_eq!(second.len(), 2, "another home has its own share");
        assert!(fill(home(3)).is_empty(), "all together are bounded too");
        drop((first, second));
        assert_eq!(fill(home(3)).len(), 2);
        assert_eq!(incoming.memory.taken(), 0);
    }

    #[test]
    fn requests_without_a_body_are_bounded_too() {
        let incoming = Incoming::new(Arc::default());
        let home = Some(IpAddr::from([10, 0, 0, 1]));
        let held: Vec<_> = std::iter::from_fn(|| incoming.hold(home).ok())
            .take(1_000_000)
            .collect();
        assert_eq!(held.len(), MAX_BYTES_OF_ONE / BYTES_OF_A_REQUEST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_form_that_stands_still_is_given_up_and_one_that_comes_slowly_is_not() {
        async fn outcome(pause_s: u64, pieces: usize) -> Result<BytesMut> {
            let stream = futures_util::stream::unfold(0, move |sent| async move {
                tokio::time::sleep(Duration::from_secs(pause_s)).await;
                let chunk = actix_web::web::Bytes::from(vec![b'x'; 64 * 1024]);
                (sent < pieces).then_some((Ok(chunk), sent + 1))
            });
            let mut held = Incoming::new(Arc::default()).hold(None)?;
            let stream = Payload::Stream {
                payload: Box::pin(stream) as _,
            };
            read(stream, &mut held).await
        }
        assert_eq!(outcome(7, 100).await.unwrap().len(), 100 * 64 * 1024);
        let error = outcome(9, 100).await.unwrap_err().to_string();
        assert!(error.contains("too long to arrive"), "{error}");
        let error = outcome(0, 200).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge(_)), "{error}");
    }
}
