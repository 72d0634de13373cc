//! Whether one version can be brought to another, over which releases, and what becomes of its answers.

use std::collections::BTreeMap;

use semver::{Version, VersionReq};
use serde::Serialize;
use serde_json::Value;

use crate::bundle::index::IndexUpgrade;
use crate::release::questions::{Answer, Fault, Given, Kind, Problem, Questions, Scalar};
use crate::release::sections::Migration;

/// Why there is no way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// It runs already.
    #[error("{0} is installed already")]
    Same(Version),
    /// What runs is newer.
    #[error("{installed} is installed, which is newer than {target}")]
    Newer {
        /// What runs.
        installed: Version,
        /// What was to be.
        target: Version,
    },
    /// The release says nothing of upgrades.
    #[error("{target} does not say that it replaces any version; {installed} is installed")]
    Never {
        /// What runs.
        installed: Version,
        /// What was to be.
        target: Version,
    },
    /// Nothing leads from what runs to the first release on the way.
    #[error("{first} replaces {from}; {installed} is installed")]
    OutOfRange {
        /// What runs.
        installed: Version,
        /// The first release on the way: a stop, or the one that was to be.
        first: Version,
        /// What that replaces.
        from: VersionReq,
    },
    /// Releases on the way may not be passed over.
    #[error("from {installed}, the way to {} is over {}", .way.last().map(ToString::to_string).unwrap_or_default(), stops(.way))]
    Stops {
        /// What runs.
        installed: Version,
        /// The releases to install, in order, the one that was to be last.
        way: Vec<Version>,
    },
}

fn stops(way: &[Version]) -> String {
    let stops = way.split_last().map(|(_, stops)| stops).unwrap_or_default();
    stops.iter().map(ToString::to_string).collect::<Vec<_>>().join(", then ")
}

/// Whether `installed` can be brought to `target` at once, by what `target` declares.
///
/// # Errors
/// [`NoRoute`]; [`NoRoute::Stops`] tells the way where there is a longer one.
pub fn route(installed: &Version, upgrade: Option<&IndexUpgrade>, target: &Version) -> Result<(), NoRoute> {
    let (here, there) = (installed.clone(), target.clone());
    if installed == target {
        return Err(NoRoute::Same(there));
    }
    if installed > target {
        return Err(NoRoute::Newer { installed: here, target: there });
    }
    let Some(upgrade) = upgrade else { return Err(NoRoute::Never { installed: here, target: there }) };
    let ahead: Vec<_> = upgrade.stops.iter().filter(|stop| stop.version > *installed).collect();
    let (first, from) = match ahead.first() {
        Some(stop) => (&stop.version, &stop.from),
        None => (target, &upgrade.from),
    };
    if !from.matches(installed) {
        return Err(NoRoute::OutOfRange { installed: here, first: first.clone(), from: from.clone() });
    }
    if ahead.is_empty() {
        return Ok(());
    }
    let way = ahead.iter().map(|stop| stop.version.clone()).chain([there]).collect();
    Err(NoRoute::Stops { installed: here, way })
}

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Migrated {
    /// The question is called otherwise.
    Renamed {
        /// How it was called.
        answer: String,
        /// How it is called.
        to: String,
    },
    /// The answer is called otherwise.
    Changed {
        /// Which question.
        answer: String,
        /// What was answered.
        from: String,
        /// What it is now.
        to: String,
    },
    /// The release says that it is not needed any more.
    Dropped {
        /// Which question.
        answer: String,
    },
    /// There is no such question any more, and no rule says what became of it.
    Gone {
        /// Which question.
        answer: String,
    },
    /// It is not asked any more, as other things are answered.
    NotAsked {
        /// Which question.
        answer: String,
    },
}

impl std::fmt::Display for Migrated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Renamed { answer, to } => write!(f, "{answer} is called {to} now"),
            Self::Changed { answer, from, to } => write!(f, "{answer}: {from} is called {to} now"),
            Self::Dropped { answer } => write!(f, "{answer} is not needed any more"),
            Self::Gone { answer } => write!(f, "{answer} is not asked any more"),
            Self::NotAsked { answer } => write!(f, "{answer} does not matter as the rest is answered"),
        }
    }
}

