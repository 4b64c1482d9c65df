//! The names of a running server: what their pages need to know of it.

use std::pin::Pin;

use crate::base::{Names, Result, Timestamp};

/// An answer that takes a moment.
pub type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

pub use crate::app::layout::FieldError;

/// What `webstead.toml` sets, which cannot be changed in the browser: field of the form and value, as it is shown.
pub type OfFile = Vec<(&'static str, String)>;

/// Where a name leads.
#[derive(Clone, Debug)]
pub struct Lead {
    /// The name.
    pub name: String,
    /// Whether visitors who ask for it come here, as far as is known.
    pub is_fine: bool,
    /// What was found, and what to do.
    pub text: String,
}

/// How it stands with the certificate for a name.
#[derive(Clone, Debug)]
pub struct CertificateState {
    /// The name.
    pub name: String,
    /// Who signed what is shown, and until when it holds; `None` if the machine itself did.
    pub of: Option<(String, Timestamp)>,
    /// Whether browsers know who signed it; `None` if that cannot be told here.
    pub is_trusted: Option<bool>,
    /// Why browsers do not take it now, whoever signed it: it has ended, or begins later.
    pub is_out_of_time: Option<OutOfTime>,
    /// Whether the owner's own files have it.
    pub is_own: bool,
    /// The name for all names below one whose certificate covers it, and which it is renewed with.
    pub covered_by: Option<String>,
    /// Whether the authority is being asked, or is about to be.
    pub is_under_way: bool,
    /// Why the last try failed, in the authority's own words, and what to do.
    pub failure: Option<(String, String)>,
    /// Whether nobody is asked before that record is there.
    pub is_waiting: bool,
    /// The record in the DNS that the owner is to make: where, and with which text.
    pub record: Option<(String, String)>,
    /// Until when the record in the DNS is good that proved the name, if it says so.
    pub record_until: Option<Timestamp>,
    /// When it is renewed or tried again.
    pub next: Option<Timestamp>,
    /// How many times it was renewed by itself.
    pub renewals: u32,
    /// Why nobody is asked for a certificate, if nobody is.
    pub unasked: Option<String>,
}

/// Why the dates of a certificate are not for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfTime {
    /// It has ended.
    Ended,
    /// It holds from then on.
    Before(Timestamp),
}

/// Files of the owner's own with a certificate that cannot be used.
#[derive(Clone, Debug)]
pub struct FilesTrouble {
    /// The file with the certificate.
    pub file: String,
    /// What is wrong.
    pub words: String,
    /// What to do.
    pub advice: String,
    /// Until when the one holds that was there before and is still shown, if there was one.
    pub shown_until: Option<Timestamp>,
}

/// What browsers are told of HTTPS (RFC 6797), and what they could be.
#[derive(Clone, Debug, Default)]
pub struct HttpsOnly {
    /// For how long they remember it; 0 if it is off.
    pub max_age_s: u32,
    /// Whether every name below the domain is meant too.
    pub subdomains: bool,
    /// Whether it was ever decided.
    pub is_set: bool,
    /// Why it is not offered yet; empty if it is.
    pub reasons: Vec<String>,
    /// Why not every name below can be meant.
    pub reason_below: Option<String>,
    /// Other hosts.
    pub hosts: Vec<HttpsOnlyHost>,
    /// What is sent for each name now, in words.
    pub sent: Vec<(String, String)>,
}

/// Another host, and whether it is meant too.
#[derive(Clone, Debug)]
pub struct HttpsOnlyHost {
    /// Its name.
    pub name: String,
    /// Whether it is meant.
    pub is_on: bool,
    /// Whether browsers were told of it before.
    pub was_on: bool,
    /// Why it cannot be yet.
    pub reason: Option<String>,
}

/// How it stands with the names that follow the addresses of this machine.
#[derive(Clone, Debug, Default)]
pub struct Following {
    /// The addresses of the machine, each in a sentence; or why there is none of a kind.
    pub addresses: Vec<String>,
    /// The names.
    pub names: Vec<FollowingName>,
}

/// A name that follows the addresses of this machine.
#[derive(Clone, Debug, Default)]
pub struct FollowingName {
    /// The name.
    pub name: String,
    /// The addresses that it had when it was looked at last.
    pub has: Vec<String>,
    /// Whether anybody has said yet what it has.
    pub is_known: bool,
    /// Since when it is known to have just these.
    pub since: Option<Timestamp>,
    /// Whether these are the machine's.
    pub is_right: bool,
    /// Why the last try failed, in the provider's own words, and what to do.
    pub failure: Option<(String, String)>,
    /// When it is tried again.
    pub next: Option<Timestamp>,
    /// Whether it is not tried again before something changes here.
    pub is_stopped: bool,
}

/// The token for changing names that there was before another one, if there was one.
pub struct TokenBefore(pub Option<String>);

/// The names of a running server.
pub trait LiveNames: Send + Sync {
    /// The names that count now.
    fn now(&self) -> Names;

    /// What `webstead.toml` sets.
    fn of_file(&self) -> OfFile;

    /// What was typed as it is stored: keys of `webstead.toml` with every name as requests have it.
    ///
    /// # Errors
    /// The fields that are wrong, each with what to write.
    fn check(&self, keys: &str) -> std::result::Result<String, Vec<FieldError>>;

