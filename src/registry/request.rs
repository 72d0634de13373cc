//! One request and its attempts: authorization, redirects, waits. Everything the client sends goes through here.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response};
use url::Url;

use super::answer::{self, Answer};
use super::hosts::{self, Hosts, same_origin};
use super::http::{Fault, Http, fault};
use super::retry::{self, Again, Failure};
use super::token::{Need, Scope, Tokens};
use super::{Error, Options};
use crate::checked::small;
use crate::limits;
use crate::progress::{Event, Observer};

/// Attempts of a question that can be left open.
const FEW: u32 = 2;
/// Bytes a second of a small answer, beyond the first that nothing may move: what the slowest link in use gives many times over.
const LEAST: u64 = 256;

/// What every request needs. Shared; holds no runtime, so that a task may own it.
pub(super) struct Core {
    pub(super) http: Http,
    pub(super) hosts: Hosts,
    pub(super) tokens: Tokens,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) stall: Duration,
    pub(super) attempts: u32,
    backoff: Duration,
}

/// One request that can be sent again.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Host and port of the registry whose authorization may be used.
    pub(super) registry: &'a str,
    pub(super) to: To,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) scopes: Vec<Scope>,
    /// Bytes the body of a good answer may have.
    pub(super) limit: u64,
    /// What is asked for, for messages.
    pub(super) what: String,
    /// Whether a registry that fails (5xx) is believed after [`FEW`] attempts: its answer is not needed.
    pub(super) few: bool,
    /// Looks at the head of each answer of the first host, redirects among them.
    pub(super) watch: Option<&'a Watch<'a>>,
}

/// Judges the head of an answer.
pub(super) type Watch<'a> = dyn Fn(&HeaderMap) -> Result<(), Error> + Sync + 'a;

/// How much of a body is read.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    /// All of it; more than this many bytes is an error.
    Whole(u64),
    /// This many bytes at most; the rest is left.
    Start(u64),
}

impl Bound {
    /// What is read of a refusal.
    pub(super) const REFUSAL: Self = Self::Start(limits::ERROR_BODY_BYTES as u64);
}

/// Where a request goes.
#[derive(Clone)]
pub(super) enum To {
    /// A path, perhaps with a query, below `/v2/`.
    Api(String),
    /// A URL the registry gave.
    Url(Url),
}

impl<'a> Ask<'a> {
    /// A request without body or extra headers, for a small answer.
    pub(super) fn new(method: Method, registry: &'a str, to: To, what: String) -> Self {
        Self {
            method,
            registry,
            to,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            scopes: Vec::new(),
            limit: limits::MANIFEST_BYTES,
            what,
            few: false,
            watch: None,
        }
    }

    /// The same, asking for `scopes`.
    pub(super) fn scoped(mut self, scopes: Vec<Scope>) -> Self {
        self.scopes = scopes;
        self
    }

    fn need(&self) -> Need<'_> {
        Need { registry: self.registry, what: &self.what, scopes: &self.scopes }
    }
}

impl Core {
    pub(super) fn new(options: &Options, observer: Arc<dyn Observer>) -> Result<Self, Error> {
        Ok(Self {
            http: Http::new(options)?,
            hosts: Hosts::new(&options.plain_http, !options.ca_files.is_empty()),
            tokens: Tokens::new(&options.credential_files),
            observer,
            stall: options.stall.max(Duration::from_millis(10)),
            attempts: options.attempts.max(1),
            backoff: options.backoff,
        })
    }

