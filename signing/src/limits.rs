//! Every number that something outside may reach in this crate, each with its reason.
//!
//! A value exactly at its limit is accepted; one past it is refused.

/// Bytes of one key, as PEM: an Ed25519 key needs 119, an encrypted one under 500; RSA-16384 still is named as RSA.
pub const KEY_BYTES: usize = 64 << 10;
/// Bytes of a policy: [`POLICY_KEYS`] keys and as many signatures, at 400 bytes each.
pub const POLICY_BYTES: usize = 1 << 20;
/// Keys in one policy; ceremonies have been seen with 9.
pub const POLICY_KEYS: usize = 64;
/// Characters of a key's name.
pub const KEY_NAME_CHARS: usize = 100;
/// Signatures looked at for one message; more is an attempt to make the verifier work.
pub const SIGNATURES: usize = 64;
/// Bytes of one armored SSH signature: ours has 296.
pub const SSHSIG_BYTES: usize = 4 << 10;
/// PBKDF2 rounds when reading an encrypted key: OpenSSL writes 2,048, OWASP asks for 600,000; this is some seconds of work.
pub const PBKDF2_ROUNDS: u32 = 10_000_000;
/// Memory of scrypt (128·N·r bytes) when reading an encrypted key: OpenSSL refuses past 32 MiB itself.
pub const SCRYPT_MEMORY: u64 = 64 << 20;
/// Parallelism p of scrypt when reading an encrypted key; together with [`SCRYPT_MEMORY`] some seconds of work.
pub const SCRYPT_PARALLELISM: u16 = 16;
/// Bytes of what cosign signs of an image: a digest, a name and the annotations people add.
pub const COSIGN_PAYLOAD_BYTES: usize = 64 << 10;
/// Bytes of a cosign signature in base64: one of RSA-8192 has 1368.
pub const COSIGN_SIGNATURE_BYTES: usize = 4 << 10;
/// Bytes of one license: the owner's own needs under 1,000, one with RSA-8192 and a hundred features under 8 KiB.
pub const LICENSE_BYTES: usize = 32 << 10;
/// Days of grace or of warning in one license: ten years, beyond every contract, and far from where time overflows.
pub const LICENSE_DAYS: u32 = 3660;
/// Characters of a name in a license: issuer, customer, tier, feature.
pub const LICENSE_NAME_CHARS: usize = 200;
/// Bits of an RSA key at least: NIST SP 800-131A refuses fewer since 2014.
pub const RSA_BITS_MIN: usize = 2048;
/// Bits of an RSA key at most: what OpenSSL and aws-lc check without asking; a larger one makes every check slow.
pub const RSA_BITS_MAX: usize = 8192;
