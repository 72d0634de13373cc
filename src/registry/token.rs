//! Saying who we are: basic authentication, and bearer tokens from the issuer a registry names.
//!
//! distribution-spec leaves this to the Docker token specifications (docs/spec/auth/{jwt,oauth}.md of distribution). Tokens
//! are kept by registry and scopes, for as long as the issuer says less a margin. A refusal is reported with the issuer's
//! own reason, never turned into an anonymous request.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::Error;
use super::answer::{self, Answer};
use super::challenge::{self, Challenge};
use super::credentials::{Credential, Credentials};
use super::hosts::{authority, is_metadata, loops_back, place};
use super::http::fault;
use super::request::{Bound, Core};
use super::retry::{self, Again, Failure};
use crate::limits;

/// How long a token holds whose issuer does not say (distribution, docs/spec/auth/token.md).
/// The longest life that a token is believed to have.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// What a request needs: `repository:acme/app:pull,push`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Scope(String);

impl Scope {
    /// Reading from the repository at `path`.
    pub(super) fn pull(path: &str) -> Self {
        Self(format!("repository:{path}:pull"))
    }

    /// Reading from and writing to the repository at `path`.
    pub(super) fn push(path: &str) -> Self {
        Self(format!("repository:{path}:pull,push"))
    }

    /// Removing from the repository at `path`.
    pub(super) fn delete(path: &str) -> Self {
        Self(format!("repository:{path}:delete"))
    }

    /// Whether having this is having `other`.
    fn covers(&self, other: &Self) -> bool {
        match (self.0.rsplit_once(':'), other.0.rsplit_once(':')) {
            (Some((name, own)), Some((wanted, actions))) => {
                name == wanted && actions.split(',').all(|action| own.split(',').any(|mine| mine == action))
            }
            _ => false,
        }
    }
}

/// A value for `Authorization`.
#[derive(Clone)]
pub(super) struct Bearer {
    pub(super) header: HeaderValue,
    until: Option<Instant>,
}

impl Bearer {
    /// Whether it is a token, which holds for a while, and not a name and password.
    pub(super) fn runs_out(&self) -> bool {
        self.until.is_some()
    }
}

/// Who wants to do what where.
pub(super) struct Need<'a> {
    pub(super) registry: &'a str,
    pub(super) what: &'a str,
    pub(super) scopes: &'a [Scope],
}

impl Need<'_> {
    fn unauthorized(&self, reason: String) -> Error {
        Error::Unauthorized { registry: self.registry.to_owned(), what: self.what.to_owned(), reason }
    }
}

#[derive(Clone)]
enum Way {
    Basic,
    Token { realm: Url, service: Option<String> },
}

type Slot = Arc<tokio::sync::Mutex<Option<Bearer>>>;

/// What every registry asks for, and the tokens held.
pub(super) struct Tokens {
    credentials: Arc<Credentials>,
    ways: Mutex<HashMap<String, Way>>,
    slots: Mutex<HashMap<(String, Vec<Scope>), Slot>>,
    spent: Mutex<Vec<HeaderValue>>,
}

impl Tokens {
    pub(super) fn new(files: &[PathBuf]) -> Self {
        Self {
            credentials: Arc::new(Credentials::new(files)),
            ways: Mutex::default(),
            slots: Mutex::default(),
            spent: Mutex::default(),
        }
    }

    /// What to send for `need` and `more`; nothing until the registry has asked for something.
    pub(super) async fn bearer(
        &self,
        core: &Core,
        need: &Need<'_>,
        more: &[Scope],
    ) -> Result<Option<Bearer>, Failure> {
        let Need { registry, scopes, .. } = *need;
        let way = self.ways.lock().unwrap_or_else(PoisonError::into_inner).get(registry).cloned();
        let Some(way) = way else { return Ok(None) };
        let credential = self.credential(registry).await?;
        let (realm, service) = match way {
            Way::Basic => return basic(need, credential).map(Some).map_err(Failure::from),
            Way::Token { realm, service } => (realm, service),
        };
        let mut wanted = scopes.to_vec();
        wanted.extend(more.iter().filter(|extra| !scopes.iter().any(|own| own.covers(extra))).cloned());
        wanted.sort();
        let key = (registry.to_owned(), wanted.clone());
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        // Held while asking: others who want the same token wait for this one.
        let mut held = slot.lock().await;
        if let Some(bearer) = held.as_ref()
            && bearer.until.is_none_or(|until| Instant::now() < until)
            && !self.spent.lock().unwrap_or_else(PoisonError::into_inner).contains(&bearer.header)
        {
            return Ok(Some(bearer.clone()));
        }
        let request = Request { registry, realm, service, scopes: wanted, credential };
        let fresh = request.send(core).await?;
        if let Some(old) = held.replace(fresh.clone()) {
            self.spent.lock().unwrap_or_else(PoisonError::into_inner).retain(|spent| *spent != old.header);
        }
        Ok(Some(fresh))
    }

