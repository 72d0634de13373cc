//! Other servers that content is read from (model hubs, chart repositories), over the same client: its roots and proxies, its patience,
//! its attempts, and its rule that credentials go to one origin alone.

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, LINK, RANGE};
use reqwest::{Method, Response};
use url::Url;

use super::answer::{self, Answer};
use super::hosts::{authority, same_origin};
use super::list::next;
use super::pull::range;
use super::request::{Ask, Bound, Core, To};
use super::retry::Failure;
use super::{Client, Error};

/// What kind of server it is, for whoever gives advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// A hub that models come from.
    Hub,
    /// Anything else.
    Other,
}

/// A secret that goes into `Authorization`. Never printed.
#[derive(Clone)]
pub struct Pass(HeaderValue);

impl Pass {
    /// `Bearer SECRET`; `None` when it cannot stand in a header.
    #[must_use]
    pub fn bearer(secret: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(&format!("Bearer {secret}")).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pass(…)")
    }
}

/// One page that is asked for.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// What kind of server.
    pub site: Site,
    /// Where.
    pub url: Url,
    /// What it is, for messages; no query string.
    pub what: &'a str,
    /// Who asks; shown to the URL's own origin alone.
    pub pass: Option<&'a Pass>,
    /// Bytes that are read at most.
    pub limit: u64,
}

/// A file that is asked for, perhaps from the middle.
#[derive(Debug, Clone)]
pub struct WebFile {
    /// What kind of server.
    pub site: Site,
    /// Where.
    pub url: Url,
    /// What it is, for messages; no query string.
    pub what: String,
    /// Who asks; shown to the URL's own origin alone.
    pub pass: Option<Pass>,
    /// Bytes it has.
    pub size: u64,
    /// Headers that, where an answer of the first host has them, must have these values; quotes around a value do not count.
    pub expect: Vec<(&'static str, String)>,
}

/// A page that came.
#[derive(Debug, Clone)]
pub struct Got {
    /// Its bytes.
    pub body: bytes::Bytes,
    /// The page after it, on the same origin.
    pub next: Option<Url>,
}

impl Client {
    /// A page, whole, when it came with 200.
    pub fn page(&self, page: &Page<'_>) -> Result<Got, Error> {
        let host = authority(&page.url);
        let mut ask = Ask::new(Method::GET, &host, To::Url(page.url.clone()), page.what.to_owned());
        ask.limit = page.limit;
        ask.headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let pass = page.pass.map(|pass| &pass.0);
        let answer = self.runtime.block_on(self.core.ask_web(&ask, &page.url, pass))?;
        if answer.status != 200 {
            return Err(refusal(page.site, page.what, &answer));
        }
        answer.not_a_page(page.what)?;
        let malformed = |why: &str| Error::Malformed { what: page.what.to_owned(), why: why.to_owned() };
        let next = match answer.header(LINK.as_str()).and_then(next) {
            None => None,
            Some(link) => {
                let url = answer.url.join(link).map_err(|_| malformed("the next page is not a URL"))?;
                if !same_origin(&url, &answer.url) {
                    return Err(malformed("the next page is on another host"));
                }
                Some(url)
            }
        };
        Ok(Got { body: answer.body, next })
    }
}

impl Client {
    /// The size of a file on the web, whose own `size` is not looked at.
    pub fn web_size(&self, file: &WebFile) -> Result<u64, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_static("bytes=0-0"));
        self.runtime.block_on(async {
            let mut failures = 0;
            let response = loop {
                match file.open(&self.core, headers.clone()).await {
                    Ok(response) => break response,
                    Err(failure) => {
                        failures += 1;
                        self.core.pause(failure, failures, &file.what).await?;
                    }
                }
            };
            let size = match response.status().as_u16() {
                200 => response.content_length(),
                206 => range(&response).and_then(|(_, total)| total),
                // Of nothing there is no first byte.
                _ => Some(0),
            };
            let why = "it does not state its size".to_owned();
            size.ok_or_else(|| Error::Malformed { what: file.what.clone(), why })
        })
    }
}

impl WebFile {
    /// Asks for the file once. 200, 206 and 416 come back as answers.
    pub(super) async fn open(&self, core: &Core, headers: HeaderMap) -> Result<Response, Failure> {
        let host = authority(&self.url);
        let watch = |head: &HeaderMap| self.watch(head);
        let mut ask = Ask::new(Method::GET, &host, To::Url(self.url.clone()), self.what.clone());
        ask.headers = headers;
        ask.watch = Some(&watch);
        let response = core.open_web(&ask, &self.url, self.pass.as_ref().map(|pass| &pass.0)).await?;
        if matches!(response.status().as_u16(), 200 | 206 | 416) {
            return Ok(response);
        }
        let (status, headers, url) =
            (response.status().as_u16(), response.headers().clone(), response.url().clone());
        let body = core.read(response, Bound::REFUSAL, &self.what).await.unwrap_or_default();
        Err(refusal(self.site, &self.what, &Answer { status, headers, body, url }).into())
    }

    fn watch(&self, head: &HeaderMap) -> Result<(), Error> {
        for (name, expected) in &self.expect {
            let Some(got) = answer::header(head, name) else { continue };
            let bare = got.trim().trim_start_matches("W/").trim_matches('"');
            if bare != expected {
                let (what, expected) = (self.what.clone(), expected.clone());
                return Err(Error::OtherHead { what, header: name, expected, got: answer::clean(bare) });
            }
        }
        Ok(())
    }
}

fn refusal(site: Site, what: &str, answer: &Answer) -> Error {
    // The hub puts its reason into headers, also where the body is a page.
    let code = answer.header("x-error-code").map(answer::clean).unwrap_or_default();
    let message = match answer.header("x-error-message") {
        Some(message) => answer::clean(message),
        None => answer::words(&answer.headers, &answer.body),
    };
    Error::Web {
        site,
        host: authority(&answer.url),
        what: what.to_owned(),
        status: answer.status,
        code,
        message,
    }
}
