//! Connections to other servers, which must be there in time.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::http::Uri;
use tower_service::Service;

/// Makes connections as another connector does, with everything before the first request in a limited time: name,
/// connection, and the handshake of TLS, which hyper waits for without end.
#[derive(Clone)]
pub struct Within<C> {
    inner: C,
    time: Duration,
}

impl<C> Within<C> {
    /// Connections of `inner` within this time.
    pub fn new(time: Duration, inner: C) -> Self {
        Self { inner, time }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri, Error = BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connected = tokio::time::timeout(self.time, self.inner.call(to));
        let time = self.time;
        Box::pin(async move {
            let late = |_| Err(format!("no connection within {} s", time.as_secs()).into());
            connected.await.unwrap_or_else(late)
        })
    }
}