    /// Takes note of a 401: what is asked for, and that `used` holds no longer. Gives the scopes the challenge names.
    pub(super) fn challenged(
        &self,
        need: &Need<'_>,
        headers: &HeaderMap,
        used: Option<&Bearer>,
    ) -> Result<Vec<Scope>, Error> {
        let unauthorized = |reason: &str| need.unauthorized(reason.to_owned());
        let challenges: Vec<Challenge> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(challenge::parse)
            .collect();
        if let Some(used) = used {
            let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
            if used.until.is_some() && !spent.contains(&used.header) {
                spent.push(used.header.clone());
            }
        }
        let bearer = challenges.iter().find(|c| c.scheme == "bearer" && c.get("realm").is_some());
        let (way, scopes) = if let Some(bearer) = bearer {
            let realm = bearer.get("realm").unwrap_or_default();
            let realm =
                Url::parse(realm).map_err(|_| unauthorized("the token issuer it names is not a URL"))?;
            let scopes: Vec<Scope> = bearer
                .get("scope")
                .unwrap_or_default()
                .split_ascii_whitespace()
                .map(|scope| Scope(scope.to_owned()))
                .collect();
            (Way::Token { realm, service: bearer.get("service").map(str::to_owned) }, scopes)
        } else if challenges.iter().any(|c| c.scheme == "basic") {
            (Way::Basic, Vec::new())
        } else {
            let schemes: Vec<&str> = challenges.iter().map(|c| c.scheme.as_str()).collect();
            return Err(unauthorized(&match schemes.as_slice() {
                [] => "it answered 401 without saying how to authenticate".to_owned(),
                _ => format!("it asks for \"{}\" authentication", answer::clean(&schemes.join(", "))),
            }));
        };
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).insert(need.registry.to_owned(), way);
        Ok(scopes)
    }

    async fn credential(&self, registry: &str) -> Result<Option<Credential>, Failure> {
        let (credentials, name) = (self.credentials.clone(), registry.to_owned());
        let found = tokio::task::spawn_blocking(move || credentials.find(&name)).await;
        let found = found.map_err(|error| Error::Setup { why: error.to_string() })?;
        Ok(found?)
    }
}

fn basic(need: &Need<'_>, credential: Option<Credential>) -> Result<Bearer, Error> {
    let unauthorized = |reason: &str| need.unauthorized(reason.to_owned());
    match credential {
        Some(Credential::Password { user, secret }) => Ok(Bearer {
            header: secret_header("Basic ", &STANDARD.encode(format!("{user}:{secret}")))?,
            until: None,
        }),
        Some(Credential::Identity(_)) => {
            Err(unauthorized("it asks for a name and password, and an identity token is configured"))
        }
        None => Err(unauthorized("it asks for a name and password, and none are configured")),
    }
}

