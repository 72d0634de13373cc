//! Questions put one after the other: which comes next, what was said, and the way back. Knows no terminal.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Answers, Given, Kind, Question, Questions, Scalar, Unfit};

/// Questions being answered.
#[derive(Debug, Clone)]
pub struct Flow<'q> {
    questions: &'q Questions,
    given: Given,
    /// The questions that were put, in their order.
    put: Vec<usize>,
    /// What was answered at an earlier installation.
    before: BTreeMap<String, Scalar>,
}

impl<'q> Flow<'q> {
    /// From the beginning; `before` are the answers of an earlier installation, which are proposed.
    #[must_use]
    pub fn new(questions: &'q Questions, before: &BTreeMap<String, Value>) -> Self {
        let scalar = |value: &Value| match value {
            Value::String(text) => Some(Scalar::Text(text.clone().into())),
            Value::Bool(flag) => Some(Scalar::Flag(*flag)),
            Value::Number(number) => number.as_i64().map(Scalar::Number),
            _ => None,
        };
        let before = before.iter().filter_map(|(name, value)| Some((name.clone(), scalar(value)?))).collect();
        Self { questions, given: Given::default(), put: Vec::new(), before }
    }

    /// The question to put now; `None` when all were.
    #[must_use]
    pub fn next(&self) -> Option<&'q Question> {
        self.next_place().and_then(|place| self.questions.questions.get(place))
    }

    fn next_place(&self) -> Option<usize> {
        let (so_far, _) = self.questions.so_far(&self.given, "");
        let from = self.put.last().map_or(0, |last| last + 1);
        let rest = self.questions.questions.iter().enumerate().skip(from);
        rest.filter(|(_, question)| self.questions.hidden(question, &so_far).is_none())
            .map(|(place, _)| place)
            .next()
    }

    /// What is proposed for `question`: what was said before going back, else at an earlier installation, else its default.
    #[must_use]
    pub fn proposal(&self, question: &Question) -> Option<String> {
        let shown = |scalar: &Scalar| match scalar {
            Scalar::Text(text) => Some(text.to_string()),
            Scalar::Number(number) => Some(number.to_string()),
            Scalar::Flag(flag) => Some(flag.to_string()),
            Scalar::Fraction => None,
        };
        if question.kind == Kind::Secret {
            return None;
        }
        let said = self.given.get(&question.variable).or_else(|| self.before.get(&question.variable));
        said.filter(|scalar| question.kind.take(scalar).is_ok())
            .and_then(shown)
            .or_else(|| question.default.as_ref().map(ToString::to_string))
    }

    /// Takes `text` as the answer to the question that [`Flow::next`] gives; empty leaves it at its default, or without an answer.
    ///
    /// # Errors
    /// Why it is none; the question is put again.
    pub fn answer(&mut self, text: &str) -> Result<(), Refused> {
        let Some(place) = self.next_place() else { return Ok(()) };
        let Some(question) = self.questions.questions.get(place) else { return Ok(()) };
        if text.is_empty() {
            let optional = !question.required || question.default.is_some() || question.generate.is_some();
            if !optional {
                return Err(Refused::Needed);
            }
            self.given.remove(&question.variable);
            // What is said in so many words is not what holds by default.
            if matches!(question.kind, Kind::Text) && question.default.is_some() {
                self.given.insert(&question.variable, Scalar::Text(String::new().into()));
            }
        } else {
            let scalar = scalar(&question.kind, text);
            question.kind.take(&scalar)?;
            self.given.insert(&question.variable, scalar);
        }
        self.put.push(place);
        Ok(())
    }

    /// Goes back to the question before; says whether there is one.
    pub fn back(&mut self) -> bool {
        self.put.pop().is_some()
    }

    /// Goes back to the question `variable`, if it was put.
    pub fn back_to(&mut self, variable: &str) {
        let is = |place: &usize| self.questions.questions.get(*place).is_some_and(|q| q.variable == variable);
        if let Some(at) = self.put.iter().position(is) {
            self.put.truncate(at);
        }
    }

    /// The questions that were put, in their order.
    pub fn asked(&self) -> impl Iterator<Item = &'q Question> {
        self.put.iter().filter_map(|place| self.questions.questions.get(*place))
    }

    /// What was said to the questions that were put; what was said to others, before going back, is left out.
    #[must_use]
    pub fn given(&self) -> Given {
        let mut given = Given::default();
        for question in self.asked() {
            if let Some(said) = self.given.get(&question.variable) {
                given.insert(&question.variable, said.clone());
            }
        }
        given
    }

    /// What holds by what was said so far.
    #[must_use]
    pub fn answers(&self) -> Answers {
        self.questions.so_far(&self.given(), "").0
    }
}

