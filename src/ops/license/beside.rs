//! Licences that lie beside a bundle, judged by the signed policy of its release.

use signing::license::{Expect, Judgement, Verdict, judge};
use signing::{Policy, Weight};

use crate::bundle::index::IndexLicense;
use crate::bundle::names::{LICENSES, license};
use crate::ops::inspect::names;
use crate::ops::open::Authenticated;
use crate::path::EntryPath;
use crate::sys::{delivered, fs};

/// One licence, and what came of it.
pub struct Beside {
    /// Its path in the bundle.
    pub path: String,
    /// Its bytes; empty when they could not be read.
    pub bytes: Vec<u8>,
    /// What was seen.
    pub outcome: Outcome,
}

/// What came of a licence.
pub enum Outcome {
    /// It was judged.
    Judged(Box<Judgement>),
    /// It is more than a licence can be.
    Oversized(Verdict),
    /// It cannot be read, and why.
    Unreadable(String),
    /// The release names no key for licences.
    NoKey,
}

/// Which licence is meant of those that lie beside a bundle.
pub enum Meant {
    /// There is none.
    None,
    /// This one.
    One {
        /// Its path in the bundle.
        path: String,
        /// The customer that its file is called after.
        customer: String,
        /// What it holds.
        bytes: Vec<u8>,
    },
    /// One of these, and nothing says which.
    Several(Vec<String>),
}

/// The licence that lies there for `customer`, else the only one.
///
/// # Errors
/// Why it cannot be read; more than `most` bytes among that.
pub fn meant(bundle: &Authenticated, customer: Option<&str>, most: u64) -> Result<Meant, fs::Error> {
    let mut there = names(&bundle.home().join(LICENSES), "lic");
    if let Some(customer) = customer.filter(|customer| there.iter().any(|name| name == customer)) {
        there = vec![customer.to_owned()];
    }
    let name = match there.as_slice() {
        [] => return Ok(Meant::None),
        [name] => name.clone(),
        _ => return Ok(Meant::Several(there)),
    };
    let path = license(&name);
    // A name that no file of a bundle has is none.
    let Ok(entry) = path.parse::<EntryPath>() else { return Ok(Meant::None) };
    let bytes = delivered::read(bundle.home(), &entry, most)?;
    Ok(Meant::One { path, customer: name, bytes })
}

/// Judges every `licenses/*.lic` at `now`. Each must be its file's name's, or `customer`'s where that is given.
#[must_use]
pub fn beside(
    bundle: &Authenticated,
    policy: &Policy,
    now: Option<i64>,
    customer: Option<&str>,
) -> Vec<Beside> {
    let clock = policy.terms().consequences.clock;
    let judged = |name: &String| {
        let path = license(name);
        // A name that no file of a bundle has is a finding of its own.
        let entry = path.parse::<EntryPath>().ok()?;
        let Some(terms) = &bundle.index.get().license else {
            return Some(Beside { path, bytes: vec![], outcome: Outcome::NoKey });
        };
        let limit = signing::limits::LICENSE_BYTES;
        let (bytes, outcome) = match delivered::read(bundle.home(), &entry, limit as u64) {
            Ok(bytes) => {
                let expect = expect(terms, Some(customer.unwrap_or(name)), clock);
                let judgement = judge(&bytes, &terms.public_key, &expect, now);
                (bytes, Outcome::Judged(Box::new(judgement)))
            }
            Err(fs::Error::TooLong { .. }) => (vec![], Outcome::Oversized(Verdict::Oversized { limit })),
            Err(error) => (vec![], Outcome::Unreadable(error.to_string())),
        };
        Some(Beside { path, bytes, outcome })
    };
    names(&bundle.home().join(LICENSES), "lic").iter().filter_map(judged).collect()
}

/// What a licence of a release is held against.
#[must_use]
pub fn expect<'a>(license: &'a IndexLicense, customer: Option<&'a str>, clock: Weight) -> Expect<'a> {
    Expect {
        customer,
        issuer: None,
        features: &license.features,
        grace_days: license.grace_days,
        warn_days: license.warn_days,
        clock,
    }
}
