//! What a request is about: its path and query, taken apart.
//!
//! distribution-spec, §Endpoints. Names have slashes in them, so a path is read from its end.

use crate::digest::Digest;
use crate::oci::Pointer;
use crate::oci::reference::is_tag;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/manifests/<reference>`
    Manifest(String, Pointer),
    /// `/v2/<name>/blobs/<digest>`
    Blob(String, Digest),
    /// `/v2/<name>/tags/list`
    Tags(String),
    /// `/v2/<name>/referrers/<digest>`
    Referrers(String, Digest),
    /// `/v2/<name>/blobs/uploads/…`: only writing is done there.
    Uploads,
    /// A reference or digest that is none; which, and the code that says so.
    Malformed(&'static str, String),
    /// Nothing that a registry has.
    Unknown,
}

impl Route {
    pub(super) fn of(path: &str) -> Self {
        let Some(rest) = path.strip_prefix("/v2") else { return Self::Unknown };
        let rest = match rest {
            "" | "/" => return Self::Base,
            "/_catalog" => return Self::Catalog,
            rest => rest.trim_start_matches('/'),
        };
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Self::Tags(name.to_owned());
        }
        if rest.ends_with("/blobs/uploads") || rest.contains("/blobs/uploads/") {
            return Self::Uploads;
        }
        let mut parts = rest.rsplitn(3, '/');
        let (Some(last), Some(kind), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            return Self::Unknown;
        };
        let (last, name) = (unescaped(last), name.to_owned());
        match kind {
            "manifests" if last.contains(':') => match last.parse() {
                Ok(digest) => Self::Manifest(name, Pointer::Digest(digest)),
                Err(_) => Self::Malformed("DIGEST_INVALID", last),
            },
            "manifests" if is_tag(&last) => Self::Manifest(name, Pointer::Tag(last)),
            "manifests" => Self::Malformed("TAG_INVALID", last),
            "blobs" => last
                .parse()
                .map_or_else(|_| Self::Malformed("DIGEST_INVALID", last), |digest| Self::Blob(name, digest)),
            "referrers" => last.parse().map_or_else(
                |_| Self::Malformed("DIGEST_INVALID", last),
                |digest| Self::Referrers(name, digest),
            ),
            _ => Self::Unknown,
        }
    }
}

/// The parts of a query that an endpoint may read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// The registry whose mirror this is taken for, as containerd says it.
    pub(super) vendor: Option<String>,
    /// The most entries wanted.
    pub(super) n: Option<String>,
    /// The last entry of the page before.
    pub(super) last: Option<String>,
    /// The only kind of referrer wanted.
    pub(super) artifact_type: Option<String>,
}

impl Query {
    pub(super) fn of(query: &str) -> Self {
        let mut found = Self::default();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match &*key {
                "ns" => &mut found.vendor,
                "n" => &mut found.n,
                "last" => &mut found.last,
                "artifactType" => &mut found.artifact_type,
                _ => continue,
            };
            *place = Some(value.into_owned()).filter(|value| !value.is_empty());
        }
        found
    }
}

/// Digests come with their colon escaped from some clients.
fn unescaped(text: &str) -> String {
    text.replace("%3A", ":").replace("%3a", ":")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_their_end() {
        let digest = Digest::of(b"");
        let d = digest.to_string();
        for (path, route) in [
            ("/v2/", Route::Base),
            ("/v2", Route::Base),
            ("/v2/_catalog", Route::Catalog),
            ("/v2/a/tags/list", Route::Tags("a".into())),
            ("/v2/a/b/tags/list", Route::Tags("a/b".into())),
            ("/v2/tags/tags/list", Route::Tags("tags".into())),
            ("/v2/a/manifests/v1", Route::Manifest("a".into(), Pointer::Tag("v1".into()))),
            (
                "/v2/a/manifests/manifests/v1",
                Route::Manifest("a/manifests".into(), Pointer::Tag("v1".into())),
            ),
            (&format!("/v2/a/manifests/{d}"), Route::Manifest("a".into(), Pointer::Digest(digest))),
            (&format!("/v2/a/blobs/{d}"), Route::Blob("a".into(), digest)),
            (&format!("/v2/a/blobs/{}", d.replace(':', "%3A")), Route::Blob("a".into(), digest)),
            (&format!("/v2/a/referrers/{d}"), Route::Referrers("a".into(), digest)),
            ("/v2/a/blobs/uploads/", Route::Uploads),
            ("/v2/a/blobs/uploads/1234", Route::Uploads),
            ("/v2/a/blobs/sha256:00", Route::Malformed("DIGEST_INVALID", "sha256:00".into())),
            ("/v2/a/manifests/-x", Route::Malformed("TAG_INVALID", "-x".into())),
            ("/", Route::Unknown),
            ("/v2/a", Route::Unknown),
            ("/v1/search", Route::Unknown),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn queries_are_unescaped() {
        let query = Query::of("ns=docker.io&n=3&last=a%2Fb&artifactType=application%2Fx&other=1");
        assert_eq!(query.vendor.as_deref(), Some("docker.io"));
        assert_eq!((query.n.as_deref(), query.last.as_deref()), (Some("3"), Some("a/b")));
        assert_eq!(query.artifact_type.as_deref(), Some("application/x"));
    }
}
