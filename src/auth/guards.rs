//! Guards as extractors: a route that names one in its arguments cannot forget it.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload, web::Data};

use super::{
    sessions::{self, LastSeen, Session},
    users::Role,
};
use crate::{
    base::{Error, Result},
    db::Database,
};

type Later<T> = Pin<Box<dyn Future<Output = Result<T, Error>>>>;

/// Who makes this request, if they are signed in. Never fails for those who are not.
pub struct Visitor(pub Option<Session>);

/// Somebody who is signed in: an editor or the owner. Others get 401 and the sign-in form.
pub struct SignedIn(pub Session);

/// The owner. Others who are signed in get 403.
pub struct Owner(pub Session);

impl FromRequest for Visitor {
    type Error = Error;
    type Future = Later<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(Self(session_of(&request).await?)) })
    }
}

impl FromRequest for SignedIn {
    type Error = Error;
    type Future = Later<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            session_of(&request)
                .await?
                .map(Self)
                .ok_or(Error::SignedOut { kept_form: None })
        })
    }
}

impl FromRequest for Owner {
    type Error = Error;
    type Future = Later<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let session = session_of(&request)
                .await?
                .ok_or(Error::SignedOut { kept_form: None })?;
            if session.user.role == Role::Owner {
                Ok(Self(session))
            } else {
                Err(Error::Forbidden(
                    "Only the owner of this site can do that.".into(),
                ))
            }
        })
    }
}

/// Who makes this request: looked up once, however many guards ask.
#[derive(Clone)]
struct Known(Option<Session>);

async fn session_of(request: &HttpRequest) -> Result<Option<Session>> {
    let known = request.extensions().get::<Known>().cloned();
    if let Some(Known(session)) = known {
        return Ok(session);
    }
    let session = find_session_of(request).await?;
    request.extensions_mut().insert(Known(session.clone()));
    Ok(session)
}

async fn find_session_of(request: &HttpRequest) -> Result<Option<Session>> {
    let database = request.app_data::<Data<Database>>().ok_or_else(|| {
        Error::Internal("the server was put together without its database".into())
    })?;
    let session = sessions::find_session_of(database, request.headers()).await?;
    if let (Some(session), Some(last_seen)) = (&session, request.app_data::<Data<LastSeen>>()) {
        last_seen.note(session.id);
    }
    Ok(session)
}
