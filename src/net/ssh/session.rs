//! A connection to a host: it is made when something is asked, and made anew when it was lost.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex as Short, PoisonError},
    time::Duration,
};

use russh::{
    ChannelMsg, Disconnect, Preferred,
    client::{self, Handle, KeyboardInteractiveAuthResponse},
    keys::{Algorithm, EcdsaCurve, PrivateKeyWithHashAlg, PublicKeyOrCertificate},
};
use russh_sftp::client::{Config as FilesConfig, RawSftpSession};
use tokio::{
    net::TcpStream,
    sync::Mutex,
    time::{Instant, timeout, timeout_at},
};

use super::{Failure, Login, Proof, keys};

/// Time for finding the host, and until it takes the connection.
const TO_CONNECT: Duration = Duration::from_secs(15);
/// Time until we are let in.
const TO_ENTER: Duration = Duration::from_secs(30);
/// A host that says nothing for so long is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(15);
/// One that has not answered this often is not.
const MOST_SILENT: usize = 3;
/// Seconds for an answer of one that is there: a disk may have to wake up, and a slow line has much to carry before.
const TO_ANSWER_S: u64 = 240;
/// Times that a host may ask something more before it lets us in.
const MOST_QUESTIONS: usize = 4;

/// The kinds of keys by which a host is known. No RSA: the crate that would check it has an open advisory.
const KINDS: [Algorithm; 4] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
];

/// A host, and the connection to it while there is one.
pub struct Client {
    login: Short<Login>,
    /// One is made at a time, and all use it.
    session: Mutex<Option<Arc<Session>>>,
}

/// A connection on which files can be asked for.
pub(super) struct Session {
    pub(super) files: RawSftpSession,
    /// What the host offers beside version 3.
    pub(super) offers: HashMap<String, String>,
    handle: Handle<Greeter>,
}

impl Client {
    /// To a host, to which nobody goes yet.
    pub fn new(login: Login) -> Self {
        Self {
            login: Short::new(login),
            session: Mutex::default(),
        }
    }

    /// Lets a host be known by this key from now on.
    pub fn trust(&self, host_key: &str) {
        let mut login = self.login.lock().unwrap_or_else(PoisonError::into_inner);
        login.host_key = Some(host_key.to_owned());
    }

    /// Goes there, and is let in.
    ///
    /// # Errors
    /// Why not.
    pub async fn greet(&self) -> Result<(), Failure> {
        self.session().await.map(drop)
    }

    /// The connection; a new one if there is none that lives.
    pub(super) async fn session(&self) -> Result<Arc<Session>, Failure> {
        let mut kept = self.session.lock().await;
        if let Some(session) = kept.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        *kept = None;
        let login = self.login();
        let made = Arc::new(enter(&login).await?);
        *kept = Some(Arc::clone(&made));
        Ok(made)
    }

    fn login(&self) -> Login {
        let login = self.login.lock();
        login.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets a connection on which something went wrong that is no answer.
    pub(super) async fn lost(&self, session: &Arc<Session>) {
        let mut kept = self.session.lock().await;
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, session)) {
            *kept = None;
        }
    }

    /// Says goodbye.
    pub async fn leave(&self) {
        if let Some(session) = self.session.lock().await.take() {
            let goodbye = session
                .handle
                .disconnect(Disconnect::ByApplication, "", "en");
            let _ = timeout(Duration::from_secs(1), goodbye).await;
        }
    }
}

impl Session {
    fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }
}

/// Looks at the key that a host shows.
struct Greeter {
    known: Option<String>,
    shown: Arc<Short<Option<String>>>,
}

impl client::Handler for Greeter {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        let shown = keys::fingerprint(key);
        let is_known = self.known.as_ref() == Some(&shown);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        Ok(is_known)
    }
}

/// Goes to a host, makes sure that it is the one, and is let in.
async fn enter(login: &Login) -> Result<Session, Failure> {
    match enter_by(login, &KINDS).await {
        // The fingerprint may be of another of its keys, which it shows who asks for that kind.
        Err(Failure::OtherHost(shown)) => match enter_by(login, &KINDS[1..]).await {
            Ok(session) => Ok(session),
            Err(Failure::NotLetIn) => Err(Failure::NotLetIn),
            Err(_) => Err(Failure::OtherHost(shown)),
        },
        entered => entered,
    }
}

