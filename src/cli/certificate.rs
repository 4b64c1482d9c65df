//! `webstead certificate`: certificates of a public authority, by hand. Works while the site is running.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Subcommand, ValueEnum};

use super::{
    Global,
    certificate_list::{line, list},
    confirm::confirm,
};
use crate::{
    base::{Error, Result},
    config::Config,
    db::DataFolder,
    net::acme::{self, CertificateName, Overview, Reason, Report, Settings, Wanted},
    server::Counting,
};

/// Seconds until a running server must have begun; it looks every five.
const BEGIN_WITHIN: Duration = Duration::from_secs(30);
/// Until it must be done: two tries, each with the patience that an authority needs.
const DONE_WITHIN: Duration = Duration::from_mins(10);

/// What to do with certificates.
#[derive(Subcommand)]
pub(super) enum CertificateCommand {
    /// List the certificates, until when they hold, and what is wrong
    List,
    /// Have the running site get a new certificate now
    Renew {
        /// The name that it is for [default: all of the list]
        name: Option<String>,
    },
    /// Have the authority declare a certificate void, such as when somebody may have its key, and get another one
    Revoke {
        /// The name that it is for
        name: String,
        /// Why
        #[arg(long, value_enum, default_value_t = ReasonArg::Unspecified)]
        reason: ReasonArg,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Show which records in the DNS prove the names for good (dns-persist-01), and whether they are there
    DnsRecords {
        /// The name that it is for: one of the site, or the first that it is to have [default: all of the site]
        name: Option<String>,
    },
    /// Remove the certificate of a name that the site does not need any more
    Forget {
        /// The name that it is for
        name: String,
    },
    /// Give the account at the authority a new key
    NewAccountKey,
}

/// `--reason`
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum ReasonArg {
    /// No reason is given
    Unspecified,
    /// Somebody else may have the key
    KeyCompromise,
    /// There is another certificate in its place
    Superseded,
    /// The name is not used any more
    Cessation,
}

impl From<ReasonArg> for Reason {
    fn from(reason: ReasonArg) -> Self {
        match reason {
            ReasonArg::Unspecified => Self::Unspecified,
            ReasonArg::KeyCompromise => Self::KeyCompromise,
            ReasonArg::Superseded => Self::Superseded,
            ReasonArg::Cessation => Self::Cessation,
        }
    }
}

/// Does it; exits with 1 if a certificate is missing or was not renewed.
pub(super) fn run(command: &CertificateCommand, global: &Global) -> Result<ExitCode> {
    let folder = DataFolder::open_existing(&global.data_path())?;
    let data = folder.root();
    let wanted = || {
        let file = Config::load(global.config.as_deref(), data)?;
        Counting::of(&file, &folder).map(|counting| counting.wanted())
    };
    let settings = || Ok::<Settings, Error>(wanted()?.settings);
    match command {
        CertificateCommand::List => {
            let wanted = wanted()?;
            Ok(list(&acme::overview(data, &wanted), &wanted))
        }
        CertificateCommand::Renew { name } => renew(&folder, &wanted()?, name.as_deref()),
        CertificateCommand::Revoke { name, reason, yes } => {
            let name = typed(name)?;
            if !acme::has_certificate(data, &name)? {
                return Err(nothing_to_revoke(&name, data));
            }
            if !yes {
                confirm(
                    &format!("Browsers will refuse the certificate for {name}, wherever it is."),
                    "revoke",
                    "a certificate that is void stays so, and nobody can be asked here; add --yes",
                )?;
            }
            let settings = settings()?;
            let revoked = acme::revoke(data, &settings, &name, (*reason).into());
            wait_for(revoked).map_err(|e| match e {
                Error::NotFound => nothing_to_revoke(&name, data),
                e => e,
            })?;
            let next = if folder.running_server()?.is_some() {
                "The site gets another one now."
            } else {
                "The site gets another one as soon as it runs."
            };
            say!("The certificate for {name} is void. {next}");
            Ok(ExitCode::SUCCESS)
        }
        CertificateCommand::DnsRecords { name } => dns_records(data, wanted()?, name.as_deref()),
        CertificateCommand::Forget { name } => forget(data, &wanted()?, &typed(name)?),
        CertificateCommand::NewAccountKey => {
            wait_for(acme::change_account_key(data, &settings()?))?;
            say!("The account has a new key.");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Which records there are to be, and how it stands with them; exits with 1 if one is not right.
fn dns_records(data: &Path, mut site: Wanted, name: Option<&str>) -> Result<ExitCode> {
    let name = name.map(typed).transpose()?;
    // Whoever has no name yet may make the record for the first one before it is set.
    if site.all_names().is_empty() {
        site.names.extend(name.clone());
    }
    if let Some(foreign) = name.as_ref().filter(|name| !site.has(name)) {
        return Err(no_name_of(foreign, &site));
    }
    let mut records = wait_for(acme::name_records(data, &site))?;
    if let Some(name) = name {
        records.retain(|one| one.name == name);
    }
    if records.is_empty() {
        return Err(Error::Invalid(
            "there is no name that an authority can be asked about; set domain in webstead.toml, or the name in the \
             browser"
                .into(),
        ));
    }
    for one in &records {
        let mark = if one.is_right { "right" } else { "not right" };
        say!("{}  {mark}: {}", one.name, one.says);
        say!(
            "  name  {}\n  type  TXT\n  text  {}",
            one.record.at,
            one.record.text
        );
    }
    if records.iter().all(|one| one.is_right) {
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "Make these records once at your DNS provider, with exactly these texts. They stay, and no renewal changes them. \
         The site looks for them every few minutes (with challenge = \"dns-persist-01\"), and asks the authority when \
         they are there. Whether an authority offers this proof, it says only when it is asked for a certificate."
    );
    Ok(ExitCode::FAILURE)
}

/// Asks the running server, and waits until it is done.
fn renew(folder: &DataFolder, wanted: &Wanted, name: Option<&str>) -> Result<ExitCode> {
    let data = folder.root();
    if folder.running_server()?.is_none() {
        return Err(Error::Invalid(format!(
            "the site in {} does not run, and an authority wants to see it; start it, and it renews by itself",
            data.display()
        )));
    }
    let found = acme::overview(data, wanted);
    let asked = found.reports.iter().filter(|report| report.next.is_some());
    let known: Vec<String> = asked.map(|report| report.name.clone()).collect();
    let names = match name {
        Some(name) => {
            let name = typed(name)?;
            let mut all = found.reports.iter();
            let report = all.find(|report| report.name == name);
            match report.and_then(|report| report.covered_by.clone()) {
                Some(star) if known.contains(&star) => {
                    warn_of!("{name} is covered by {star}, and renewed with it");
                    vec![star]
                }
                _ if known.contains(&name) => vec![name],
                _ => return Err(unknown(&name, wanted, &found)),
            }
        }
        // Says that there is none, and what to read.
        None if known.is_empty() => return Ok(list(&found, wanted)),
        None => known,
    };
    let mut outcome = ExitCode::SUCCESS;
    for name in names {
        let before = find(data, &name);
        acme::ask_to_renew(data, &name)?;
        warn_of!("{name}: asked, this may take a minute …");
        // Whatever is wrong with one keeps the others from nothing.
        match await_other(data, &name, before.as_ref()) {
            Ok(report) => {
                say!("{}", line(&report));
                if report.failure.is_some() {
                    outcome = ExitCode::FAILURE;
                }
            }
            Err(e) => {
                warn_of!("{e}");
                outcome = ExitCode::FAILURE;
            }
        }
    }
    Ok(outcome)
}

fn find(data: &Path, name: &str) -> Option<Report> {
    let all = acme::kept_certificates(data);
    all.into_iter().find(|report| report.name == name)
}

/// Waits until there is another certificate, or another try.
fn await_other(data: &Path, name: &str, before: Option<&Report>) -> Result<Report> {
    let what = |report: &Report| {
        let leaf = report.chain.as_ref().map(|chain| chain.leaf().to_vec());
        (leaf, report.failure.is_some().then_some(report.next))
    };
    let began = Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(300));
        if let Some(seen) = find(data, name)
            && !acme::is_asked(data, name)
            && Some(what(&seen)) != before.map(what)
            && !acme::is_half_written(data, name)
            // What was seen may be half of before.
            && let Some(now) = find(data, name)
        {
            return Ok(now);
        }
        let is_late = began.elapsed() > DONE_WITHIN
            || (began.elapsed() > BEGIN_WITHIN && acme::is_asked(data, name));
        if is_late {
            return Err(Error::Invalid(format!(
                "the site has not renewed the certificate for {name}; its log may say why. Is the name still \
                 one of the site, and agree_to_terms set?"
            )));
        }
    }
}

/// The name as certificates have it.
fn typed(name: &str) -> Result<String> {
    let name = CertificateName::try_from(name.to_owned()).map_err(Error::Invalid)?;
    Ok(name.into())
}

/// Removes what is kept for a name that nothing is asked for.
fn forget(data: &Path, wanted: &Wanted, name: &str) -> Result<ExitCode> {
    let found = acme::overview(data, wanted);
    let mut asked = found.reports.iter().filter(|report| report.next.is_some());
    if asked.any(|report| report.name == name) {
        return Err(Error::Invalid(format!(
            "{name} is a name of the site, which needs its certificate; take it out of the settings first (domain, also, \
             names or the host), or, if somebody may have the key, revoke it: `webstead certificate revoke {name}`"
        )));
    }
    if !acme::forget(data, name)? {
        return Err(Error::Invalid(format!(
            "nothing is kept for {name}; `webstead certificate list` shows what is"
        )));
    }
    say!("The certificate of {name} and its key are removed from this machine.");
    Ok(ExitCode::SUCCESS)
}

/// Why nothing can be renewed for a name.
fn unknown(name: &str, wanted: &Wanted, found: &Overview) -> Error {
    if !wanted.has(name) {
        return no_name_of(name, wanted);
    }
    let mut own = found.reports.iter();
    let why = if own.any(|report| report.name == name && report.is_own) {
        "is in your own files: what makes those renews it"
    } else if !wanted.settings.agree_to_terms {
        "is not asked for, because nobody has agreed to the authority's terms: agree in the browser (Settings, Name), or \
         set agree_to_terms = true in [certificate] of webstead.toml"
    } else if acme::is_public(name, &wanted.settings) {
        "is covered by the certificate for all names beside it"
    } else {
        "is a name of your own network, which the authority cannot know"
    };
    Error::Invalid(format!("{name} {why}"))
}

/// That a name is not one of the site's.
fn no_name_of(name: &str, site: &Wanted) -> Error {
    let names = site.all_names();
    let has = match &names[..] {
        [] => "it has none yet".to_owned(),
        names => format!("its names are {}", names.join(", ")),
    };
    Error::Invalid(format!(
        "{name} is no name of this site ({has}); name it first: in the browser (Settings, Name), or as domain, under also, \
         or under names in [certificate] of webstead.toml"
    ))
}

fn nothing_to_revoke(name: &str, data: &Path) -> Error {
    Error::Invalid(format!(
        "there is no certificate for {name} of a public authority in {}, so there is nothing to revoke; `webstead \
         certificate list` shows those that are there",
        data.display()
    ))
}

/// The commands that ask an authority themselves.
fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    actix_web::rt::System::new().block_on(work)
}
