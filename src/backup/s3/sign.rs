//! Signs requests as S3 wants it: AWS Signature Version 4, in a header, with the hash of the body.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use data_encoding::HEXLOWER;
use hyper::{Method, Request, body::Bytes, header};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::{digest, hmac};

use crate::base::{Error, Result};

const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date";
/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Who asks.
pub(super) struct Signer {
    /// The public half of the key.
    pub(super) key_id: String,
    /// The other half.
    pub(super) secret: String,
    /// Where the bucket is, in the words of the store.
    pub(super) region: String,
}

/// What is asked for. The path has unreserved characters and slashes only, and the query is in order.
pub(super) struct Asked<'a> {
    pub(super) method: Method,
    /// `https://HOST`, without anything after it.
    pub(super) origin: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Bytes,
}

impl Signer {
    /// The request, signed for this moment.
    pub(super) fn request(&self, asked: &Asked<'_>, now: Timestamp) -> Result<Request<Bytes>> {
        let query: Vec<String> = asked
            .query
            .iter()
            .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
            .collect();
        let query = query.join("&");
        let host = asked.origin.split_once("://").map_or("", |(_, host)| host);
        let body = HEXLOWER.encode(digest::digest(&digest::SHA256, &asked.body).as_ref());
        let moment = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let canonical = format!(
            "{}\n{}\n{query}\nhost:{host}\nx-amz-content-sha256:{body}\nx-amz-date:{moment}\n\n{SIGNED}\n{body}",
            asked.method, asked.path
        );
        let (scope, signature) = self.signature(&canonical, &moment);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={SIGNED},Signature={signature}",
            self.key_id
        );
        let mark = if query.is_empty() { "" } else { "?" };
        Request::builder()
            .method(asked.method.clone())
            .uri(format!("{}{}{mark}{query}", asked.origin, asked.path))
            .header(header::HOST, host)
            .header("x-amz-content-sha256", body)
            .header("x-amz-date", moment)
            .header(header::AUTHORIZATION, authorization)
            .body(asked.body.clone())
            .map_err(Error::internal)
    }

    /// What the signature is good for, and the signature.
    fn signature(&self, canonical: &str, moment: &str) -> (String, String) {
        let day = moment.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let canonical = digest::digest(&digest::SHA256, canonical.as_bytes());
        let canonical = HEXLOWER.encode(canonical.as_ref());
        let to_sign = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{canonical}");
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [day, &self.region, "s3", "aws4_request", &to_sign] {
            let with = hmac::Key::new(hmac::HMAC_SHA256, &key);
            key = hmac::sign(&with, part.as_bytes()).as_ref().to_vec();
        }
        (scope, HEXLOWER.encode(&key))
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
    #[test]
    fn signatures_are_those_of_the_published_examples() {
        let signer = Signer {
            key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            region: "us-east-1".into(),
        };
        let now: Timestamp = "2013-05-24T00:00:00Z".parse().unwrap();
        let cases: [(&[(&str, &str)], &str); 2] = [
            (
                &[("lifecycle", "")],
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                &[("max-keys", "2"), ("prefix", "J")],
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ];
        for (query, signature) in cases {
            let asked = Asked {
                method: Method::GET,
                origin: "https://examplebucket.s3.amazonaws.com",
                path: "/",
                query,
                body: Bytes::new(),
            };
            let request = signer.request(&asked, now).unwrap();
            let header = request.headers()["authorization"].to_str().unwrap();
            assert!(header.ends_with(signature), "{header}");
        }
    }
}
