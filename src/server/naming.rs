//! The names of the running server, and how they change.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use tokio::{sync::Mutex, time::sleep};

use super::{
    certificates::Certificates,
    dns_token,
    hosts::Served,
    name_words::{following_of, in_words, state_of, trouble_of},
    names::{Effective, effective},
    patience::Patience,
    promises::{Known, Wish, https_only},
    typed::{all_of_site, checked, names_for_certificates, names_of_site, text_of},
};
use crate::{
    app::{
        hosts::queries::list_hosts,
        names::{
            changes::update_names_only,
            live::{
                CertificateState, FieldError, FilesTrouble, Following, HttpsOnly, Lead, LiveNames,
                OfFile, Soon, TokenBefore,
            },
            queries::{StoredNames, list_names},
        },
    },
    base::{Names, Result, Timestamp, secrets},
    config::Config,
    db::Database,
    net::{
        acme::{self, CertificateName},
        dns, leads,
        names::{DomainName, Name, not_a_host_name, typed},
        router,
    },
};

/// How often it is looked whether a new domain has answered.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Names that one site may have in the browser: each is a certificate, and authorities give about fifty a week.
const MOST_NAMES: usize = 30;
/// Names whose way is looked at.
const MOST_LOOKED_AT: usize = 12;

/// The names of the running server.
pub(super) struct Naming {
    hosts: Arc<Served>,
    database: Database,
    file: RwLock<Config>,
    of_machine: Vec<String>,
    router: Arc<router::Keeper>,
    /// What browsers are to be told of HTTPS.
    wish: RwLock<Option<Wish>>,
    /// One change at a time: the last one counts.
    turn: Mutex<()>,
}

impl Naming {
    pub(super) fn new(
        hosts: Arc<Served>,
        database: &Database,
        file: Config,
        (of_machine, router): (&[Name], Arc<router::Keeper>),
    ) -> Arc<Self> {
        let of_machine = of_machine.iter().map(|name| name.to_str().into_owned());
        Arc::new(Self {
            hosts,
            database: database.clone(),
            file: RwLock::new(file),
            of_machine: of_machine.collect(),
            router,
            wish: RwLock::default(),
            turn: Mutex::default(),
        })
    }

    /// Takes these settings of the file, with what is stored; the hosts of the file too.
    ///
    /// # Errors
    /// What kept it; everything is as before then.
    pub(super) async fn replace(&self, file: Config) -> Result<()> {
        let _turn = self.turn.lock().await;
        let hosts = self.hosts.replace(file.hosts.clone());
        self.put(&file, hosts).await?;
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }

    /// `hosts` takes the hosts over, once the names are there.
    async fn put(&self, file: &Config, hosts: impl Future<Output = Result<()>>) -> Result<()> {
        let stored = self.database.read(list_names).await?;
        let stored_hosts = self.database.read(list_hosts).await?;
        self.note_wish(&stored);
        let effective = effective(file, &stored);
        effective.log_problems(&stored_hosts);
        let Effective { config, names, .. } = effective;
        // First what can be refused. A host may have a name that was the site's until now.
        let shared = self.certificates().names();
        let before = shared.now();
        shared.replace(names);
        let certificates = self.certificates();
        let settings = certificates.swap_settings(config.certificate, config.dns);
        if let Err(e) = hosts.await {
            shared.replace((*before).clone());
            certificates.replace_settings(settings.0, settings.1);
            return Err(e);
        }
        certificates.tell();
        self.router.replace(config.router.is_open());
        self.promise();
        Ok(())
    }

    fn note_wish(&self, stored: &StoredNames) {
        let wish = stored.https_only.as_ref();
        let wish = wish.and_then(|text| serde_json::from_str(text).ok());
        *self.wish.write().unwrap_or_else(PoisonError::into_inner) = wish;
    }

