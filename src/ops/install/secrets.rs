//! The secrets that an installation keeps in the cluster: the licence, the login to the registry, and the answers that are secret.
//!
//! They are applied by their own keys only, and never printed but for what was made here and is to be told once. A secret that was made
//! stays as it is when the program runs again.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Error;
use crate::plan::changes::Change;
use crate::plan::installed::SecretKey;
use crate::release::questions::{Answer, Answers, Questions};
use crate::sys::random;
use crate::tools::kubectl::{Kubectl, Scope};

/// A secret as it is to be.
pub struct Kept {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its type, in Kubernetes' word.
    pub kind: &'static str,
    /// What is in it.
    pub data: BTreeMap<String, Zeroizing<Vec<u8>>>,
    /// What becomes of it.
    pub change: Change,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({}/{}, {:?})", self.namespace, self.name, self.change)
    }
}

/// A secret as a plan shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its keys.
    pub keys: Vec<String>,
    /// What becomes of it.
    pub change: Change,
}

/// A secret that was made, to be told once.
pub struct Made {
    /// What it is, in the question's words.
    pub label: String,
    /// Where it is kept.
    pub at: SecretKey,
    /// The secret.
    pub value: Zeroizing<String>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Made({}, {}/{})", self.label, self.at.secret, self.at.key)
    }
}

/// The ordinary type.
pub const OPAQUE: &str = "Opaque";
/// The type of a login to a registry, and its key.
pub const DOCKER: (&str, &str) = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson");

impl Kept {
    /// A secret of `kind`, empty.
    #[must_use]
    pub fn new(namespace: &str, name: &str, kind: &'static str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            kind,
            data: BTreeMap::new(),
            change: Change::Create,
        }
    }

    /// As a plan shows it.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let keys = self.data.keys().cloned().collect();
        Shown { namespace: self.namespace.clone(), name: self.name.clone(), keys, change: self.change }
    }

    /// The object, with `labels`.
    #[must_use]
    pub fn object(&self, labels: &Value) -> Zeroizing<String> {
        let data: BTreeMap<&str, String> =
            self.data.iter().map(|(key, value)| (key.as_str(), STANDARD.encode(value.as_slice()))).collect();
        let object = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": self.kind,
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels},
            "data": data,
        });
        Zeroizing::new(object.to_string())
    }

    /// Compares it with the one that is there.
    ///
    /// # Errors
    /// What keeps that from being seen.
    pub fn compare(&mut self, kubectl: &Kubectl) -> Result<(), Error> {
        let there = kubectl.get("secret", &self.name, Scope::Namespace(&self.namespace))?;
        self.change = match there {
            None => Change::Create,
            Some(there) => {
                let same = self.data.iter().all(|(key, value)| value_of(&there, key).as_ref() == Some(value));
                if same { Change::Keep } else { Change::Change }
            }
        };
        Ok(())
    }
}

/// The bytes of a key of a secret.
#[must_use]
pub fn value_of(secret: &Value, key: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = secret.get("data")?.get(key)?.as_str()?;
    STANDARD.decode(text).ok().map(Zeroizing::new)
}

/// A secret and what is in it.
pub type Valued = (SecretKey, Zeroizing<Vec<u8>>);

/// The secrets of answers, by name and key; what is to be made is taken from the cluster where it was made before.
///
/// # Errors
/// What keeps the cluster from being asked, or no randomness.
pub fn of_answers(
    questions: &Questions,
    answers: &Answers,
    namespace: &str,
    kubectl: &Kubectl,
) -> Result<(Vec<Valued>, Vec<Made>), Error> {
    let (mut all, mut made) = (Vec::new(), Vec::new());
    for question in &questions.questions {
        let Some(place) = &question.secret else { continue };
        let at = SecretKey { secret: place.name.clone(), key: place.key.clone() };
        if let Some(Answer::Secret(secret)) = answers.get(&question.variable) {
            all.push((at, Zeroizing::new(secret.as_bytes().to_vec())));
            continue;
        }
        let Some((_, length)) = answers.to_generate().iter().find(|(name, _)| *name == question.variable)
        else {
            continue;
        };
        let there = kubectl.get("secret", &at.secret, Scope::Namespace(namespace))?;
        let before = there.as_ref().and_then(|secret| value_of(secret, &at.key));
        if let Some(before) = before {
            all.push((at, before));
            continue;
        }
        let value = generate(*length)?;
        all.push((at.clone(), Zeroizing::new(value.as_bytes().to_vec())));
        if question.reveal {
            made.push(Made { label: question.label.clone(), at, value });
        }
    }
    Ok((all, made))
}

/// Letters and digits that are not mistaken for each other; 57 of them.
const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";

fn generate(length: u32) -> Result<Zeroizing<String>, Error> {
    let mut text = Zeroizing::new(String::new());
    while text.len() < length as usize {
        let bytes = random::bytes::<64>()?;
        // Bytes past the last whole multiple would favour the first letters.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 256 - 256 % LETTERS.len());
        for byte in fair.take(length as usize - text.len()) {
            text.push(char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        }
    }
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_made_has_its_length_and_is_another_each_time() {
        for length in [1, 20, 200] {
            assert_eq!(generate(length).unwrap().len(), length as usize);
        }
        assert_ne!(generate(20).unwrap(), generate(20).unwrap());
    }
}
