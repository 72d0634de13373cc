//! PBES2 (RFC 8018, §6.2): the encryption of PKCS#8 that `openssl` reads and writes.
//!
//! Written with scrypt (RFC 7914) and AES-256-CBC. Read also with PBKDF2 over SHA-2. PBES1, SHA-1 and DES are named and refused. What a file asks
//! for is held to a limit before any work is done for it.

use pkcs8::der::asn1::{AnyRef, OctetStringRef};
use pkcs8::der::{Decode as _, Encode as _, ErrorKind, Reader as _};
use pkcs8::pkcs5::pbes2::{self, Kdf, Pbkdf2Prf};
use pkcs8::pkcs5::scrypt::Params;
use pkcs8::pkcs5::{self, EncryptionScheme};
use pkcs8::{AlgorithmIdentifierRef, EncryptedPrivateKeyInfoRef, ObjectIdentifier};
use zeroize::Zeroizing;

use super::KeyError;
use crate::limits;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;
/// Bytes of an initialisation vector.
pub const IV_BYTES: usize = 16;

/// scrypt as it is written: N = 2^14, r = 8, p = 5 costs as much as OWASP's N = 2^17, p = 1 and stays below the
/// 32 MiB past which OpenSSL refuses to open a key.
const LOG_N: u8 = 14;
const R: u32 = 8;
const P: u32 = 5;

/// Opens the DER of an `EncryptedPrivateKeyInfo`; gives the DER inside.
pub(super) fn open(der: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if let Some(oid) = outer_scheme(der).filter(|oid| *oid != pbes2::PBES2_OID) {
        return Err(KeyError::Encryption { scheme: scheme(oid) });
    }
    let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|error| match error.kind() {
        ErrorKind::TrailingData { .. } => KeyError::TrailingData,
        ErrorKind::OidUnknown { oid } => KeyError::Encryption { scheme: scheme(oid) },
        _ => KeyError::Malformed { why: "not an encrypted PKCS#8 private key" },
    })?;
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(KeyError::Encryption { scheme: "PBES1".to_owned() });
    };
    check_cost(&parameters.kdf)?;
    match parameters.decrypt(passphrase, info.encrypted_data.as_bytes()) {
        Ok(der) => Ok(Zeroizing::new(der)),
        Err(pkcs5::Error::UnsupportedAlgorithm { oid }) => Err(KeyError::Encryption { scheme: scheme(oid) }),
        Err(pkcs5::Error::AlgorithmParametersInvalid { .. }) => {
            Err(KeyError::Malformed { why: "the encryption's parameters are invalid" })
        }
        Err(_) => Err(KeyError::WrongPassphrase),
    }
}

/// Seals `der`; gives the DER of an `EncryptedPrivateKeyInfo`.
pub(super) fn seal(
    der: &[u8],
    passphrase: &[u8],
    salt: &[u8; SALT_BYTES],
    iv: [u8; IV_BYTES],
) -> Result<Vec<u8>, KeyError> {
    if passphrase.is_empty() {
        return Err(KeyError::EmptyPassphrase);
    }
    let failed = KeyError::Malformed { why: "the key does not encrypt" };
    let cost = Params::new(LOG_N, R, P).map_err(|_| failed.clone())?;
    let parameters =
        pbes2::Parameters::generate_scrypt_aes256cbc(cost, salt, iv).map_err(|_| failed.clone())?;
    let sealed = parameters.encrypt(passphrase, der).map_err(|_| failed.clone())?;
    let encrypted_data = OctetStringRef::new(&sealed).map_err(|_| failed.clone())?;
    EncryptedPrivateKeyInfoRef { encryption_algorithm: parameters.into(), encrypted_data }
        .to_der()
        .map_err(|_| failed)
}

/// Refuses what would take unreasonably long or much, before it is begun.
fn check_cost(kdf: &Kdf) -> Result<(), KeyError> {
    let over = |what, asked, limit| Err(KeyError::Cost { what, asked, limit });
    match kdf {
        Kdf::Pbkdf2(kdf) if kdf.prf == Pbkdf2Prf::HmacWithSha1 => {
            Err(KeyError::Encryption { scheme: "PBKDF2 with SHA-1".to_owned() })
        }
        Kdf::Pbkdf2(kdf) if kdf.iteration_count > limits::PBKDF2_ROUNDS => {
            over("PBKDF2 rounds", u64::from(kdf.iteration_count), u64::from(limits::PBKDF2_ROUNDS))
        }
        Kdf::Pbkdf2(kdf) if kdf.iteration_count == 0 => {
            Err(KeyError::Malformed { why: "PBKDF2 with 0 rounds" })
        }
        Kdf::Pbkdf2(_) => Ok(()),
        Kdf::Scrypt(kdf) => {
            // RFC 7914, §2: N is a power of 2 larger than 1.
            if kdf.cost_parameter < 2 || !kdf.cost_parameter.is_power_of_two() || kdf.block_size == 0 {
                return Err(KeyError::Malformed { why: "scrypt's parameters are invalid" });
            }
            let memory = kdf.cost_parameter.saturating_mul(128).saturating_mul(u64::from(kdf.block_size));
            if memory > limits::SCRYPT_MEMORY {
                return over("scrypt memory", memory, limits::SCRYPT_MEMORY);
            }
            if kdf.parallelization > limits::SCRYPT_PARALLELISM {
                return over(
                    "scrypt parallelism",
                    u64::from(kdf.parallelization),
                    u64::from(limits::SCRYPT_PARALLELISM),
                );
            }
            Ok(())
        }
        _ => Err(KeyError::Encryption { scheme: kdf.oid().to_string() }),
    }
}

/// What the whole is encrypted with, so that a scheme that is not read can be named. `None` for what is not even that.
fn outer_scheme(der: &[u8]) -> Option<ObjectIdentifier> {
    let whole = AnyRef::from_der(der).ok()?;
    let scheme = whole.sequence(|reader| {
        let scheme: AlgorithmIdentifierRef<'_> = reader.decode()?;
        reader.decode::<AnyRef<'_>>()?;
        Ok::<_, pkcs8::der::Error>(scheme.oid)
    });
    scheme.ok()
}

/// The name of an encryption that is not read.
fn scheme(oid: ObjectIdentifier) -> String {
    match oid.to_string().as_str() {
        "1.2.840.113549.3.7" => "Triple DES".to_owned(),
        "1.3.14.3.2.7" => "DES".to_owned(),
        "1.2.840.113549.2.7" => "PBKDF2 with SHA-1".to_owned(),
        other if other.starts_with("1.2.840.113549.1.12.1.") => "a scheme of PKCS#12".to_owned(),
        other if other.starts_with("1.2.840.113549.1.5.") => "PBES1".to_owned(),
        other => other.to_owned(),
    }
}
