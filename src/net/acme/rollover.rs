//! Another key for the account (RFC 8555 section 7.3.5), so that none is lost: the new one is on the disk before the
//! authority hears of it, beside the old one, and takes its place after the answer. Whoever opens the account and finds
//! both asks the authority which one it knows.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use data_encoding::BASE64URL_NOPAD;
use hyper::{
    Request, Response,
    body::Bytes,
    header::{CONTENT_TYPE, USER_AGENT},
};
use instant_acme::{Account, AccountCredentials, Key, Problem};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use super::{
    Failure, FailureKind, Settings,
    account::{self, Kept, MORE_NONCES},
    wire::{OWN_NAME, Wire},
};
use crate::base::{Error, Result, files};

/// How often a request is sent whose number is not taken.
const MOST_TRIES: usize = 3 + MORE_NONCES;
/// What lies beside for longer, and the authority does not know, was asked for by nobody who still waits.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// The key that may be the account's next one, beside the account's own file.
pub(super) fn next_key_of(path: &Path) -> PathBuf {
    path.with_extension("next")
}

/// Gives the account a new key, and keeps that.
///
/// # Errors
/// If the authority does not take it, or does not say so; the account can be used as before in each case.
pub(super) async fn change_key(
    data: &Path,
    settings: &Settings,
    account: &Account,
    wire: &Wire,
) -> Result<(), Failure> {
    let path = account::path_of(data, account::authority_of(settings));
    let kept = account::read(&path)?.ok_or_else(|| {
        let text = format!("the account's file {} is gone", path.display());
        Failure::new(FailureKind::Setup, text)
    })?;
    let (old, _) = key_of(&kept.credentials)?;
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let made = made.map_err(Failure::setup)?;
    let mut former_keys = vec![account.key_thumbprint().to_owned()];
    former_keys.extend(kept.former_keys.iter().cloned());
    let next = Kept {
        credentials: with_key(&kept.credentials, made.as_ref())?,
        former_keys,
        ..kept
    };
    let (new, _) = key_of(&next.credentials)?;
    let at = next_key_of(&path);
    account::write_at(data, &at, &next)?;
    let asked = ask(
        account::authority_of(settings),
        account.id(),
        &old,
        &new,
        wire,
    )
    .await;
    match asked {
        Ok(()) => Ok(put_in_place(&path)?),
        // It has answered, and has not taken it.
        Err(failure) if failure.kind != FailureKind::Unreachable => {
            remove(&at);
            Err(failure)
        }
        Err(failure) => Err(Failure {
            text: format!(
                "{}; whether it has taken the new key is not known, so both are kept, and it is asked the next time",
                failure.text
            ),
            ..failure
        }),
    }
}

/// Finds out which key the authority knows, where one lies beside the account's own: from then on there is one.
///
/// # Errors
/// If the authority does not say.
pub(super) async fn settle(path: &Path, settings: &Settings, wire: &Wire) -> Result<(), Failure> {
    let at = next_key_of(path);
    let Some(next) = account::read(&at)? else {
        return Ok(());
    };
    let (_, der) = key_of(&next.credentials)?;
    let key = Key::from_pkcs8_der(PrivatePkcs8KeyDer::from(der.clone()))?;
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der));
    let builder = Account::builder_with_http(Box::new(wire.clone()));
    let asked = builder
        .from_key((key, der), account::authority_of(settings).to_owned())
        .await;
    match asked.map_err(Failure::from) {
        Ok(_) => {
            log::info!("the authority knows the new key of the account; it is used from now on");
            Ok(put_in_place(path)?)
        }
        Err(failure) if is_of_asking(&failure) => Err(failure),
        // It does not know that key; some say so in other words.
        Err(_) => {
            // Somebody may be about to ask for it.
            if is_forgotten(&at) {
                remove(&at);
            }
            Ok(())
        }
    }
}

/// Whether nobody knows what the authority would have said.
fn is_of_asking(failure: &Failure) -> bool {
    matches!(
        failure.kind,
        FailureKind::Unreachable | FailureKind::RateLimited | FailureKind::Nonce
    )
}

/// Whether it lies there for long. One that a wrong clock has dated later stays until that time has come.
fn is_forgotten(at: &Path) -> bool {
    let written = fs::metadata(at).and_then(|metadata| metadata.modified());
    written.is_ok_and(|written| {
        let age = SystemTime::now().duration_since(written);
        age.is_ok_and(|age| age > FORGOTTEN)
    })
}

