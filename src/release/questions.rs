//! `questions.yaml`: what the operator is asked before an installation, and which answers are taken.
//!
//! Strict, with places. A secret never becomes a value: a question for one names the Kubernetes secret that will hold it, and no
//! template can print it.

pub mod answers;
pub mod flow;
mod kind;

use std::collections::BTreeMap;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::yaml::{self, At, Hand, Place};
use crate::limits;

pub use answers::{Answers, Given};
pub(crate) use kind::is_variable;
pub use kind::{Kind, Scalar, Unfit};

/// A whole `questions.yaml`.
#[derive(Debug, Clone)]
pub struct Questions {
    /// In the order they are put.
    pub questions: Vec<Question>,
}

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    /// The name its answer has in the template.
    pub variable: String,
    /// What is asked, in one line.
    pub label: String,
    /// More about it; may be empty.
    pub help: String,
    /// Which answers fit.
    pub kind: Kind,
    /// What holds when nothing is said.
    pub default: Option<Answer>,
    /// Whether there must be an answer.
    pub required: bool,
    /// It is put only when every one of these earlier questions has one of these answers.
    pub show_if: Vec<(String, Vec<Answer>)>,
    /// Where a secret goes.
    pub secret: Option<SecretPlace>,
    /// Characters of the secret that is made when none is given.
    pub generate: Option<u32>,
    /// Whether a secret that was made is shown once: one that a person needs.
    pub reveal: bool,
    /// Where the question stands in its file.
    pub place: Place,
}

/// The Kubernetes secret an answer is kept in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SecretPlace {
    /// Name of the secret.
    pub name: String,
    /// Key in it.
    pub key: String,
}

/// An answer that fits its question.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// Text, of whatever kind.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// Not to be shown.
    Secret(Zeroizing<String>),
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Secret(_) => f.write_str("(secret)"),
        }
    }
}

impl Answer {
    /// As it would be given.
    pub(crate) fn to_scalar(&self) -> Scalar {
        match self {
            Self::Text(text) => Scalar::Text(Zeroizing::new(text.clone())),
            Self::Number(number) => Scalar::Number(*number),
            Self::Flag(flag) => Scalar::Flag(*flag),
            Self::Secret(secret) => Scalar::Text(secret.clone()),
        }
    }
}

