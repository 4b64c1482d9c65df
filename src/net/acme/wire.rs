//! The connection to an authority, and what its answers say beside their text.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http_body_util::{BodyExt as _, Collected, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Bytes,
    header::{DATE, USER_AGENT},
};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use serde_json::Value;

use super::{
    Failure,
    directory::{self, Told},
    persist::{Issuer, Offer},
};
use crate::{base::Timestamp, net::web_client::WebClient};

/// What this program calls itself (RFC 8555 section 6.1).
pub(super) const OWN_NAME: &str = concat!("Webstead/", env!("CARGO_PKG_VERSION"));

/// A client for instant-acme; clones share what they have seen.
#[derive(Clone)]
pub(super) struct Wire {
    client: WebClient,
    /// Where the authority's directory is.
    directory: Arc<str>,
    seen: Arc<Mutex<Seen>>,
}

/// What answers have said beside what instant-acme reads in them.
#[derive(Default)]
struct Seen {
    /// When the last answer that refused something wants to be asked again.
    retry_at: Option<Timestamp>,
    /// How the authority calls itself, as its directory says.
    issuer: Issuer,
    /// What the last authorization offered for a proof that stays in the DNS.
    offer: Option<Offer>,
    /// How many seconds this machine's clock was ahead of the authority's at its last answer.
    ahead_s: Option<i64>,
    /// The kinds of certificates that it offers, as its directory says.
    profiles: Option<Vec<String>>,
}

impl Wire {
    pub(super) fn new(client: WebClient, directory: &str) -> Self {
        Self {
            client,
            directory: directory.into(),
            seen: Arc::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer of the authority, and what it says beside.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let answer = self.client.send(request).await?;
        if matches!(
            answer.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            self.seen().retry_at = directory::retry_at_of(answer.headers(), Timestamp::now());
        }
        self.note_date(answer.headers());
        self.note(answer.body());
        Ok(answer)
    }

    /// When the authority wants to be asked again, if its last answers said so; forgotten then.
    pub(super) fn take_retry_at(&self) -> Option<Timestamp> {
        self.seen().retry_at.take()
    }

    /// How the authority calls itself.
    pub(super) fn issuer(&self) -> Issuer {
        self.seen().issuer.clone()
    }

    /// Whether the authority offers certificates of a kind, as far as it has said which.
    ///
    /// # Errors
    /// A failure that names those that it offers.
    pub(super) fn check_profile(&self, wished: &str) -> Result<(), Failure> {
        let offered = self.seen().profiles.clone();
        offered.map_or(Ok(()), |offered| directory::check_profile(wished, &offered))
    }

    /// What the authorization that was read last offers for a proof that stays in the DNS.
    pub(super) fn offer(&self) -> Option<Offer> {
        self.seen().offer.clone()
    }

    /// How many seconds this machine's clock is ahead of the authority's, as its answers say (RFC 9110 section 6.6.1):
    /// it is asked for its directory. `None` if it does not say.
    ///
    /// That it does not answer is seen by whoever asks it for something next.
    pub(super) async fn ahead_s(&self) -> Option<i64> {
        let request = Request::get(&*self.directory)
            .header(USER_AGENT, OWN_NAME)
            .body(Bytes::new())
            .ok()?;
        self.send(request).await.ok()?;
        self.last_ahead_s()
    }

    /// [`Wire::ahead_s`] at the authority's last answer.
    pub(super) fn last_ahead_s(&self) -> Option<i64> {
        self.seen().ahead_s
    }

    fn note_date(&self, headers: &HeaderMap) {
        let said = headers.get(DATE).and_then(|value| value.to_str().ok());
        let said = said.and_then(Timestamp::of_http_date);
        let ahead_s = said.map(|said| Timestamp::of_clock().0 - said.0);
        self.seen().ahead_s = ahead_s;
    }

    /// Notes what an answer says, if it is a directory (RFC 8555 section 7.1.1) or an authorization (7.1.4).
    fn note(&self, body: &[u8]) {
        let Ok(said) = serde_json::from_slice::<Value>(body) else {
            return;
        };
        if said["newNonce"].is_string() {
            let mut seen = self.seen();
            seen.issuer = Issuer::of_directory(&said["meta"]);
            seen.profiles = Some(directory::profiles_of(&said));
        }
        if said["challenges"].is_array() {
            self.seen().offer = Offer::of_authorization(&said);
        }
    }
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let wire = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            // It is in memory: nothing can fail.
            let body = body
                .collect()
                .await
                .map_or_else(|e| match e {}, Collected::to_bytes);
            let is_of_directory = wire
                .directory
                .parse::<Uri>()
                .is_ok_and(|uri| uri == head.uri);
            let address = head.uri.to_string();
            let is_post = head.method == Method::POST;
            let answer = wire.send(Request::from_parts(head, body)).await;
            let answer = answer.map_err(|why| Error::Other(why.into()))?;
            let told = |failure| Error::Other(Told(failure).into());
            if is_of_directory {
                directory::check(&wire.directory, &answer).map_err(told)?;
            } else if !(is_post && directory::said_in(answer.body()).is_some())
                && let Some(failure) = directory::trouble(&address, &answer)
            {
                // What has no words of an authority in it is not read as if it had; a nonce has no body at all.
                return Err(told(failure));
            }
            Ok(BytesResponse::from(answer.map(Full::new)))
        })
    }
}
