//! One request, as a feature sees it: the site, who asks, and the frame of the answer.

use std::sync::{Arc, PoisonError, RwLock};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, http::header, web::Data};
use askama::Template;
use rusqlite::Connection;

use super::{
    backups::live::LiveBackups,
    layout::{FieldError, Notice, NoticeKind, Reader, Shell, Site},
    settings,
};
use crate::{
    auth::{
        csrf::host_of,
        guards::Visitor,
        password::Passwords,
        sessions::Session,
        setup::SetupLink,
        throttle::Throttle,
        users::{Role, find_user},
    },
    base::{Error, Result, SiteNames, Timestamp},
    db::{Database, MediaStore, Trouble},
};

/// Said above every page while it holds.
const CLOCK_UNSET: &str = "The clock of this machine was never set. Until it is, dates of what you save are a guess; \
    they are put right afterwards. Look whether the machine reaches the internet, from where it gets the time.";

/// What the features share. One for all threads.
pub struct App {
    /// The database.
    pub database: Database,
    /// The media files.
    pub media: MediaStore,
    /// Password hashing.
    pub passwords: Passwords,
    /// Slow-down of guesses.
    pub throttle: Throttle,
    /// The one-time link.
    pub setup: SetupLink,
    /// The site's names; without a domain, a page's address is taken from the request.
    pub names: Arc<SiteNames>,
    site: RwLock<Option<(u64, Arc<Site>)>>,
}

impl App {
    /// The application on an open database.
    pub fn new(
        database: Database,
        media: MediaStore,
        setup: SetupLink,
        names: Arc<SiteNames>,
    ) -> Result<Self> {
        Ok(Self {
            database,
            media,
            passwords: Passwords::new(),
            throttle: Throttle::new(),
            setup,
            names,
            site: RwLock::new(None),
        })
    }

    /// The site's settings and menu, read once for each version of the site.
    pub async fn site(&self) -> Result<Arc<Site>> {
        let version = self.database.version();
        let kept = self
            .site
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((of_version, site)) = kept
            && of_version == version
        {
            return Ok(site);
        }
        let site = Arc::new(self.database.read(settings::queries::load_site).await?);
        *self.site.write().unwrap_or_else(PoisonError::into_inner) =
            Some((version, Arc::clone(&site)));
        Ok(site)
    }
}

/// A request with its site, its visitor and where it is. Every page's handler takes one.
pub struct Visit {
    /// What the features share.
    pub app: Data<App>,
    /// The site.
    pub site: Arc<Site>,
    /// Who asks, if signed in.
    pub session: Option<Session>,
    /// `https://example.org`, without a slash at the end.
    pub base_url: String,
    /// The path of the request.
    pub path: String,
    /// What the owner is to know, wherever they are.
    pub warning: Option<String>,
}

impl FromRequest for Visit {
    type Error = Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let visitor = Visitor::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let app = request.app_data::<Data<App>>().cloned().ok_or_else(|| {
                Error::Internal("the server was put together without its app".into())
            })?;
            let site = app.site().await?;
            let base_url = base_url(&request, app.names.now().domain.as_deref());
            let path = request.path().to_owned();
            let backups = request.app_data::<Data<dyn LiveBackups>>();
            let warning = backups.and_then(|backups| backups.warning());
            Ok(Self {
                session: visitor.await?.0,
                app,
                site,
                base_url,
                path,
                warning,
            })
        })
    }
}

impl Visit {
    /// The frame of a page that everybody may see.
    pub fn shell(&self, title: &str, description: &str) -> Shell {
        Shell {
            site: Arc::clone(&self.site),
            base_url: self.base_url.clone(),
            path: self.path.clone(),
            query: String::new(),
            title: title.to_owned(),
            description: description.to_owned(),
            og_type: "website",
            og_image: None,
            published: None,
            reader: self.session.as_ref().map(|session| Reader {
                display_name: session.user.display_name.clone(),
                is_owner: session.user.role == Role::Owner,
            }),
            notice: None,
            alarms: self.alarms(),
            is_private: false,
        }
    }

