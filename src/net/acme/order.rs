//! One order: from names to a certificate (RFC 8555 section 7.4).

use std::{net::IpAddr, sync::Arc, time::Duration};

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeStatus, ChallengeType, Error,
    Identifier, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType};
use serde::{Deserialize, Serialize};

use super::{Failure, FailureKind, KeyKind, lasting::Lasting, persist::Standing, wire::Wire};
use crate::{
    base::Timestamp,
    net::{
        challenges::{Challenges, Presented},
        dns::Zone,
    },
};

/// How often an authority is asked whether it is done: rarely enough for a busy one.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_mins(2));

/// How long an order that is not ready is waited for before it is looked whether a proof was refused: some authorities
/// leave such an order as it is.
const FIRST_PATIENCE: RetryPolicy = PATIENCE.timeout(Duration::from_secs(15));
/// How an authority is asked that takes longer.
const MORE_PATIENCE: RetryPolicy = PATIENCE.initial_delay(Duration::from_secs(4));

/// How it is proved that a name leads here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Challenge {
    /// By an answer over plain HTTP, on port 80 (RFC 8555 section 8.3).
    #[serde(rename = "http-01")]
    Http,
    /// By a certificate in a handshake, on port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn,
    /// By a text in the DNS, for machines that nobody can reach and for all names below one (RFC 8555 section 8.4).
    #[serde(rename = "dns-01")]
    Dns,
    /// By a text in the DNS that stays there, so that nothing is changed for a renewal
    /// (<https://datatracker.ietf.org/doc/draft-ietf-acme-dns-persist/>).
    #[serde(rename = "dns-persist-01")]
    DnsPersist,
}

impl Challenge {
    /// All of them; what is quick comes first.
    pub const ALL: [Self; 4] = [Self::Http, Self::TlsAlpn, Self::Dns, Self::DnsPersist];

    /// As authorities call it: `http-01`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http-01",
            Self::TlsAlpn => "tls-alpn-01",
            Self::Dns => "dns-01",
            Self::DnsPersist => "dns-persist-01",
        }
    }

    fn kind(self) -> ChallengeType {
        match self {
            Self::Http => ChallengeType::Http01,
            Self::TlsAlpn => ChallengeType::TlsAlpn01,
            Self::Dns => ChallengeType::Dns01,
            // instant-acme does not know it by name.
            Self::DnsPersist => ChallengeType::Unknown(self.name().to_owned()),
        }
    }

    /// Whether it can prove this name: all names below one are proved by DNS alone (RFC 8555 section 7.1.3).
    pub(super) fn can_prove(self, name: &str) -> bool {
        match self {
            Self::Http | Self::TlsAlpn => !name.starts_with("*."),
            // An address has no place for a text.
            Self::Dns | Self::DnsPersist => name.parse::<IpAddr>().is_err(),
        }
    }
}

/// What is asked for.
pub(super) struct Wish<'a> {
    pub(super) names: &'a [String],
    pub(super) challenge: Challenge,
    /// Whether the owner has set it, so that no other will do.
    pub(super) is_set: bool,
    pub(super) profile: Option<&'a str>,
    /// The owner's own key; if there is none, a new one is made.
    pub(super) key: Option<&'a KeyPair>,
    /// Of which kind.
    pub(super) kind: KeyKind,
    /// The certificate that it takes the place of (RFC 9773 section 5).
    pub(super) replaces: Option<&'a CertificateIdentifier<'static>>,
}

/// A certificate with its chain, and its key, in PEM.
pub(super) struct Issued {
    pub(super) chain: String,
    pub(super) key: String,
}

/// What came of an order.
pub(super) struct Done {
    pub(super) issued: Issued,
    /// How the name was proved.
    pub(super) challenge: Challenge,
    /// Until when the record in the DNS is good that proves it, if it says so.
    pub(super) record_until: Option<Timestamp>,
}

/// Where proofs are shown.
pub(super) struct Stage<'a> {
    pub(super) challenges: &'a Arc<Challenges>,
    /// Where the owner may change names, if there is such a place.
    pub(super) zone: Option<&'a dyn Zone>,
    pub(super) wire: &'a Wire,
    /// Looks for proofs that stay in the DNS.
    pub(super) lasting: &'a Lasting<'a>,
}

/// How a name is proved, and until when the record for that is good.
type Way = (Challenge, Option<Timestamp>);

/// A proof that is shown until this is withdrawn or dropped.
enum Proof {
    /// By this server.
    Here(Presented),
    /// By the DNS, which forgets nothing by itself.
    Text {
        name: String,
        text: String,
        /// Whether it was written, as far as that is known.
        is_written: bool,
    },
}

