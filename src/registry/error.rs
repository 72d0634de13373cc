//! What a registry, or the way to it, can do wrong.
//!
//! Facts only. Text that came from a registry is cut to [`limits::ERROR_BODY_BYTES`](crate::limits::ERROR_BODY_BYTES) and
//! cleaned of control characters before it gets here; no query string, token or password ever does.

use std::path::PathBuf;

use super::Site;
use crate::digest::Digest;

/// A fault of a registry. `registry` is host and port; `what` is the thing asked for, `host/path:tag`, `host/path@digest` or
/// a path of the API, never with a query string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The registry was asked and does not have it.
    #[error("{what} does not exist")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// Who we are was refused: no credentials, wrong ones, or a token that does not hold.
    #[error("{registry} did not accept who we are, for {what}: {reason}")]
    Unauthorized {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
        /// The registry's or token issuer's own words, or what was missing.
        reason: String,
    },
    /// Who we are is known, and may not do this.
    #[error("{what} is not allowed: {reason}")]
    Denied {
        /// What was asked for.
        what: String,
        /// The registry's own words.
        reason: String,
    },
    /// Still told to slow down after every attempt.
    #[error("{registry} answered \"too many requests\" to {attempts} attempts for {what}: {reason}")]
    TooManyRequests {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
        /// How often it was tried.
        attempts: u32,
        /// The registry's own words.
        reason: String,
    },
    /// No connection, or one that broke, after every attempt.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// Host and port that were called.
        host: String,
        /// The deepest cause the system named.
        why: String,
    },
    /// Its name resolves to nothing.
    #[error("there is no address for {host}")]
    NoAddress {
        /// Host and port that were called.
        host: String,
    },
    /// A connection that was open broke, after every attempt.
    #[error("the connection to {host} broke: {why}")]
    Broken {
        /// Host and port that were called.
        host: String,
        /// The deepest cause the system named.
        why: String,
    },
    /// There is no registry at the address.
    #[error("{host} is no registry, or not at this address: it answers {status} to /v2/")]
    NoRegistry {
        /// Host and port that answered.
        host: String,
        /// HTTP status.
        status: u16,
    },
    /// The TLS handshake failed: the certificate, the name, the protocol.
    #[error("{host}: TLS: {why}")]
    Tls {
        /// Host and port that were called.
        host: String,
        /// What the handshake said.
        why: String,
    },
    /// The bytes are not the ones that were named.
    #[error("{what}: wrong digest: expected {expected}, got {got}")]
    WrongDigest {
        /// What was asked for.
        what: String,
        /// The digest that was asked for, or that was sent.
        expected: Digest,
        /// The digest of what came, or that the registry stated.
        got: Digest,
    },
    /// The body ended before its size, and stayed so after every attempt.
    #[error("{what}: the body ends at byte {got} of {expected}")]
    ShortBody {
        /// What was asked for.
        what: String,
        /// Its size in bytes.
        expected: u64,
        /// Bytes that came.
        got: u64,
    },
    /// The body is longer than its size, or than this kind of answer may be.
    #[error("{what}: the body is longer than {limit} bytes")]
    TooLong {
        /// What was asked for.
        what: String,
        /// The size, or the limit.
        limit: u64,
    },
    /// The answer is not what the specification says it is.
    #[error("{what}: malformed answer: {why}")]
    Malformed {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A redirect that is not followed.
    #[error("{what}: redirect to {to} refused: {why}")]
    RedirectRefused {
        /// What was asked for.
        what: String,
        /// Scheme and host of the target.
        to: String,
        /// Why not.
        why: &'static str,
    },
    /// Something would have gone over plain HTTP to a host that is not on this machine.
    #[error("{host} would be reached over plain HTTP")]
    PlainHttpRefused {
        /// Host and port.
        host: String,
    },
    /// A token issuer that credentials are not shown to.
    #[error("{registry} names a token issuer that is not trusted, {realm}: {why}")]
    RealmRefused {
        /// Host and port of the registry.
        registry: String,
        /// Scheme and host of the issuer.
        realm: String,
        /// Why not.
        why: &'static str,
    },
    /// The registry answered with a status that ends the matter.
    #[error("{what}: the registry answered {status}: {message}")]
    Refused {
        /// What was asked for.
        what: String,
        /// HTTP status.
        status: u16,
        /// The registry's own code and message.
        message: String,
    },
    /// A server that is no registry answered with a status that ends the matter.
    #[error("{what}: {host} answered {status}: {message}")]
    Web {
        /// What kind of server it is.
        site: Site,
        /// Host and port that answered.
        host: String,
        /// What was asked for.
        what: String,
        /// HTTP status.
        status: u16,
        /// Its own word for the reason, where it has one.
        code: String,
        /// Its own message.
        message: String,
    },
    /// The head of an answer says that this is another thing than was asked for.
    #[error("{what}: the server says {header} {got}; {expected} was asked for")]
    OtherHead {
        /// What was asked for.
        what: String,
        /// Which header.
        header: &'static str,
        /// What it should say.
        expected: String,
        /// What it says.
        got: String,
    },
    /// Nothing moved for too long, in every attempt.
    #[error("{what}: nothing moved for {seconds} s")]
    Stalled {
        /// What was asked for.
        what: String,
        /// For how long, in seconds.
        seconds: u64,
    },
    /// A small answer that came too slowly to be waited for, in every attempt.
    #[error("{what}: {bytes} bytes came in {seconds} s")]
    Crawled {
        /// What was asked for.
        what: String,
        /// How many bytes.
        bytes: usize,
        /// In how many seconds.
        seconds: u64,
    },
    /// Credentials are configured and cannot be had.
    #[error("credentials for {registry} from {place}: {why}")]
    Credentials {
        /// Host and port.
        registry: String,
        /// The file, or the helper program.
        place: String,
        /// What went wrong, without the credentials.
        why: String,
    },
    /// The place bytes were taken from for an upload gave more or fewer than the blob has.
    #[error("the source of {digest} gave {got} bytes of {expected}")]
    UnevenSource {
        /// Which blob.
        digest: Digest,
        /// Its size in bytes.
        expected: u64,
        /// Bytes it gave.
        got: u64,
    },
    /// A certificate file cannot be used.
    #[error("{path}: {why}", path = path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The client could not be set up: proxy settings, threads.
    #[error("the registry client cannot start: {why}")]
    Setup {
        /// What is wrong.
        why: String,
    },
}