    fn wish(&self) -> Option<Wish> {
        let wish = self.wish.read();
        wish.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does something with what is known of the names.
    fn with_known<T>(&self, what: impl FnOnce(&Known<'_>) -> T) -> T {
        let certificates = self.certificates();
        what(&Known {
            names: &certificates.names().now(),
            hosts: &certificates.hosts(),
            of_machine: &self.of_machine,
            reports: &certificates.reports(),
            now: Timestamp::now(),
        })
    }

    /// Lets browsers be told what can be kept now.
    fn promise(&self) {
        let Some(wish) = self.wish() else { return };
        let promises = self.with_known(|known| known.promises(Some(&wish)));
        self.hosts.edge().replace_promises(&promises);
    }

    /// Lets a new domain take its place once it has answered, for as long as this is not dropped.
    pub(super) async fn watch(&self) {
        match self.database.read(list_names).await {
            Ok(stored) => self.note_wish(&stored),
            Err(e) => log::warn!("what browsers are told of HTTPS is not known: {e}"),
        }
        let mut patience = Patience::default();
        loop {
            self.promise();
            sleep(LOOK_EVERY).await;
            let Some(next) = self.now().next else {
                patience = Patience::default();
                continue;
            };
            // An authority of the world has seen that it leads here.
            let now = Timestamp::now();
            let mut reports = self.certificates().reports().into_iter();
            let mut is_good = reports.any(|report| report.name == next && report.is_good(now));
            is_good &= patience.is_over();
            if is_good && let Err(e) = self.settle().await {
                if patience.note(&e.to_string()) {
                    log::warn!(
                        "{next} did not take its place as the domain, it is tried again: {e}"
                    );
                }
            } else if is_good {
                log::info!("{next} has answered, and is the site's domain from now on");
            }
        }
    }

    /// The new domain takes its place; the former one leads to it.
    async fn settle(&self) -> Result<()> {
        let stored = self.database.read(list_names).await?;
        let Some(names) = settled(&stored) else {
            return Ok(());
        };
        let change = update_names_only(stored.names.as_deref(), &names);
        self.database.apply(change).await?;
        self.take_over().await
    }

    fn certificates(&self) -> &Certificates {
        self.hosts.certificates()
    }

    pub(super) fn file(&self) -> Config {
        let file = self.file.read();
        file.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A name that the site may have, as requests have it.
    fn name(&self, text: &str) -> std::result::Result<String, String> {
        let name = typed(text)?;
        if self.of_machine.contains(&name)
            || name.rsplit_once('.').is_some_and(|(_, end)| end == "local")
        {
            return Err(format!(
                "{name} is a name of your own network, and works there by itself; a domain is a name that leads \
                 to you from everywhere"
            ));
        }
        if !name.contains('.') {
            return Err(format!(
                "{name} has no dot in it; write the whole name, such as example.org"
            ));
        }
        if let Some(why) = not_a_host_name(&name) {
            return Err(why);
        }
        if self.certificates().hosts().contains(&name) {
            return Err(format!(
                "{name} is one of your other hosts; remove it there first, or choose another name"
            ));
        }
        Ok(name)
    }
}

/// What is stored, with the former domain among those that lead to the domain.
fn settled(stored: &StoredNames) -> Option<String> {
    let mut table: Map<String, Value> = serde_json::from_str(stored.names.as_deref()?).ok()?;
    let former = table.shift_remove("former")?;
    let also = table.entry("also").or_insert_with(|| json!([]));
    let also = also.as_array_mut()?;
    if !also.contains(&former) {
        also.push(former);
    }
    Some(Value::Object(table).to_string())
}

impl LiveNames for Naming {
    fn now(&self) -> Names {
        (*self.certificates().names().now()).clone()
    }

    fn of_file(&self) -> OfFile {
        let file = self.file();
        let certificate = &file.certificate;
        let lines = |all: &mut dyn Iterator<Item = &str>| all.collect::<Vec<_>>().join("\n");
        let domain = file.domain.as_ref().map(|name| name.as_str().to_owned());
        let contact = certificate.contact.clone().map(String::from);
        let authority = certificate.authority.clone().map(String::from);
        let agree = certificate.agree_to_terms.then(|| "on".to_owned());
        let challenge = certificate.challenge.map(|way| way.name().to_owned());
        let key = certificate.key.map(|kind| kind.name().to_owned());
        let all = [
            ("domain", domain.unwrap_or_default()),
            ("also", lines(&mut file.also.iter().map(DomainName::as_str))),
            ("agree", agree.unwrap_or_default()),
            ("contact", contact.unwrap_or_default()),
            ("authority", authority.unwrap_or_default()),
            ("challenge", challenge.unwrap_or_default()),
            ("profile", certificate.profile.clone().unwrap_or_default()),
            ("key", key.unwrap_or_default()),
            (
                "more_names",
                lines(&mut certificate.names.iter().map(CertificateName::as_str)),
            ),
        ];
        let set = all.into_iter().filter(|(_, value)| !value.is_empty());
        set.collect()
    }

    fn check(&self, keys: &str) -> std::result::Result<String, Vec<FieldError>> {
        let typed: Value = serde_json::from_str(keys).unwrap_or_default();
        let certificate = &typed["certificate"];
        let mut errors = Vec::new();
        let (domain, also) = names_of_site(&typed, |text| self.name(text), &mut errors);
        let has_domain = !text_of(&typed, "domain").is_empty() || self.file().domain.is_some();
        if !has_domain && !also.is_empty() {
            let text = "Give the domain that the other names lead to.";
            errors.push(("domain", text.to_owned()));
        }
        let asked = acme::Settings {
            authority: self
                .file()
                .certificate
                .authority
                .or_else(|| text_of(certificate, "authority").parse().ok()),
            ..acme::Settings::default()
        };
        let more = names_for_certificates(certificate, &asked, &mut errors);
        for (field, count) in [("also", also.len()), ("more_names", more.len())] {
            if count > MOST_NAMES {
                let text = format!(
                    "These are {count} names. An authority gives about fifty certificates in a week, so there is \
                     room for {MOST_NAMES} here."
                );
                errors.push((field, text));
            }
        }
        let contact = text_of(certificate, "contact");
        let contact = checked::<acme::Contact>("contact", contact, &mut errors);
        let authority = text_of(certificate, "authority");
        let authority = checked::<acme::Authority>("authority", authority, &mut errors);
        let challenge = text_of(certificate, "challenge");
        let is_way = acme::Challenge::ALL
            .iter()
            .any(|way| way.name() == challenge);
        if !is_way && !challenge.is_empty() {
            errors.push(("challenge", "Choose one of the list.".to_owned()));
        }
        let key = text_of(certificate, "key");
        let is_kind = acme::KeyKind::ALL.iter().any(|kind| kind.name() == key);
        if !is_kind && !key.is_empty() {
            errors.push(("key", "Choose one of the list.".to_owned()));
        }
        let profile = text_of(certificate, "profile");
        if profile.len() > 64 || !profile.bytes().all(|b| b.is_ascii_graphic()) {
            let text = "This is no name of a kind of certificate; such as shortlived.";
            errors.push(("profile", text.to_owned()));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut table = Map::new();
        table.extend(domain.map(|name| ("domain".to_owned(), name.into())));
        let mut kept = Map::new();
        let agrees = certificate["agree_to_terms"].as_bool() == Some(true);
        kept.insert("agree_to_terms".into(), agrees.into());
        for (key, value) in [
            ("contact", contact.as_deref()),
            ("authority", authority.as_deref()),
            ("challenge", Some(challenge)),
            ("profile", Some(profile)),
            ("key", Some(key)),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                kept.insert(key.into(), value.into());
            }
        }
        if !more.is_empty() {
            kept.insert("names".into(), more.into());
        }
        table.insert("also".into(), also.into());
        table.insert("certificate".into(), kept.into());
        Ok(Value::Object(table).to_string())
    }

    fn unproved(&self, keys: &str) -> Vec<String> {
        let typed: Value = serde_json::from_str(keys).unwrap_or_default();
        let names = all_of_site(&typed);
        let typed = serde_json::from_value(typed["certificate"].clone());
        let file = self.file().certificate;
        let mut settings: acme::Settings = typed.unwrap_or_default();
        settings.challenge = file.challenge.or(settings.challenge);
        settings.names.extend(file.names);
        let dns = self.certificates().dns();
        let doubtful = settings.doubtful(&names, &dns);
        let unproved = settings.unproved(&names, &dns).into_iter();
        unproved.chain(doubtful).collect()
    }

    fn look(&self, names: Vec<String>) -> Soon<'_, Vec<Lead>> {
        let challenges = self.certificates().challenges();
        Box::pin(async move {
            let looked = names.into_iter().take(MOST_LOOKED_AT).map(|name| {
                let challenges = Arc::clone(&challenges);
                async move {
                    let (is_fine, text) = in_words(&leads::look_at(&name, &challenges).await);
                    Lead {
                        name,
                        is_fine,
                        text,
                    }
                }
            });
            join_all(looked).await
        })
    }

    fn certificates(&self) -> Vec<CertificateState> {
        let settings = self.certificates().settings();
        let reports = Naming::certificates(self).reports().into_iter();
        reports.map(|report| state_of(report, &settings)).collect()
    }

    fn files_trouble(&self) -> Vec<FilesTrouble> {
        let files = Naming::certificates(self).files().into_iter();
        files.filter_map(trouble_of).collect()
    }

    fn renew(&self, name: &str) -> Result<()> {
        self.certificates().ask_for(name)
    }

    fn check_dns(&self, keys: &str) -> std::result::Result<(), String> {
        let read = serde_json::from_str::<dns::Settings>(keys);
        read.map(drop).map_err(|e| {
            let text = e.to_string();
            // Where in the text is nothing for who filled in a form.
            let text = text.split(" at line ").next().unwrap_or_default();
            text.to_owned()
        })
    }

    fn dns_of_file(&self) -> Option<&'static str> {
        self.file().dns.provider_name()
    }

    fn zone_problem(&self, keys: &str) -> Option<String> {
        let settings: dns::Settings = serde_json::from_str(keys).ok()?;
        let certificates = self.certificates();
        let (names, hosts) = (certificates.names().now(), certificates.hosts());
        let of_certificates = certificates.settings().names;
        let more = of_certificates.iter().map(CertificateName::as_str);
        let all = names.all().chain(hosts.iter().map(String::as_str));
        settings.zone_problem(all.chain(more))?;
        let first = names.all().next().or(hosts.first().map(String::as_str));
        let first = first.map_or_else(String::new, |name| format!(" ({name} is not)"));
        Some(format!(
            "None of the site’s names is in this zone{first}, so nothing could be changed there for them. Write the zone \
             that has them, as your DNS provider shows it."
        ))
    }

    fn is_dns_of_file(&self) -> bool {
        self.file().dns != dns::Settings::default()
    }

    fn has_dns_token(&self) -> bool {
        let token = secrets::read(self.certificates().data(), dns::SECRET_NAME);
        token.is_ok_and(|token| token.is_some())
    }

    fn set_dns_token(
        &self,
        keys: Option<&str>,
        token: &str,
    ) -> std::result::Result<TokenBefore, String> {
        let settings = match keys {
            Some(keys) => serde_json::from_str(keys).map_err(|e| e.to_string())?,
            None => self.file().dns,
        };
        dns_token::set(self.certificates().data(), &settings, token)
    }

    fn put_dns_token_back(&self, before: TokenBefore) -> Result<()> {
        dns_token::put_back(self.certificates().data(), before)
    }

    fn remove_dns_token(&self) -> Result<()> {
        secrets::remove(self.certificates().data(), dns::SECRET_NAME).map(drop)
    }

    fn following(&self) -> Option<Following> {
        let certificates = Naming::certificates(self);
        let is_on = certificates.dns().follow != dns::Follow::Nothing;
        is_on.then(|| following_of(certificates.followed()))
    }

    fn compare(&self) -> Result<()> {
        dns::follow::ask_to_update(self.certificates().data())
    }

    fn try_again(&self) {
        for report in self.certificates().reports() {
            let failed = report.failure.is_some();
            if failed && let Err(e) = self.certificates().try_again(&report.name) {
                log::warn!("{} is not tried again now: {e}", report.name);
            }
        }
    }

    fn is_router_asked(&self) -> bool {
        self.router.wanted().is_open
    }

    fn https_only(&self) -> HttpsOnly {
        let wish = self.wish();
        self.with_known(|known| https_only(wish.as_ref(), known))
    }

    fn take_over(&self) -> Soon<'_, Result<()>> {
        Box::pin(async {
            let _turn = self.turn.lock().await;
            self.put(&self.file(), self.hosts.take_over_hosts()).await
        })
    }

    fn switch(&self) -> Soon<'_, Result<()>> {
        Box::pin(self.settle())
    }
}
