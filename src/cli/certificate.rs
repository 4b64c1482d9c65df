//! `webstead certificate`: certificates of a public authority, by hand. Works while the site is running.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Subcommand, ValueEnum};

use super::{Global, confirm::confirm};
use crate::{
    base::{Error, Result, Timestamp},
    config::Config,
    db::DataFolder,
    net::acme::{self, CertificateName, FailureKind, Reason, Report, Settings, Wanted},
    server::with_stored,
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
        /// The name that it is for [default: all of the site]
        name: Option<String>,
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
    let config = || {
        let file = Config::load(global.config.as_deref(), data)?;
        with_stored(&file, &folder)
    };
    let settings = || Ok::<Settings, Error>(config()?.certificate);
    match command {
        CertificateCommand::List => Ok(list(data)),
        CertificateCommand::Renew { name } => renew(&folder, name.as_deref()),
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
        CertificateCommand::DnsRecords { name } => dns_records(data, config()?, name.as_deref()),
        CertificateCommand::NewAccountKey => {
            wait_for(acme::change_account_key(data, &settings()?))?;
            say!("The account has a new key.");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Which records there are to be, and how it stands with them; exits with 1 if one is not right.
fn dns_records(data: &Path, config: Config, name: Option<&str>) -> Result<ExitCode> {
    let name = name.map(typed).transpose()?;
    let mut site = Wanted {
        names: config.names().all().map(str::to_owned).collect(),
        settings: config.certificate,
        dns: config.dns,
    };
    if let Some(name) = &name {
        site.names.push(name.clone());
    } else {
        let kept = acme::kept_certificates(data).into_iter();
        site.names.extend(kept.map(|report| report.name));
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

fn list(data: &Path) -> ExitCode {
    let all = acme::kept_certificates(data);
    if all.is_empty() {
        say!(
            "There is no certificate of a public authority. The manual says how to get one: /help/a-name-and-a-certificate"
        );
        return ExitCode::SUCCESS;
    }
    for report in &all {
        say!("{}", line(report));
    }
    if all.iter().all(is_well) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn is_well(report: &Report) -> bool {
    let now = Timestamp::now();
    let chain = report.chain.as_ref();
    chain.is_some_and(|chain| now < chain.not_after())
}

/// A certificate in a line, and what is wrong in another one.
fn line(report: &Report) -> String {
    let day = |at: Timestamp| at.rfc3339().replace('T', " ").replace('Z', " UTC");
    let name = &report.name;
    let text = match &report.chain {
        Some(chain) => format!(
            "{name}  of {} until {}",
            chain.issuer(),
            day(chain.not_after())
        ),
        None => format!("{name}  none yet"),
    };
    let text = match report.record_until {
        Some(until) => format!(
            "{text}\n  the text in the DNS that proves it is good until {}",
            day(until)
        ),
        None => text,
    };
    match (&report.failure, report.next) {
        (Some(failure), Some(next)) => {
            let (why, next) = (failure.words(), day(next));
            if failure.kind == FailureKind::Record {
                return format!(
                    "{text}\n  waits: {why}\n  looked for every few minutes while the site runs"
                );
            }
            format!("{text}\n  failed: {why}\n  tried again {next}")
        }
        (None, Some(next)) if report.chain.is_some() => {
            format!("{text}, renewed {}", day(next))
        }
        _ => text,
    }
}

/// Asks the running server, and waits until it is done.
fn renew(folder: &DataFolder, name: Option<&str>) -> Result<ExitCode> {
    let data = folder.root();
    if folder.running_server()?.is_none() {
        return Err(Error::Invalid(format!(
            "the site in {} does not run, and an authority wants to see it; start it, and it renews by itself",
            data.display()
        )));
    }
    let known: Vec<String> = acme::kept_certificates(data)
        .into_iter()
        .map(|report| report.name)
        .collect();
    let names = match name {
        Some(name) => {
            let name = typed(name)?;
            if !known.contains(&name) {
                return Err(unknown(&name, data));
            }
            vec![name]
        }
        // Says that there is none, and what to read.
        None if known.is_empty() => return Ok(list(data)),
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
        if let Some(now) = find(data, name)
            && !acme::is_asked(data, name)
            && Some(what(&now)) != before.map(what)
            && !before.is_some_and(|before| is_half_written(&now, before))
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

/// Whether the certificate is another one already, and what is known of it is still that of before: these are two files.
fn is_half_written(now: &Report, before: &Report) -> bool {
    now.failure.is_some() && now.failure == before.failure && now.next == before.next
}

/// The name as certificates have it.
fn typed(name: &str) -> Result<String> {
    let name = CertificateName::try_from(name.to_owned()).map_err(Error::Invalid)?;
    Ok(name.into())
}

fn unknown(name: &str, data: &Path) -> Error {
    Error::Invalid(format!(
        "there is no certificate for {name} in {}; `webstead certificate list` shows those that are there",
        data.display()
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
