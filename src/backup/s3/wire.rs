//! Asks a store, again where that may help, and says in words what is wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{DATE, HeaderMap, RETRY_AFTER},
};
use jiff::Timestamp;

use super::{
    answers::{Listed, Refusal},
    settings::{Bucket, S3Settings},
    sign::{Asked, Signer},
};
use crate::{
    backup::{
        remote::rest,
        store::{KEEP_FEWER, no_room, out_of_reach},
    },
    base::{self, Error, Result},
};

/// The wait before the second try; before each further one it is twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// No store is waited for longer, whatever it asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Bytes of a list or a refusal: a list has a thousand names at most.
const MOST_XML: usize = 4 * 1024 * 1024;
/// What a store lets a clock be wrong by is 15 minutes; what is less is not the reason.
const WRONG_CLOCK_S: i64 = 10 * 60;

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// Nobody answers, or not in time, or nobody who can be believed.
    Unreachable(String),
    /// There is more than was wanted.
    TooLarge,
}

/// Carries requests over the network, and may be asked by several threads at once.
pub trait Courier: Send + Sync {
    /// The answer, whatever its status is, of at most so many bytes.
    ///
    /// # Errors
    /// [`Unanswered`] with the reason.
    fn carry(
        &self,
        request: Request<Bytes>,
        most_bytes: usize,
    ) -> Result<Response<Bytes>, Unanswered>;
}

/// What is needed to get at a bucket.
#[derive(Clone)]
pub struct Access {
    /// Where the store is, and who we are there.
    pub settings: S3Settings,
    /// The secret half of the key.
    pub secret: String,
    /// Who carries the requests.
    pub courier: Arc<dyn Courier>,
    /// How often a request is tried.
    pub tries: u32,
    /// Set when whoever asks has to end: what takes long ends then, and nothing is tried again.
    pub stop: Arc<AtomicBool>,
}

/// A bucket, and how to ask for what is in it.
pub(super) struct Wire {
    pub(super) bucket: Bucket,
    signer: Signer,
    origin: String,
    courier: Arc<dyn Courier>,
    tries: u32,
    stop: Arc<AtomicBool>,
}

/// What is done, in words.
fn doing(method: &Method) -> &'static str {
    match *method {
        Method::PUT => "write",
        Method::DELETE => "remove",
        _ => "read",
    }
}

impl Wire {
    /// To this bucket.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a setting is missing.
    pub(super) fn new(bucket: Bucket, access: Access) -> Result<Self> {
        let (origin, region) = access.settings.place()?;
        Ok(Self {
            bucket,
            signer: Signer {
                key_id: access.settings.key_id()?.to_owned(),
                secret: access.secret.trim().to_owned(),
                region,
            },
            origin,
            courier: access.courier,
            tries: access.tries.max(1),
            stop: access.stop,
        })
    }

    /// The host of the store.
    fn host(&self) -> &str {
        self.origin.split_once("://").map_or("", |(_, host)| host)
    }

