//! Which certificate a visitor is shown for a name, and why it is not a better one.

use std::path::Path;

use rustls::{RootCertStore, pki_types::CertificateDer};

use super::{
    Patient,
    facts::{OfName, Shown},
};
use crate::{
    base::Timestamp,
    net::{
        acme::{self, Report},
        certificates::{LocalAuthority, Said, covers, is_signed_by},
        web_client,
    },
};

/// What certificates are judged by.
pub(super) struct Known {
    local: Option<RootCertStore>,
    /// Whom this machine trusts.
    public: RootCertStore,
    reports: Vec<Report>,
}

impl Known {
    /// Reads files: not for a thread that answers requests.
    pub(super) fn read(data: &Path, wanted: &acme::Wanted) -> Self {
        // What failed for a name that another certificate covers since, nobody tries again.
        let found = acme::overview(data, wanted);
        Self {
            local: LocalAuthority::roots_of(data).ok(),
            public: web_client::machine_roots(),
            reports: found.reports.into_iter().chain(found.others).collect(),
        }
    }

    /// The certificate for a name; `shown` is what the running server shows.
    pub(super) fn of_name(
        &self,
        patient: &Patient,
        name: &str,
        shown: Option<&[CertificateDer<'_>]>,
        now: Timestamp,
    ) -> OfName {
        let mut reports = self.reports.iter();
        let report = reports.find(|report| report.name == name);
        let files: Vec<_> = patient
            .certificate
            .files
            .iter()
            .map(|files| files.read(&patient.data))
            .collect();
        let of_files = || {
            let mut sound = files.iter().filter_map(|files| files.as_ref().ok());
            let chain = sound.find(|chain| chain.covers(name))?;
            Some(chain.key().cert.clone())
        };
        let of_authority = || {
            let mut chains = self.reports.iter().filter_map(|r| r.chain.as_ref());
            let chain = chains.find(|chain| chain.covers(name))?;
            Some(chain.key().cert.clone())
        };
        let own = of_files();
        let kept;
        let chain = if let Some(shown) = shown {
            shown
        } else {
            kept = own.clone().or_else(of_authority).unwrap_or_default();
            &kept
        };
        OfName {
            name: name.to_owned(),
            shown: self.read_chain(chain, name, now),
            failure: report.and_then(|report| report.failure.clone()),
            next: report.and_then(|report| report.next),
            files: files
                .iter()
                .find_map(|files| files.as_ref().err().map(ToString::to_string)),
            is_own: own.as_ref().is_some_and(|own| own.first() == chain.first()),
            is_askable: acme::is_public(name, &patient.certificate),
            files_are_for: match own {
                Some(_) => Vec::new(),
                None => files
                    .iter()
                    .filter_map(|files| files.as_ref().ok())
                    .flat_map(|chain| chain.names().iter().cloned())
                    .collect(),
            },
        }
    }

    fn read_chain(
        &self,
        chain: &[CertificateDer<'_>],
        name: &str,
        now: Timestamp,
    ) -> Option<Shown> {
        let said = Said::by(chain.first()?).ok()?;
        // Dates are judged apart from who signed.
        let at = Timestamp(
            now.0
                .clamp(said.not_before.0, said.not_after.0.max(said.not_before.0)),
        );
        let local = self.local.as_ref();
        Some(Shown {
            is_for_name: covers(&said.names, name),
            is_local: local.is_some_and(|roots| is_signed_by(chain, roots, at)),
            is_known: (!self.public.is_empty()).then(|| is_signed_by(chain, &self.public, at)),
            names: said.names,
            issuer: said.issuer,
            from: said.not_before,
            until: said.not_after,
        })
    }
}
