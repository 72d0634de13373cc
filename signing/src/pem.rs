//! PEM (RFC 7468), strictly: one block, nothing before it and nothing after it.
//!
//! Key files with text around the block, or with two blocks, are refused rather than guessed at. Says nothing about
//! what is inside.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::keys::KeyError;
use crate::limits;

/// One PEM block: its label and its bytes, which may be secret.
pub(crate) struct Block {
    /// The text between `-----BEGIN ` and `-----`.
    pub(crate) label: String,
    /// The decoded bytes.
    pub(crate) der: Zeroizing<Vec<u8>>,
}

/// The longest line accepted; RFC 7468 writes 64, MIME 76.
const LINE: usize = 76;

/// Reads the one block in `text`; LF and CRLF both end a line.
pub(crate) fn read(text: &[u8]) -> Result<Block, KeyError> {
    if text.len() > limits::KEY_BYTES {
        return Err(KeyError::TooLong { bytes: text.len(), limit: limits::KEY_BYTES });
    }
    let text = std::str::from_utf8(text).map_err(|_| KeyError::NotPem)?;
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let label = lines
        .next()
        .and_then(|line| line.strip_prefix("-----BEGIN "))
        .and_then(|line| line.strip_suffix("-----"))
        .filter(|label| label.len() <= 64 && label.bytes().all(|b| b.is_ascii_uppercase() || b == b' '))
        .ok_or(KeyError::NotPem)?;
    let end = format!("-----END {label}-----");
    let mut body = Zeroizing::new(String::with_capacity(text.len()));
    loop {
        let missing = KeyError::Malformed { why: "the END line is missing" };
        let line = lines.next().ok_or(missing.clone())?;
        if line == end {
            break;
        }
        if line.starts_with('-') || (line.is_empty() && lines.next().is_none()) {
            return Err(missing);
        }
        // `Proc-Type:` and other headers of the pre-PKCS#8 formats fail here, by their colon.
        if line.is_empty() || line.len() > LINE || line.contains(':') {
            return Err(KeyError::Malformed { why: "a line is not base64" });
        }
        body.push_str(line);
    }
    if lines.any(|line| !line.is_empty()) {
        return Err(KeyError::TrailingData);
    }
    let der =
        STANDARD.decode(body.as_bytes()).map_err(|_| KeyError::Malformed { why: "a line is not base64" })?;
    Ok(Block { label: label.to_owned(), der: Zeroizing::new(der) })
}

/// Writes one block with lines of 64 characters.
pub(crate) fn write(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    // Room for everything, so that a secret is not left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 64));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}