    /// Writes a file. All of it or nothing is there afterwards, as S3 promises.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let body = Bytes::copy_from_slice(bytes);
        self.ask(Method::PUT, Some(name), &[], body, MOST_XML)
            .map(|_| ())
    }

    /// A file's content, if there is one.
    pub(super) fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Bytes>> {
        // A refusal may have more bytes than a small file.
        let most = max_bytes.max(64 * 1024);
        let answer = self.ask(Method::GET, Some(name), &[], Bytes::new(), most)?;
        let found = answer.map(Response::into_body);
        if found.as_ref().is_some_and(|bytes| bytes.len() > max_bytes) {
            return Err(self.too_large(name));
        }
        Ok(found)
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        self.ask(Method::DELETE, Some(name), &[], Bytes::new(), MOST_XML)
            .map(|_| ())
    }

    /// Calls for every file whose name begins with `start`: its name, its bytes, and when it was written by the clock of
    /// the store.
    pub(super) fn list_all(
        &self,
        start: &str,
        mut found: impl FnMut(String, u64, Option<Timestamp>),
    ) -> Result<()> {
        let mut next = None;
        loop {
            // A million files are a thousand answers.
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Busy("it was stopped"));
            }
            let listed = self.list(start, next.as_deref())?;
            for file in listed.found {
                let name = file.key.strip_prefix(&self.bucket.prefix);
                // Some stores show a folder as an empty file.
                let is_file = |name: &&str| name.starts_with(start) && !name.ends_with('/');
                if let Some(name) = name.filter(is_file) {
                    found(name.to_owned(), file.bytes, file.written_at);
                }
            }
            next = listed.next;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    /// A part of the list of what begins with `start`.
    fn list(&self, start: &str, next: Option<&str>) -> Result<Listed> {
        let prefix = format!("{}{start}", self.bucket.prefix);
        let mut query = vec![("list-type", "2"), ("prefix", &*prefix)];
        if let Some(next) = next {
            query.insert(0, ("continuation-token", next));
        }
        let answer = self.ask(Method::GET, None, &query, Bytes::new(), MOST_XML)?;
        let answer = answer.ok_or_else(|| self.fault("it has no list"))?;
        Listed::parse(answer.body()).map_err(|why| {
            let host = self.host();
            self.fault(&format!("{host} does not answer as S3 does: {why}"))
        })
    }

    /// The answer to a request that went well; nothing if the file is not there.
    fn ask(
        &self,
        method: Method,
        name: Option<&str>,
        query: &[(&str, &str)],
        body: Bytes,
        most: usize,
    ) -> Result<Option<Response<Bytes>>> {
        let bucket = &self.bucket;
        let path = match name {
            Some(name) => format!("/{}/{}{name}", bucket.name, bucket.prefix),
            None => format!("/{}", bucket.name),
        };
        let asked = Asked {
            method,
            origin: &self.origin,
            path: &path,
            query,
            body,
        };
        let mut pause = PAUSE;
        let mut tried = 0;
        loop {
            tried += 1;
            let request = self.signer.request(&asked, Timestamp::now())?;
            let why = match self.courier.carry(request, most) {
                Ok(answer) if answer.status().is_success() => return Ok(Some(answer)),
                Ok(answer) => {
                    let refusal = Refusal::parse(answer.body());
                    let is_missing = answer.status() == StatusCode::NOT_FOUND;
                    if is_missing && name.is_some() && refusal.code != "NoSuchBucket" {
                        return Ok(None);
                    }
                    let words = self.words(&asked.method, &answer, &refusal);
                    if !is_passing(answer.status(), &refusal.code) {
                        if is_full(answer.status(), &refusal.code) {
                            return Err(no_room(
                                bucket.to_string(),
                                &format!("{words}; {KEEP_FEWER}"),
                            ));
                        }
                        return Err(self.fault(&words));
                    }
                    let asked = answer.headers().get(RETRY_AFTER);
                    let asked = asked.and_then(|value| value.to_str().ok()?.parse().ok());
                    pause = pause.max(Duration::from_secs(asked.unwrap_or(0)));
                    words
                }
                Err(Unanswered::TooLarge) => return Err(self.too_large(name.unwrap_or("a list"))),
                Err(Unanswered::Unreachable(why)) => why,
            };
            if tried >= self.tries || self.stop.load(Ordering::Relaxed) {
                return Err(self.fault(&why));
            }
            log::debug!("{bucket}: {why}; it is tried again");
            rest(pause.min(LONGEST_PAUSE), &self.stop);
            pause *= 2;
        }
    }

    fn too_large(&self, name: &str) -> Error {
        let bucket = &self.bucket;
        Error::Damaged(format!("{name} in {bucket} is larger than it can be"))
    }

    /// An error of the place, which says nothing about what is kept there: see
    /// [`is_out_of_reach`](crate::backup::store::is_out_of_reach).
    pub(super) fn fault(&self, why: &str) -> Error {
        out_of_reach(self.bucket.to_string(), why)
    }

    /// A refusal for people, with the remedy. The codes:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
    fn words(&self, method: &Method, answer: &Response<Bytes>, refusal: &Refusal) -> String {
        let (host, key) = (self.host(), &self.signer.key_id);
        let (bucket, region) = (&self.bucket.name, &self.signer.region);
        let headers = answer.headers();
        let better = headers.get("x-amz-bucket-region");
        let better = better.and_then(|value| value.to_str().ok());
        let better = better.unwrap_or(&refusal.region);
        if let Some(minutes) = minutes_off(headers).filter(|_| answer.status().is_client_error()) {
            return format!(
                "the clock of this machine is {minutes} minutes wrong, as {host} sees it, and so it refuses what is \
                 signed here; set the clock (`timedatectl` shows it)"
            );
        }
        match &*refusal.code {
            "RequestTimeTooSkewed" => format!(
                "the clock of this machine is wrong, as {host} sees it, and so it refuses what is signed here; set \
                 the clock (`timedatectl` shows it)"
            ),
            "InvalidAccessKeyId" => format!(
                "{host} does not know the key {key}; give another (`key_id`), or make a new one there"
            ),
            "SignatureDoesNotMatch" => format!(
                "the secret is not the one of the key {key}; set the right one with `webstead secret set s3`"
            ),
            "NoSuchBucket" => {
                format!("{host} has no bucket {bucket}; make it there, or name one that it has")
            }
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "InvalidRegion"
                if !better.is_empty() && better != region =>
            {
                format!(
                    "the bucket {bucket} is in the region {better} and not in {region}; write region = \"{better}\" under \
                     [backup.s3]"
                )
            }
            "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => format!(
                "{host} does not let the key {key} {} in the bucket {bucket}; it needs the rights ListBucket for the \
                 bucket and GetObject, PutObject and DeleteObject for what is in it",
                doing(method)
            ),
            code => {
                let message: String = refusal.message.chars().take(300).collect();
                let code = if code.is_empty() {
                    ""
                } else {
                    &format!(" {code}")
                };
                let colon = if message.is_empty() { "" } else { ": " };
                let status = answer.status().as_u16();
                let may_move = answer.status().is_redirection();
                let hint = if may_move {
                    "; is `endpoint` under [backup.s3] the address of the region of the bucket?"
                } else {
                    ""
                };
                format!("{host} answered {status}{code}{colon}{message}{hint}")
            }
        }
    }
}

