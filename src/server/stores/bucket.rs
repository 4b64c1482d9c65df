//! Carries requests to a store that speaks S3.

use std::{path::Path, sync::mpsc as blocking, thread, time::Duration};

use hyper::{Request, Response, body::Bytes};
use tokio::{runtime::Builder, sync::mpsc};

use crate::{
    backup::s3::{Courier, Unanswered},
    base::{Error, Result},
    net::web_client::{self, WebClient},
};

/// Time for an answer, beside that for what is sent and received.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes in a second on the slowest line on which this goes on.
const SLOWEST: usize = 16 * 1024;

type Answer = std::result::Result<Response<Bytes>, Unanswered>;

/// A request, how much of an answer is wanted, and who waits for it.
struct Errand {
    request: Request<Bytes>,
    most_bytes: usize,
    waits: blocking::Sender<Answer>,
}

/// Who makes backups waits; what goes over the network does not. This has a thread for the latter, which ends with it.
pub(super) struct Messenger(mpsc::UnboundedSender<Errand>);

impl Messenger {
    pub(super) fn new(roots: Option<&Path>) -> Result<Self> {
        let (sender, mut errands) = mpsc::unbounded_channel::<Errand>();
        // What is an address without TLS is decided by the settings: loopback only.
        let client = WebClient::also_plain(roots)?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::internal)?;
        let work = async move {
            while let Some(errand) = errands.recv().await {
                let client = client.clone();
                tokio::spawn(async move {
                    let bytes = errand.request.body().len() + errand.most_bytes;
                    let slow = Duration::from_secs((bytes / SLOWEST) as u64);
                    let (request, most) = (errand.request, errand.most_bytes);
                    let answer = client.send_within(request, most, PATIENCE + slow).await;
                    let answer = answer.map_err(|e| match e {
                        web_client::Unanswered::Unconnected(why)
                        | web_client::Unanswered::Unreachable(why) => Unanswered::Unreachable(why),
                        web_client::Unanswered::TooLarge(_) => Unanswered::TooLarge,
                    });
                    // Who does not wait any more does not want it.
                    let _ = errand.waits.send(answer);
                });
            }
        };
        let begun = thread::Builder::new()
            .name("store".into())
            .spawn(move || runtime.block_on(work));
        begun.map_err(|e| Error::io("starting", "a thread", e))?;
        Ok(Self(sender))
    }
}

impl Courier for Messenger {
    fn carry(&self, request: Request<Bytes>, most_bytes: usize) -> Answer {
        let (waits, answer) = blocking::channel();
        let gone = || Unanswered::Unreachable("the thread for the network has ended".into());
        let errand = Errand {
            request,
            most_bytes,
            waits,
        };
        self.0.send(errand).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}
