//! Whether the machine's clock is right: an authority that the site asks anyway says what time it is.

use std::{
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

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
    base::{Timestamp, child::output_within},
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

/// Programs that know whether the clock is set, and what the line ends with that they say then. The first asks the
/// kernel, whichever program sets the clock, and is answered by a service of systemd's (org.freedesktop.timedate1(5)): a
/// service that may not set the clock cannot ask the kernel itself (systemd.exec(5), `ProtectClock=`). The second is
/// chrony's own (chronyc(1), `tracking`, whose last field is the leap status).
const WHO_KNOWS: [(&str, &[&str], &[&str]); 2] = [
    (
        "timedatectl",
        &["show", "--property=NTPSynchronized", "--value"],
        &["yes"],
    ),
    (
        "chronyc",
        &["-n", "-c", "tracking"],
        &[",Normal", ",Insert second", ",Delete second"],
    ),
];
/// Time for such a program.
const SAYS_WITHIN: Duration = Duration::from_secs(2);

/// Whether the machine's own time service has set the clock since the machine started: the one of systemd leaves a mark
/// that everybody may see (systemd-timesyncd.service(8)), and others are asked. Not for a thread that answers requests.
pub(super) fn is_kept_right() -> bool {
    Path::new("/run/systemd/timesync/synchronized").exists()
        || WHO_KNOWS.iter().any(|(program, words, ends)| {
            let answer = output_within(Command::new(program).args(*words), SAYS_WITHIN);
            answer.is_ok_and(|answer| {
                let said = String::from_utf8_lossy(&answer.stdout);
                answer.status.success() && ends.iter().any(|end| said.trim_end().ends_with(end))
            })
        })
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
