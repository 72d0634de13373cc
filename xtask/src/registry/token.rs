//! Who may do what: basic authentication, and bearer tokens with the issuer that makes them.
//!
//! distribution's token authentication (docs/spec/auth/token.md, oauth.md): a 401 names realm, service and scope; the
//! issuer gives a token for those scopes that the credentials allow; a request needs all of its scopes in its token.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use serde_json::json;

use super::connection::Call;
use super::reply::{Fail, Outcome, error, json as json_reply, refuse, set};
use super::route::{Query, Route};
use super::{Auth, TokenAuth};

/// One thing that may be done: `repository:a/b` and `pull`.
type Right = (String, String);

#[derive(Debug)]
struct Token {
    rights: BTreeSet<Right>,
    until: Instant,
    left: Option<u64>,
}

/// The tokens that hold.
#[derive(Debug, Default)]
pub(super) struct Tokens(HashMap<String, Token>);

impl Tokens {
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

/// Lets the request pass or says what it lacks.
pub(super) fn admit(call: &Call) -> Result<(), Fail> {
    match &call.shared.config.auth {
        Auth::Open => Ok(()),
        Auth::Basic { user, password } => {
            if basic(call).is_some_and(|(name, word)| name == *user && word == *password) {
                return Ok(());
            }
            Err(challenge("Basic realm=\"registry\""))
        }
        Auth::Token(_) => {
            let needed = needed(call);
            let why = match bearer(call, &needed) {
                Ok(()) => return Ok(()),
                Err(why) => why.map_or_else(String::new, |why| format!(",error=\"{why}\"")),
            };
            let realm = format!("http://{}/token", call.shared.address);
            let scope = scope_text(&needed);
            Err(challenge(&format!("Bearer realm=\"{realm}\",service=\"registry\"{scope}{why}")))
        }
    }
}

fn challenge(text: &str) -> Fail {
    let mut reply = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
    set(&mut reply, WWW_AUTHENTICATE, text);
    Fail::Reply(Box::new(reply))
}

/// What the request needs: reading needs `pull`, writing both, a mount also `pull` on its origin.
fn needed(call: &Call) -> Vec<Right> {
    let right = |name: &str, action: &str| (format!("repository:{name}"), action.to_owned());
    let Some(repository) = call.route.repository() else {
        return match call.route {
            Route::Catalog => vec![("registry:catalog".to_owned(), "*".to_owned())],
            _ => Vec::new(),
        };
    };
    let mut rights = match call.parts.method {
        Method::GET | Method::HEAD => vec![right(repository, "pull")],
        Method::DELETE if !matches!(call.route, Route::Upload { .. }) => vec![right(repository, "delete")],
        _ => vec![right(repository, "pull"), right(repository, "push")],
    };
    if let (Some(from), Some(_)) = (call.query.one("from"), call.query.one("mount")) {
        rights.push(right(from, "pull"));
    }
    rights
}

fn scope_text(needed: &[Right]) -> String {
    let mut scopes: Vec<(String, Vec<&str>)> = Vec::new();
    for (resource, action) in needed {
        match scopes.iter_mut().find(|(known, _)| known == resource) {
            Some((_, actions)) => actions.push(action),
            None => scopes.push((resource.clone(), vec![action])),
        }
    }
    if scopes.is_empty() {
        return String::new();
    }
    let texts: Vec<String> =
        scopes.iter().map(|(resource, actions)| format!("{resource}:{}", actions.join(","))).collect();
    format!(",scope=\"{}\"", texts.join(" "))
}

/// Whether the token given allows `needed`; the error is RFC 6750's word for why not, `None` without a token.
fn bearer(call: &Call, needed: &[Right]) -> Result<(), Option<&'static str>> {
    let text = call.header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).ok_or(None)?;
    let mut tokens = call.shared.tokens();
    let token = tokens.0.get_mut(text).ok_or(Some("invalid_token"))?;
    if token.until <= Instant::now() || token.left == Some(0) {
        return Err(Some("invalid_token"));
    }
    if let Some(left) = &mut token.left {
        *left -= 1;
    }
    if needed.iter().all(|right| token.rights.contains(right)) {
        Ok(())
    } else {
        Err(Some("insufficient_scope"))
    }
}

fn basic(call: &Call) -> Option<(String, String)> {
    let text = call.header(AUTHORIZATION)?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    text.split_once(':').map(|(name, word)| (name.to_owned(), word.to_owned()))
}

/// What the one who asks the issuer may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Everything,
    PullOnly,
}

/// The issuer: `GET /token` with basic credentials, `POST /token` with a form.
pub(super) async fn issue(call: &mut Call) -> Outcome {
    let Auth::Token(auth) = call.shared.config.auth.clone() else {
        return Ok(error(StatusCode::NOT_FOUND, "UNSUPPORTED", "this registry issues no tokens"));
    };
    let (standing, query) = match call.parts.method {
        Method::GET => (by_basic(call, &auth), call.query.clone()),
        Method::POST => {
            call.intake.at_most(64 << 10);
            let form = call.intake.whole().await?;
            let form = Query::of(&String::from_utf8_lossy(&form));
            (by_form(&form, &auth), form)
        }
        _ => {
            return Ok(error(
                StatusCode::METHOD_NOT_ALLOWED,
                "UNSUPPORTED",
                "tokens are asked for by GET or POST",
            ));
        }
    };
    let Some(standing) = standing else {
        let message = "these credentials are not known";
        return Err(refuse(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message));
    };
    let mut rights = BTreeSet::new();
    for scope in query.all("scope").iter().flat_map(|scopes| scopes.split(' ')) {
        let Some((resource, actions)) = scope.rsplit_once(':') else { continue };
        for action in
            actions.split(',').filter(|action| standing == Standing::Everything || *action == "pull")
        {
            rights.insert((resource.to_owned(), action.to_owned()));
        }
    }
    let text = format!("token-{:08x}", call.shared.serial());
    let until = Instant::now() + Duration::from_secs(auth.seconds);
    call.shared.tokens().0.insert(text.clone(), Token { rights, until, left: auth.requests });
    let mut answer = json!({"token": text, "access_token": text, "expires_in": auth.seconds});
    if query.one("offline_token") == Some("true") {
        answer["refresh_token"] = auth.identity.into();
    }
    Ok(json_reply(StatusCode::OK, &answer))
}

fn by_basic(call: &Call, auth: &TokenAuth) -> Option<Standing> {
    let Some((user, password)) = &auth.user else { return Some(Standing::Everything) };
    match basic(call) {
        Some((name, word)) => (name == *user && word == *password).then_some(Standing::Everything),
        None if call.header(AUTHORIZATION).is_none() && auth.anonymous_pull => Some(Standing::PullOnly),
        None => None,
    }
}

fn by_form(form: &Query, auth: &TokenAuth) -> Option<Standing> {
    let holds = match form.one("grant_type") {
        Some("refresh_token") => {
            auth.identity.is_some() && form.one("refresh_token") == auth.identity.as_deref()
        }
        Some("password") => auth.user.as_ref().is_some_and(|(user, password)| {
            form.one("username") == Some(user) && form.one("password") == Some(password)
        }),
        _ => false,
    };
    holds.then_some(Standing::Everything)
}