    /// The frame of a page for those who are signed in, or of a form.
    pub fn private_shell(&self, title: &str) -> Shell {
        let shell = self.shell(title, "");
        let is_owner = shell.reader.as_ref().is_some_and(|reader| reader.is_owner);
        let warning = self.warning.clone().filter(|_| is_owner);
        Shell {
            is_private: true,
            notice: warning.map(|text| Notice {
                kind: NoticeKind::Warning,
                text,
                undo: None,
            }),
            ..shell
        }
    }

    /// What those who are signed in must know of the disk and the clock.
    fn alarms(&self) -> Vec<String> {
        if self.session.is_none() {
            return Vec::new();
        }
        let troubles = self.app.database.health().troubles();
        let troubles = troubles.iter().map(Trouble::text);
        let clock = (!Timestamp::is_clock_set()).then(|| CLOCK_UNSET.to_owned());
        clock.into_iter().chain(troubles).collect()
    }

    /// The stored hash of the person's password, if they typed it right. Asked before what a stolen session
    /// must not be enough for.
    ///
    /// # Errors
    /// [`Error::TooMany`](crate::base::Error) if it was tried too often.
    pub async fn confirm_password(
        &self,
        session: &Session,
        typed: String,
    ) -> Result<Option<String>> {
        let counted_as = session.id.to_string();
        self.app.throttle.try_to_confirm(&counted_as)?;
        let name = session.user.name.clone();
        let find = move |connection: &Connection| find_user(connection, &name);
        let stored = self.app.database.read(find).await?.map(|(_, hash)| hash);
        let is_right = self.app.passwords.verify(typed, stored.clone()).await?;
        if is_right {
            self.app.throttle.confirmed(&counted_as);
        }
        Ok(stored.filter(|_| is_right))
    }

    /// What keeps the person from saving: not knowing the password. It stands beside the field `password`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn password_problem(
        &self,
        session: &Session,
        typed: String,
    ) -> Result<Option<FieldError>> {
        let text = match self.confirm_password(session, typed).await {
            Ok(Some(_)) => return Ok(None),
            Ok(None) => "This is not your password.".to_owned(),
            Err(Error::TooMany { retry_after_s }) => {
                format!("Too many tries. Wait {retry_after_s} seconds, and save it again.")
            }
            Err(e) => return Err(e),
        };
        Ok(Some(("password", text)))
    }

    /// Sends a page that everybody may see; kept by the page cache unless somebody is signed in.
    pub fn public_page(&self, page: &impl Template) -> Result<HttpResponse> {
        let caching = if self.session.is_some() {
            PRIVATE
        } else {
            PUBLIC
        };
        html(page, caching)
    }

    /// Sends a page that is not kept anywhere.
    pub fn private_page(&self, page: &impl Template) -> Result<HttpResponse> {
        html(page, PRIVATE)
    }
}

/// May be kept, must be asked for each time whether it still holds (RFC 9111 section 5.2.2.4).
pub const PUBLIC: &str = "public, no-cache";
/// May be kept by nobody.
pub const PRIVATE: &str = "no-store";

fn html(page: &impl Template, caching: &'static str) -> Result<HttpResponse> {
    let html = page.render().map_err(Error::internal)?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, caching))
        .body(html))
}

/// Sends somebody on after a form was saved (303: the next request is a GET).
pub fn see_other(location: impl AsRef<str>) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, location.as_ref()))
        .insert_header((header::CACHE_CONTROL, PRIVATE))
        .finish()
}

/// `https://` and the configured domain, or the host that was asked for if it looks like one.
pub fn base_url(request: &HttpRequest, domain: Option<&str>) -> String {
    if let Some(domain) = domain {
        return format!("https://{domain}");
    }
    let host = host_of(request.head())
        .filter(|host| !host.is_empty() && host.len() < 300)
        .filter(|host| {
            host.chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
        })
        .unwrap_or("localhost");
    format!("https://{host}")
}
