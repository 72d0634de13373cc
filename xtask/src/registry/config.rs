//! How a registry is set up.

use std::path::PathBuf;

/// A registry's settings. The default holds content in memory, lets everyone in, and has every optional feature on.
#[derive(Debug, Clone)]
pub struct Config {
    /// TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Where blob bytes go.
    pub storage: Storage,
    /// Who may do what.
    pub auth: Auth,
    /// Whether the referrers endpoint exists; when not it answers 404, as registries before 1.1 do.
    pub referrers: bool,
    /// Whether the list of referrers never ends: each page has other descriptors and says that more follow.
    pub endless_referrers: bool,
    /// Entries on one page of a listing when the client names no number.
    pub page: usize,
    /// Whether `POST …/uploads/?digest=` with the whole blob is taken; when not it only opens a session.
    pub single_post: bool,
    /// Whether `?mount=&from=` works; when not it only opens a session.
    pub mount: bool,
    /// `OCI-Chunk-Min-Length` in bytes, announced and enforced on every `PATCH` but the last.
    pub chunk_min: Option<u64>,
    /// Whether `Location` is a whole URL instead of a path.
    pub absolute_location: bool,
    /// Worker threads.
    pub workers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            storage: Storage::Memory,
            auth: Auth::Open,
            referrers: true,
            endless_referrers: false,
            page: 100,
            single_post: true,
            mount: true,
            chunk_min: None,
            absolute_location: false,
            workers: 2,
        }
    }
}

/// Where blob bytes go. Manifests are always held in memory.
#[derive(Debug, Clone)]
pub enum Storage {
    /// Held in memory.
    Memory,
    /// Counted and dropped, unhashed: the digest is taken on trust. For measuring clients. Such a blob can be asked
    /// after (`HEAD`), never fetched.
    Discard,
    /// Files named by their hex digest in this folder, which exists.
    Folder(PathBuf),
}

/// Who may do what.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Everyone, everything.
    Open,
    /// One user, by HTTP basic authentication.
    Basic {
        /// Name.
        user: String,
        /// Password.
        password: String,
    },
    /// Bearer tokens from the built-in issuer at `/token`.
    Token(TokenAuth),
}

/// The token issuer's settings.
#[derive(Debug, Clone)]
pub struct TokenAuth {
    /// Name and password the issuer asks for; `None` issues to everyone.
    pub user: Option<(String, String)>,
    /// Whether someone without credentials gets pull tokens although there is a `user`.
    pub anonymous_pull: bool,
    /// An identity (refresh) token that `POST /token` exchanges, and that stands in for the password.
    pub identity: Option<String>,
    /// Seconds a token is good for.
    pub seconds: u64,
    /// Requests a token is good for; `None` is any number.
    pub requests: Option<u64>,
}

impl Default for TokenAuth {
    fn default() -> Self {
        Self { user: None, anonymous_pull: false, identity: None, seconds: 300, requests: None }
    }
}
