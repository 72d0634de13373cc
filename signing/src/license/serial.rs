//! What a license is called: `PREFIX-TIER-CUSTOMER-UUID`, like `IFOX-ENT-ACME-CORP-4fa1…`.
//!
//! A name for people and for support, not a proof. Prefix, tier and UUID have no dashes, so what lies between them is the customer.

use crate::text::printable;
use std::fmt;
use std::str::FromStr;

/// A license's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial {
    text: String,
    prefix: usize,
    tier: usize,
    unique: usize,
}

/// Why something is not a license's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SerialError {
    /// A part has other characters, or too many.
    #[error("{part} \"{got}\" of a license key: {expected}")]
    Part {
        /// Which part.
        part: &'static str,
        /// What it is.
        got: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Not four parts.
    #[error("\"{0}\" is not a license key: expected PREFIX-TIER-CUSTOMER-UUID")]
    Form(String),
}

/// Characters of a prefix or a tier's code.
const CODE_CHARS: usize = 24;
/// Characters of a customer.
const CUSTOMER_CHARS: usize = 64;

impl Serial {
    /// The name of a license of `customer`; `random` is 16 random bytes, which become a UUID of version 4 (RFC 9562, §5.4).
    pub fn new(prefix: &str, tier: &str, customer: &str, random: [u8; 16]) -> Result<Self, SerialError> {
        let mut uuid = random;
        uuid[6] = (uuid[6] & 0x0f) | 0x40;
        uuid[8] = (uuid[8] & 0x3f) | 0x80;
        let customer = customer.to_ascii_uppercase();
        format!("{}-{}-{customer}-{}", code("prefix", prefix)?, code("tier", tier)?, hex::encode(uuid))
            .parse()
    }

    /// Which vendor or product.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.text[..self.prefix]
    }

    /// The tier's code.
    #[must_use]
    pub fn tier(&self) -> &str {
        &self.text[self.prefix + 1..self.tier]
    }

    /// The customer, in capitals.
    #[must_use]
    pub fn customer(&self) -> &str {
        &self.text[self.tier + 1..self.unique]
    }
}

fn code<'a>(part: &'static str, text: &'a str) -> Result<&'a str, SerialError> {
    let good = (1..=CODE_CHARS).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && text.starts_with(|c: char| c.is_ascii_uppercase());
    let expected = "expected capitals and digits, a capital first, at most 24";
    if good { Ok(text) } else { Err(SerialError::Part { part, got: shown(text), expected }) }
}

fn shown(text: &str) -> String {
    printable(text, 80)
}

impl FromStr for Serial {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Self, SerialError> {
        let form = || SerialError::Form(shown(text));
        let (prefix, rest) = text.split_once('-').ok_or_else(form)?;
        let (tier, rest) = rest.split_once('-').ok_or_else(form)?;
        let (customer, unique) = rest.rsplit_once('-').ok_or_else(form)?;
        code("prefix", prefix)?;
        code("tier", tier)?;
        let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        if !(1..=CUSTOMER_CHARS).contains(&customer.len()) || !customer.bytes().all(plain) {
            let expected = "expected letters, digits, - _ and ., at most 64";
            return Err(SerialError::Part { part: "customer", got: shown(customer), expected });
        }
        // The owner's own example has 16 characters, not all of them hexadecimal digits.
        let unique_good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if !(16..=32).contains(&unique.len()) || !unique.bytes().all(unique_good) {
            let expected = "expected 16 to 32 small letters and digits";
            return Err(SerialError::Part { part: "UUID", got: shown(unique), expected });
        }
        let prefix = prefix.len();
        let tier = prefix + 1 + tier.len();
        let unique = tier + 1 + customer.len();
        Ok(Self { text: text.to_owned(), prefix, tier, unique })
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_and_taken_apart_again() {
        let serial = Serial::new("IFOX", "ENT", "acme-corp", [0xff; 16]).unwrap();
        assert_eq!(serial.to_string(), "IFOX-ENT-ACME-CORP-ffffffffffff4fffbfffffffffffffff");
        assert_eq!((serial.prefix(), serial.tier(), serial.customer()), ("IFOX", "ENT", "ACME-CORP"));
        // As the owner's document prints one.
        let serial: Serial = "IFOX-ENT-ACME-a7b3c9d1e2f4g5h6".parse().unwrap();
        assert_eq!((serial.prefix(), serial.tier(), serial.customer()), ("IFOX", "ENT", "ACME"));
    }

    #[test]
    fn every_other_form_is_refused_by_its_part() {
        for (text, part) in [
            ("", "PREFIX-TIER"),
            ("IFOX-ENT-ACME", "PREFIX-TIER"),
            ("IFOX-ENT-a7b3c9d1e2f4a5b6", "PREFIX-TIER"),
            ("ifox-ENT-ACME-a7b3c9d1e2f4a5b6", "prefix"),
            ("-ENT-ACME-a7b3c9d1e2f4a5b6", "prefix"),
            ("9FOX-ENT-ACME-a7b3c9d1e2f4a5b6", "prefix"),
            ("IFOX-E\x1b-ACME-a7b3c9d1e2f4a5b6", "tier"),
            ("IFOX-ENT--a7b3c9d1e2f4a5b6", "customer"),
            ("IFOX-ENT-acme-a7b3c9d1e2f4a5b6", "customer"),
            ("IFOX-ENT-ACME-a7b3", "UUID"),
            ("IFOX-ENT-ACME-A7B3C9D1E2F4A5B6", "UUID"),
            ("IFOX-ENT-ACME-a7b3c9d1e2f4a5b6\n", "UUID"),
        ] {
            let error = text.parse::<Serial>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\x1b'), "{text:?}: {error}");
        }
        assert!(Serial::new("IFOX", "ENT", "a/b", [0; 16]).is_err());
        assert!(Serial::new("IFOX-X", "ENT", "a", [0; 16]).is_err());
    }
}