fn secret_header(kind: &str, secret: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(&format!("{kind}{secret}"))
        .map_err(|_| Error::Setup { why: "a token that cannot stand in a header".into() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// One request to a token issuer.
struct Request<'a> {
    registry: &'a str,
    realm: Url,
    service: Option<String>,
    scopes: Vec<Scope>,
    credential: Option<Credential>,
}

#[derive(Deserialize)]
struct Issued {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Request<'_> {
    async fn send(&self, core: &Core) -> Result<Bearer, Failure> {
        self.check_realm(core)?;
        let answer = match &self.credential {
            Some(Credential::Identity(token)) => match self.post(core, token).await? {
                // Issuers from before OAuth2: the identity token stands in for a password.
                answer if matches!(answer.status, 404 | 405) => self.get(core, Some(("", token))).await?,
                answer => answer,
            },
            Some(Credential::Password { user, secret }) => self.get(core, Some((user, secret))).await?,
            None => self.get(core, None).await?,
        };
        self.read(&answer)
    }

    /// Credentials go only where the user would send them: over TLS, inside this machine, or to a host named for plain HTTP.
    fn check_realm(&self, core: &Core) -> Result<(), Error> {
        let refused =
            |why| Error::RealmRefused { registry: self.registry.to_owned(), realm: place(&self.realm), why };
        if is_metadata(&self.realm) {
            return Err(refused("it is no address of a registry (link-local, or none at all)"));
        }
        if !self.realm.username().is_empty() || self.realm.password().is_some() {
            return Err(refused("it carries credentials of its own"));
        }
        if !core.hosts.admits(&self.realm) {
            return Err(refused("it is reached over plain HTTP"));
        }
        let home = core.hosts.api(self.registry, "")?;
        if self.realm.scheme() == "http" && home.scheme() == "https" {
            return Err(refused("the registry speaks TLS and it does not"));
        }
        if loops_back(&self.realm) && !loops_back(&home) {
            return Err(refused("it is on this machine and the registry is not"));
        }
        Ok(())
    }

    async fn get(&self, core: &Core, login: Option<(&str, &str)>) -> Result<Answer, Failure> {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &self.service {
                query.append_pair("service", service);
            }
            for scope in &self.scopes {
                query.append_pair("scope", &scope.0);
            }
            if let Some((user, _)) = login.filter(|(user, _)| !user.is_empty()) {
                query.append_pair("account", user);
            }
        }
        let mut request = core.http.client(&url).request(Method::GET, url);
        if let Some((user, secret)) = login {
            let value = secret_header("Basic ", &STANDARD.encode(format!("{user}:{secret}")))?;
            request = request.header(AUTHORIZATION, value);
        }
        self.exchange(core, request).await
    }

    async fn post(&self, core: &Core, identity: &str) -> Result<Answer, Failure> {
        let form = self.form(identity);
        let request = core
            .http
            .client(&self.realm)
            .request(Method::POST, self.realm.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        self.exchange(core, request).await
    }

    fn form(&self, identity: &str) -> String {
        let scopes: Vec<&str> = self.scopes.iter().map(|scope| scope.0.as_str()).collect();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token")
            .append_pair("client_id", "bundle")
            .append_pair("refresh_token", identity)
            .append_pair("scope", &scopes.join(" "));
        if let Some(service) = &self.service {
            form.append_pair("service", service);
        }
        form.finish()
    }

    async fn exchange(&self, core: &Core, request: reqwest::RequestBuilder) -> Result<Answer, Failure> {
        let what = self.what();
        let sent = core.patiently(&what, request.send()).await?;
        let response = sent.map_err(|error| fault(error, &self.realm).failure())?;
        let good = response.status().is_success();
        let bound = if good { Bound::Whole(limits::TOKEN_BYTES as u64) } else { Bound::REFUSAL };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = core.read(response, bound, &what).await?;
        Ok(Answer { status, headers, body, url: self.realm.clone() })
    }

    fn read(&self, answer: &Answer) -> Result<Bearer, Failure> {
        let what = self.what();
        if answer.status != 200 {
            let words = answer::words(&answer.headers, &answer.body);
            let error = match answer.status {
                // The issuer's verdict on who we are; which status it picks is its own taste.
                400 | 401 | 403 => Error::Unauthorized {
                    registry: self.registry.to_owned(),
                    what: self.scopes.first().map_or(what, |scope| scope.0.clone()),
                    reason: format!("{} says: {words}", authority(&self.realm)),
                },
                status => answer::refusal(status, self.registry, &what, words),
            };
            let passing = retry::is_passing(answer.status);
            let again = if passing { retry::again(&answer.headers) } else { Again::Never };
            return Err(Failure { error, again });
        }
        let issued: Issued = answer.json(&what)?;
        let token = issued
            .token
            .or(issued.access_token)
            .filter(|token| !token.is_empty())
            .ok_or_else(|| Error::Malformed { what: what.clone(), why: "it holds no token".into() })?;
        let life = issued.expires_in.filter(|s| *s > 0).map_or(DEFAULT_LIFE, Duration::from_secs);
        // A margin for the way there: a quarter of the life, at most ten seconds.
        let margin = (life / 4).min(Duration::from_secs(10));
        // One that is said to hold for longer is asked for anew all the same.
        let life = life.min(LONGEST_LIFE);
        let until = Instant::now().checked_add(life.saturating_sub(margin));
        let header = secret_header("Bearer ", &token);
        // It came from the issuer, and no setting is to blame.
        let header = header
            .map_err(|_| Error::Malformed { what, why: "its token cannot stand in a header".into() })?;
        Ok(Bearer { header, until })
    }

    fn what(&self) -> String {
        format!("token from {}{}", authority(&self.realm), self.realm.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_cover_what_they_hold() {
        let push = Scope::push("a/b");
        assert!(push.covers(&Scope::pull("a/b")));
        assert!(push.covers(&Scope("repository:a/b:push,pull".into())));
        assert!(!push.covers(&Scope::pull("a/c")));
        assert!(!push.covers(&Scope("repository:a/b:delete".into())));
        assert!(!Scope::pull("a/b").covers(&push));
    }
}
