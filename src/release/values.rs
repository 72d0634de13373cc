//! The values template: answers in, Helm values out.

use serde::Serialize;

use super::questions::{Answers, Kind, Question, Questions, Scalar};
use super::template::{Error, Style, Template};
use super::yaml::{self, Hand};
use crate::limits;

/// What a values template is given beside the answers.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// The release.
    pub release: Named,
    /// The customer's registry, `HOST` or `HOST/PREFIX`.
    pub registry: String,
    /// The namespace of the installation.
    pub namespace: String,
    /// The secret to pull images with; empty when none is needed.
    pub pull_secret: String,
}

/// A release by name.
#[derive(Debug, Clone, Serialize)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who makes it.
    pub vendor: String,
}

/// The names beside `answers` that a template may use.
const NAMES: [&str; 6] =
    ["release.name", "release.version", "release.vendor", "registry", "namespace", "pull_secret"];

/// A values template that uses only what there is.
#[derive(Debug)]
pub struct Values(Template);

impl Values {
    /// Parses a template and holds its names against the questions. `file` is the name faults are reported under.
    ///
    /// # Errors
    /// Everything that is wrong: a name nothing gives, or a secret, which never becomes a value.
    pub fn parse(text: &str, file: &str, questions: &Questions) -> Result<Self, Vec<Error>> {
        let template = Template::parse(text, file, Style::Yaml).map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        for name in template.names() {
            let what = match name.strip_prefix("answers.") {
                Some(variable) => match questions.get(variable.split('.').next().unwrap_or(variable)) {
                    Some(question) if question.kind == Kind::Secret => {
                        format!(
                            "\"{name}\" is a secret, which never becomes a value; name the Kubernetes secret it is kept in"
                        )
                    }
                    Some(_) => continue,
                    None => {
                        let known: Vec<&str> =
                            questions.questions.iter().map(|q| q.variable.as_str()).collect();
                        match yaml::nearest(variable, &known) {
                            Some(near) => format!(
                                "\"{name}\" is used, and there is no such question; there is \"{near}\""
                            ),
                            None => format!("\"{name}\" is used, and there is no such question"),
                        }
                    }
                },
                None if NAMES.contains(&name.as_str()) || name == "answers" || name == "release" => continue,
                None => format!(
                    "\"{name}\" is used, and nothing gives it; there is answers, {}",
                    NAMES.join(", ")
                ),
            };
            errors.push(Error {
                file: file.to_owned(),
                line: template.line_of(&name),
                what,
                name: Some(name),
            });
        }
        errors.sort_by_key(|error| error.line);
        if errors.is_empty() { Ok(Self(template)) } else { Err(errors) }
    }

    /// Renders Helm values, and makes sure that they are YAML.
    ///
    /// # Errors
    /// The name of a question that has no answer and is used, or where the result is no YAML.
    pub fn render(&self, answers: &Answers, setting: &Setting) -> Result<String, Error> {
        #[derive(Serialize)]
        struct Context<'a, A: Serialize> {
            answers: A,
            #[serde(flatten)]
            setting: &'a Setting,
        }
        let text = self.0.render(&Context { answers: answers.printable(), setting })?;
        let parsed: Result<serde_json::Value, _> = yaml::parse(text.as_bytes(), "values", Hand::Person);
        let told = |error: yaml::Error| Error {
            file: "values".to_owned(),
            line: None,
            what: error.to_string(),
            name: None,
        };
        parsed.map(|_| text).map_err(told)
    }

    /// Renders it for the least that can be answered, along every alternative that the questions offer, so that what would fail before an
    /// operator fails before the vendor. `file` is the name of the questions in messages.
    ///
    /// # Errors
    /// The first answer that is used and may be missing, or the first result that is no YAML.
    pub fn prove(&self, questions: &Questions, file: &str) -> Result<(), Error> {
        let named = |name: &str| name.to_owned();
        let setting = Setting {
            release: Named { name: named("name"), version: named("1.0.0"), vendor: named("vendor") },
            registry: named("registry.internal"),
            namespace: named("namespace"),
            pull_secret: named("pull-secret"),
        };
        let alternatives = questions.questions.iter().flat_map(|question| {
            let scalars = question.kind.alternatives().into_iter();
            scalars.map(move |scalar| Some((question, scalar)))
        });
        for way in std::iter::once(None).chain(alternatives).take(limits::ANSWER_WAYS) {
            let Some(answers) = questions.least(way.as_ref().map(|(question, scalar)| (*question, scalar)))
            else {
                continue;
            };
            self.render(&answers, &setting)
                .map_err(|error| missing(error, questions, (file, way.as_ref())))?;
        }
        Ok(())
    }
}

/// An error of a template that was rendered to see whether it always can be, in words for its maker.
fn missing(error: Error, questions: &Questions, (file, way): (&str, Option<&(&Question, Scalar)>)) -> Error {
    let with =
        way.map(|(question, scalar)| format!(" with {}: {scalar}", question.variable)).unwrap_or_default();
    let variable = error.name.as_deref().and_then(|name| name.strip_prefix("answers."));
    let what = match variable.and_then(|variable| questions.get(variable)) {
        Some(question) => format!(
            "\"answers.{}\" is used here{with}, and its question ({file}:{}) may then have no answer; give it a default or required: true, or use it only where it is asked",
            question.variable, question.place
        ),
        None => {
            format!("{}{}", error.what, if with.is_empty() { with } else { format!(" (rendered{with})") })
        }
    };
    Error { what, ..error }
}