/// Gets a certificate.
pub(super) async fn order(
    account: &Account,
    wish: &Wish<'_>,
    stage: &Stage<'_>,
) -> Result<Done, Failure> {
    let identifiers: Vec<Identifier> = wish.names.iter().map(|name| identifier_of(name)).collect();
    let mut order = begin(account, &identifiers, wish).await?;
    let mut proofs = Vec::new();
    let proved = prove(&mut order, wish, stage, &mut proofs).await;
    withdraw(proofs, stage).await;
    let (challenge, record_until) = proved?;
    let new;
    let key = if let Some(own) = wish.key {
        own
    } else {
        new = wish.kind.make().await?;
        &new
    };
    let request = request_for(wish.names)?
        .serialize_request(key)
        .map_err(Failure::setup)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(Done {
        issued: Issued {
            chain,
            key: key.serialize_pem(),
        },
        challenge,
        record_until,
    })
}

/// Begins an order, as one that takes the place of another certificate if the authority takes it as that.
async fn begin(
    account: &Account,
    identifiers: &[Identifier],
    wish: &Wish<'_>,
) -> Result<Order, Failure> {
    let wanted = || {
        let wanted = NewOrder::new(identifiers);
        match wish.profile {
            Some(profile) => wanted.profile(profile),
            None => wanted,
        }
    };
    if let Some(replaced) = wish.replaces {
        match account
            .new_order(&wanted().replaces(replaced.clone()))
            .await
        {
            Err(e) if is_of_replacing(&e) => {
                log::debug!("not taken as a renewal, asked for as a new certificate: {e}");
            }
            other => return Ok(other?),
        }
    }
    Ok(account.new_order(&wanted()).await?)
}

/// Whether an order may go through if it does not say what it replaces: it was replaced already (RFC 9773 section 5),
/// by another account, or the authority does not know this field. Not if it was asked too often or has trouble.
fn is_of_replacing(error: &Error) -> bool {
    match error {
        Error::Api(problem) => matches!(
            Failure::said(problem).kind,
            FailureKind::Refused | FailureKind::Validation
        ),
        Error::Unsupported(_) | Error::Json(_) => true,
        // An answer that does not repeat the field, as it must if it was taken.
        Error::Other(e) => e.to_string().starts_with("replaces field mismatch"),
        _ => false,
    }
}

/// Shows what the authority asks for, and waits until it has seen it.
async fn prove(
    order: &mut Order,
    wish: &Wish<'_>,
    stage: &Stage<'_>,
    proofs: &mut Vec<Proof>,
) -> Result<Way, Failure> {
    let way = present(order, wish, stage, proofs).await?;
    if order.state().status == OrderStatus::Ready {
        return Ok(way);
    }
    let refused = match await_ready(order).await {
        Ok(OrderStatus::Ready) => return Ok(way),
        Ok(_) => why_not(order, None).await,
        Err(Error::Api(problem)) => why_not(order, Some(problem)).await,
        Err(e) => return Err(e.into()),
    };
    if way.0 == Challenge::DnsPersist {
        stage.lasting.note_refused();
    }
    Err(refused)
}

/// Takes the proofs away again.
async fn withdraw(proofs: Vec<Proof>, stage: &Stage<'_>) {
    for proof in proofs {
        match (proof, stage.zone) {
            (
                Proof::Text {
                    name,
                    text,
                    is_written,
                },
                Some(zone),
            ) => {
                if let Err(e) = zone.remove_text(&name, &text).await {
                    let stays = if is_written {
                        "stays in the DNS"
                    } else {
                        "may have been written to the DNS, and stay there"
                    };
                    log::warn!("a proof for an authority {stays} ({name}), and harms nobody: {e}");
                }
            }
            (Proof::Here(presented), _) => drop(presented),
            (Proof::Text { .. }, None) => {}
        }
    }
}

/// Shows the proofs that the authority asks for, and says that they are there.
async fn present(
    order: &mut Order,
    wish: &Wish<'_>,
    stage: &Stage<'_>,
    proofs: &mut Vec<Proof>,
) -> Result<Way, Failure> {
    let mut way = (wish.challenge, None);
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Pending => {}
            // It has been proved a while ago.
            AuthorizationStatus::Valid => continue,
            other => {
                let text = format!("the authority says at once that a name is {other:?}");
                return Err(Failure::new(FailureKind::Refused, text));
            }
        }
        let name = authorization.identifier().to_string();
        way = way_for(&name, wish, stage).await?;
        let Some(mut challenge) = authorization.challenge(way.0.kind()) else {
            return Err(not_offered(way.0, wish));
        };
        let proof = challenge.key_authorization();
        let challenges = stage.challenges;
        match way.0 {
            Challenge::Http => {
                let shown = challenges.present_text(&challenge.token, proof.as_str());
                proofs.push(Proof::Here(shown));
            }
            Challenge::TlsAlpn => {
                let shown = challenges.present_certificate(&name, proof.digest().as_ref())?;
                proofs.push(Proof::Here(shown));
            }
            Challenge::Dns => {
                let zone = stage.zone.ok_or_else(|| {
                    let text = "a proof by DNS needs to know where names are changed: set that in the browser (DNS provider), or as [dns] in \
                                webstead.toml";
                    Failure::new(FailureKind::Setup, text)
                })?;
                let name = format!("_acme-challenge.{}", name.trim_start_matches("*."));
                let text = proof.dns_value();
                let added = zone.add_text(&name, &text).await;
                // What failed may have been done all the same.
                if !matches!(&added, Err(failure) if failure.is_untouched) {
                    proofs.push(Proof::Text {
                        name: name.clone(),
                        text: text.clone(),
                        is_written: added.is_ok(),
                    });
                }
                added?;
                zone.await_text(&name, &text).await?;
            }
            // It is there.
            Challenge::DnsPersist => {}
        }
        // The answer has what the authority has found by then, if it was quick.
        challenge.set_ready().await.map_err(|e| match e {
            Error::Api(problem) => of_proof_or_else(&problem),
            e => e.into(),
        })?;
    }
    Ok(way)
}

