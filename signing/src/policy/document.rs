//! The JSON of a policy. Fields are declared in the order of their names, which is what makes the rendering canonical.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Consequences, Endorsement, FORMAT, Policy, PolicyError, Terms, TrustedKey};
use crate::keys::{KeyId, PublicKey};
use crate::limits;
use crate::text::printable;
use crate::time::Time;

/// What tells a policy from every other signed document.
const KIND: &str = "trust";

/// `trust.json` as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    #[serde(default)]
    consequences: Consequences,
    format: u32,
    keys: Vec<Key>,
    kind: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    signatures: Vec<Signed>,
    threshold: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_from: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_until: Option<Time>,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    id: KeyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    public_key: Base64<32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    key_id: KeyId,
    signature: Base64<64>,
}

/// `N` bytes as padded standard base64.
struct Base64<const N: usize>([u8; N]);

impl<const N: usize> Serialize for Base64<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Base64<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let raw = STANDARD.decode(text).map_err(|_| de::Error::custom("not base64"))?;
        let length = raw.len();
        raw.try_into()
            .map(Self)
            .map_err(|_| de::Error::custom(format_args!("expected {N} bytes in base64, got {length}")))
    }
}

/// Looks at `kind` and `format` alone, so that a policy of a later format is refused for its format and not for a field.
pub(super) fn head(text: &[u8]) -> Result<(), PolicyError> {
    #[derive(Deserialize)]
    struct Head {
        kind: String,
        format: u32,
    }
    let head: Head = serde_json::from_slice(text)?;
    if head.kind != KIND {
        return Err(PolicyError::Kind { got: printable(&head.kind, 40) });
    }
    if head.format == FORMAT { Ok(()) } else { Err(PolicyError::Format { got: head.format }) }
}

impl Document {
    /// The document of `policy`, with or without the signatures on it.
    pub(crate) fn of(policy: &Policy, signatures: bool) -> Self {
        let terms = &policy.terms;
        let signatures = if signatures { policy.endorsements.as_slice() } else { &[] };
        Self {
            consequences: terms.consequences,
            format: FORMAT,
            keys: terms
                .keys
                .iter()
                .map(|trusted| Key {
                    id: trusted.key.id(),
                    name: trusted.name.clone(),
                    public_key: Base64(*trusted.key.as_bytes()),
                })
                .collect(),
            kind: KIND.to_owned(),
            signatures: signatures
                .iter()
                .map(|endorsement| Signed {
                    key_id: endorsement.key,
                    signature: Base64(endorsement.signature),
                })
                .collect(),
            threshold: terms.threshold,
            valid_from: terms.valid_from,
            valid_until: terms.valid_until,
            version: terms.version,
        }
    }

    /// Canonical JSON.
    pub(crate) fn render(&self) -> String {
        // Strings, integers and lists only: nothing in it can fail to serialise.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The policy, checked.
    pub(super) fn into_policy(self) -> Result<Policy, PolicyError> {
        if self.keys.len() > limits::POLICY_KEYS {
            return Err(PolicyError::KeyCount { got: self.keys.len(), limit: limits::POLICY_KEYS });
        }
        let mut keys = Vec::with_capacity(self.keys.len());
        for key in self.keys {
            let public = PublicKey::from_bytes(&key.public_key.0)
                .map_err(|source| PolicyError::Key { id: key.id, source })?;
            if public.id() != key.id {
                return Err(PolicyError::KeyIdMismatch { stated: key.id, actual: public.id() });
            }
            keys.push(TrustedKey { name: key.name, key: public });
        }
        let mut policy = Policy::new(Terms {
            version: self.version,
            keys,
            threshold: self.threshold,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            consequences: self.consequences,
        })?;
        if self.signatures.len() > limits::SIGNATURES {
            return Err(PolicyError::SignatureCount {
                got: self.signatures.len(),
                limit: limits::SIGNATURES,
            });
        }
        let mut signers: Vec<KeyId> = self.signatures.iter().map(|signed| signed.key_id).collect();
        signers.sort_unstable();
        if let Some(pair) = signers.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(PolicyError::DuplicateSignature(pair[0]));
        }
        policy.endorse(
            self.signatures
                .into_iter()
                .map(|signed| Endorsement { key: signed.key_id, signature: signed.signature.0 }),
        )?;
        Ok(policy)
    }
}