/// Whether the same request may well succeed in a moment.
fn is_passing(status: StatusCode, code: &str) -> bool {
    let is_code = matches!(
        code,
        "SlowDown" | "InternalError" | "RequestTimeout" | "ServiceUnavailable" | "OperationAborted"
    );
    is_code
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || (status.is_server_error()
            && status != StatusCode::NOT_IMPLEMENTED
            && !is_full(status, code))
}

/// Whether the store has no room left. Amazon's always has; others say it with 507 (RFC 4918, 11.5) or with a code of
/// their own.
fn is_full(status: StatusCode, code: &str) -> bool {
    status == StatusCode::INSUFFICIENT_STORAGE
        || matches!(code, "XMinioStorageFull" | "QuotaExceeded")
}

/// How wrong our clock is, if that is enough to be refused.
fn minutes_off(headers: &HeaderMap) -> Option<i64> {
    let said = base::Timestamp::of_http_date(headers.get(DATE)?.to_str().ok()?)?;
    let off = base::Timestamp::of_clock().0 - said.0;
    (off.abs() > WRONG_CLOCK_S).then_some(off.abs() / 60)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Answers with what it was given, however often.
    struct Says(u16, &'static str, AtomicU32);

    impl Courier for Says {
        fn carry(&self, _: Request<Bytes>, _: usize) -> Result<Response<Bytes>, Unanswered> {
            self.2.fetch_add(1, Ordering::Relaxed);
            let (status, date) = match self.0 {
                0 => return Err(Unanswered::Unreachable("nobody".into())),
                1 => (403, "Mon, 01 Jan 2024 00:00:00 GMT"),
                status => (status, "not a date"),
            };
            let answer = Response::builder().status(status).header(DATE, date);
            Ok(answer.body(Bytes::from_static(self.1.as_bytes())).unwrap())
        }
    }

    fn wire(courier: Arc<dyn Courier>, stop: &Arc<AtomicBool>) -> Wire {
        let settings = S3Settings {
            endpoint: Some("https://s3.example.com".parse().unwrap()),
            region: Some("here-1".parse().unwrap()),
            key_id: Some("KEY".into()),
            roots: None,
        };
        let access = Access {
            settings,
            secret: "secret".into(),
            courier,
            tries: 2,
            stop: Arc::clone(stop),
        };
        Wire::new("s3://my-bucket/site".parse().unwrap(), access).unwrap()
    }

    /// Has a list that never ends, and stops who asks after some parts of it.
    struct Endless(AtomicU32, Arc<AtomicBool>);

    impl Courier for Endless {
        fn carry(&self, _: Request<Bytes>, _: usize) -> Result<Response<Bytes>, Unanswered> {
            if self.0.fetch_add(1, Ordering::Relaxed) == 3 {
                self.1.store(true, Ordering::Relaxed);
            }
            let list = "<ListBucketResult><IsTruncated>true</IsTruncated>\
                        <NextContinuationToken>next</NextContinuationToken></ListBucketResult>";
            Ok(Response::new(Bytes::from_static(list.as_bytes())))
        }
    }

    #[test]
    fn a_long_list_ends_soon_when_whoever_asks_has_to_end_and_nothing_is_tried_again() {
        let stop = Arc::<AtomicBool>::default();
        let endless = Arc::new(Endless(AtomicU32::new(0), Arc::clone(&stop)));
        let error = wire(endless.clone(), &stop).list_all("objects/", |_, _, _| {});
        assert!(matches!(error, Err(Error::Busy(_))), "{error:?}");
        assert_eq!(endless.0.load(Ordering::Relaxed), 4);
        let silent = Arc::new(Says(0, "", AtomicU32::new(0)));
        wire(silent.clone(), &stop).put("x", b"y").unwrap_err();
        assert_eq!(silent.2.load(Ordering::Relaxed), 1);
    }

    fn told(status: u16, body: &'static str) -> (String, u32) {
        let courier = Arc::new(Says(status, body, AtomicU32::new(0)));
        let wire = wire(courier.clone(), &Arc::default());
        let error = wire.put("x", b"y").unwrap_err();
        let is_full = crate::backup::store::is_no_room(&error);
        assert_eq!(is_full, status == 507, "{error}");
        assert!(
            is_full || crate::backup::store::is_out_of_reach(&error),
            "{error}"
        );
        (error.to_string(), courier.2.load(Ordering::Relaxed))
    }

    #[test]
    fn what_a_store_refuses_has_a_remedy_and_what_may_pass_is_tried_again() {
        let moved =
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>there-2</Region></Error>";
        for (status, body, word, tries) in [
            (0, "", "nobody", 2),
            (
                1,
                "<Error><Code>AccessDenied</Code></Error>",
                "timedatectl",
                1,
            ),
            (
                403,
                "<Error><Code>RequestTimeTooSkewed</Code></Error>",
                "timedatectl",
                1,
            ),
            (
                403,
                "<Error><Code>AccessDenied</Code></Error>",
                "PutObject",
                1,
            ),
            (
                403,
                "<Error><Code>InvalidAccessKeyId</Code></Error>",
                "key KEY",
                1,
            ),
            (
                403,
                "<Error><Code>SignatureDoesNotMatch</Code></Error>",
                "secret set s3",
                1,
            ),
            (
                404,
                "<Error><Code>NoSuchBucket</Code></Error>",
                "no bucket my-bucket",
                1,
            ),
            (400, moved, "region = \"there-2\"", 1),
            (301, "", "endpoint", 1),
            (503, "<Error><Code>SlowDown</Code></Error>", "SlowDown", 2),
            (500, "<html>", "500", 2),
            (
                507,
                "<Error><Code>XMinioStorageFull</Code><Message>full</Message></Error>",
                "full",
                1,
            ),
        ] {
            let (error, tried) = told(status, body);
            assert!(
                error.contains(word) && error.contains("s3://my-bucket/site"),
                "{error}"
            );
            assert_eq!(tried, tries, "{error}");
        }
    }
}
