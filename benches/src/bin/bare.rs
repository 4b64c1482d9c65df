//! The peer of the page cache: actix-web and nothing else, answering bytes that it holds in memory.
//!
//! `bare DATA PORT PLAIN BROTLI HEADERS`: the same actix-web, the same TLS settings and the certificate of
//! the site in DATA, the same number of workers. `/plain` and `/br` answer the two files with Content-Type
//! only; `/same` and `/same-br` with the headers in the file HEADERS, one in a line.

use std::{path::Path, sync::Arc};

use actix_web::{
    App, HttpResponse, HttpServer,
    http::header::{HeaderName, HeaderValue},
    web::{self, Bytes},
};
use webstead::net::{
    address::Address,
    certificates::{self, Kind, Shown},
    listen, names, tls,
};

type Failure = Box<dyn std::error::Error>;
type Headers = Vec<(String, String)>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [data, port, plain, brotli, headers] = &args[..] else {
        return Err("usage: bare DATA PORT PLAIN BROTLI HEADERS".into());
    };
    let names = names::local_names(&names::LocalName::new(None));
    let certificate = certificates::local_certificate(Path::new(data), &names)?;
    let shown = Shown::new(certificate, Arc::default());
    let tls = tls::server_config(shown.over(Kind::ALL[0]))?;
    let plain = Bytes::from(std::fs::read(plain)?);
    let brotli = Bytes::from(std::fs::read(brotli)?);
    let html: Headers = vec![("content-type".into(), "text/html; charset=utf-8".into())];
    let same: Headers = std::fs::read_to_string(headers)?
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut same_brotli = same.clone();
    same_brotli.push(("content-encoding".into(), "br".into()));
    // The same socket options too.
    let listeners = listen::bind(&listen::Settings {
        https: Some(format!("127.0.0.1:{port}").parse::<Address>()?),
        http: Some("127.0.0.1:0".parse::<Address>()?),
    })?;
    actix_web::rt::System::new().block_on(async move {
        HttpServer::new(move || {
            App::new()
                .route("/plain", answer(&plain, &html))
                .route("/br", answer(&brotli, &html))
                .route("/same", answer(&plain, &same))
                .route("/same-br", answer(&brotli, &same_brotli))
        })
        .listen_rustls_0_23(listeners.https, tls)?
        .run()
        .await
    })?;
    Ok(())
}

fn answer(bytes: &Bytes, headers: &Headers) -> actix_web::Route {
    let bytes = bytes.clone();
    let headers: Vec<(HeaderName, HeaderValue)> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)))
        .collect();
    web::get().to(move || {
        let mut answer = HttpResponse::Ok().body(bytes.clone());
        for (name, value) in &headers {
            answer.headers_mut().append(name.clone(), value.clone());
        }
        async move { answer }
    })
}