/// One thing wrong with questions or answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {variable}: {fault}", place.map(|p| format!(":{p}")).unwrap_or_default())]
pub struct Problem {
    /// Name of the file.
    pub file: String,
    /// Where, when that is known.
    pub place: Option<Place>,
    /// Which question.
    pub variable: String,
    /// What.
    pub fault: Fault,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A name that a template cannot use.
    #[error("a variable is at most 63 lower-case letters, digits and underscores, beginning with a letter")]
    Variable,
    /// Two questions with one name.
    #[error("it is asked a second time; the first is at {0}")]
    Twice(Place),
    /// A key that its type does not have.
    #[error("a question of type {kind} has no key \"{key}\"")]
    Key {
        /// The type.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A key that its type must have.
    #[error("a question of type {kind} needs the key \"{key}\"")]
    Lacks {
        /// The type.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A default that is no answer.
    #[error("its default is refused: {0}")]
    Default(Unfit),
    /// A condition on something that is not asked before.
    #[error("show-if names \"{0}\", which is no question before this one")]
    ShowIf(String),
    /// A condition that never holds.
    #[error("show-if wants an answer of \"{variable}\" that it never has: {unfit}")]
    ShowIfAnswer {
        /// The question it is about.
        variable: String,
        /// Why not.
        unfit: Unfit,
    },
    /// A label that says nothing.
    #[error("its label is empty")]
    Label,
    /// More questions than anybody answers.
    #[error("there are {0} questions; at most {max} are read", max = limits::QUESTIONS)]
    TooMany(usize),
    /// An answer to no question.
    #[error("there is no such question{}", near.as_ref().map(|near| format!("; there is \"{near}\"")).unwrap_or_default())]
    NoQuestion {
        /// A question of nearly that name.
        near: Option<String>,
    },
    /// An answer that its question does not take.
    #[error("{0}")]
    Answer(Unfit),
    /// An answer to a question that is not put.
    #[error("it is not asked: that depends on \"{on}\", which is {is}")]
    NotAsked {
        /// The question it depends on.
        on: String,
        /// How that was answered.
        is: String,
    },
    /// A question without an answer.
    #[error("it has no answer, and needs one: {0}")]
    Unanswered(String),
}

/// Why questions are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file does not parse.
    #[error(transparent)]
    Yaml(#[from] yaml::Error),
    /// It parses, and cannot be meant.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawFile {
    #[serde(rename = "apiVersion")]
    _api_version: super::model::ApiVersion,
    #[serde(rename = "kind")]
    _kind: FileKind,
    questions: Vec<At<RawQuestion>>,
}

#[derive(Deserialize)]
enum FileKind {
    Questions,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawQuestion {
    variable: At<String>,
    label: String,
    #[serde(default)]
    help: String,
    #[serde(rename = "type")]
    kind: kind::Type,
    #[serde(default)]
    options: Option<Vec<String>>,
    #[serde(default)]
    min: Option<i64>,
    #[serde(default)]
    max: Option<i64>,
    #[serde(default)]
    default: Option<At<Scalar>>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    show_if: BTreeMap<String, At<kind::OneOrMore>>,
    #[serde(default)]
    secret: Option<SecretPlace>,
    #[serde(default)]
    generate: Option<u32>,
    #[serde(default)]
    reveal: bool,
}

impl Questions {
    /// Parses and checks `bytes`; `file` is the name problems are reported under.
    ///
    /// # Errors
    /// The first fault of the shape, or every fault of the content.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, Error> {
        let raw: RawFile = yaml::parse(bytes, file, Hand::Person)?;
        let mut questions: Vec<Question> = Vec::new();
        let mut faults: Vec<(Place, String, Fault)> = Vec::new();
        if raw.questions.len() > limits::QUESTIONS {
            let top = Place { line: 1, column: 1 };
            faults.push((top, "questions".to_owned(), Fault::TooMany(raw.questions.len())));
        }
        for raw in raw.questions.into_iter().take(limits::QUESTIONS) {
            let raw = raw.value;
            let (name, place) = (raw.variable.value.clone(), raw.variable.place);
            let mut wrong = Vec::new();
            let question = raw.check(&questions, &mut wrong);
            faults.extend(wrong.into_iter().map(|(at, fault)| (at.unwrap_or(place), name.clone(), fault)));
            questions.extend(question);
        }
        if faults.is_empty() {
            return Ok(Self { questions });
        }
        let problem = |(place, variable, fault): (Place, String, Fault)| Problem {
            file: file.to_owned(),
            place: Some(place),
            variable: crate::text::printable(&variable, 80),
            fault,
        };
        Err(Error::Problems(faults.into_iter().map(problem).collect()))
    }

    /// The question of this name.
    #[must_use]
    pub fn get(&self, variable: &str) -> Option<&Question> {
        self.questions.iter().find(|question| question.variable == variable)
    }
}

impl RawQuestion {
    /// The question, when its form is right; what is wrong goes to `faults`, with its place where that is not the question's.
    fn check(self, before: &[Question], faults: &mut Vec<(Option<Place>, Fault)>) -> Option<Question> {
        let place = self.variable.place;
        let variable = self.variable.value;
        let name = self.kind.name();
        if !kind::is_variable(&variable) {
            faults.push((None, Fault::Variable));
        }
        if let Some(first) = before.iter().find(|question| question.variable == variable) {
            faults.push((None, Fault::Twice(first.place)));
        }
        if self.label.trim().is_empty() {
            faults.push((None, Fault::Label));
        }
        let is = |kind: kind::Type| self.kind == kind;
        let given = [
            ("options", self.options.is_some(), is(kind::Type::Enum), is(kind::Type::Enum)),
            ("min", self.min.is_some(), is(kind::Type::Int), false),
            ("max", self.max.is_some(), is(kind::Type::Int), false),
            ("secret", self.secret.is_some(), is(kind::Type::Secret), is(kind::Type::Secret)),
            ("generate", self.generate.is_some(), is(kind::Type::Secret), false),
            ("reveal", self.reveal, self.generate.is_some(), false),
            ("default", self.default.is_some(), !is(kind::Type::Secret), false),
        ];
        for (key, there, allowed, needed) in given {
            if there && !allowed {
                faults.push((None, Fault::Key { kind: name, key }));
            } else if needed && !there {
                faults.push((None, Fault::Lacks { kind: name, key }));
            }
        }
        let kind = self.kind.with(self.options.unwrap_or_default(), self.min, self.max);
        let default = self.default.and_then(|default| {
            kind.take(&default.value)
                .map_err(|unfit| faults.push((Some(default.place), Fault::Default(unfit))))
                .ok()
        });
        let mut show_if = Vec::new();
        for (on, wanted) in self.show_if {
            let Some(earlier) = before.iter().find(|question| question.variable == on) else {
                faults.push((Some(wanted.place), Fault::ShowIf(crate::text::printable(&on, 80))));
                continue;
            };
            let mut answers = Vec::new();
            for scalar in wanted.value.0 {
                match earlier.kind.take(&scalar) {
                    Ok(answer) => answers.push(answer),
                    Err(unfit) => {
                        let fault = Fault::ShowIfAnswer { variable: on.clone(), unfit };
                        faults.push((Some(wanted.place), fault));
                    }
                }
            }
            show_if.push((on, answers));
        }
        Some(Question {
            variable,
            label: self.label,
            help: self.help,
            kind,
            default,
            required: self.required,
            show_if,
            secret: self.secret,
            generate: self.generate,
            reveal: self.reveal,
            place,
        })
    }
}