    /// Sends `ask`, as often as it takes, and reads the answer. Any status comes back as an answer but 401 and the passing ones.
    pub(super) async fn ask(&self, ask: &Ask<'_>) -> Result<Answer, Error> {
        let mut failures = 0;
        loop {
            match self.once(ask).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => {
                    failures += 1;
                    if ask.few
                        && failures >= FEW
                        && matches!(failure.error, Error::Refused { status: 500.., .. })
                    {
                        return Err(failure.error);
                    }
                    self.pause(failure, failures, &ask.what).await?;
                }
            }
        }
    }

    /// Waits before the attempt that follows `failures` failed ones, or gives `failure` back when it was the last.
    pub(super) async fn pause(&self, failure: Failure, failures: u32, what: &str) -> Result<(), Error> {
        let Failure { mut error, again } = failure;
        if again == Again::Never || failures >= self.attempts {
            if let Error::TooManyRequests { attempts, .. } = &mut error {
                *attempts = failures;
            }
            return Err(error);
        }
        let wait = retry::wait(again, self.backoff, failures);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.observer.event(Event::Retry { what, why: &error.to_string(), attempt: failures + 1, wait_ms });
        tokio::time::sleep(wait).await;
        Ok(())
    }

    async fn once(&self, ask: &Ask<'_>) -> Result<Answer, Failure> {
        let response = self.open(ask).await?;
        self.whole(ask, response).await
    }

    /// An answer with its body, of which a refusal's start is enough.
    async fn whole(&self, ask: &Ask<'_>, response: Response) -> Result<Answer, Failure> {
        let bound = if response.status().is_success() { Bound::Whole(ask.limit) } else { Bound::REFUSAL };
        let (status, headers, url) =
            (response.status().as_u16(), response.headers().clone(), response.url().clone());
        let body = if ask.method == Method::HEAD {
            Bytes::new()
        } else {
            self.read(response, bound, &ask.what).await?
        };
        Ok(Answer { status, headers, body, url })
    }

    /// The body, as much of it as `bound` allows.
    pub(super) async fn read(
        &self,
        mut response: Response,
        bound: Bound,
        what: &str,
    ) -> Result<Bytes, Failure> {
        let (Bound::Whole(limit) | Bound::Start(limit)) = bound;
        let strict = matches!(bound, Bound::Whole(_));
        let too_long = || Error::TooLong { what: what.to_owned(), limit };
        if strict && response.content_length().is_some_and(|length| length > limit) {
            return Err(too_long().into());
        }
        let mut body = BytesMut::new();
        let begun = Instant::now();
        while let Some(piece) = self.piece(&mut response, what).await? {
            // One byte now and then is not moving either.
            let elapsed = begun.elapsed();
            if elapsed > self.stall && (body.len() as u64) < elapsed.as_secs() * LEAST {
                let seconds = elapsed.as_secs();
                return Err(Failure::passing(Error::Crawled {
                    what: what.to_owned(),
                    bytes: body.len(),
                    seconds,
                }));
            }
            if body.len() as u64 + piece.len() as u64 > limit {
                if strict {
                    return Err(too_long().into());
                }
                body.extend_from_slice(&piece[..small(limit).saturating_sub(body.len()).min(piece.len())]);
                break;
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// The next piece of a body.
    pub(super) async fn piece(&self, response: &mut Response, what: &str) -> Result<Option<Bytes>, Failure> {
        let url = response.url().clone();
        self.patiently(what, response.chunk()).await?.map_err(|error| fault(error, &url).failure())
    }

    /// Sends `ask`, whose target is a URL, once, and follows redirects; `pass` is shown to that URL's own origin alone. What a registry
    /// would negotiate (a scheme, a token) is fixed here.
    pub(super) async fn open_web(
        &self,
        ask: &Ask<'_>,
        url: &Url,
        pass: Option<&HeaderValue>,
    ) -> Result<Response, Failure> {
        let response =
            self.trip(ask, url.clone(), pass.map(|pass| (url, pass))).await.map_err(Fault::failure)?;
        let status = response.status().as_u16();
        let at_home = same_origin(response.url(), url);
        if retry::is_passing(status) || (!at_home && status == 403) {
            return Err(self.refused(ask, response, at_home).await);
        }
        Ok(response)
    }

    /// Sends `ask`, whose target is a URL, as often as it takes, and reads the answer, whatever its status.
    pub(super) async fn ask_web(
        &self,
        ask: &Ask<'_>,
        url: &Url,
        pass: Option<&HeaderValue>,
    ) -> Result<Answer, Error> {
        let mut failures = 0;
        loop {
            let failure = match self.open_web(ask, url, pass).await {
                Ok(response) => match self.whole(ask, response).await {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            failures += 1;
            self.pause(failure, failures, &ask.what).await?;
        }
    }

    /// Sends `ask` once, follows redirects and answers challenges, and gives the answer with its body unread.
    pub(super) async fn open(&self, ask: &Ask<'_>) -> Result<Response, Failure> {
        let mut challenged = None;
        let mut renewed = false;
        loop {
            let home = self.hosts.api(ask.registry, "")?;
            let url = match &ask.to {
                To::Api(path) => self.hosts.api(ask.registry, path)?,
                To::Url(url) => url.clone(),
            };
            let tls = url.scheme() == "https";
            let bearer = if same_origin(&url, &home) {
                self.tokens.bearer(self, &ask.need(), challenged.as_deref().unwrap_or(&[])).await?
            } else {
                None
            };
            let response =
                match self.trip(ask, url, bearer.as_ref().map(|bearer| (&home, &bearer.header))).await {
                    Err(Fault::WrongScheme(_)) if self.hosts.turn(ask.registry, tls) => continue,
                    Err(fault) => return Err(fault.failure()),
                    Ok(response) => response,
                };
            let status = response.status().as_u16();
            let at_home = same_origin(response.url(), &home);
            if status == 400 && !tls && at_home && !self.hosts.is_settled(ask.registry) {
                let wants_tls = self.wants_tls(home, &ask.what).await?;
                if wants_tls && self.hosts.turn(ask.registry, tls) {
                    continue;
                }
            }
            if at_home {
                self.hosts.settle(ask.registry, tls);
            }
            // Without a pass a 401 is a question. A pass it did not take is renewed once: another request may have been
            // given it first, and it ran out since.
            let ask_again = match &bearer {
                None => challenged.is_none(),
                Some(bearer) => !renewed && (challenged.is_none() || bearer.runs_out()),
            };
            if status == 401 && at_home && ask_again {
                renewed = bearer.is_some();
                challenged =
                    Some(self.tokens.challenged(&ask.need(), response.headers(), bearer.as_ref())?);
                continue;
            }
            if retry::is_passing(status) || status == 401 || (!at_home && status == 403) {
                return Err(self.refused(ask, response, at_home).await);
            }
            return Ok(response);
        }
    }

    /// Whether a host that answered 400 to plain HTTP says that it wants TLS, as Go's and nginx's servers do.
    async fn wants_tls(&self, home: Url, what: &str) -> Result<bool, Failure> {
        let sent = self.patiently(what, self.http.client(&home).get(home.clone()).send()).await?;
        let response = sent.map_err(|error| fault(error, &home).failure())?;
        let body = self.read(response, Bound::REFUSAL, what).await?;
        Ok(String::from_utf8_lossy(&body).contains("HTTPS"))
    }

    /// The failure that an answer is. A storage host that refuses has let its signed URL expire: the registry gives a new one.
    async fn refused(&self, ask: &Ask<'_>, response: Response, at_home: bool) -> Failure {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = self.read(response, Bound::REFUSAL, &ask.what).await;
        let words = answer::words(&headers, &body.unwrap_or_default());
        let again = match status {
            401 | 403 if at_home => Again::Never,
            401 | 403 => Again::Soon,
            _ => retry::again(&headers),
        };
        Failure { error: answer::refusal(status, ask.registry, &ask.what, words), again }
    }

    /// One way there and back, and on along redirects for reading methods. `pass` is shown to its own origin alone.
    async fn trip(
        &self,
        ask: &Ask<'_>,
        mut url: Url,
        pass: Option<(&Url, &HeaderValue)>,
    ) -> Result<Response, Fault> {
        let first = url.clone();
        for _ in 0..=limits::REDIRECTS {
            if !self.hosts.admits(&url) {
                let host = hosts::authority(&url);
                return Err(Fault::Other(Error::PlainHttpRefused { host }.into()));
            }
            let mut request = self.http.client(&url).request(ask.method.clone(), url.clone());
            request = request.headers(ask.headers.clone());
            if !ask.body.is_empty() {
                request = request.body(ask.body.clone());
            } else if matches!(ask.method, Method::POST | Method::PUT | Method::PATCH) {
                request = request.header(reqwest::header::CONTENT_LENGTH, 0);
            }
            if let Some((_, pass)) = pass.filter(|(home, _)| same_origin(&url, home)) {
                request = request.header(AUTHORIZATION, pass.clone());
            }
            let response = match self.patiently(&ask.what, request.send()).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return Err(fault(error, &url)),
                Err(failure) => return Err(Fault::Other(failure)),
            };
            if let Some(watch) = ask.watch.filter(|_| same_origin(&url, &first)) {
                watch(response.headers()).map_err(|error| Fault::Other(error.into()))?;
            }
            let reading = matches!(ask.method, Method::GET | Method::HEAD);
            if !reading || !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            url = redirect(&response, &ask.what).map_err(|error| Fault::Other(error.into()))?;
            if !self.hosts.admits(&url) {
                let (what, to) = (ask.what.clone(), hosts::place(&url));
                let why = "it is plain HTTP";
                return Err(Fault::Other(Error::RedirectRefused { what, to, why }.into()));
            }
        }
        let why = format!("one redirect too many, the last to {}", hosts::place(&url));
        Err(Fault::Other(Error::Malformed { what: ask.what.clone(), why }.into()))
    }

    /// Waits for `future` as long as it takes less than the stall time; tells of silence on the way.
    pub(super) async fn patiently<T>(
        &self,
        what: &str,
        future: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let mut future = pin!(future);
        for quarter in 1..=4u32 {
            match tokio::time::timeout(self.stall / 4, &mut future).await {
                Ok(value) => return Ok(value),
                Err(_) => {
                    let seconds = (self.stall / 4 * quarter).as_secs();
                    self.observer.event(Event::Stalled { what, seconds });
                }
            }
        }
        let seconds = self.stall.as_secs();
        Err(Failure::passing(Error::Stalled { what: what.to_owned(), seconds }))
    }
}

/// The target of a redirect; never from TLS to none, never with a name and password in it.
fn redirect(response: &Response, what: &str) -> Result<Url, Error> {
    let from = response.url();
    let to = answer::header(response.headers(), LOCATION.as_str())
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| Error::Malformed { what: what.to_owned(), why: "a redirect to nowhere".into() })?;
    let refused = |why| Error::RedirectRefused { what: what.to_owned(), to: hosts::place(&to), why };
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err(refused("it leaves TLS"));
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err(refused("it carries credentials"));
    }
    if hosts::is_metadata(&to) {
        return Err(refused("it is no address of a registry (link-local, or none at all)"));
    }
    Ok(to)
}
