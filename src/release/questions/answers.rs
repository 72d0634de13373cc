//! Answers to questions: read from a file or collected one by one, and settled into what a template gets.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Answer, Fault, Kind, Problem, Question, Questions, Scalar};
use crate::release::yaml::{self, At, Hand, Place};

/// What was said, by question, each with where it stood when it came from a file.
#[derive(Debug, Clone, Default)]
pub struct Given(BTreeMap<String, (Scalar, Option<Place>)>);

impl Given {
    /// Reads an answers file: a mapping from variables to answers.
    ///
    /// # Errors
    /// What is wrong with its shape.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, yaml::Error> {
        let raw: BTreeMap<String, At<Scalar>> = yaml::parse(bytes, file, Hand::Person)?;
        Ok(Self(raw.into_iter().map(|(name, at)| (name, (at.value, Some(at.place)))).collect()))
    }

    /// Adds one answer where there is none.
    pub fn insert_new(&mut self, variable: &str, scalar: Scalar) {
        self.0.entry(variable.to_owned()).or_insert((scalar, None));
    }

    /// Whether a question is answered.
    #[must_use]
    pub fn has(&self, variable: &str) -> bool {
        self.0.contains_key(variable)
    }

    /// Takes one answer back.
    pub fn remove(&mut self, variable: &str) {
        self.0.remove(variable);
    }

    /// What was said to one question.
    #[must_use]
    pub fn get(&self, variable: &str) -> Option<&Scalar> {
        self.0.get(variable).map(|(scalar, _)| scalar)
    }

    /// Adds one answer, given by hand.
    pub fn insert(&mut self, variable: &str, scalar: Scalar) {
        self.0.insert(variable.to_owned(), (scalar, None));
    }
}

/// What holds after every question was answered, left at its default, or not put.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    values: BTreeMap<String, Answer>,
    /// Secrets that are to be made, with their length.
    generate: Vec<(String, u32)>,
}

impl Answers {
    /// The answer to a question; `None` when it was not put and has no default, or is a secret still to be made.
    #[must_use]
    pub fn get(&self, variable: &str) -> Option<&Answer> {
        self.values.get(variable)
    }

    /// The secrets that nobody gave and that are to be made: variable and length in characters.
    #[must_use]
    pub fn to_generate(&self) -> &[(String, u32)] {
        &self.generate
    }

    /// What a template may print: everything but secrets.
    #[must_use]
    pub fn printable(&self) -> BTreeMap<&str, Printable<'_>> {
        let printable = |answer| match answer {
            &Answer::Secret(_) => None,
            Answer::Text(text) => Some(Printable::Text(text)),
            Answer::Number(number) => Some(Printable::Number(*number)),
            Answer::Flag(flag) => Some(Printable::Flag(*flag)),
        };
        self.values.iter().filter_map(|(name, answer)| Some((name.as_str(), printable(answer)?))).collect()
    }
}

/// An answer that may be shown.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub enum Printable<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl Questions {
    /// Settles what was given, in the order of the questions. `file` is the name problems are reported under.
    ///
    /// # Errors
    /// Everything that is wrong: answers to no question, of the wrong type, to questions that are not put, and missing ones.
    pub fn settle(&self, given: &Given, file: &str) -> Result<Answers, Vec<Problem>> {
        let (answers, problems) = self.so_far(given, file);
        if problems.is_empty() { Ok(answers) } else { Err(problems) }
    }

    /// What holds of `given` as far as it goes, and everything that is wrong or missing.
    #[must_use]
    pub fn so_far(&self, given: &Given, file: &str) -> (Answers, Vec<Problem>) {
        let mut answers = Answers::default();
        let mut problems = Vec::new();
        let mut problem = |variable: &str, place: Option<Place>, fault| {
            let variable = crate::text::printable(variable, 80);
            problems.push(Problem { file: file.to_owned(), place, variable, fault });
        };
        for (name, (_, place)) in &given.0 {
            if self.get(name).is_none() {
                let names: Vec<&str> = self.questions.iter().map(|q| q.variable.as_str()).collect();
                let near = yaml::nearest(name, &names).map(ToOwned::to_owned);
                problem(name, *place, Fault::NoQuestion { near });
            }
        }
        for question in &self.questions {
            let said = given.0.get(&question.variable);
            if let Some((on, is)) = self.hidden(question, &answers) {
                if let Some((_, place)) = said {
                    problem(&question.variable, *place, Fault::NotAsked { on, is });
                }
                // A template may use the default of a question that was not put.
                if let Some(default) = &question.default {
                    answers.values.insert(question.variable.clone(), default.clone());
                }
                continue;
            }
            match said.map(|(scalar, place)| (question.kind.take(scalar), *place)) {
                Some((Ok(answer), _)) => {
                    answers.values.insert(question.variable.clone(), answer);
                }
                Some((Err(unfit), place)) => problem(&question.variable, place, Fault::Answer(unfit)),
                None => match (&question.default, question.generate) {
                    (Some(default), _) => {
                        answers.values.insert(question.variable.clone(), default.clone());
                    }
                    (None, Some(length)) => answers.generate.push((question.variable.clone(), length)),
                    (None, None) if question.required => {
                        problem(&question.variable, None, Fault::Unanswered(question.label.clone()));
                    }
                    // What is not required and has no default is the empty text, so that a template can ask for it.
                    (None, None) if matches!(question.kind, Kind::Text) => {
                        answers.values.insert(question.variable.clone(), Answer::Text(String::new()));
                    }
                    (None, None) => {}
                },
            }
        }
        (answers, problems)
    }

    /// The least that can be answered: only what must be, with some answer that fits; and `way`, with all that leads to its being asked.
    /// `None` where that cannot be answered so.
    pub(crate) fn least(&self, way: Option<(&Question, &Scalar)>) -> Option<Answers> {
        let mut given = Given::default();
        if let Some((question, scalar)) = way {
            self.lead_to(question, &mut given);
            given.insert(&question.variable, scalar.clone());
        }
        // Each round answers what the one before showed to be needed; an answer can bring up further questions.
        for _ in 0..=self.questions.len() {
            let problems = match self.settle(&given, "") {
                Ok(answers) => return Some(answers),
                Err(problems) => problems,
            };
            for problem in problems {
                match (&problem.fault, self.get(&problem.variable)) {
                    (Fault::Unanswered(_), Some(question)) => {
                        given.insert(&question.variable, question.kind.sample());
                    }
                    _ => return None,
                }
            }
        }
        None
    }

    /// Answers what must be answered for `question` to be asked.
    fn lead_to(&self, question: &Question, given: &mut Given) {
        // A condition names an earlier question, so this ends.
        for (on, wanted) in &question.show_if {
            let Some((earlier, answer)) = self.get(on).zip(wanted.first()) else { continue };
            self.lead_to(earlier, given);
            given.insert(on, answer.to_scalar());
        }
    }

    /// The condition that keeps a question from being put, if there is one: the question it depends on, and how that was answered.
    #[must_use]
    pub fn hidden(&self, question: &Question, so_far: &Answers) -> Option<(String, String)> {
        question.show_if.iter().find_map(|(on, wanted)| {
            let is = so_far.get(on);
            let holds = is.is_some_and(|answer| wanted.contains(answer));
            (!holds).then(|| (on.clone(), is.map_or("not answered".to_owned(), ToString::to_string)))
        })
    }
}
