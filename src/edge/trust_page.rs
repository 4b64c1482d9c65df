//! `/trust`: how to make a computer or a telephone believe this machine's own authority.
//!
//! It is for who has not done so yet, so it is there over plain HTTP too, and nothing else is. Somebody in between
//! could change it; that is why it shows the fingerprint, to be compared with what the machine itself says. It is for
//! one's own network: who comes from the internet does not see it.

use std::{fmt::Write as _, net::IpAddr, path::PathBuf};

use actix_web::{
    HttpResponse,
    dev::ServiceRequest,
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
};
use askama::Template;
use data_encoding::BASE64;
use qrcodegen::{QrCode, QrCodeEcc};

use super::{
    at_home::AtHome,
    hosts::name_of_authority,
    plain_page::{self, STYLE},
};
use crate::{
    auth::csrf::host_of,
    base::is_global,
    net::{certificates::AuthorityCertificate, redirect},
};

/// The page.
const PAGE: &str = "/trust";
/// The certificate as Windows, Linux and Android take it (RFC 5280 in DER).
const FILE: &str = "/trust/webstead.crt";
/// The certificate in a profile, as Apple's systems take it.
const PROFILE: &str = "/trust/webstead.mobileconfig";
/// Modules of white around a QR code (ISO/IEC 18004 section 9.1).
const QUIET: i32 = 4;

/// What the page is made of.
pub(super) struct TrustPage {
    /// The data folder, where the authority is.
    data: PathBuf,
    at_home: AtHome,
}

#[derive(Template)]
#[template(path = "edge/trust.html")]
struct Page {
    authority: String,
    fingerprint: Vec<String>,
    /// For a telephone; `None` if none gets here.
    code: Option<Code>,
    style: &'static str,
}

/// A QR code.
struct Code {
    address: String,
    /// Width and height.
    size: i32,
    /// The black modules, as a path of SVG.
    path: String,
}

impl Code {
    /// With the address of the page over plain HTTP, where no browser warns.
    fn of(origin: String) -> Option<Self> {
        let address = origin + PAGE;
        let code = QrCode::encode_text(&address, QrCodeEcc::Medium).ok()?;
        Some(Self {
            address,
            size: code.size() + 2 * QUIET,
            path: path_of(&code),
        })
    }
}

#[derive(Template)]
#[template(path = "edge/trust.mobileconfig", escape = "html")]
struct Profile {
    authority: String,
    certificate: String,
    /// Two UUIDs that stay the same for an authority.
    ids: [String; 2],
}

impl TrustPage {
    /// Of the authority in this data folder, on a machine that is found so.
    pub(super) fn new(data: PathBuf, at_home: AtHome) -> Self {
        Self { data, at_home }
    }

    /// The answer to a request for one of its addresses from one's own network; `None` for every other.
    pub(super) fn answer(&self, request: &ServiceRequest, from: IpAddr) -> Option<HttpResponse> {
        let is_asked = matches!(*request.method(), Method::GET | Method::HEAD);
        if !is_asked || is_global(from) {
            return None;
        }
        if ![PAGE, FILE, PROFILE].contains(&request.path()) {
            return None;
        }
        let certificate = match AuthorityCertificate::of(&self.data) {
            Ok(certificate) => certificate,
            Err(e) => {
                log::warn!("the page that explains the certificate cannot be shown: {e}");
                return None;
            }
        };
        match request.path() {
            // RFC 2585 has another type; this is the one by which systems offer to install it.
            FILE => Some(download(
                "application/x-x509-ca-cert",
                certificate.der().to_vec(),
            )),
            PROFILE => profile(&certificate),
            _ => page(&certificate, request, &self.at_home),
        }
    }
}

fn page(
    certificate: &AuthorityCertificate,
    request: &ServiceRequest,
    at_home: &AtHome,
) -> Option<HttpResponse> {
    let host = host_of(request.head()).filter(|host| redirect::is_valid_host(host))?;
    let page = Page {
        authority: certificate.name().to_owned(),
        fingerprint: certificate.fingerprint(),
        code: at_home.origin(&name_of_authority(host)?).and_then(Code::of),
        style: STYLE,
    };
    let mut response = plain_page::html(StatusCode::OK, page.render().ok()?);
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    Some(response)
}

fn profile(certificate: &AuthorityCertificate) -> Option<HttpResponse> {
    let digest = certificate.fingerprint().concat().to_ascii_lowercase();
    let id = |at: usize| {
        let part = |from: usize, to: usize| &digest[at + from..at + to];
        format!(
            "{}-{}-4{}-8{}-{}",
            part(0, 8),
            part(8, 12),
            part(12, 15),
            part(15, 18),
            part(18, 30)
        )
    };
    let profile = Profile {
        authority: certificate.name().to_owned(),
        certificate: BASE64.encode(certificate.der()),
        ids: [id(0), id(32)],
    };
    let kind = "application/x-apple-aspen-config";
    Some(download(kind, profile.render().ok()?.into_bytes()))
}

fn download(kind: &'static str, bytes: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(bytes)
}

/// The black modules of a code, a line for each row of them.
fn path_of(code: &QrCode) -> String {
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let begin = x;
            while x < code.size() && code.get_module(x, y) {
                x += 1;
            }
            if x > begin {
                let (left, top, width) = (begin + QUIET, y + QUIET, x - begin);
                // A String takes everything.
                let _ = write!(path, "M{left},{top}h{width}v1h-{width}z");
            }
            x += 1;
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use qrcodegen::{QrCode, QrCodeEcc};

    use super::{QUIET, path_of};

    #[test]
    fn the_picture_has_the_black_modules_and_no_others() {
        let code = QrCode::encode_text("http://pi.local/trust", QrCodeEcc::Medium).unwrap();
        let mut black = 0;
        for row in path_of(&code).split('z').filter(|row| !row.is_empty()) {
            let (at, width) = row[1..].split_once('h').unwrap();
            let width: i32 = width.split_once('v').unwrap().0.parse().unwrap();
            let (x, y) = at.split_once(',').unwrap();
            let (x, y): (i32, i32) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((x..x + width).all(|x| code.get_module(x - QUIET, y - QUIET)));
            black += width;
        }
        let size = 0..code.size();
        let all = size.clone().flat_map(|y| size.clone().map(move |x| (x, y)));
        let expected = all.filter(|&(x, y)| code.get_module(x, y)).count();
        assert_eq!(usize::try_from(black).unwrap(), expected);
    }
}