/// The answers given to `installed` as the rules of a later release have them, in the order of the rules. An answer that was given under
/// the new name already stays.
#[must_use]
pub fn migrate(
    mut answers: BTreeMap<String, Value>,
    rules: &[Migration],
    installed: &Version,
) -> (BTreeMap<String, Value>, Vec<Migrated>) {
    let mut done = Vec::new();
    for rule in rules {
        let Migration { answer, before, drop, to, values } = rule;
        if before.as_ref().is_some_and(|before| installed >= before) {
            continue;
        }
        let Some(mut value) = answers.remove(answer) else { continue };
        if *drop {
            done.push(Migrated::Dropped { answer: answer.clone() });
            continue;
        }
        let text = shown(&value);
        if let Some(new) = values.get(&text).filter(|new| **new != text) {
            let name = to.as_ref().unwrap_or(answer).clone();
            done.push(Migrated::Changed { answer: name, from: text, to: new.clone() });
            value = Value::String(new.clone());
        }
        match to {
            Some(to) => {
                done.push(Migrated::Renamed { answer: answer.clone(), to: to.clone() });
                answers.entry(to.clone()).or_insert(value);
            }
            None => {
                answers.insert(answer.clone(), value);
            }
        }
    }
    (answers, done)
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Answers that were given, carried into the questions there are now.
#[derive(Debug)]
pub struct Carried {
    /// What is answered.
    pub given: Given,
    /// What was left behind.
    pub left: Vec<Migrated>,
    /// What is still to be answered, or does not fit any more.
    pub problems: Vec<Problem>,
}

/// Carries `answers`, and `secrets` that are kept, into `questions`; `more` is what was answered now, and goes before. `file` is the name of
/// that in messages.
#[must_use]
pub fn carry(
    questions: &Questions,
    (answers, secrets): (&BTreeMap<String, Value>, BTreeMap<String, Scalar>),
    more: &Given,
    file: &str,
) -> Carried {
    let mut left = Vec::new();
    let mut kept = secrets;
    for (name, value) in answers {
        match questions.get(name) {
            None => left.push(Migrated::Gone { answer: name.clone() }),
            Some(question) => {
                kept.insert(name.clone(), scalar(&question.kind, value));
            }
        }
    }
    // An answer can take another question away, and that a further one; each round takes one at least.
    loop {
        let mut given = more.clone();
        for (name, scalar) in &kept {
            given.insert_new(name, scalar.clone());
        }
        let problems = questions.settle(&given, file).err().unwrap_or_default();
        let hidden: Vec<String> = problems
            .iter()
            .filter(|problem| matches!(problem.fault, Fault::NotAsked { .. }))
            .map(|problem| problem.variable.clone())
            .filter(|name| !more.has(name) && kept.contains_key(name))
            .collect();
        if hidden.is_empty() {
            return Carried { given, left, problems };
        }
        for answer in hidden {
            kept.remove(&answer);
            // What stands at its default was remembered, and nobody answered it.
            let default = questions.get(&answer).and_then(|question| question.default.as_ref());
            let said = answers.get(&answer).map(shown);
            if said.is_some() && default.map(ToString::to_string) != said {
                left.push(Migrated::NotAsked { answer });
            }
        }
    }
}

/// A remembered answer as it would be given; a text that a rule made, as its question reads it.
fn scalar(kind: &Kind, value: &Value) -> Scalar {
    match value {
        Value::Bool(flag) => Scalar::Flag(*flag),
        Value::Number(number) => number.as_i64().map_or(Scalar::Fraction, Scalar::Number),
        value => {
            let text = shown(value);
            let text_of = |text| Scalar::Text(zeroize::Zeroizing::new(text));
            match kind {
                Kind::Number(..) | Kind::Flag => {
                    kind.read(&text).as_ref().map_or_else(|_| text_of(text.clone()), Answer::to_scalar)
                }
                _ => text_of(text),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::release::sections::Stop;
    use serde_json::json;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn the_way_from_every_version() {
        let stop = |version: &str, from: &str| Stop {
            from: from.parse().unwrap(),
            version: version.parse().unwrap(),
        };
        let upgrade = |stops: Vec<Stop>| IndexUpgrade {
            from: ">=1.4.0, <2.0.0".parse().unwrap(),
            migrate: vec![],
            stops,
        };
        let plain = upgrade(vec![]);
        let long = upgrade(vec![stop("1.2.0", ">=1.0.0, <1.2.0"), stop("1.4.0", ">=1.2.0, <1.4.0")]);
        for (installed, upgrade, said) in [
            ("2.0.0", Some(&plain), "2.0.0 is installed already"),
            ("2.0.1", Some(&plain), "2.0.1 is installed, which is newer than 2.0.0"),
            ("1.4.0", None, "2.0.0 does not say that it replaces any version"),
            ("1.4.0", Some(&plain), ""),
            ("1.9.9", Some(&plain), ""),
            ("1.3.9", Some(&plain), "2.0.0 replaces >=1.4.0, <2.0.0; 1.3.9 is installed"),
            // A version before a release is only in a range that names it.
            ("1.5.0-rc.1", Some(&plain), "2.0.0 replaces >=1.4.0, <2.0.0; 1.5.0-rc.1 is installed"),
            ("1.4.0", Some(&long), ""),
            ("1.7.0", Some(&long), ""),
            ("1.3.0", Some(&long), "from 1.3.0, the way to 2.0.0 is over 1.4.0"),
            ("1.2.0", Some(&long), "from 1.2.0, the way to 2.0.0 is over 1.4.0"),
            ("1.1.0", Some(&long), "from 1.1.0, the way to 2.0.0 is over 1.2.0, then 1.4.0"),
            ("0.9.0", Some(&long), "1.2.0 replaces >=1.0.0, <1.2.0; 0.9.0 is installed"),
        ] {
            let got = route(&version(installed), upgrade, &version("2.0.0"));
            let got = got.err().map(|no| no.to_string()).unwrap_or_default();
            assert!(got.starts_with(said) && (got.is_empty() == said.is_empty()), "{installed}: {got}");
        }
    }

    fn rule(answer: &str, to: Option<&str>, values: &[(&str, &str)], before: Option<&str>) -> Migration {
        Migration {
            answer: answer.to_owned(),
            before: before.map(version),
            drop: to.is_none() && values.is_empty(),
            to: to.map(ToOwned::to_owned),
            values: values.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect(),
        }
    }

    #[test]
    fn answers_go_the_way_their_rules_say() {
        for (reason, rules, before, after) in [
            ("no rule", vec![], json!({"a": "x"}), json!({"a": "x"})),
            ("a new name", vec![rule("a", Some("b"), &[], None)], json!({"a": 5}), json!({"b": 5})),
            ("dropped", vec![rule("a", None, &[], None)], json!({"a": 5, "c": true}), json!({"c": true})),
            (
                "another value",
                vec![rule("a", None, &[("x", "y")], None)],
                json!({"a": "x"}),
                json!({"a": "y"}),
            ),
            (
                "a value that no rule is about",
                vec![rule("a", None, &[("x", "y")], None)],
                json!({"a": "z"}),
                json!({"a": "z"}),
            ),
            (
                "a flag by its text",
                vec![rule("a", Some("mode"), &[("true", "on")], None)],
                json!({"a": true}),
                json!({"mode": "on"}),
            ),
            (
                "a chain",
                vec![rule("a", Some("b"), &[], None), rule("b", Some("c"), &[], None)],
                json!({"a": 1}),
                json!({"c": 1}),
            ),
            (
                "not in a circle",
                vec![rule("a", Some("b"), &[], None), rule("b", Some("a"), &[], None)],
                json!({"a": 1}),
                json!({"a": 1}),
            ),
            (
                "the new name is answered",
                vec![rule("a", Some("b"), &[], None)],
                json!({"a": 1, "b": 2}),
                json!({"b": 2}),
            ),
            (
                "older than the rule",
                vec![rule("a", Some("b"), &[], Some("1.2.0"))],
                json!({"a": 1}),
                json!({"b": 1}),
            ),
            (
                "as new as the rule",
                vec![rule("a", Some("b"), &[], Some("1.1.0"))],
                json!({"a": 1}),
                json!({"a": 1}),
            ),
            ("not answered", vec![rule("a", Some("b"), &[], None)], json!({}), json!({})),
        ] {
            let answers: BTreeMap<String, Value> = serde_json::from_value(before).unwrap();
            let (got, _) = migrate(answers, &rules, &version("1.1.0"));
            assert_eq!(serde_json::to_value(&got).unwrap(), after, "{reason}");
        }
    }

    #[test]
    fn what_is_carried_fits_the_questions_there_are() {
        let text = "apiVersion: bundle/v1\nkind: Questions\nquestions:\n\
            \x20 - {variable: mode, label: M, type: enum, options: [inside, outside], default: inside}\n\
            \x20 - {variable: host, label: H, type: hostname, required: true, show-if: {mode: outside}}\n\
            \x20 - {variable: count, label: C, type: int, min: 1, max: 3, default: 1}\n\
            \x20 - {variable: fresh, label: F, type: string, required: true}\n";
        let questions = Questions::parse(text.as_bytes(), "q").unwrap();
        let answers = |value: Value| -> BTreeMap<String, Value> { serde_json::from_value(value).unwrap() };
        let more = |text: &str| Given::parse(text.as_bytes(), "more.yaml").unwrap();
        for (reason, old, new, left, problems) in [
            ("a new question must be answered", json!({"mode": "inside"}), "{}", vec![], vec!["fresh"]),
            ("and is, now", json!({"mode": "inside"}), "fresh: x", vec![], vec![]),
            (
                "one that is gone is left",
                json!({"old": 1}),
                "fresh: x",
                vec!["old is not asked any more"],
                vec![],
            ),
            (
                "one that does not matter any more is left",
                json!({"mode": "inside", "host": "a.b"}),
                "fresh: x",
                vec!["host does not matter as the rest is answered"],
                vec![],
            ),
            (
                "what is answered now goes before",
                json!({"mode": "inside"}),
                "fresh: x\nmode: outside\nhost: a.b",
                vec![],
                vec![],
            ),
            ("one that fits no more is told", json!({"count": 9}), "fresh: x", vec![], vec!["count"]),
            ("a number that a rule made of text", json!({"count": "2"}), "fresh: x", vec![], vec![]),
            (
                "what is answered now and not asked is told",
                json!({}),
                "fresh: x\nhost: a.b",
                vec![],
                vec!["host"],
            ),
        ] {
            let carried = carry(&questions, (&answers(old), BTreeMap::new()), &more(new), "more.yaml");
            let told: Vec<String> = carried.left.iter().map(ToString::to_string).collect();
            assert_eq!(told, left, "{reason}");
            let wrong: Vec<&str> = carried.problems.iter().map(|problem| problem.variable.as_str()).collect();
            assert_eq!(wrong, problems, "{reason}: {:?}", carried.problems);
        }
    }
}
