//! Listings: tags, and what refers to a manifest (distribution-spec §Content Discovery).

use std::collections::HashSet;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderValue, LINK};
use serde::Deserialize;
use url::Url;

use super::answer::Answer;
use super::hosts::same_origin;
use super::request::{Ask, To};
use super::token::Scope;
use super::{Client, Error, api};
use crate::digest::Digest;
use crate::limits;
use crate::oci::{Descriptor, Manifest, Pointer, Repository, media, referrer};

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl Client {
    /// Every tag of `repository`, in the registry's order. At most [`limits::LIST_PAGES`] pages are followed; more is an error.
    pub fn tags(&self, repository: &Repository) -> Result<Vec<String>, Error> {
        let what = format!("tags of {repository}");
        let mut found = Vec::new();
        self.pages(listing(repository, "tags/list?n=1000", &what), |answer| {
            if answer.status != 200 {
                return Err(answer.refusal(repository.registry(), &what));
            }
            found.extend(answer.json::<Tags>(&what)?.tags.unwrap_or_default());
            Ok(())
        })?;
        Ok(found)
    }

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
        let ask = listing(repository, &format!("tags/list?n=100&last={before}"), &what);
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
        self.referrers_of(repository, digest, true)
    }

    /// The same; `fallback` is whether the fallback tag may be there.
    pub(crate) fn referrers_of(
        &self,
        repository: &Repository,
        digest: &Digest,
        fallback: bool,
    ) -> Result<Vec<Descriptor>, Error> {
        let what = format!("referrers of {repository}@{digest}");
        let mut found = Vec::new();
        let mut known = true;
        self.pages(listing(repository, &format!("referrers/{digest}"), &what), |answer| {
            match answer.status {
                200 => {
                    found.extend(children(answer, &what)?);
                    few(&found, &what)?;
                }
                // Registries without the endpoint say so in several ways.
                400 | 404 | 405 | 406 | 501 if found.is_empty() => known = false,
                _ => return Err(answer.refusal(repository.registry(), &what)),
            }
            Ok(())
        })?;
        if known || !fallback {
            return Ok(found);
        }
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
