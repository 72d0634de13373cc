//! The types of answers, and what fits them.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use super::Answer;

/// A type by its name in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Type {
    String,
    Int,
    Bool,
    Enum,
    Secret,
    Hostname,
    Email,
    Url,
    Quantity,
}

/// Which answers fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Text of one line, at most 1000 bytes.
    Text,
    /// A whole number from the first to the second.
    Number(i64, i64),
    /// Yes or no.
    Flag,
    /// One of these.
    Choice(Vec<String>),
    /// Text that is never shown.
    Secret,
    /// A DNS name or an IPv4 address.
    Hostname,
    /// An address with one `@`.
    Email,
    /// `http://` or `https://` and more.
    Url,
    /// A Kubernetes quantity of bytes, like `100Gi`.
    Quantity,
}

/// Why something is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Another type.
    #[error("{given} is no {wanted}")]
    Type {
        /// What was given; not for secrets.
        given: String,
        /// What is wanted.
        wanted: &'static str,
    },
    /// None of the options.
    #[error("\"{given}\" is none of {}", options.join(", "))]
    Option {
        /// What was given.
        given: String,
        /// What there is.
        options: Vec<String>,
    },
    /// Out of range.
    #[error("{given} is not from {min} to {max}")]
    Range {
        /// What was given.
        given: i64,
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A number that YAML may have changed.
    #[error("a number with a fraction: put it in quotes to mean the text")]
    Fraction,
}

/// A value of a file, before it is known what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    Text(Zeroizing<String>),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Flag(bool),
    /// Any other number.
    Fraction,
}

