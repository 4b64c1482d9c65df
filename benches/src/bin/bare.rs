//! The peer of the page cache: actix-web and nothing else, answering bytes that it holds in memory.
//!
//! `bare DATA PORT PLAIN BROTLI`: the same actix-web, the same TLS settings and the certificate of the
//! site in DATA, the same number of workers. `/plain` and `/br` answer the two files, with Content-Type only.

use std::path::Path;

use actix_web::{
    App, HttpResponse, HttpServer,
    http::header,
    web::{self, Bytes},
};
use webstead::net::{address::Address, certificates, listen, names, tls};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [data, port, plain, brotli] = &args[..] else {
        return Err("usage: bare DATA PORT PLAIN BROTLI".into());
    };
    let certificate = certificates::local_certificate(Path::new(data), &names::local_names())?;
    let tls = tls::server_config(tls::CertificateStore::new(certificate))?;
    let plain = Bytes::from(std::fs::read(plain)?);
    let brotli = Bytes::from(std::fs::read(brotli)?);
    // The same socket options too.
    let listeners = listen::bind(&listen::Settings {
        https: Some(format!("127.0.0.1:{port}").parse::<Address>()?),
        http: Some("127.0.0.1:0".parse::<Address>()?),
    })?;
    actix_web::rt::System::new().block_on(async move {
        HttpServer::new(move || {
            App::new()
                .route("/plain", answer(plain.clone()))
                .route("/br", answer(brotli.clone()))
        })
        .listen_rustls_0_23(listeners.https, tls)?
        .run()
        .await
    })?;
    Ok(())
}

fn answer(bytes: Bytes) -> actix_web::Route {
    web::get().to(move || {
        let bytes = bytes.clone();
        async move {
            HttpResponse::Ok()
                .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
                .body(bytes)
        }
    })
}
