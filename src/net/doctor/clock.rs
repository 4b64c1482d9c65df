//! Whether the machine's clock is right: an authority that the site asks anyway says what time it is.

use std::{path::Path, time::SystemTime};

use hyper::header::DATE;
use rustls::{
    RootCertStore,
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    server::ParsedCertificate,
};
use tokio::net::lookup_host;
use url::Url;

use super::{
    Patient,
    visit::{Asked, visit},
};
use crate::{
    base::Timestamp,
    net::{
        acme,
        certificates::{clock, is_signed_by},
        web_client,
    },
};

/// Addresses of an authority that are tried.
const MOST_TRIED: usize = 2;

/// Whether the clock says a time before this program was made.
pub(super) fn is_unset() -> bool {
    !clock::is_believable(SystemTime::now())
}

/// Whether the machine's own time service has set the clock since the machine started. Of those that there are, the one of
/// systemd leaves a mark that everybody may see (systemd-timesyncd.service(8)); of others nothing is known. The kernel
/// knows of all of them, but does not say so to a service that may not set the clock (systemd.exec(5), `ProtectClock=`).
pub(super) fn is_kept_right() -> bool {
    Path::new("/run/systemd/timesync/synchronized").exists()
}

/// How many seconds the clock is ahead of the authority's, and whose that is; `None` if it says nothing that can be
/// believed.
///
/// With a wrong clock its certificate seems to have ended, or not to have begun. So it is looked at with the time that
/// the authority says itself: somebody else would have to have its key.
pub(super) async fn ahead(patient: &Patient) -> Option<(i64, String)> {
    if !patient.certificate.agree_to_terms || patient.names.all().next().is_none() {
        return None;
    }
    let url = Url::parse(acme::authority_of(&patient.certificate)).ok()?;
    let host = url.host_str()?.to_owned();
    let port = url.port_or_known_default()?;
    let found: Vec<_> = lookup_host((host.as_str(), port)).await.ok()?.collect();
    for address in found.into_iter().take(MOST_TRIED) {
        let asked = Asked {
            host: &host,
            path: url.path(),
            is_announced: false,
        };
        let Ok(answered) = visit(address, asked).await else {
            continue;
        };
        let now = Timestamp::of_clock();
        let date = Timestamp::of_http_date(&answered.header(DATE)?)?;
        let is_theirs = is_of(&answered.certificates, &host)
            && is_signed_by(&answered.certificates, &roots(patient), date);
        return is_theirs.then_some((now.0 - date.0, host));
    }
    None
}

fn is_of(chain: &[CertificateDer<'_>], host: &str) -> bool {
    let name = ServerName::try_from(host.to_owned());
    match (chain.first().map(ParsedCertificate::try_from), name) {
        (Some(Ok(leaf)), Ok(name)) => verify_server_name(&leaf, &name).is_ok(),
        _ => false,
    }
}

fn roots(patient: &Patient) -> RootCertStore {
    let mut roots = web_client::machine_roots();
    let more = patient.certificate.authority_roots.as_deref();
    let more = more.map(|file| patient.data.join(file));
    if let Some(Ok(more)) = more.map(CertificateDer::pem_file_iter) {
        roots.add_parsable_certificates(more.flatten());
    }
    roots
}