    /// Names of these keys that cannot be proved as it is set, each in a sentence that says what to do.
    fn unproved(&self, keys: &str) -> Vec<String>;

    /// Where the names lead. Asks the DNS and whoever is there, for a few seconds.
    fn look(&self, names: Vec<String>) -> Soon<'_, Vec<Lead>>;

    /// How it stands with the certificates of all names, the domain first.
    fn certificates(&self) -> Vec<CertificateState>;

    /// The owner's own files that cannot be used.
    fn files_trouble(&self) -> Vec<FilesTrouble>;

    /// Gets a new certificate for a name now.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::base::Error) if nobody is asked about this name.
    fn renew(&self, name: &str) -> Result<()>;

    /// Whether `[dns]` of these keys, as JSON, is one that this program takes.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    fn check_dns(&self, keys: &str) -> std::result::Result<(), String>;

    /// The provider of `webstead.toml` that changes names, as it is written there.
    fn dns_of_file(&self) -> Option<&'static str>;

    /// That the zone of these keys, as JSON, has none of the site's names, if the site has any.
    fn zone_problem(&self, keys: &str) -> Option<String>;

    /// Whether `webstead.toml` says where names can be changed.
    fn is_dns_of_file(&self) -> bool;

    /// Whether there is a token for changing names.
    fn has_dns_token(&self) -> bool;

    /// Keeps a token, for `[dns]` of these keys or of `webstead.toml`; gives the one before.
    ///
    /// # Errors
    /// Why it is none, in words; the one before is still there then.
    fn set_dns_token(
        &self,
        keys: Option<&str>,
        token: &str,
    ) -> std::result::Result<TokenBefore, String>;

    /// Keeps the token that there was before, because nothing came of the new one.
    fn put_dns_token_back(&self, before: TokenBefore) -> Result<()>;

    /// Forgets the token.
    fn remove_dns_token(&self) -> Result<()>;

    /// How it stands with the names that follow; `None` if none is to.
    fn following(&self) -> Option<Following>;

    /// Compares all names that follow now, those too that are not tried again by themselves.
    fn compare(&self) -> Result<()>;

    /// Tries again now what has failed.
    fn try_again(&self);

    /// Whether the router at home is asked to pass visitors on.
    fn is_router_asked(&self) -> bool;

    /// What browsers are told of HTTPS.
    fn https_only(&self) -> HttpsOnly;

    /// Lets what is stored count from the next request on. No connection notices.
    ///
    /// # Errors
    /// What kept it; everything is as before then.
    fn take_over(&self) -> Soon<'_, Result<()>>;

    /// Lets the domain that there is to be take its place, without waiting until it has answered.
    ///
    /// # Errors
    /// If it was changed in between.
    fn switch(&self) -> Soon<'_, Result<()>>;
}

/// The router at home, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct RouterState {
    /// Whether it is asked to pass visitors on.
    pub is_asked: bool,
    /// Whether `webstead.toml` says so, or that it must not be.
    pub is_of_file: bool,
    /// Whether it is being asked just now.
    pub is_under_way: bool,
    /// What it was asked for and grants.
    pub granted: Vec<Granted>,
    /// What was asked for and is not so, in sentences.
    pub trouble: Vec<String>,
    /// What may still be open though it is not wanted any more, in sentences.
    pub left_open: Vec<String>,
    /// What was seen of it last, if anybody has looked and nothing was changed since.
    pub seen: Option<RouterSeen>,
    /// When it was looked at before the last change.
    pub seen_before: Option<Timestamp>,
}

/// A port that the router passes on because it was asked to.
#[derive(Clone, Debug)]
pub struct Granted {
    /// What it is, such as `Port 443 to port 8443 of this machine`.
    pub what: String,
    /// In which language it was asked.
    pub protocol: String,
    /// When it ends if it is not renewed; `None` if it does not.
    pub until: Option<Timestamp>,
}

/// What was seen of the router, in sentences.
#[derive(Clone, Debug)]
pub struct RouterSeen {
    /// When.
    pub at: Timestamp,
    /// Which machine it is, and this one for it; or why there is none.
    pub gateway: std::result::Result<String, String>,
    /// What it speaks.
    pub speaks: Vec<String>,
    /// What it does not speak, and why that is known.
    pub silent: Vec<(String, String)>,
    /// Its address on the internet, or why there is none that visitors can use.
    pub external: std::result::Result<String, String>,
    /// The ports that visitors use: whether they lead here, and where they lead.
    pub ports: Vec<(bool, String)>,
    /// What is seen over IPv6, or why nobody comes in there.
    pub ipv6: std::result::Result<Vec<String>, String>,
    /// Other machines that call themselves routers.
    pub strangers: Vec<String>,
}

/// The router at home, looked at and asked by the running server.
pub trait LiveRouter: Send + Sync {
    /// How it stands.
    fn state(&self) -> RouterState;

    /// Looks at it, which takes up to half a minute; or waits for who looks already. Changes nothing.
    fn look(self: std::sync::Arc<Self>) -> Soon<'static, ()>;
}
