//! Why a key cannot be used.

/// Why a key cannot be used. Carries no key material and no passphrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM block where the file begins.
    #[error("not a PEM file: it does not begin with a BEGIN line")]
    NotPem,
    /// Longer than any key.
    #[error("{bytes} bytes are more than a key has (at most {limit})")]
    TooLong {
        /// How long it is, in bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A PEM block, but of another kind.
    #[error("the PEM label is \"{got}\", expected \"{expected}\"")]
    Label {
        /// What was looked for.
        expected: &'static str,
        /// What is there.
        got: String,
    },
    /// The block cannot be read.
    #[error("malformed: {why}")]
    Malformed {
        /// What is wrong.
        why: &'static str,
    },
    /// Something follows the key.
    #[error("something follows the key")]
    TrailingData,
    /// A key of another algorithm.
    #[error("the key is {algorithm}, expected Ed25519")]
    Algorithm {
        /// Its name where it is known, else its object identifier.
        algorithm: String,
    },
    /// A key that images are not signed with, or that is not checked here.
    #[error("the key is {algorithm}, expected ECDSA on P-256 or P-384, RSA or Ed25519")]
    SignerAlgorithm {
        /// Its object identifier, with that of the curve.
        algorithm: String,
    },
    /// A key of another algorithm than licenses are signed with.
    #[error("the key is {algorithm}, expected RSA or Ed25519")]
    LicenseAlgorithm {
        /// Its name where it is known, else its object identifier.
        algorithm: String,
    },
    /// An RSA key that is too weak, or larger than anybody checks.
    #[error("the key is RSA with {bits} bits, expected {least} to {most}")]
    RsaSize {
        /// Its bits.
        bits: usize,
        /// The fewest.
        least: usize,
        /// The most.
        most: usize,
    },
    /// An RSA key whose public exponent is even, or so small that it helps a forger.
    #[error("the RSA key's public exponent is even or below 65537")]
    RsaExponent,
    /// The numbers in the file are no RSA key.
    #[error("the numbers in the file do not make an RSA key")]
    RsaNumbers,
    /// The private key is encrypted and no passphrase was given.
    #[error("the key is encrypted and no passphrase was given")]
    PassphraseNeeded,
    /// The passphrase does not open the key, or the encrypted part is damaged: the format cannot tell these apart.
    #[error("the passphrase does not open the key")]
    WrongPassphrase,
    /// An empty passphrase was given to encrypt with.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// Encrypted in a way that is not read.
    #[error("the key is encrypted with {scheme}, which is not supported")]
    Encryption {
        /// Its name where it is known, else its object identifier.
        scheme: String,
    },
    /// Opening it would cost more than any honest key asks.
    #[error("opening the key asks for {what} {asked}, the limit is {limit}")]
    Cost {
        /// Which cost.
        what: &'static str,
        /// What the file asks for.
        asked: u64,
        /// The limit.
        limit: u64,
    },
    /// The public key in the private key's file is not the private key's.
    #[error("the public key in the file does not belong to the private key")]
    Mismatch,
    /// Not a point of the curve, or one of small order, under which anybody can sign.
    #[error("the 32 bytes are not a usable Ed25519 public key")]
    Weak,
}
