//! `tiers.yaml`: which tiers there are, and what each grants.
//!
//! Strict: a feature or limit that a tier grants must be declared, a tier can only add to the one it includes, and every fault is named
//! with its line and column.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use signing::license::{Entitlements, UNLIMITED};

use crate::release::model::ApiVersion;
use crate::release::yaml::{self, At, Hand, Place};

/// A whole `tiers.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tiers {
    /// The version of this file's form.
    #[serde(rename = "apiVersion")]
    pub api_version: ApiVersion,
    /// What this file declares.
    pub kind: Kind,
    /// Who issues licenses of these tiers.
    pub issuer: At<String>,
    /// What the names of licenses begin with.
    pub key_prefix: At<String>,
    /// Days a license goes on working after it expired.
    #[serde(default)]
    pub grace_days: Option<At<u32>>,
    /// Days before it expires from which that is announced.
    #[serde(default)]
    pub warn_days: Option<At<u32>>,
    /// The limits there are.
    #[serde(default)]
    pub limits: Vec<At<Limit>>,
    /// The features there are.
    #[serde(default)]
    pub features: Vec<At<Feature>>,
    /// The tiers, smaller ones first.
    pub tiers: Vec<At<Tier>>,
}

/// What a file declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// Tiers of licenses.
    LicenseTiers,
}

/// A limit that licenses can have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limit {
    /// Its name in a license.
    pub name: String,
    /// What it limits, for people.
    #[serde(default)]
    pub about: Option<String>,
    /// Which of two is better for the customer.
    #[serde(default)]
    pub better: Better,
}

/// Which of two limits is better for the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// The larger, and no limit is best.
    #[default]
    More,
    /// The smaller, as with hours until an answer; it always has a value.
    Less,
}

/// A feature that licenses can grant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Feature {
    /// Its name in a license.
    pub name: String,
    /// What it is, for people.
    #[serde(default)]
    pub about: Option<String>,
}

/// One tier.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tier {
    /// Its name in a license.
    pub name: String,
    /// What it is called in the names of licenses.
    pub code: String,
    /// A tier before this one, of which it grants everything.
    #[serde(default)]
    pub includes: Option<At<String>>,
    /// How much of what; -1 is no limit.
    #[serde(default)]
    pub limits: BTreeMap<String, At<i64>>,
    /// Which features.
    #[serde(default)]
    pub features: Vec<At<String>>,
}

/// One thing wrong with tiers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{place}: {fault}")]
pub struct Problem {
    /// Name of the file.
    pub file: String,
    /// Where.
    pub place: Place,
    /// What.
    pub fault: Fault,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A name with other characters than it may have.
    #[error("{field} \"{got}\": expected {expected}")]
    Name {
        /// Which field.
        field: &'static str,
        /// What it holds.
        got: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// The same name twice.
    #[error("{field} \"{name}\" stands here a second time; the first is at {first}")]
    Duplicate {
        /// Which field.
        field: &'static str,
        /// The name.
        name: String,
        /// Where it stood first.
        first: Place,
    },
    /// A name that nothing declares.
    #[error("tier {tier}: {field} \"{name}\" is not declared; there is {known}")]
    Unknown {
        /// In which tier.
        tier: String,
        /// Which field.
        field: &'static str,
        /// The name.
        name: String,
        /// What is declared.
        known: String,
    },
    /// A limit that cannot be.
    #[error(
        "tier {tier}: limit {name} is {value}; it can be 0 or more, or -1 for no limit where more is better"
    )]
    Value {
        /// In which tier.
        tier: String,
        /// Which limit.
        name: String,
        /// Its value.
        value: i64,
    },
    /// A tier that takes away what the one it includes grants.
    #[error(
        "tier {tier}: limit {name} is {}, which grants less than the {} of tier {of} that it includes",
        shown(*.value), shown(*.included)
    )]
    Worse {
        /// In which tier.
        tier: String,
        /// Which limit.
        name: String,
        /// Its value.
        value: i64,
        /// The value in the included tier.
        included: i64,
        /// The included tier.
        of: String,
    },
    /// Days that no license can have.
    #[error("{field} is {got}; it can be 0 to {}", signing::limits::LICENSE_DAYS)]
    Days {
        /// Which field.
        field: &'static str,
        /// What it holds.
        got: u32,
    },
    /// Nothing to sell.
    #[error("tiers is empty")]
    NoTier,
}

/// Why tiers are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not parse.
    #[error(transparent)]
    Yaml(#[from] yaml::Error),
    /// It parses, and cannot be meant.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
}

