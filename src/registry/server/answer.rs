//! Answers, and the JSON form of errors (distribution-spec, §Error Codes).

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::body::Body;

/// What a handler gives.
pub(super) type Answer = Response<Body>;

/// JSON.
pub(super) const JSON: &str = "application/json";
/// Which bytes an answer holds (distribution-spec, §Pulling manifests).
pub(super) const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Old clients look for it at `/v2/`.
pub(super) const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// The filters that a list of referrers went through.
pub(super) const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

/// An answer with a body.
pub(super) fn with(status: StatusCode, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

/// An answer of JSON.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    let mut answer = with(status, Body::held(value.to_string()));
    set(&mut answer, CONTENT_TYPE, JSON);
    answer
}

/// Sets a header. Everything that is put there is of a grammar without control characters; what is not is left out.
pub(super) fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// An error in the specification's form.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    json(status, &json!({"errors": [{"code": code, "message": message}]}))
}

/// There is nothing of that name.
pub(super) fn unknown(code: &str, message: &str) -> Answer {
    error(StatusCode::NOT_FOUND, code, message)
}

/// Nothing is ever written here.
pub(super) fn read_only() -> Answer {
    let mut answer = error(
        StatusCode::METHOD_NOT_ALLOWED,
        "UNSUPPORTED",
        "this registry serves a bundle from its medium and is read-only",
    );
    set(&mut answer, ALLOW, "GET, HEAD");
    answer
}

/// Too many are being served.
pub(super) fn busy() -> Answer {
    let message = "as many blobs as this registry serves at a time are under way; ask again";
    let mut answer = error(StatusCode::SERVICE_UNAVAILABLE, "TOOMANYREQUESTS", message);
    set(&mut answer, RETRY_AFTER, "10");
    answer
}

/// Say who you are.
pub(super) fn unauthorized() -> Answer {
    let mut answer =
        error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "this registry asks for a user and a password");
    set(&mut answer, WWW_AUTHENTICATE, "Basic realm=\"bundle\", charset=\"UTF-8\"");
    answer
}

/// The medium is damaged where this lies.
pub(super) fn damaged() -> Answer {
    error(
        StatusCode::INTERNAL_SERVER_ERROR,
        "UNKNOWN",
        "the bundle cannot be read there; the log of the server says what is damaged",
    )
}