/// How a name is proved whose authorization was just read: as it is wished; or by a record that stays in the DNS, if the
/// authority offers that and the record is there already, because then nothing has to be open and nothing changed.
/// One that it has refused a moment ago stands in nobody's way.
async fn way_for(name: &str, wish: &Wish<'_>, stage: &Stage<'_>) -> Result<Way, Failure> {
    let is_wished = wish.challenge == Challenge::DnsPersist;
    let offer = stage.wire.offer();
    let may_be = is_wished || !(wish.is_set || stage.lasting.is_refused());
    let Some(offer) = offer.filter(|_| may_be) else {
        return Ok((wish.challenge, None));
    };
    match stage.lasting.look(name, Some(&offer)).await {
        Ok(Some(seen)) => match seen.standing {
            Standing::Right(until) => Ok((Challenge::DnsPersist, until)),
            _ if is_wished => Err(seen.failure()),
            _ => Ok((wish.challenge, None)),
        },
        Err(failure) if is_wished => Err(failure),
        Ok(None) if is_wished => {
            let text =
                "the authority offers dns-persist-01 and does not say how it calls itself there";
            Err(Failure::new(FailureKind::Refused, text))
        }
        _ => Ok((wish.challenge, None)),
    }
}

/// That the authority knows no proof of this kind. One for all names below a name, for which only a record that stays
/// was left, hears which other way there is.
fn not_offered(challenge: Challenge, wish: &Wish<'_>) -> Failure {
    let text = format!("the authority does not offer {} for this", challenge.name());
    let is_left_over = challenge == Challenge::DnsPersist && !wish.is_set;
    if !is_left_over {
        return Failure::new(FailureKind::Validation, text);
    }
    let text = format!(
        "all names below one (*.) are proved through the DNS, which needs [dns] in webstead.toml with a provider that \
         has texts (dyndns2 has none); the other way is a record that stays, but {text}"
    );
    Failure::new(FailureKind::Setup, text)
}

/// Waits until the authority has looked at the proofs; what it says of an order of which one was refused is that it is
/// invalid, or nothing.
async fn await_ready(order: &mut Order) -> Result<OrderStatus, Error> {
    for patience in [FIRST_PATIENCE, MORE_PATIENCE] {
        match order.poll_ready(&patience).await {
            Err(Error::Timeout(_)) if refused(order).await.is_some() => {
                return Ok(OrderStatus::Invalid);
            }
            Err(Error::Timeout(_)) => {}
            other => return other,
        }
    }
    Err(Error::Timeout(None))
}

/// What the authority did not like, which it says of each proof.
async fn why_not(order: &mut Order, of_order: Option<Problem>) -> Failure {
    // Asking may fail by itself: authorities refuse a nonce now and then.
    for _ in 0..2 {
        if let Some(failure) = refused(order).await {
            return failure;
        }
    }
    let unsaid = || Failure::new(FailureKind::Validation, "the authority gave no reason");
    of_order.map_or_else(unsaid, |problem| of_proof_or_else(&problem))
}

/// What is wrong with a proof, if it is that.
fn of_proof_or_else(problem: &Problem) -> Failure {
    match Failure::said(problem) {
        said if said.kind == FailureKind::Validation => Failure::of_proof(problem),
        said => said,
    }
}

/// What it says of the first proof that it has refused, if there is one.
async fn refused(order: &mut Order) -> Option<Failure> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        let mut refused = state.challenges.iter();
        let refused = refused.find(|challenge| challenge.status == ChallengeStatus::Invalid);
        if let Some(challenge) = refused {
            let unsaid = || Failure {
                problem: Some(String::new()),
                ..Failure::new(FailureKind::Validation, "the authority gave no reason")
            };
            let problem = challenge.error.as_ref();
            return Some(problem.map_or_else(unsaid, Failure::of_proof));
        }
    }
    None
}

fn identifier_of(name: &str) -> Identifier {
    match name.parse::<IpAddr>() {
        Ok(address) => Identifier::Ip(address),
        Err(_) => Identifier::Dns(name.to_owned()),
    }
}

/// What is asked to be signed: the names, and nothing else, since nothing else would be believed.
fn request_for(names: &[String]) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let of_name = |name: &String| {
        Ok(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.clone().try_into().map_err(Failure::setup)?),
        })
    };
    params.subject_alt_names = names.iter().map(of_name).collect::<Result<_, Failure>>()?;
    Ok(params)
}
