//! Providers of DNS that are asked over HTTPS, each with its own interface.

mod api;
mod cloudflare;
mod desec;
mod duckdns;
mod dyndns2;
mod gandi;
mod hetzner;
mod ovh;
mod records;

use std::{net::SocketAddr, path::Path};

use self::{
    api::Api,
    cloudflare::Cloudflare,
    desec::Desec,
    duckdns::DuckDns,
    dyndns2::DynDns2,
    gandi::Gandi,
    hetzner::Hetzner,
    ovh::{Keys, Ovh},
    records::OfRecords,
};
use super::{
    Zone,
    settings::{Web, WebKind},
};
use crate::base::Result;

/// The zone of these settings; `secret` has as many parts as the provider wants.
pub(super) fn zone_of(
    web: &Web,
    roots: Option<&Path>,
    secret: &[String],
    check_at: &[SocketAddr],
) -> Result<Box<dyn Zone>> {
    let parts: Vec<&str> = secret.iter().map(String::as_str).collect();
    let api = |provider, usual| Api::new(provider, web, usual, roots, &parts);
    let token = secret.first().cloned().unwrap_or_default();
    let check_at = check_at.to_vec();
    Ok(match web.kind {
        WebKind::Cloudflare => {
            let api = api("Cloudflare", cloudflare::API)?.with_token("Bearer", &token);
            let records = Cloudflare { api };
            Box::new(OfRecords { records, check_at })
        }
        WebKind::Desec => {
            let api = api("deSEC", desec::API)?.with_token("Token", &token);
            let records = Desec { api };
            Box::new(OfRecords { records, check_at })
        }
        WebKind::Gandi => {
            let api = api("Gandi", gandi::API)?.with_token("Bearer", &token);
            let records = Gandi { api };
            Box::new(OfRecords { records, check_at })
        }
        WebKind::Hetzner => {
            let api = api("Hetzner", hetzner::API)?.with_token("Bearer", &token);
            let records = Hetzner { api };
            Box::new(OfRecords { records, check_at })
        }
        WebKind::Ovh => {
            let api = api("OVH", ovh::API)?;
            let part = |at: usize| secret.get(at).cloned().unwrap_or_default();
            let keys = Keys {
                application: part(0),
                secret: part(1),
                consumer: part(2),
            };
            let records = Ovh { api, keys };
            Box::new(OfRecords { records, check_at })
        }
        WebKind::DuckDns => Box::new(DuckDns {
            api: api("DuckDNS", duckdns::API)?,
            token,
            check_at,
        }),
        WebKind::DynDns2 => Box::new(DynDns2 {
            api: api("the provider", "")?,
            user: web.user.clone(),
            password: token,
            check_at,
        }),
    })
}