/// Why an answer is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There must be one.
    #[error("this needs an answer")]
    Needed,
    /// It does not fit.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// What typed text is to a question of `kind`.
fn scalar(kind: &Kind, text: &str) -> Scalar {
    match kind {
        Kind::Number(..) => {
            text.trim().parse().map_or_else(|_| Scalar::Text(text.to_owned().into()), Scalar::Number)
        }
        Kind::Flag => match text.trim() {
            "true" | "yes" | "y" => Scalar::Flag(true),
            "false" | "no" | "n" => Scalar::Flag(false),
            _ => Scalar::Text(text.to_owned().into()),
        },
        Kind::Secret => Scalar::Text(text.to_owned().into()),
        _ => Scalar::Text(text.trim().to_owned().into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn questions() -> Questions {
        let text = "apiVersion: bundle/v1\nkind: Questions\nquestions:\n\
            - {variable: database, label: D, type: enum, options: [in-cluster, existing], default: in-cluster}\n\
            - {variable: host, label: H, type: hostname, required: true, show-if: {database: existing}}\n\
            - {variable: port, label: P, type: int, min: 1, max: 99, default: 5}\n\
            - {variable: secret, label: S, type: secret, generate: 8, reveal: true, secret: {name: s, key: k}}\n";
        Questions::parse(text.as_bytes(), "q").unwrap()
    }

    /// Plays steps: `<` goes back, anything else is an answer; gives the questions put and how each step ended.
    fn play(flow: &mut Flow<'_>, steps: &[&str]) -> Vec<String> {
        let mut seen = Vec::new();
        for step in steps {
            let question = flow.next().map_or("", |question| question.variable.as_str());
            let outcome = match *step {
                "<" => {
                    if flow.back() {
                        "back".to_owned()
                    } else {
                        "first".to_owned()
                    }
                }
                text => flow.answer(text).map_or_else(|error| error.to_string(), |()| text.to_owned()),
            };
            seen.push(format!("{question}: {outcome}"));
        }
        seen
    }

    #[test]
    fn the_way_through_and_back() {
        let questions = questions();
        for (steps, seen, given) in [
            (&["", "", ""][..], &["database: ", "port: ", "secret: "][..], &[][..]),
            (
                &["existing", "", "db.acme", "100", "x", "7", "pw"],
                &[
                    "database: existing",
                    "host: this needs an answer",
                    "host: db.acme",
                    "port: 100 is not from 1 to 99",
                    "port: \"x\" is no whole number",
                    "port: 7",
                    "secret: pw",
                ],
                &["database", "host", "port", "secret"],
            ),
            (
                &["<", "existing", "db.acme", "<", "<", "in-cluster", "7", ""],
                &[
                    "database: first",
                    "database: existing",
                    "host: db.acme",
                    "port: back",
                    "host: back",
                    "database: in-cluster",
                    "port: 7",
                    "secret: ",
                ],
                &["database", "port"],
            ),
        ] {
            let mut flow = Flow::new(&questions, &BTreeMap::new());
            assert_eq!(play(&mut flow, steps), seen);
            assert!(flow.next().is_none());
            let all = ["database", "host", "port", "secret"];
            let said: Vec<&str> = all.into_iter().filter(|name| flow.given().get(name).is_some()).collect();
            assert_eq!(said, given);
            questions.settle(&flow.given(), "").unwrap();
        }
    }

    #[test]
    fn what_was_said_before_is_proposed() {
        let questions = questions();
        let before = BTreeMap::from([
            ("port".to_owned(), Value::from(7)),
            ("database".to_owned(), Value::from("none of them any more")),
        ]);
        let flow = Flow::new(&questions, &before);
        let proposal = |name: &str| flow.proposal(questions.get(name).unwrap());
        assert_eq!(proposal("port").as_deref(), Some("7"));
        assert_eq!(proposal("database").as_deref(), Some("in-cluster"));
        assert_eq!((proposal("host"), proposal("secret")), (None, None));
    }
}