/// Needs no room on the disk.
pub(super) fn put_in_place(path: &Path) -> Result<()> {
    let _turn = account::turn(path);
    let at = next_key_of(path);
    match fs::rename(&at, path) {
        Ok(()) => {
            let folder = path.parent().unwrap_or(Path::new("."));
            files::sync_folder(folder).map_err(|e| Error::io("syncing", folder, e))
        }
        // The running server, or a command, was quicker.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io("putting in place", at, e)),
    }
}

fn remove(at: &Path) {
    if let Err(e) = files::remove_if_there(at) {
        log::warn!("{} stays, and is looked at again: {e}", at.display());
    }
}

/// The key of an account, and what it is made of.
fn key_of(credentials: &AccountCredentials) -> Result<(EcdsaKeyPair, Vec<u8>), Failure> {
    let der = credentials.private_key().secret_pkcs8_der().to_vec();
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random);
    Ok((key.map_err(Failure::setup)?, der))
}

/// The same account with another key. Credentials can only be read whole.
fn with_key(credentials: &AccountCredentials, der: &[u8]) -> Result<AccountCredentials> {
    let mut value = serde_json::to_value(credentials).map_err(Error::internal)?;
    value["key_pkcs8"] = BASE64URL_NOPAD.encode(der).into();
    serde_json::from_value(value).map_err(Error::internal)
}

/// Asks for the change.
async fn ask(
    directory: &str,
    account: &str,
    old: &EcdsaKeyPair,
    new: &EcdsaKeyPair,
    wire: &Wire,
) -> Result<(), Failure> {
    let answer = send(wire, request("GET", directory, Bytes::new())?).await?;
    let directory: Value = serde_json::from_slice(answer.body())
        .map_err(|e| Failure::unreachable(format!("the authority's directory is none: {e}")))?;
    let of = |key: &str| directory[key].as_str();
    let (Some(at), Some(nonces)) = (of("keyChange"), of("newNonce")) else {
        let text = "the authority does not change the keys of accounts";
        return Err(Failure::new(FailureKind::Refused, text));
    };
    // The new key says that it wants to be the account's, and the old one that it may.
    let inner = signed(
        new,
        &json!({ "alg": "ES256", "jwk": jwk(new), "url": at }),
        &json!({ "account": account, "oldKey": jwk(old) }),
    )?;
    let mut last = Failure::unreachable("it did not take the request's number".to_owned());
    for _ in 0..MOST_TRIES {
        let answer = send(wire, request("HEAD", nonces, Bytes::new())?).await?;
        let nonce = answer.headers().get("replay-nonce");
        let nonce = nonce.and_then(|value| value.to_str().ok());
        let nonce =
            nonce.ok_or_else(|| Failure::unreachable("the authority gives no nonce".to_owned()))?;
        let outer = json!({ "alg": "ES256", "kid": account, "nonce": nonce, "url": at });
        let body = signed(old, &outer, &inner)?.to_string();
        let answer = send(wire, request("POST", at, body.into())?).await?;
        if answer.status().is_success() {
            return Ok(());
        }
        let problem: Problem = serde_json::from_slice(answer.body()).map_err(|_| {
            Failure::unreachable(format!("the authority answers {}", answer.status()))
        })?;
        last = Failure::said(&problem);
        if last.kind != FailureKind::Nonce {
            break;
        }
    }
    Err(last)
}

fn request(method: &str, url: &str, body: Bytes) -> Result<Request<Bytes>, Failure> {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header(USER_AGENT, OWN_NAME)
        .header(CONTENT_TYPE, "application/jose+json");
    request.body(body).map_err(Failure::setup)
}

async fn send(wire: &Wire, request: Request<Bytes>) -> Result<Response<Bytes>, Failure> {
    wire.send(request).await.map_err(Failure::unreachable)
}

/// A JWS in its flattened form (RFC 7515 section 7.2.2), signed with ES256.
fn signed(key: &EcdsaKeyPair, protected: &Value, payload: &Value) -> Result<Value, Failure> {
    let encoded = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let (protected, payload) = (encoded(protected), encoded(payload));
    let signature = key.sign(
        &SystemRandom::new(),
        format!("{protected}.{payload}").as_bytes(),
    );
    let signature = BASE64URL_NOPAD.encode(signature.map_err(Failure::setup)?.as_ref());
    Ok(json!({ "protected": protected, "payload": payload, "signature": signature }))
}

/// A public key as RFC 7518 section 6.2.1 has it: after the byte for "uncompressed", both coordinates.
fn jwk(key: &EcdsaKeyPair) -> Value {
    let point = &key.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    let [x, y] = [x, y].map(|part| BASE64URL_NOPAD.encode(part));
    json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y })
}
