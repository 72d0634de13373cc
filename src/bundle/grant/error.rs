//! Why a grant, an identity or a recipient cannot be used.

/// Why a grant, an identity or a recipient cannot be used. Carries no secret and no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Longer than any grant or key.
    #[error("{bytes} bytes are more than a grant or key has (at most {limit})")]
    TooLong {
        /// How long it is, in bytes.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Not an age file.
    #[error("not an age file: {why}")]
    Malformed {
        /// What is wrong.
        why: &'static str,
    },
    /// An age file whose content was changed or cut off after it was sealed.
    #[error("it is damaged: it was changed or cut off after it was sealed")]
    Damaged,
    /// Opened, but what is inside is not one release identity.
    #[error("it opens, but what is inside is not one identity")]
    Content,
    /// Sealed to someone else.
    #[error("none of the identities opens it: it is sealed to someone else")]
    NotForYou,
    /// Sealed with a passphrase, and none was given.
    #[error("a passphrase is needed to open it, and none was given")]
    PassphraseNeeded,
    /// A passphrase was given for something that no passphrase opens.
    #[error("it is sealed to a recipient: an identity opens it, not a passphrase")]
    NotByPassphrase,
    /// The passphrase does not open it.
    #[error("the passphrase does not open it")]
    WrongPassphrase,
    /// An empty passphrase was given to seal with.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// Trying the passphrase would cost more than any honest file asks.
    #[error("trying a passphrase asks for scrypt work 2^{asked}, the limit is 2^{limit}")]
    Work {
        /// log₂ of what the file asks for.
        asked: u8,
        /// log₂ of the limit.
        limit: u8,
    },
    /// A line of an identity file that is not an identity this program takes. The line itself is not told.
    #[error("line {line} is not an age identity (AGE-SECRET-KEY-1…)")]
    Identity {
        /// Which line, from 1.
        line: usize,
    },
    /// A line that is not a recipient this program takes.
    #[error("line {line} is not an age recipient (age1…)")]
    Recipient {
        /// Which line, from 1.
        line: usize,
    },
    /// A recipients file, and in it a private key.
    #[error("line {line} is a private key where a recipient is expected")]
    IdentityAsRecipient {
        /// Which line, from 1.
        line: usize,
    },
    /// No identity or recipient in the file.
    #[error("it holds no {what}")]
    Nothing {
        /// What was looked for: `identity` or `recipient`.
        what: &'static str,
    },
    /// More of them than are tried.
    #[error("it holds more than {limit} identities or recipients")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// Sealing failed.
    #[error("cannot be sealed: {why}")]
    Seal {
        /// What failed.
        why: &'static str,
    },
}
