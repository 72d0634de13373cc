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
use crate::oci::{Descriptor, Manifest, Pointer, Repository, media};

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

    /// Descriptors of the manifests whose subject is `digest`: by the referrers API, or from the fallback tag
    /// `sha256-<hex>` of registries without it. Empty when there are none.
    pub fn referrers(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        let what = format!("referrers of {repository}@{digest}");
        let mut found = Vec::new();
        let mut known = true;
        self.pages(listing(repository, &format!("referrers/{digest}"), &what), |answer| {
            match answer.status {
                200 => found.extend(children(answer, &what)?),
                // Registries without the endpoint say so in several ways.
                400 | 404 | 405 | 406 | 501 if found.is_empty() => known = false,
                _ => return Err(answer.refusal(repository.registry(), &what)),
            }
            Ok(())
        })?;
        if known {
            return Ok(found);
        }
        let tag = Pointer::Tag(format!("sha256-{}", digest.hex()));
        match self.manifest(repository, &tag) {
            Ok(raw) => index(&raw.bytes, &raw.media_type, &what),
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
