//! Why nothing is served, or a bundle's content not read.

use super::Failure;
use super::load::index;
use crate::ops::{serve, unlock};
use crate::registry::server::{self, PasswordsError, SetupError, TlsError};

impl From<unlock::Error> for Failure {
    fn from(error: unlock::Error) -> Self {
        match error {
            unlock::Error::Open(error) => error.into(),
            unlock::Error::Grant(error) => error.into(),
            unlock::Error::Remember(error) => error.into(),
            unlock::Error::NoIdentity => Self::usage("sealed", "")
                .hint(
                    "give the identity it was granted to, --identity FILE, or --passphrase for such a grant",
                )
                .telling(&error),
            unlock::Error::NeedsBase { .. } => Self::refused("needs_base", "")
                .hint("load it into the registry that has the base: bundle load; or unpack the base's volumes and then these into one folder, \
                       as its README.md says, which makes a whole image layout")
                .telling(&error),
            unlock::Error::Index(ref source) => {
                index(source, "it was signed like this: send this message to the vendor").telling(&error)
            }
        }
    }
}

impl From<serve::Error> for Failure {
    fn from(error: serve::Error) -> Self {
        match error {
            serve::Error::Unlock(error) => error.into(),
            serve::Error::Mapping(error) => error.into(),
            serve::Error::Setup(error) => error.into(),
            serve::Error::Server(error) => error.into(),
        }
    }
}

impl From<server::Error> for Failure {
    fn from(error: server::Error) -> Self {
        match &error {
            server::Error::Listen { address, source } => {
                let port = address.port();
                let hint = match source.kind() {
                    std::io::ErrorKind::AddrInUse => format!(
                        "another program has that port (ss -ltnp 'sport = :{port}' names it): stop it, or choose another with --listen"
                    ),
                    std::io::ErrorKind::AddrNotAvailable => {
                        "this machine has no such address (ip addr shows those it has); 0.0.0.0 means all of them".to_owned()
                    }
                    std::io::ErrorKind::PermissionDenied => {
                        "ports below 1024 are for root: choose one like 5000".to_owned()
                    }
                    _ => "look at --listen, ADDRESS:PORT".to_owned(),
                };
                Self::world("listen", "").hint(hint)
            }
            server::Error::Setup(_) => {
                Self::world("resources", "").hint("look at the limits of this machine: ulimit -a")
            }
        }
        .telling(&error)
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Tls(error) => match error {
                TlsError::File(error) => error.into(),
                TlsError::Certificate { .. } => Self::usage("certificate", "")
                    .hint("--tls-cert takes PEM, -----BEGIN CERTIFICATE-----, the server's own first")
                    .telling(&error),
                TlsError::Key { .. } => Self::usage("tls_key", "")
                    .hint("--tls-key takes a PEM file, -----BEGIN PRIVATE KEY-----, without a passphrase")
                    .telling(&error),
                TlsError::Pair { .. } => Self::usage("certificate", "")
                    .hint("give the key with which the certificate was requested, and the server's certificate first in its file")
                    .telling(&error),
            },
            SetupError::Passwords(error) => match error {
                PasswordsError::File(error) => error.into(),
                PasswordsError::Empty { ref path } | PasswordsError::Line { ref path, .. } => {
                    Self::usage("htpasswd", "")
                        .hint(format!("make each user's line with bcrypt: htpasswd -B {} USER", path.display()))
                        .telling(&error)
                }
            },
        }
    }
}