/// As it is shown to people: what was given for a secret, too, so nothing that comes from an operator is shown by it.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&crate::text::printable(text, 80)),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Fraction => f.write_str("a number with a fraction"),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number, true or false")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(Zeroizing::new(text.to_owned())))
            }
            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Scalar, E> {
                Ok(Scalar::Flag(flag))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
                Ok(i64::try_from(number).map_or(Scalar::Fraction, Scalar::Number))
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Scalar, E> {
                Ok(Scalar::Fraction)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A scalar, or a list of them.
#[derive(Debug)]
pub(super) struct OneOrMore(pub(super) Vec<Scalar>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = OneOrMore;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an answer or a list of answers")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMore, E> {
                Ok(OneOrMore(vec![Scalar::Text(Zeroizing::new(text.to_owned()))]))
            }
            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<OneOrMore, E> {
                Ok(OneOrMore(vec![Scalar::Flag(flag)]))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<OneOrMore, E> {
                Ok(OneOrMore(vec![Scalar::Number(number)]))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<OneOrMore, E> {
                let one = i64::try_from(number).map_or(Scalar::Fraction, Scalar::Number);
                Ok(OneOrMore(vec![one]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                Ok(OneOrMore(all))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Whether a template can use this as a name.
pub(crate) fn is_variable(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Bool => "bool",
            Self::Enum => "enum",
            Self::Secret => "secret",
            Self::Hostname => "hostname",
            Self::Email => "email",
            Self::Url => "url",
            Self::Quantity => "quantity",
        }
    }

    pub(super) fn with(self, options: Vec<String>, min: Option<i64>, max: Option<i64>) -> Kind {
        match self {
            Self::String => Kind::Text,
            Self::Int => Kind::Number(min.unwrap_or(i64::MIN), max.unwrap_or(i64::MAX)),
            Self::Bool => Kind::Flag,
            Self::Enum => Kind::Choice(options),
            Self::Secret => Kind::Secret,
            Self::Hostname => Kind::Hostname,
            Self::Email => Kind::Email,
            Self::Url => Kind::Url,
            Self::Quantity => Kind::Quantity,
        }
    }
}

impl Kind {
    /// Takes a value of a file as an answer. Text is not taken for a number, nor a number for text.
    ///
    /// # Errors
    /// Why it does not fit. A secret is never part of it.
    pub fn take(&self, scalar: &Scalar) -> Result<Answer, Unfit> {
        let wanted = self.wanted();
        match (self, scalar) {
            (Self::Number(..), Scalar::Number(number)) => self.number(*number),
            (Self::Flag, Scalar::Flag(flag)) => Ok(Answer::Flag(*flag)),
            (Self::Number(..) | Self::Flag, Scalar::Text(text)) => {
                Err(Unfit::Type { given: quoted(text), wanted })
            }
            (_, Scalar::Text(text)) => self.text(text),
            (Self::Secret, _) => Err(Unfit::Type { given: "what was given".to_owned(), wanted }),
            (Self::Flag, Scalar::Fraction) => Err(Unfit::Type { given: "a number".to_owned(), wanted }),
            (_, Scalar::Fraction) => Err(Unfit::Fraction),
            (_, Scalar::Number(number)) => Err(Unfit::Type { given: number.to_string(), wanted }),
            (_, Scalar::Flag(flag)) => Err(Unfit::Type { given: flag.to_string(), wanted }),
        }
    }

    /// Every answer there is, where it is one of a few.
    #[must_use]
    pub(crate) fn alternatives(&self) -> Vec<Scalar> {
        match self {
            Self::Flag => vec![Scalar::Flag(true), Scalar::Flag(false)],
            Self::Choice(options) => {
                options.iter().map(|option| Scalar::Text(Zeroizing::new(option.clone()))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Some answer that fits.
    #[must_use]
    pub(crate) fn sample(&self) -> Scalar {
        let text = |text: &str| Scalar::Text(Zeroizing::new(text.to_owned()));
        match self {
            Self::Number(min, max) => Scalar::Number(0.clamp(*min, (*max).max(*min))),
            Self::Flag => Scalar::Flag(false),
            Self::Choice(options) => text(options.first().map_or("", String::as_str)),
            Self::Text | Self::Secret => text("text"),
            Self::Hostname => text("host.internal"),
            Self::Email => text("someone@host.internal"),
            Self::Url => text("https://host.internal/"),
            Self::Quantity => text("1Gi"),
        }
    }

    /// Takes what was typed at a prompt as an answer.
    ///
    /// # Errors
    /// Why it does not fit. A secret is never part of it.
    pub fn read(&self, typed: &str) -> Result<Answer, Unfit> {
        let other = || Unfit::Type { given: quoted(typed), wanted: self.wanted() };
        match self {
            Self::Number(..) => self.number(typed.trim().parse().map_err(|_| other())?),
            Self::Flag => match typed.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "y" => Ok(Answer::Flag(true)),
                "false" | "no" | "n" => Ok(Answer::Flag(false)),
                _ => Err(other()),
            },
            Self::Secret => self.text(typed),
            _ => self.text(typed.trim()),
        }
    }

    fn number(&self, given: i64) -> Result<Answer, Unfit> {
        match *self {
            Self::Number(min, max) if !(min..=max).contains(&given) => Err(Unfit::Range { given, min, max }),
            _ => Ok(Answer::Number(given)),
        }
    }

    fn text(&self, text: &str) -> Result<Answer, Unfit> {
        if let Self::Choice(options) = self {
            if options.iter().any(|option| option == text) {
                return Ok(Answer::Text(text.to_owned()));
            }
            let given = crate::text::printable(text, 80);
            return Err(Unfit::Option { given, options: options.clone() });
        }
        let plain = text.len() <= 1000 && !text.chars().any(char::is_control);
        let fits = plain
            && match self {
                Self::Hostname => is_hostname(text),
                Self::Email => is_email(text),
                Self::Url => is_url(text),
                Self::Quantity => is_quantity(text),
                Self::Secret => !text.is_empty(),
                _ => true,
            };
        match self {
            Self::Secret if fits => Ok(Answer::Secret(Zeroizing::new(text.to_owned()))),
            Self::Secret => Err(Unfit::Type { given: "what was given".to_owned(), wanted: self.wanted() }),
            _ if fits => Ok(Answer::Text(text.to_owned())),
            _ => Err(Unfit::Type { given: quoted(text), wanted: self.wanted() }),
        }
    }

    fn wanted(&self) -> &'static str {
        match self {
            Self::Text => "text of one line, at most 1000 bytes",
            Self::Number(..) => "whole number",
            Self::Flag => "true or false",
            Self::Choice(_) => "option",
            Self::Secret => "secret of one line, 1 to 1000 bytes",
            Self::Hostname => "host name, like incidents.example.com",
            Self::Email => "e-mail address, like admin@example.com",
            Self::Url => "address, like https://example.com/path",
            Self::Quantity => "quantity, like 100Gi",
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", crate::text::printable(text, 80))
}

/// RFC 1123 §2.1: labels of letters, digits and inner dashes; lower case, as Kubernetes wants them.
fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_email(text: &str) -> bool {
    let halves = text.split_once('@');
    halves.is_some_and(|(user, host)| {
        !user.is_empty() && !user.contains(char::is_whitespace) && is_hostname(&host.to_ascii_lowercase())
    })
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace))
}

fn is_quantity(text: &str) -> bool {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.strip_prefix(number).unwrap_or("");
    !number.is_empty()
        && number.len() <= 15
        && number.bytes().all(|b| b.is_ascii_digit())
        && matches!(unit, "" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "k" | "M" | "G" | "T" | "P")
}
