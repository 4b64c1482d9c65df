//! The answer with a file: conditions, parts, headers.

use std::{ops::Range, time::SystemTime};

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    dev::ServiceRequest,
    http::{
        StatusCode,
        header::{self, ETag, EntityTag, LastModified},
    },
    web::Bytes,
};
use data_encoding::HEXLOWER;

use super::{
    body::{FileBody, Segment},
    conditions::{self, Validators, Verdict},
    find::Selected,
    folder::Folder,
    range::Asked,
};

/// Answers a GET with a file.
pub(super) fn answer(
    selected: Selected,
    folder: &Folder,
    request: &ServiceRequest,
) -> HttpResponse {
    let ours = validators(&selected);
    let described = |status, selected: &Selected, ours| described(status, selected, ours, folder);
    match conditions::verdict(request, &ours) {
        Verdict::Failed => return HttpResponse::PreconditionFailed().finish(),
        Verdict::NotModified => {
            return described(StatusCode::NOT_MODIFIED, &selected, ours).finish();
        }
        Verdict::Send => {}
    }
    let length = selected.length;
    match asked(request, &ours, length) {
        Asked::Whole => described(StatusCode::OK, &selected, ours)
            .insert_header((header::CONTENT_TYPE, selected.content_type))
            .body(FileBody::new(
                selected.content,
                [Segment::OfFile(0..length)],
            )),
        // RFC 9110 section 15.5.17
        Asked::Unsatisfiable => HttpResponse::RangeNotSatisfiable()
            .insert_header((header::CONTENT_RANGE, format!("bytes */{length}")))
            .finish(),
        Asked::Parts(parts) => {
            let mut response = described(StatusCode::PARTIAL_CONTENT, &selected, ours);
            if let [part] = &*parts {
                response
                    .insert_header((header::CONTENT_RANGE, content_range(part, length)))
                    .insert_header((header::CONTENT_TYPE, selected.content_type))
                    .body(FileBody::new(
                        selected.content,
                        [Segment::OfFile(part.clone())],
                    ))
            } else {
                let boundary = boundary();
                let kind = format!("multipart/byteranges; boundary={boundary}");
                let segments = multipart(&parts, &selected.content_type, length, &boundary);
                response
                    .insert_header((header::CONTENT_TYPE, kind))
                    .body(FileBody::new(selected.content, segments))
            }
        }
    }
}

/// Answers an address that leads nowhere with the page that its owner made for that.
pub(super) fn not_found(selected: Selected, folder: &Folder) -> HttpResponse {
    let mut response = HttpResponse::NotFound();
    response
        .insert_header((header::CONTENT_TYPE, selected.content_type))
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    if let Some(policy) = folder.policy() {
        response.insert_header((header::CONTENT_SECURITY_POLICY, policy));
    }
    if let Some(encoding) = selected.encoding {
        response.insert_header((header::CONTENT_ENCODING, encoding));
    }
    let whole = [Segment::OfFile(0..selected.length)];
    response.body(FileBody::new(selected.content, whole))
}

/// The headers that a 304 has too.
fn described(
    status: StatusCode,
    selected: &Selected,
    ours: Validators,
    folder: &Folder,
) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header(ETag(ours.etag))
        .insert_header(LastModified(ours.modified))
        .insert_header((header::CACHE_CONTROL, folder.caching(&selected.address)));
    if let Some(policy) = folder.policy() {
        response.insert_header((header::CONTENT_SECURITY_POLICY, policy));
    }
    if selected.varies {
        response.insert_header((header::VARY, "Accept-Encoding"));
    }
    if status != StatusCode::NOT_MODIFIED {
        response.insert_header((header::ACCEPT_RANGES, "bytes"));
        if let Some(encoding) = selected.encoding {
            response.insert_header((header::CONTENT_ENCODING, encoding));
        }
    }
    response
}

/// A file is another version if its time or its length is another one.
fn validators(selected: &Selected) -> Validators {
    let time = selected.modified.duration_since(SystemTime::UNIX_EPOCH);
    let time = time.map_or(0, |since| since.as_nanos());
    let encoding = selected.encoding.unwrap_or_default();
    Validators {
        etag: EntityTag::new_strong(format!("{time:x}-{:x}{encoding}", selected.length)),
        // No earlier than the form of dates allows, no later than now (RFC 9110 section 8.8.2.1).
        modified: selected
            .modified
            .min(SystemTime::now())
            .max(SystemTime::UNIX_EPOCH)
            .into(),
    }
}

fn asked(request: &ServiceRequest, ours: &Validators, length: u64) -> Asked {
    let mut headers = request.headers().get_all(header::RANGE);
    match (headers.next().map(|value| value.to_str()), headers.next()) {
        (Some(Ok(range)), None) if conditions::range_counts(request, ours) => {
            Asked::parse(range, length)
        }
        _ => Asked::Whole,
    }
}

/// `bytes 0-499/10000` (RFC 9110 section 14.4).
fn content_range(part: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", part.start, part.end - 1)
}

/// The parts with their headers between them (RFC 9110 section 14.6).
fn multipart(parts: &[Range<u64>], kind: &str, length: u64, boundary: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    for part in parts {
        let heading = format!(
            "\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {}\r\n\r\n",
            content_range(part, length)
        );
        segments.push(Segment::Text(heading.into()));
        segments.push(Segment::OfFile(part.clone()));
    }
    segments.push(Segment::Text(Bytes::from(format!(
        "\r\n--{boundary}--\r\n"
    ))));
    segments
}

/// What stands in no file: nobody can foresee it.
fn boundary() -> String {
    let mut random = [0; 16];
    let _ = getrandom::fill(&mut random);
    HEXLOWER.encode(&random)
}