/// What is asked of a tier and not had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such tier.
    #[error("--tier \"{name}\": there is {known}")]
    Tier {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// There is no such feature.
    #[error("--feature \"{name}\": there is {known}")]
    Feature {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// There is no such limit.
    #[error("--limit \"{name}\": there is {known}")]
    Limit {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A limit that cannot be.
    #[error("--limit {name}={value}: a limit is 0 or more, or -1 for none where more is better")]
    Value {
        /// Which limit.
        name: String,
        /// What was asked for.
        value: i64,
    },
    /// Less than the tier grants: then it is not that tier.
    #[error("--limit {name}={}: that grants less than the {} of tier {tier}", shown(*.value), shown(*.granted))]
    Worse {
        /// Which limit.
        name: String,
        /// What was asked for.
        value: i64,
        /// What the tier grants.
        granted: i64,
        /// The tier.
        tier: String,
    },
}

/// A limit, as a message shows it.
fn shown(limit: i64) -> String {
    if limit == UNLIMITED { "unlimited".to_owned() } else { limit.to_string() }
}

/// The names there are, as messages list them.
fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Whether `text` can be the name of a tier, a feature or a limit.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

const NAME: &str = "small letters, digits, _ and -, a letter first, at most 64";
const CODE: &str = "capitals and digits, a capital first, at most 24";

fn is_code(text: &str) -> bool {
    text.len() <= 24
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

impl Better {
    fn can_be(self, value: i64) -> bool {
        value >= 0 || (value == UNLIMITED && self == Self::More)
    }

    /// Whether a customer who was promised `granted` has less with `value`.
    fn worse(self, value: i64, granted: i64) -> bool {
        let rank = |limit: i64| if limit == UNLIMITED { i64::MAX } else { limit };
        match self {
            Self::More => rank(value) < rank(granted),
            Self::Less => value > granted,
        }
    }
}

impl Tiers {
    /// Parses and checks `bytes`; `file` is the name problems are reported under.
    ///
    /// # Errors
    /// The first fault of the shape, or every fault of the content.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, Error> {
        let tiers: Self = yaml::parse(bytes, file, Hand::Person)?;
        let faults = tiers.faults();
        if faults.is_empty() {
            return Ok(tiers);
        }
        let named = |(place, fault)| Problem { file: file.to_owned(), place, fault };
        Err(Error::Problems(faults.into_iter().map(named).collect()))
    }

    /// What `tier` grants, with more features and other limits; and the tier's code.
    ///
    /// # Errors
    /// [`Refusal`]: what is not there, and what is less than the tier promises.
    pub fn grant(
        &self,
        tier: &str,
        features: &[String],
        limits: &BTreeMap<String, i64>,
    ) -> Result<(Entitlements, &str), Refusal> {
        let known = || list(self.tiers.iter().map(|tier| &tier.value.name));
        let found = self.tiers.iter().position(|other| other.value.name == tier);
        let place = found.ok_or_else(|| Refusal::Tier { name: tier.to_owned(), known: known() })?;
        let (mut granted, mut with) = self.whole(place);
        for feature in features {
            if !self.features.iter().any(|known| known.value.name == *feature) {
                let known = list(self.features.iter().map(|feature| &feature.value.name));
                return Err(Refusal::Feature { name: feature.clone(), known });
            }
            with.insert(feature.clone());
        }
        for (name, value) in limits {
            let (name, value) = (name.clone(), *value);
            let Some(better) = self.better(&name) else {
                let known = list(self.limits.iter().map(|limit| &limit.value.name));
                return Err(Refusal::Limit { name, known });
            };
            if !better.can_be(value) {
                return Err(Refusal::Value { name, value });
            }
            if let Some(granted) = granted.get(&name).copied().filter(|granted| better.worse(value, *granted))
            {
                return Err(Refusal::Worse { name, value, granted, tier: tier.to_owned() });
            }
            granted.insert(name, value);
        }
        let entitlements = Entitlements {
            tier: tier.to_owned(),
            limits: granted,
            features: with,
            custom_fields: serde_json::Map::new(),
        };
        Ok((entitlements, &self.tiers[place].value.code))
    }

    fn better(&self, limit: &str) -> Option<Better> {
        self.limits.iter().find(|known| known.value.name == limit).map(|known| known.value.better)
    }

    /// Limits and features of a tier, with those of the tiers it includes. An included tier stands before, so this ends.
    fn whole(&self, place: usize) -> (BTreeMap<String, i64>, BTreeSet<String>) {
        let tier = &self.tiers[place].value;
        let before = tier.includes.as_ref().and_then(|name| self.before(place, &name.value));
        let (mut limits, mut features) = before.map(|place| self.whole(place)).unwrap_or_default();
        limits.extend(tier.limits.iter().map(|(name, limit)| (name.clone(), limit.value)));
        features.extend(tier.features.iter().map(|feature| feature.value.clone()));
        (limits, features)
    }

    fn before(&self, place: usize, name: &str) -> Option<usize> {
        self.tiers.iter().take(place).position(|tier| tier.value.name == name)
    }

    fn faults(&self) -> Vec<(Place, Fault)> {
        let mut faults = Vec::new();
        let mut name = |place, field, got: &str, good: bool, expected| {
            if !good {
                let got = crate::text::printable(got, 80);
                faults.push((place, Fault::Name { field, got, expected }));
            }
        };
        let issuer = &self.issuer.value;
        let good =
            !issuer.trim().is_empty() && issuer.len() <= 200 && issuer.chars().all(crate::text::is_printable);
        name(self.issuer.place, "issuer", issuer, good, "a name of at most 200 characters");
        name(
            self.key_prefix.place,
            "key-prefix",
            &self.key_prefix.value,
            is_code(&self.key_prefix.value),
            CODE,
        );
        for limit in &self.limits {
            let own = ["tier", "features", "custom_fields"].contains(&limit.value.name.as_str());
            name(limit.place, "limit", &limit.value.name, is_name(&limit.value.name) && !own, NAME);
        }
        for feature in &self.features {
            name(feature.place, "feature", &feature.value.name, is_name(&feature.value.name), NAME);
        }
        for tier in &self.tiers {
            name(tier.place, "tier", &tier.value.name, is_name(&tier.value.name), NAME);
            name(tier.place, "code", &tier.value.code, is_code(&tier.value.code), CODE);
        }
        for (field, days) in [("grace-days", &self.grace_days), ("warn-days", &self.warn_days)] {
            if let Some(days) = days.as_ref().filter(|days| days.value > signing::limits::LICENSE_DAYS) {
                faults.push((days.place, Fault::Days { field, got: days.value }));
            }
        }
        if self.tiers.is_empty() {
            faults.push((Place { line: 1, column: 1 }, Fault::NoTier));
        }
        duplicates("limit", self.limits.iter().map(|l| (l.place, &l.value.name)), &mut faults);
        duplicates("feature", self.features.iter().map(|f| (f.place, &f.value.name)), &mut faults);
        duplicates("tier", self.tiers.iter().map(|t| (t.place, &t.value.name)), &mut faults);
        duplicates("code", self.tiers.iter().map(|t| (t.place, &t.value.code)), &mut faults);
        for place in 0..self.tiers.len() {
            self.tier_faults(place, &mut faults);
        }
        faults
    }

    fn tier_faults(&self, place: usize, faults: &mut Vec<(Place, Fault)>) {
        let tier = &self.tiers[place].value;
        let unknown = |field, name: &str, known: String| Fault::Unknown {
            tier: tier.name.clone(),
            field,
            name: crate::text::printable(name, 80),
            known,
        };
        let base = tier.includes.as_ref().and_then(|included| {
            let found = self.before(place, &included.value);
            if found.is_none() {
                let known = list(self.tiers.iter().take(place).map(|tier| &tier.value.name));
                faults.push((included.place, unknown("an included tier before it", &included.value, known)));
            }
            found
        });
        let promised = base.map(|base| self.whole(base).0).unwrap_or_default();
        for (name, limit) in &tier.limits {
            let Some(better) = self.better(name) else {
                let known = list(self.limits.iter().map(|limit| &limit.value.name));
                faults.push((limit.place, unknown("limit", name, known)));
                continue;
            };
            let (tier, name, value) = (tier.name.clone(), name.clone(), limit.value);
            if !better.can_be(value) {
                faults.push((limit.place, Fault::Value { tier, name, value }));
            } else if let Some(included) = promised.get(&name).copied().filter(|p| better.worse(value, *p)) {
                let of = base.map(|base| self.tiers[base].value.name.clone()).unwrap_or_default();
                faults.push((limit.place, Fault::Worse { tier, name, value, included, of }));
            }
        }
        for feature in &tier.features {
            if !self.features.iter().any(|known| known.value.name == feature.value) {
                let known = list(self.features.iter().map(|feature| &feature.value.name));
                faults.push((feature.place, unknown("feature", &feature.value, known)));
            }
        }
        duplicates("feature", tier.features.iter().map(|f| (f.place, &f.value)), faults);
    }
}

fn duplicates<'a>(
    field: &'static str,
    names: impl Iterator<Item = (Place, &'a String)>,
    faults: &mut Vec<(Place, Fault)>,
) {
    let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
    for (place, name) in names {
        match seen.get(name.as_str()) {
            Some(first) => {
                let name = crate::text::printable(name, 80);
                faults.push((place, Fault::Duplicate { field, name, first: *first }));
            }
            None => drop(seen.insert(name, place)),
        }
    }
}
