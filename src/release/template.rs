//! Templates: strict, so that a name nothing gives is an error that says where and which, never an empty place.

use std::collections::BTreeSet;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;

use crate::limits;

/// What a template makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text: what is printed comes out as it is.
    Text,
    /// YAML: what is printed comes out as one JSON value, which YAML reads as just that.
    Yaml,
    /// HTML: what is printed is text, whatever is in it.
    Html,
}

/// What is wrong with a template, or with what it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {what}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct Error {
    /// Name of the template.
    pub file: String,
    /// The line, counted from 1, when that is known.
    pub line: Option<usize>,
    /// What.
    pub what: String,
    /// The name that nothing gives, where it is that.
    pub name: Option<String>,
}

/// A template that parses.
#[derive(Debug)]
pub struct Template {
    file: String,
    text: String,
    environment: Environment<'static>,
}

impl Template {
    /// Parses `text`; `file` is the name faults are reported under.
    ///
    /// # Errors
    /// Where it is no template.
    pub fn parse(text: &str, file: &str, style: Style) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(limits::TEMPLATE_STEPS));
        if style == Style::Html {
            environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
        }
        if style == Style::Yaml {
            environment.set_formatter(|out, _, value| {
                if value.is_undefined() {
                    return Err(ErrorKind::UndefinedError.into());
                }
                let text = serde_json::to_string(value)
                    .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
                out.write_str(&text).map_err(minijinja::Error::from)
            });
        }
        let syntax =
            SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
        let fault = |error: &minijinja::Error| fault(error, file);
        environment.set_syntax(syntax.map_err(|error| fault(&error))?);
        environment.add_template_owned(file.to_owned(), text.to_owned()).map_err(|error| fault(&error))?;
        Ok(Self { file: file.to_owned(), text: text.to_owned(), environment })
    }

    /// The names it uses, with what follows their dots: `answers.domain`.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        let template = self.environment.get_template(&self.file);
        template.map(|template| template.undeclared_variables(true).into_iter().collect()).unwrap_or_default()
    }

    /// The first line that uses `name`, counted from 1.
    #[must_use]
    pub fn line_of(&self, name: &str) -> Option<usize> {
        self.text.lines().position(|line| uses(line, name)).map(|line| line + 1)
    }

    /// Renders it.
    ///
    /// # Errors
    /// The name that nothing gives, or what else went wrong, with the line.
    pub fn render(&self, context: &impl Serialize) -> Result<String, Error> {
        let context = Value::from(minijinja::value::Serde(context));
        let template =
            self.environment.get_template(&self.file).map_err(|error| fault(&error, &self.file))?;
        template.render(&context).map_err(|error| {
            let mut told = fault(&error, &self.file);
            if error.kind() == ErrorKind::UndefinedError
                && let Some(name) = told.line.and_then(|line| self.missing(line, &context))
            {
                told.what = format!("\"{name}\" is used here, and nothing gives it");
                told.name = Some(name);
            }
            told
        })
    }

    /// The name on a line that `context` does not have.
    fn missing(&self, line: usize, context: &Value) -> Option<String> {
        let text = self.text.lines().nth(line.checked_sub(1)?)?;
        let mut names = self.names().into_iter().filter(|name| uses(text, name));
        names.find(|name| {
            let mut value = Some(context.clone());
            for part in name.split('.') {
                value =
                    value.and_then(|value| value.get_attr(part).ok()).filter(|value| !value.is_undefined());
            }
            value.is_none()
        })
    }
}

/// Whether `name` stands in a line as a whole.
fn uses(line: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        !before.is_some_and(|c| part(c) || c == '.') && !after.is_some_and(part)
    })
}

fn fault(error: &minijinja::Error, file: &str) -> Error {
    let what = match error.detail() {
        _ if error.kind() == ErrorKind::OutOfFuel => {
            "it goes on for too long (its loops, one in the other, take too many steps or write too much)"
                .to_owned()
        }
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    Error { file: file.to_owned(), line: error.line(), what: crate::text::printable(&what, 400), name: None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_that_nothing_gives_is_named_with_its_line() {
        let context = json!({"given": {"one": 1}});
        for (text, line, name) in [
            ("a\n{{ misspelt }}\n", 2, "misspelt"),
            ("{{ given.one }}{{ given.two }}\n", 1, "given.two"),
            ("\n\n{% if given.three %}x{% endif %}\n", 3, "given.three"),
            ("{% for x in nowhere %}{% endfor %}", 1, "nowhere"),
        ] {
            for style in [Style::Text, Style::Yaml] {
                let error = Template::parse(text, "t.j2", style).unwrap().render(&context).unwrap_err();
                assert_eq!(
                    error.to_string(),
                    format!("t.j2:{line}: \"{name}\" is used here, and nothing gives it")
                );
            }
        }
    }

    #[test]
    fn what_is_no_template_is_refused_with_its_line() {
        let error = Template::parse("a\n{% if x %}\n", "t.j2", Style::Text).unwrap_err();
        assert!(error.to_string().starts_with("t.j2:"), "{error}");
        assert!(error.line.is_some());
    }

    #[test]
    fn a_template_that_goes_on_for_too_long_is_ended_with_its_line() {
        for text in [
            "a\n{% for x in range(99999) %}\n{% for y in range(99999) %}\n{{ 'x' * 999 }}\n{% endfor %}\n{% endfor %}\n",
            "a\n{% for x in range(99999) %}\n{{ 'x' * 99999 }}\n{% endfor %}\n",
        ] {
            let template = Template::parse(text, "t.j2", Style::Yaml).unwrap();
            let begun = std::time::Instant::now();
            let error = template.render(&json!({})).unwrap_err();
            assert!(error.line.is_some_and(|line| line > 1), "{error}");
            assert!(error.to_string().contains("it goes on for too long"), "{error}");
            assert!(begun.elapsed().as_secs() < 60);
        }
    }

    #[test]
    fn in_yaml_a_value_stays_one_value() {
        let template = Template::parse("a: {{ a }}\nb: {{ b }}\nc: {{ c }}\n", "t.j2", Style::Yaml).unwrap();
        let nasty = "x\"\nadmin: true # {{ a }}";
        let text = template.render(&json!({"a": nasty, "b": [1, "no"], "c": true})).unwrap();
        let read: serde_json::Value =
            crate::release::yaml::parse(text.as_bytes(), "v", crate::release::yaml::Hand::Person).unwrap();
        assert_eq!(read, json!({"a": nasty, "b": [1, "no"], "c": true}));
    }
}
