//! What a license says.
//!
//! ```text
//! iss  who issued it             exp  the second from which it is over    entitlements.tier            a name
//! sub  the customer              nbf  the first second it holds, or none  entitlements.features        names
//! iat  when it was issued        jti  its name, see [`serial`](super)     entitlements.custom_fields   anything, for people
//! grace_days, warn_days          days after and before exp                entitlements.<anything else> a limit; -1 is no limit
//! ```
//!
//! Registered claims are as in RFC 7519, §4.1. The entitlements hold nothing that the product does not expect there, so what is ours
//! (`grace_days`, `warn_days`) stands beside them. Claims that are unknown here are kept and mean nothing (RFC 7519, §4); what is known
//! must have the right type.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use super::jws::Malformed;
use crate::limits;
use crate::text::is_printable;
use crate::time::Time;

/// The limit that stands for none.
pub const UNLIMITED: i64 = -1;

/// What a license says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// Who issued it (`iss`).
    pub issuer: String,
    /// Whose it is (`sub`).
    pub customer: String,
    /// When it was issued (`iat`).
    pub issued: Time,
    /// The first second it holds (`nbf`); absent: from the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// The first second it is over (`exp`).
    pub expires: Time,
    /// What it is called (`jti`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_key: Option<String>,
    /// Days it goes on working after `expires`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_days: Option<u32>,
    /// Days before `expires` from which that is announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_days: Option<u32>,
    /// What may be used.
    pub entitlements: Entitlements,
    /// Claims that mean nothing here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, Value>,
}

/// What may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entitlements {
    /// The tier.
    pub tier: String,
    /// How much of what; [`UNLIMITED`] for no limit.
    pub limits: BTreeMap<String, i64>,
    /// Which features, each once.
    pub features: BTreeSet<String>,
    /// What the vendor noted, for people.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub custom_fields: Map<String, Value>,
}

/// The members of a payload, taken out one by one.
struct Members {
    /// `""` or `"entitlements."`, for messages.
    within: &'static str,
    left: Map<String, Value>,
}

impl Members {
    fn fault(&self, name: &str, why: impl Into<String>) -> Malformed {
        Malformed::new(format!("{}{name}", self.within), why)
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Malformed> {
        match self.left.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => {
                named(&text).map_err(|why| self.fault(name, why))?;
                Ok(Some(text))
            }
            Some(_) => Err(self.fault(name, "it is no text")),
        }
    }

    /// RFC 7519, §2, `NumericDate`, whole seconds, in the years 1970 to 9999.
    fn time(&mut self, name: &str) -> Result<Option<Time>, Malformed> {
        let Some(value) = self.left.remove(name) else { return Ok(None) };
        let seconds =
            value.as_i64().ok_or_else(|| self.fault(name, "it is not a whole number of seconds"))?;
        let time = Time::from_unix(seconds);
        time.map(Some).ok_or_else(|| self.fault(name, "it lies before 1970 or after 9999"))
    }

    fn days(&mut self, name: &str) -> Result<Option<u32>, Malformed> {
        let Some(value) = self.left.remove(name) else { return Ok(None) };
        let days = value.as_u64().and_then(|days| u32::try_from(days).ok());
        match days.filter(|days| *days <= limits::LICENSE_DAYS) {
            None => {
                Err(self
                    .fault(name, format!("it is not a number of days from 0 to {}", limits::LICENSE_DAYS)))
            }
            days => Ok(days),
        }
    }

    fn needed<T>(&self, name: &str, value: Option<T>) -> Result<T, Malformed> {
        value.ok_or_else(|| self.fault(name, "it is missing"))
    }
}

/// A name that a person can read in a line: not empty, printable, not endless.
fn named(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("it is empty");
    }
    if text.chars().count() > limits::LICENSE_NAME_CHARS {
        return Err("it is too long");
    }
    if !text.chars().all(is_printable) { Err("it holds a character that is not shown") } else { Ok(()) }
}

