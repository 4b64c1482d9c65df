//! The connection to an authority, and what its answers say beside their text.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use http_body_util::{BodyExt as _, Collected, Full};
use hyper::{Request, StatusCode, body::Bytes, header::RETRY_AFTER};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use crate::{base::Timestamp, net::web_client::WebClient};

/// A client for instant-acme; clones share what they have seen.
#[derive(Clone)]
pub(super) struct Wire {
    client: WebClient,
    /// When the last answer that refused something wants to be asked again.
    retry_at: Arc<Mutex<Option<Timestamp>>>,
}

impl Wire {
    pub(super) fn new(client: WebClient) -> Self {
        Self {
            client,
            retry_at: Arc::default(),
        }
    }

    /// When the authority wants to be asked again, if its last answers said so; forgotten then.
    pub(super) fn take_retry_at(&self) -> Option<Timestamp> {
        self.retry_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
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
            let answer = wire.client.send(Request::from_parts(head, body)).await;
            let answer = answer.map_err(|why| Error::Other(why.into()))?;
            if matches!(
                answer.status(),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            ) {
                let said = answer.headers().get(RETRY_AFTER);
                let said = said.and_then(|value| value.to_str().ok());
                *wire.retry_at.lock().unwrap_or_else(PoisonError::into_inner) =
                    said.and_then(|text| retry_at(text, Timestamp::now()));
            }
            Ok(BytesResponse::from(answer.map(Full::new)))
        })
    }
}

/// A `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.
fn retry_at(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Timestamp(now.0 + i64::from(seconds)));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
    date.ok().map(Timestamp::from)
}

#[cfg(test)]
mod tests {
    use super::retry_at;
    use crate::base::Timestamp;

    #[test]
    fn a_retry_after_is_seconds_or_a_date_and_what_is_neither_is_nothing() {
        let now = Timestamp(1_000);
        for (text, expected) in [
            ("120", Some(1_120)),
            (" 0 ", Some(1_000)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(946_684_799)),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("99999999999", None),
        ] {
            assert_eq!(retry_at(text, now), expected.map(Timestamp), "{text:?}");
        }
    }
}
