//! Which endpoint a request is for (distribution-spec 1.1, §Endpoints).

use std::collections::BTreeMap;

/// The endpoints, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `/v2/`
    Base,
    /// The token issuer.
    Token,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/manifests/<reference>`
    Manifest,
    /// `/v2/<name>/blobs/<digest>`
    Blob,
    /// `/v2/<name>/blobs/uploads/` and below
    Upload,
    /// `/v2/<name>/tags/list`
    Tags,
    /// `/v2/<name>/referrers/<digest>`
    Referrers,
    /// Anything else.
    Unknown,
}

/// One endpoint with its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Base,
    Token,
    Catalog,
    Manifest { repository: String, reference: String },
    Blob { repository: String, digest: String },
    Uploads { repository: String },
    Upload { repository: String, session: String },
    Tags { repository: String },
    Referrers { repository: String, digest: String },
    Unknown,
}

impl Route {
    /// The route of `path`, which has no query.
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/token" => return Self::Token,
            "/v2/" | "/v2" => return Self::Base,
            "/v2/_catalog" => return Self::Catalog,
            _ => {}
        }
        Self::below(path).filter(|(name, _)| valid_name(name)).map_or(Self::Unknown, |(_, route)| route)
    }

    fn below(path: &str) -> Option<(&str, Self)> {
        let rest = path.strip_prefix("/v2/")?;
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Some((name, Self::Tags { repository: name.to_owned() }));
        }
        if let Some(name) =
            rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads"))
        {
            return Some((name, Self::Uploads { repository: name.to_owned() }));
        }
        let (rest, last) = rest.rsplit_once('/')?;
        let last = last.to_owned();
        if let Some(name) = rest.strip_suffix("/blobs/uploads") {
            return Some((name, Self::Upload { repository: name.to_owned(), session: last }));
        }
        let (name, noun) = rest.rsplit_once('/')?;
        let repository = name.to_owned();
        let route = match noun {
            "manifests" => Self::Manifest { repository, reference: last },
            "blobs" => Self::Blob { repository, digest: last },
            "referrers" => Self::Referrers { repository, digest: last },
            _ => return None,
        };
        Some((name, route))
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Base => Kind::Base,
            Self::Token => Kind::Token,
            Self::Catalog => Kind::Catalog,
            Self::Manifest { .. } => Kind::Manifest,
            Self::Blob { .. } => Kind::Blob,
            Self::Uploads { .. } | Self::Upload { .. } => Kind::Upload,
            Self::Tags { .. } => Kind::Tags,
            Self::Referrers { .. } => Kind::Referrers,
            Self::Unknown => Kind::Unknown,
        }
    }

    /// The repository the route is in, if it is in one.
    pub(super) fn repository(&self) -> Option<&str> {
        match self {
            Self::Manifest { repository, .. }
            | Self::Blob { repository, .. }
            | Self::Uploads { repository }
            | Self::Upload { repository, .. }
            | Self::Tags { repository }
            | Self::Referrers { repository, .. } => Some(repository),
            Self::Base | Self::Token | Self::Catalog | Self::Unknown => None,
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`
fn valid_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 255
        && name.split('/').all(|part| {
            part.starts_with(word)
                && part.ends_with(word)
                && part
                    .split(word)
                    .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
        })
}

/// `sha256:` and 64 lower-case hex digits.
pub(super) fn valid_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
pub(super) fn valid_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// A query or form as pairs; of a key given twice all values are kept, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    pub(super) fn of(text: &str) -> Self {
        let mut pairs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.entry(decode(key)).or_default().push(decode(value));
        }
        Self(pairs)
    }

    pub(super) fn one(&self, key: &str) -> Option<&str> {
        self.all(key).first().map(String::as_str)
    }

    pub(super) fn all(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }
}

/// Percent-decoding as in forms, `+` for a space; what is no escape stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = bytes
            .get(at + 1..at + 3)
            .filter(|_| byte == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(value) => out.push(value),
            None => out.push(if byte == b'+' { b' ' } else { byte }),
        }
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}