impl Claims {
    /// Reads a payload.
    pub(super) fn from_members(members: Map<String, Value>) -> Result<Self, Malformed> {
        let mut all = Members { within: "", left: members };
        // RFC 7519, §4.1.3: a reader that is not named there must refuse, and this one has no name.
        if all.left.contains_key("aud") {
            return Err(all.fault("aud", "it is for a named audience; a license is for whoever has it"));
        }
        let (issuer, customer) = (all.text("iss")?, all.text("sub")?);
        let (issued, expires, not_before) = (all.time("iat")?, all.time("exp")?, all.time("nbf")?);
        let license_key = all.text("jti")?;
        let (grace_days, warn_days) = (all.days("grace_days")?, all.days("warn_days")?);
        let entitlements = match all.left.remove("entitlements") {
            None => None,
            Some(Value::Object(members)) => Some(Entitlements::from_members(members)?),
            Some(_) => return Err(all.fault("entitlements", "it is no object")),
        };
        let claims = Self {
            issuer: all.needed("iss", issuer)?,
            customer: all.needed("sub", customer)?,
            issued: all.needed("iat", issued)?,
            not_before,
            expires: all.needed("exp", expires)?,
            license_key,
            grace_days,
            warn_days,
            entitlements: all.needed("entitlements", entitlements)?,
            others: all.left.into_iter().collect(),
        };
        let begin = claims.not_before.unwrap_or(claims.issued);
        if claims.expires <= begin || claims.expires <= claims.issued {
            return Err(Malformed::new(
                "exp",
                format!("it is {}, when nothing has begun yet", claims.expires),
            ));
        }
        Ok(claims)
    }

    /// The payload that says this.
    pub(super) fn to_members(&self) -> Map<String, Value> {
        let mut all: Map<String, Value> = self.others.clone().into_iter().collect();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                all.insert(name.to_owned(), value);
            }
        };
        put("iss", Some(self.issuer.clone().into()));
        put("sub", Some(self.customer.clone().into()));
        put("iat", Some(self.issued.unix().into()));
        put("nbf", self.not_before.map(|time| time.unix().into()));
        put("exp", Some(self.expires.unix().into()));
        put("jti", self.license_key.clone().map(Value::from));
        put("grace_days", self.grace_days.map(Value::from));
        put("warn_days", self.warn_days.map(Value::from));
        put("entitlements", Some(Value::Object(self.entitlements.to_members())));
        all
    }
}

/// Names in `entitlements` that are no limits.
const KNOWN: [&str; 3] = ["tier", "features", "custom_fields"];

impl Entitlements {
    fn from_members(members: Map<String, Value>) -> Result<Self, Malformed> {
        let mut all = Members { within: "entitlements.", left: members };
        let tier = all.text("tier")?;
        let tier = all.needed("tier", tier)?;
        let mut features = BTreeSet::new();
        match all.left.remove("features") {
            None => {}
            Some(Value::Array(list)) => {
                for feature in list {
                    let Value::String(feature) = feature else {
                        return Err(all.fault("features", "one of them is no text"));
                    };
                    named(&feature).map_err(|why| all.fault("features", format!("of one of them, {why}")))?;
                    if !features.insert(feature) {
                        return Err(all.fault("features", "one of them stands there twice"));
                    }
                }
            }
            Some(_) => return Err(all.fault("features", "it is no list")),
        }
        let custom_fields = match all.left.remove("custom_fields") {
            None => Map::new(),
            Some(Value::Object(fields)) => fields,
            Some(_) => return Err(all.fault("custom_fields", "it is no object")),
        };
        let mut limits = BTreeMap::new();
        for (name, value) in std::mem::take(&mut all.left) {
            named(&name).map_err(|why| all.fault(&name, why))?;
            let limit = value.as_i64().filter(|limit| *limit >= UNLIMITED);
            let limit =
                limit.ok_or_else(|| all.fault(&name, "it is not a whole number from -1 (no limit) on"))?;
            limits.insert(name, limit);
        }
        Ok(Self { tier, limits, features, custom_fields })
    }

    fn to_members(&self) -> Map<String, Value> {
        let limits = self.limits.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
        let mut all: Map<String, Value> =
            limits.map(|(name, limit)| (name.clone(), Value::from(*limit))).collect();
        all.insert("tier".to_owned(), self.tier.clone().into());
        all.insert("features".to_owned(), self.features.iter().cloned().collect());
        if !self.custom_fields.is_empty() {
            all.insert("custom_fields".to_owned(), Value::Object(self.custom_fields.clone()));
        }
        all
    }
}
