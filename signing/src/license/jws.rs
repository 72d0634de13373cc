//! The compact form: `HEADER.PAYLOAD.SIGNATURE`, each base64url without padding (RFC 7515, §7.1).
//!
//! Every token has exactly one spelling: padding, white space, other alphabets and stray bits at the end of a part are refused, so that
//! no byte can be changed and the signature still hold. One line ending after the token is let pass, because editors add it.
//! What is signed begins with `eyJ` (the base64url of `{"`), so it can be taken neither for a `SHA256SUMS` nor for a trust policy.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::claims::Claims;
use super::json;
use super::key::LicenseSigner;
use crate::limits;
use crate::text::printable;

/// What is wrong with the form of a license.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {why}")]
pub struct Malformed {
    /// Which part or claim: `license`, `header`, `header.crit`, `payload`, `exp`, `entitlements.max_teams`.
    pub part: String,
    /// What is wrong with it.
    pub why: String,
}

impl Malformed {
    pub(super) fn new(part: impl Into<String>, why: impl Into<String>) -> Self {
        let part: String = part.into();
        Self { part: printable(&part, 100), why: why.into() }
    }
}

/// A token cut into its parts, unchecked.
#[derive(Debug, Clone)]
pub(super) struct Compact<'a> {
    /// What the signature covers: the first two parts as they stand.
    pub(super) signed: &'a str,
    /// The second part as it stands.
    payload: &'a str,
    /// The signature; empty where there is none.
    pub(super) signature: Vec<u8>,
    /// `alg` of the header.
    pub(super) algorithm: String,
    /// `kid` of the header.
    pub(super) key: Option<String>,
}

/// Longest `alg` or `kid` that is looked at; the registered names have at most 20 characters.
const NAME_CHARS: usize = 200;

impl<'a> Compact<'a> {
    /// Cuts `token` and reads its header.
    pub(super) fn read(token: &'a [u8]) -> Result<Self, Malformed> {
        let whole = |why: &str| Malformed::new("license", why);
        let token = std::str::from_utf8(token).map_err(|_| whole("it is not text"))?;
        let token = token.strip_suffix('\n').map_or(token, |token| token.strip_suffix('\r').unwrap_or(token));
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(whole("it is not three parts with dots between them"));
        };
        let signed = &token[..header.len() + 1 + payload.len()];
        let mut members =
            json::object(&decode("header", header)?).map_err(|why| Malformed::new("header", why))?;
        let Some(Value::String(algorithm)) = members.remove("alg") else {
            return Err(Malformed::new("header.alg", "it is missing or no text"));
        };
        let key = match members.remove("kid") {
            None => None,
            Some(Value::String(key)) => Some(key),
            Some(_) => return Err(Malformed::new("header.kid", "it is no text")),
        };
        if algorithm.chars().count() > NAME_CHARS
            || key.as_ref().is_some_and(|k| k.chars().count() > NAME_CHARS)
        {
            return Err(Malformed::new("header", "a name in it is too long"));
        }
        // RFC 7515, §4.1.11: who does not know an extension listed there must refuse; none is known here.
        if members.contains_key("crit") {
            return Err(Malformed::new(
                "header.crit",
                "it asks for extensions that this program does not have",
            ));
        }
        match members.get("typ") {
            None => {}
            Some(Value::String(kind)) if kind.eq_ignore_ascii_case("JWT") => {}
            Some(_) => return Err(Malformed::new("header.typ", "it is not JWT")),
        }
        let signature = decode("signature", signature)?;
        Ok(Self { signed, payload, signature, algorithm, key })
    }

    /// The claims, which nobody vouches for until the signature over [`Compact::signed`] held.
    pub(super) fn claims(&self) -> Result<Claims, Malformed> {
        let members: Map<String, Value> =
            json::object(&decode("payload", self.payload)?).map_err(|why| Malformed::new("payload", why))?;
        Claims::from_members(members)
    }
}

fn decode(part: &str, text: &str) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Malformed::new(part, "it is not base64url without padding"))
}

/// What a license says of itself. Believed by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified {
    /// The algorithm that its header names.
    pub algorithm: String,
    /// The key that its header names.
    pub key: Option<String>,
    /// What it claims.
    pub claims: Claims,
}

/// Reads a license without a key. Whoever made it, nothing of this is vouched for.
pub fn peek(token: &[u8]) -> Result<Unverified, Malformed> {
    if token.len() > limits::LICENSE_BYTES {
        return Err(Malformed::new("license", format!("it has more than {} bytes", limits::LICENSE_BYTES)));
    }
    let compact = Compact::read(token)?;
    let claims = compact.claims()?;
    Ok(Unverified { algorithm: compact.algorithm, key: compact.key, claims })
}

/// The license that says `claims`, signed by `signer`: one line without an ending, because not every reader strips one.
pub fn issue(claims: &Claims, signer: &LicenseSigner) -> Result<String, Malformed> {
    let members = claims.to_members();
    // What is signed must be what a reader accepts.
    Claims::from_members(members.clone())?;
    let public = signer.public();
    let header = json!({"alg": public.algorithm().name(), "kid": public.id().to_string(), "typ": "JWT"});
    let encode = |value: String| URL_SAFE_NO_PAD.encode(value);
    let mut token = format!("{}.{}", encode(header.to_string()), encode(Value::Object(members).to_string()));
    let signature =
        signer.sign(token.as_bytes()).map_err(|why| Malformed::new("signature", why.to_string()))?;
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    if token.len() > limits::LICENSE_BYTES {
        return Err(Malformed::new("license", format!("it has more than {} bytes", limits::LICENSE_BYTES)));
    }
    Ok(token)
}