async fn enter_by(login: &Login, kinds: &[Algorithm]) -> Result<Session, Failure> {
    let Login { host, port, .. } = login;
    let unreachable = |why: &str| Failure::Unreachable(format!("{host}:{port} {why}"));
    let connected = timeout(TO_CONNECT, TcpStream::connect((host.as_str(), *port))).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(e)) => return Err(unreachable(&format!("cannot be reached ({e})"))),
        Err(_) => return Err(unreachable("does not answer")),
    };
    let _ = stream.set_nodelay(true);
    let config = client::Config {
        preferred: Preferred {
            key: Cow::Owned(kinds.to_vec()),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(SILENCE),
        keepalive_max: MOST_SILENT,
        ..client::Config::default()
    };
    let shown = Arc::new(Short::new(None));
    let greeter = Greeter {
        known: login.host_key.clone(),
        shown: Arc::clone(&shown),
    };
    let until = Instant::now() + TO_ENTER;
    let begun = client::connect_stream(Arc::new(config), stream, greeter);
    let begun = timeout_at(until, begun).await;
    let shown = shown.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut handle = match begun {
        Ok(Ok(handle)) => handle,
        Ok(Err(russh::Error::UnknownKey)) => {
            return Err(match (shown, &login.host_key) {
                (Some(shown), Some(_)) => Failure::OtherHost(shown),
                (Some(shown), None) => Failure::UnknownHost(shown),
                (None, _) => Failure::Other("it shows a certificate instead of a key".into()),
            });
        }
        Ok(Err(e @ russh::Error::NoCommonAlgo { .. })) => {
            return Err(Failure::Other(format!(
                "{host}:{port} and Webstead have no way of encrypting or no kind of key in common; it needs a key of \
                 Ed25519 or ECDSA ({e})"
            )));
        }
        Ok(Err(e)) => {
            return Err(unreachable(&format!(
                "does not speak SSH as it should ({e})"
            )));
        }
        Err(_) => return Err(unreachable("takes the connection, but says nothing")),
    };
    let entered = timeout_at(until, async {
        authenticate(&mut handle, login).await?;
        open_files(&handle).await
    });
    let entered = entered.await;
    let (files, offers) = entered.map_err(|_| unreachable("does not let us in in time"))??;
    Ok(Session {
        files,
        offers,
        handle,
    })
}

/// What went wrong on a connection that was there.
fn cut(e: russh::Error) -> Failure {
    Failure::Unreachable(format!("the connection was lost ({e})"))
}

/// Shows who we are, one way after the other.
async fn authenticate(handle: &mut Handle<Greeter>, login: &Login) -> Result<(), Failure> {
    for proof in &login.proofs {
        let is_in = match proof {
            Proof::Key(key) => {
                let key = PrivateKeyWithHashAlg::new(Arc::clone(key), None);
                let answer = handle.authenticate_publickey(&login.user, key).await;
                answer.map_err(cut)?.success()
            }
            Proof::Password(password) => {
                let answer = handle.authenticate_password(&login.user, password).await;
                answer.map_err(cut)?.success() || asked(handle, login, password).await?
            }
        };
        if is_in {
            return Ok(());
        }
    }
    Err(Failure::NotLetIn)
}

/// The other way of giving a password (RFC 4256), the only one that some hosts have.
async fn asked(
    handle: &mut Handle<Greeter>,
    login: &Login,
    password: &str,
) -> Result<bool, Failure> {
    let user = &login.user;
    let begun = handle.authenticate_keyboard_interactive_start(user, None);
    let mut answer = begun.await.map_err(cut)?;
    for _ in 0..MOST_QUESTIONS {
        let prompts = match answer {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
        };
        // Only what is not shown while it is typed is a question for a password.
        let answers = prompts.iter().map(|prompt| {
            if prompt.echo {
                String::new()
            } else {
                password.to_owned()
            }
        });
        let told = handle.authenticate_keyboard_interactive_respond(answers.collect());
        answer = told.await.map_err(cut)?;
    }
    Ok(false)
}

/// Asks for files; gives what else the host offers.
async fn open_files(
    handle: &Handle<Greeter>,
) -> Result<(RawSftpSession, HashMap<String, String>), Failure> {
    let none = |why: String| Failure::NoFiles(why);
    let mut channel = handle
        .channel_open_session()
        .await
        .map_err(|e| none(e.to_string()))?;
    let asked = channel.request_subsystem(true, "sftp").await;
    asked.map_err(cut)?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => break,
            Some(ChannelMsg::WindowAdjusted { .. }) => {}
            Some(ChannelMsg::Failure) => return Err(none("it has no SFTP".into())),
            _ => {
                return Err(none(
                    "it closes the connection when it is asked for files".into(),
                ));
            }
        }
    }
    let files = FilesConfig {
        request_timeout_secs: TO_ANSWER_S,
        ..FilesConfig::default()
    };
    let files = RawSftpSession::new_with_config(channel.into_stream(), files);
    let version = files.init().await.map_err(|e| none(e.to_string()))?;
    Ok((files, version.extensions))
}
