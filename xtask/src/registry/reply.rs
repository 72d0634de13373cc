//! Answers, and the error body of distribution-spec §Error Codes.

use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::Outgoing;

/// An answer on its way.
pub(crate) type Reply = Response<Outgoing>;

/// Why a request got no answer from its handler.
#[derive(Debug)]
pub(crate) enum Fail {
    /// This one instead.
    Reply(Box<Reply>),
    /// The request's body broke off, so nobody waits for one.
    Torn,
}

/// What a handler comes to.
pub(crate) type Outcome = Result<Reply, Fail>;

/// A header by its lower-case name.
pub(crate) fn name(text: &'static str) -> HeaderName {
    HeaderName::from_static(text)
}

/// Sets a header; a value that is none is left out.
pub(crate) fn set(reply: &mut Reply, header: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(header, value);
    }
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    with_body(status, Outgoing::bytes(Bytes::new()))
}

/// An answer with a body, whose length is announced.
pub(crate) fn with_body(status: StatusCode, body: Outgoing) -> Reply {
    let length = body.length();
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    reply
}

/// An answer of JSON.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Reply {
    let mut reply = with_body(status, Outgoing::bytes(Bytes::from(value.to_string())));
    set(&mut reply, CONTENT_TYPE, "application/json");
    reply
}

/// An error answer with its code and one line of explanation.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Reply {
    json(status, &serde_json::json!({"errors": [{"code": code, "message": message, "detail": null}]}))
}

/// [`error`], to leave a handler with.
pub(crate) fn refuse(status: StatusCode, code: &str, message: &str) -> Fail {
    Fail::Reply(Box::new(error(status, code, message)))
}

/// The same answer as a `HEAD` request gets: all headers, no body.
pub(crate) fn head_only(reply: Reply) -> Reply {
    reply.map(|_| Outgoing::bytes(Bytes::new()))
}
