//! Compression: brotli (RFC 7932) or gzip (RFC 1952), as the visitor accepts it.

use std::io::Write;

use actix_web::http::header::{self, HeaderMap};
use brotlic::{CompressionMode, Quality, WindowSize};

/// Below this many bytes compression saves no packet.
const MIN_BYTES: usize = 512;
/// Brotli's quality 5 comes within a few per cent of 9 for a tenth of the time.
const BROTLI_QUALITY: u8 = 5;
/// Brotli's window, 2^17 bytes: larger ones only cost memory for pages of this size.
const BROTLI_WINDOW_BITS: u8 = 17;
const GZIP_LEVEL: u32 = 6;

/// A form in which a body can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Brotli,
}

impl Encoding {
    /// The value of `Content-Encoding`, if there is one.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

/// The encodings that a visitor accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Accepted {
    brotli: bool,
    zstd: bool,
    gzip: bool,
}

impl Accepted {
    /// What `Accept-Encoding` allows (RFC 9110 section 12.5.3).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let value = headers
            .get(header::ACCEPT_ENCODING)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("");
        let (mut brotli, mut zstd, mut gzip, mut any) = (None, None, None, None);
        for item in value.split(',') {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let is_wanted = Some(!is_zero_weight(parameters));
            match name.trim() {
                n if n.eq_ignore_ascii_case("br") => brotli = is_wanted,
                n if n.eq_ignore_ascii_case("zstd") => zstd = is_wanted,
                n if n.eq_ignore_ascii_case("gzip") || n.eq_ignore_ascii_case("x-gzip") => {
                    gzip = is_wanted;
                }
                "*" => any = is_wanted,
                _ => {}
            }
        }
        let is_accepted = |named: Option<bool>| named.or(any).unwrap_or(false);
        Self {
            brotli: is_accepted(brotli),
            zstd: is_accepted(zstd),
            gzip: is_accepted(gzip),
        }
    }

    /// The best of those that we make ourselves.
    pub(super) fn best(self) -> Encoding {
        match self {
            Self { brotli: true, .. } => Encoding::Brotli,
            Self { gzip: true, .. } => Encoding::Gzip,
            _ => Encoding::Identity,
        }
    }

    /// Names of encodings with the endings of files that are in them, smallest first.
    pub(super) fn endings(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        [
            (self.brotli, ("br", ".br")),
            (self.zstd, ("zstd", ".zst")),
            (self.gzip, ("gzip", ".gz")),
        ]
        .into_iter()
        .filter_map(|(is_accepted, named)| is_accepted.then_some(named))
    }
}

/// `q=0`, `q=0.0` …: not acceptable.
fn is_zero_weight(parameters: &str) -> bool {
    parameters
        .split(';')
        .filter_map(|p| {
            p.trim()
                .strip_prefix("q=")
                .or_else(|| p.trim().strip_prefix("Q="))
        })
        .any(|q| q.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0))
}

/// Whether a body of this type and length is worth compressing.
pub(super) fn is_worth_it(content_type: &str, bytes: usize) -> bool {
    bytes >= MIN_BYTES && is_compressible(content_type)
}

/// Whether bodies of this type become smaller by compression.
pub(super) fn is_compressible(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or("").trim();
    kind.starts_with("text/")
        || kind.ends_with("+xml")
        || kind.ends_with("+json")
        || matches!(
            kind,
            "application/json" | "application/javascript" | "application/xml" | "application/wasm"
        )
}

/// Compresses a body; `None` if that does not make it smaller.
pub(super) fn compress(body: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len() / 3);
    match encoding {
        Encoding::Identity => return None,
        Encoding::Gzip => {
            let mut gzip =
                flate2::write::GzEncoder::new(&mut out, flate2::Compression::new(GZIP_LEVEL));
            gzip.write_all(body)
                .and_then(|()| gzip.finish().map(drop))
                .ok()?;
        }
        Encoding::Brotli => {
            // What does not fit is not worth it.
            out.resize(body.len(), 0);
            let quality = Quality::new(BROTLI_QUALITY).ok()?;
            let window = WindowSize::new(BROTLI_WINDOW_BITS).ok()?;
            let written = brotlic::compress(body, &mut out, quality, window, CompressionMode::Text);
            out.truncate(written.ok()?);
        }
    }
    out.shrink_to_fit();
    (out.len() < body.len()).then_some(out)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn the_best_acceptable_encoding_is_chosen() {
        let table = [
            ("", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("gzip, deflate, br, zstd", Encoding::Brotli),
            ("br;q=0, gzip", Encoding::Gzip),
            ("br;q=0.0,gzip;q=0", Encoding::Identity),
            ("*", Encoding::Brotli),
            ("*;q=0", Encoding::Identity),
            ("BR", Encoding::Brotli),
            ("identity, deflate", Encoding::Identity),
        ];
        for (value, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(Accepted::of(&headers).best(), expected, "{value}");
        }
    }

    #[test]
    fn what_is_compressed_comes_back_whole() {
        let body = "all work and no play ".repeat(500).into_bytes();
        let mut back = Vec::new();
        let gzip = compress(&body, Encoding::Gzip).unwrap();
        flate2::read::GzDecoder::new(&gzip[..])
            .read_to_end(&mut back)
            .unwrap();
        assert_eq!(back, body);
        back.clear();
        let br = compress(&body, Encoding::Brotli).unwrap();
        brotli::Decompressor::new(&br[..], 4096)
            .read_to_end(&mut back)
            .unwrap();
        assert_eq!(back, body);
    }
}
