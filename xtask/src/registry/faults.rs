//! Misbehaviour on demand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What goes wrong. Byte counts are of the body alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// This status and these headers, with an OCI error body.
    Status(u16, Vec<(String, String)>),
    /// This status with an HTML page, as proxies and captive portals answer.
    Html(u16),
    /// 200 with this text as an OCI index, whatever was asked.
    Index(String),
    /// The connection is reset when this many bytes of the request's body have been taken in.
    ResetRequest(u64),
    /// The connection is reset after this many bytes of the answer's body.
    ResetResponse(u64),
    /// The connection is closed in order after this many bytes of the answer's body, short of the announced length.
    CloseResponse(u64),
    /// A whole and well-formed answer whose body is only this long.
    ShortBody(u64),
    /// The answer's body goes on in zeros for ever, without an announced length.
    EndlessBody,
    /// The lowest bit of this byte of the answer's body is the other way round.
    WrongBytes(u64),
    /// `Docker-Content-Digest` names something else.
    WrongDigestHeader,
    /// 307 to this URL.
    Redirect(String),
    /// No answer, ever.
    Stall,
    /// Nothing more after this many bytes of the answer's body; the connection stays.
    StallResponse(u64),
    /// Nothing more is read after this many bytes of the request's body; the connection stays.
    StallRequest(u64),
    /// `Range` is not heard: 200 and the whole.
    RangeIgnored,
    /// 413 for any body of more than this many bytes.
    TooLarge(u64),
    /// The answer has no `Location`.
    OmitLocation,
    /// The upload session is gone before the request is looked at.
    ForgetSession,
    /// The token given is no longer good: 401 with a challenge.
    ExpireTokens,
    /// This long before the request is looked at.
    Delay(Duration),
    /// The request is carried out, and then the connection is reset instead of an answer.
    LoseAnswer,
}

/// When it goes wrong. Matches every request until narrowed.
#[derive(Debug, Clone)]
pub struct Rule {
    action: Action,
    method: Option<String>,
    path: String,
    skip: u64,
    times: Option<u64>,
    hits: u64,
}

impl Rule {
    /// A rule that does `action` to every request.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self { action, method: None, path: String::new(), skip: 0, times: None, hits: 0 }
    }

    /// Only for requests of this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only for requests whose path with query contains `part`.
    #[must_use]
    pub fn path(mut self, part: &str) -> Self {
        part.clone_into(&mut self.path);
        self
    }

    /// Not for the first `count` that match.
    #[must_use]
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Only `count` times.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }

    /// Only once.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    fn spent(&self) -> bool {
        self.times.is_some_and(|times| self.hits >= self.skip.saturating_add(times))
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted == method) && path.contains(&self.path)
    }
}

/// The rules in force, in order; shared with the running registry.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Rule>>>);

impl Faults {
    /// Puts `rule` after the others.
    pub fn add(&self, rule: Rule) {
        self.rules().push(rule);
    }

    /// Takes every rule away.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// How many times rules went off or were skipped, in the order they were added.
    #[must_use]
    pub fn hits(&self) -> Vec<u64> {
        self.rules().iter().map(|rule| rule.hits).collect()
    }

    /// What to do to a request: the first rule that matches and is not spent. One that is still skipping lets the
    /// rules after it have their say.
    pub(crate) fn pick(&self, method: &str, path: &str) -> Option<Action> {
        for rule in self.rules().iter_mut().filter(|rule| rule.matches(method, path)) {
            if rule.spent() {
                continue;
            }
            rule.hits += 1;
            if rule.hits > rule.skip {
                return Some(rule.action.clone());
            }
        }
        None
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
