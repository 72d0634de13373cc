//! A registry's answer, read whole and bounded, and what its refusals say (distribution-spec §Error Codes).

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::Error;
use crate::digest::{Digest, DigestError};

/// Characters of a registry's own words that are kept.
const WORDS: usize = 400;

/// An answer whose body is in memory.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The URL that answered, after redirects.
    pub(super) url: Url,
}

impl Answer {
    /// A header's text; `None` when absent or not text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The media type, lower case, without parameters.
    pub(super) fn media_type(&self) -> Option<String> {
        let value = self.header(CONTENT_TYPE.as_str())?;
        let bare = value.split(';').next().unwrap_or(value).trim().to_lowercase();
        (!bare.is_empty()).then_some(bare)
    }

    /// Refuses a web page in the place of an answer: a proxy's login form, a portal.
    pub(super) fn not_a_page(&self, what: &str) -> Result<(), Error> {
        match self.media_type() {
            Some(kind) if kind.contains("html") => Err(Error::Malformed {
                what: what.to_owned(),
                why: format!("a web page ({kind}) from {}", super::hosts::authority(&self.url)),
            }),
            _ => Ok(()),
        }
    }

    /// The body as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, Error> {
        self.not_a_page(what)?;
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::Malformed { what: what.to_owned(), why: clean(&error.to_string()) })
    }

    /// Whether it is a refusal with this code (distribution-spec, §Error Codes).
    pub(super) fn says(&self, code: &str) -> bool {
        serde_json::from_slice::<Refusals>(&self.body)
            .is_ok_and(|refusals| refusals.errors.iter().any(|one| one.code.eq_ignore_ascii_case(code)))
    }

    /// The refusal that this answer is.
    pub(super) fn refusal(&self, registry: &str, what: &str) -> Error {
        refusal(self.status, registry, what, words(&self.headers, &self.body))
    }
}

/// A header's text; `None` when absent or not text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `Docker-Content-Digest`; `None` when absent or of an algorithm we do not check.
pub(super) fn content_digest(headers: &HeaderMap, what: &str) -> Result<Option<Digest>, Error> {
    let Some(text) = header(headers, "docker-content-digest") else { return Ok(None) };
    match text.trim().parse() {
        Ok(digest) => Ok(Some(digest)),
        Err(DigestError::Algorithm(_)) => Ok(None),
        Err(error) => Err(Error::Malformed { what: what.to_owned(), why: error.to_string() }),
    }
}

/// The error a status stands for.
pub(super) fn refusal(status: u16, registry: &str, what: &str, words: String) -> Error {
    let (registry, what) = (registry.to_owned(), what.to_owned());
    match status {
        401 => Error::Unauthorized { registry, what, reason: words },
        403 => Error::Denied { what, reason: words },
        404 => Error::NotFound { what },
        429 => Error::TooManyRequests { registry, what, attempts: 1, reason: words },
        status => Error::Refused { what, status, message: words },
    }
}

#[derive(Deserialize)]
struct Refusals {
    #[serde(default)]
    errors: Vec<Refusal>,
    // What token issuers say instead: RFC 6749 §5.2, and Docker's own forms.
    error_description: Option<String>,
    details: Option<String>,
    message: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The registry's own code and message, cleaned; says so when there is none.
pub(super) fn words(headers: &HeaderMap, body: &[u8]) -> String {
    let kind = header(headers, CONTENT_TYPE.as_str()).unwrap_or("").to_lowercase();
    if kind.contains("html") {
        return "(a web page)".into();
    }
    let said = match serde_json::from_slice::<Refusals>(body) {
        Ok(refusals) if !refusals.errors.is_empty() => {
            let each: Vec<String> = refusals
                .errors
                .iter()
                .take(4)
                .map(|one| format!("{}: {}", one.code, one.message).trim_matches([':', ' ']).to_owned())
                .collect();
            each.join("; ")
        }
        Ok(Refusals { error_description, details, message, error, .. }) => {
            error_description.or(details).or(message).or(error).unwrap_or_default()
        }
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let said = clean(&said);
    if said.is_empty() { "(no reason given)".into() } else { said }
}

/// One line of outside text: no control characters, no runs of white space, at most a few hundred characters.
pub(super) fn clean(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > WORDS {
            return line.chars().take(WORDS).chain(['…']).collect();
        }
    }
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_own_words_are_kept_and_cleaned() {
        let none = HeaderMap::new();
        for (body, wanted) in [
            (r#"{"errors":[{"code":"DENIED","message":"no\u001b[31m push"}]}"#, "DENIED: no [31m push"),
            (r#"{"errors":[{"code":"A"},{"message":"b"}]}"#, "A; b"),
            (r#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
            (r#"{"error":"invalid_grant","error_description":"gone"}"#, "gone"),
            ("plain\r\n\r\ntext\u{0}", "plain text"),
            ("", "(no reason given)"),
        ] {
            assert_eq!(words(&none, body.as_bytes()), wanted);
        }
        assert!(clean(&"x".repeat(100_000)).chars().count() <= WORDS + 1);
    }

    #[test]
    fn a_digest_header_is_a_digest_or_malformed() {
        let mut headers = HeaderMap::new();
        assert_eq!(content_digest(&headers, "x"), Ok(None));
        let digest = Digest::of(b"");
        headers.insert("docker-content-digest", digest.to_string().parse().unwrap());
        assert_eq!(content_digest(&headers, "x"), Ok(Some(digest)));
        headers.insert("docker-content-digest", "sha512:00".parse().unwrap());
        assert_eq!(content_digest(&headers, "x"), Ok(None));
        headers.insert("docker-content-digest", "nonsense".parse().unwrap());
        assert!(content_digest(&headers, "x").is_err());
    }
}
