//! The doctor of a running server.

use std::{pin::Pin, sync::Arc};

use crate::base::Diagnosis;

/// What takes some seconds.
pub type Soon<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Who looks at the way to the site.
pub trait LiveDoctor: Send + Sync {
    /// What was found last, since the start.
    fn last(&self) -> Option<Arc<Diagnosis>>;

    /// Looks now, or waits for who looks already.
    fn examine(self: Arc<Self>) -> Soon<'static>;
}
