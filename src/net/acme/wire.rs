//! The connection to an authority, and what its answers say beside their text.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use http_body_util::{BodyExt as _, Collected, Full};
use hyper::{Request, StatusCode, body::Bytes, header::RETRY_AFTER};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use crate::{
    base::Timestamp,
    net::{retry_after::retry_at, web_client::WebClient},
};

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
