//! Listings: tags, and what refers to a manifest (distribution-spec §Content Discovery).

use std::collections::HashSet;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderValue, LINK};
use serde::Deserialize;
use url::Url;

use super::answer::Answer;
use super::hosts::same_origin;
use super::referrers_api::Listed;
use super::request::{Ask, To};
use super::token::Scope;
use super::{Client, Error, api};
use crate::digest::Digest;
use crate::limits;
use crate::oci::{Descriptor, Manifest, Pointer, Repository, media, referrer};

/// Tags that are asked for at once. More, and the registry may cut the list where it likes.
const TAGS: usize = 1000;

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl Client {
    /// The tags of `repository` that begin with `prefix`, without listing all others: the listing is asked for from just before them
    /// (distribution-spec, §Listing Tags: `last`). `None` when the answer does not prove that it is all of them: a registry that sorts
    /// otherwise, or lists no tags.
    pub fn tags_beginning(
        &self,
        repository: &Repository,
        prefix: &str,
    ) -> Result<Option<HashSet<String>>, Error> {
        let what = format!("tags of {repository}");
        // The prefix less its last character sorts before all that begin with it.
        let before = &prefix[..prefix.char_indices().last().map_or(0, |(at, _)| at)];
        let ask = listing(repository, &format!("tags/list?n={TAGS}&last={before}"), &what);
        let answer = self.runtime.block_on(self.core.ask(&ask))?;
        if answer.status != 200 {
            return Ok(None);
        }
        let tags = answer.json::<Tags>(&what)?.tags.unwrap_or_default();
        let found: HashSet<String> = tags.iter().filter(|tag| tag.starts_with(prefix)).cloned().collect();
        if answer.header(LINK.as_str()).and_then(next).is_none() {
            return Ok(Some(found));
        }
        // More follow. In order, and with some that we look for before one that comes after them, the rest cannot matter.
        let ordered = tags.is_sorted() && tags.first().is_some_and(|first| first.as_str() > before);
        let passed = tags.last().is_some_and(|last| !last.starts_with(prefix));
        Ok(Some(found).filter(|found| ordered && passed && !found.is_empty()))
    }

    /// Descriptors of the manifests whose subject is `digest`: by the referrers API, or from the fallback tag
    /// `sha256-<hex>` of registries without it. Empty when there are none.
    pub fn referrers(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        match self.listed(repository, digest)? {
            Listed::These(found) => Ok(found),
            Listed::NoApi { .. } => self.referrers_by_tag(repository, digest),
        }
    }

    /// The same by the API alone; `None` where the registry has none. Only for a repository that something was read from: what its
    /// registry says of the API is then no word about the repository, and is remembered.
    pub(crate) fn referrers_by_api(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Error> {
        let listed = self.referrers_apis.ask(repository, || self.listed(repository, digest))?;
        Ok(match listed {
            Listed::These(found) => Some(found),
            Listed::NoApi { .. } => None,
        })
    }

    /// The same by the fallback tag alone.
    pub(crate) fn referrers_by_tag(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        let what = referrers_of(repository, digest);
        let tag = Pointer::Tag(referrer::fallback_tag(digest));
        match self.manifest(repository, &tag) {
            Ok(raw) => {
                let found = index(&raw.bytes, &raw.media_type, &what)?;
                few(&found, &what)?;
                Ok(found)
            }
            Err(Error::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn listed(&self, repository: &Repository, digest: &Digest) -> Result<Listed, Error> {
        let what = referrers_of(repository, digest);
        let mut found = Vec::new();
        let mut missing = None;
        self.pages(listing(repository, &format!("referrers/{digest}"), &what), |answer| {
            match answer.status {
                200 => {
                    found.extend(children(answer, &what)?);
                    few(&found, &what)?;
                }
                // Registries without the endpoint say so in several ways.
                400 | 404 | 405 | 406 | 501 if found.is_empty() => missing = Some(speaks_of_the_api(answer)),
                _ => return Err(answer.refusal(repository.registry(), &what)),
            }
            Ok(())
        })?;
        Ok(missing.map_or(Listed::These(found), |everywhere| Listed::NoApi { everywhere }))
    }

    /// Asks for each page of a listing, following `Link` within the registry.
    fn pages(
        &self,
        mut ask: Ask<'_>,
        mut take: impl FnMut(&Answer) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let what = ask.what.clone();
        let malformed = |why: &str| Error::Malformed { what: what.clone(), why: why.to_owned() };
        let mut seen = HashSet::new();
        for _ in 0..limits::LIST_PAGES {
            let answer = self.runtime.block_on(self.core.ask(&ask))?;
            take(&answer)?;
            let Some(link) = answer.header(LINK.as_str()).and_then(next).filter(|_| answer.status == 200)
            else {
                return Ok(());
            };
            let url: Url = answer.url.join(link).map_err(|_| malformed("the next page is not a URL"))?;
            if !same_origin(&url, &answer.url) {
                return Err(malformed("the next page is on another host"));
            }
            if !seen.insert(url.clone()) {
                return Err(malformed("its pages go in a circle"));
            }
            ask.to = To::Url(url);
        }
        Err(malformed("it has too many pages"))
    }
}

fn referrers_of(repository: &Repository, digest: &Digest) -> String {
    format!("referrers of {repository}@{digest}")
}

/// Whether a refusal is about the endpoint, and not about what it was asked for: distribution-spec, §Error Codes, has its own for a
/// repository or manifest that is not there, and 400 and 406 are about one request.
fn speaks_of_the_api(answer: &Answer) -> bool {
    let subject =
        ["NAME_UNKNOWN", "NAME_INVALID", "MANIFEST_UNKNOWN", "DIGEST_INVALID", "DENIED", "UNAUTHORIZED"];
    matches!(answer.status, 404 | 405 | 501) && !subject.iter().any(|code| answer.says(code))
}

/// The request for the first page.
fn listing<'a>(repository: &'a Repository, rest: &str, what: &str) -> Ask<'a> {
    let mut ask = Ask::new(Method::GET, repository.registry(), api(repository, rest), what.to_owned())
        .scoped(vec![Scope::pull(repository.path())]);
    let accept = "application/json, application/vnd.oci.image.index.v1+json";
    ask.headers.insert(ACCEPT, HeaderValue::from_static(accept));
    ask.limit = limits::LIST_BYTES;
    ask
}

/// Refuses a list that is longer than any real one, and so one that never ends.
fn few(found: &[Descriptor], what: &str) -> Result<(), Error> {
    if found.len() <= limits::REFERRERS {
        return Ok(());
    }
    let why = format!("it lists more than {} of them", limits::REFERRERS);
    Err(Error::Malformed { what: what.to_owned(), why })
}

fn children(answer: &Answer, what: &str) -> Result<Vec<Descriptor>, Error> {
    answer.not_a_page(what)?;
    index(&answer.body, media::OCI_INDEX, what)
}

fn index(bytes: &[u8], media_type: &str, what: &str) -> Result<Vec<Descriptor>, Error> {
    let malformed = |why: String| Error::Malformed { what: what.to_owned(), why };
    match Manifest::parse(bytes, Some(media_type)).map_err(|error| malformed(error.to_string()))? {
        (Manifest::Index { manifests, .. }, _) => Ok(manifests),
        (Manifest::Image { .. }, _) => Err(malformed("it is not an index".into())),
    }
}

/// The target of `rel="next"` in a `Link` header (RFC 8288).
pub(super) fn next(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (target, parameters) = rest.split_once('<')?.1.split_once('>')?;
        let end = parameters.find('<').unwrap_or(parameters.len());
        let is_next = parameters[..end].split([';', ',']).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
        });
        if is_next {
            return Some(target);
        }
        rest = &parameters[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_next_page() {
        for (header, wanted) in [
            (r#"</v2/a/tags/list?n=2&last=b>; rel="next""#, Some("/v2/a/tags/list?n=2&last=b")),
            (r#"<p>;rel=prev, <n>; title="x"; REL=Next"#, Some("n")),
            (r#"<p>; rel="prev""#, None),
            ("<p>", None),
            ("<p", None),
            ("", None),
        ] {
            assert_eq!(next(header), wanted, "{header}");
        }
    }
}
