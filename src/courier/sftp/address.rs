//! `sftp://user@host[:port]/path`: where a folder behind SFTP is.

use std::fmt;
use std::str::FromStr;

use crate::text;

/// A folder on another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Who logs in; `None` for the name of this user.
    pub user: Option<String>,
    /// Name or address of the machine, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The folder: from `/`, or from the user's home where it does not begin with one.
    pub path: String,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" is refused: {why}; expected sftp://user@host[:port]/path, or …/~/path from the user's home"
)]
pub struct AddressError {
    /// The text, made printable, and without what could be a password.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// What an address begins with.
const SCHEME: &str = "sftp://";

impl Address {
    /// Whether `text` is meant as an address, and not as a folder of this machine.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// As `known_hosts` names the machine (sshd(8), `SSH_KNOWN_HOSTS FILE FORMAT`).
    #[must_use]
    pub fn known_as(&self) -> String {
        let host = self.host.to_ascii_lowercase();
        if self.port == 22 { host } else { format!("[{host}]:{}", self.port) }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text.strip_prefix(SCHEME).unwrap_or_default();
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
        let (user, place) = authority.rsplit_once('@').map_or((None, authority), |(u, p)| (Some(u), p));
        let shown = || {
            let user =
                user.map_or(String::new(), |user| format!("{}@", user.split(':').next().unwrap_or_default()));
            text::printable(&format!("{SCHEME}{user}{place}/{}", path.unwrap_or_default()), 200)
        };
        let error = |why| Err(AddressError { text: shown(), why });
        if user.is_some_and(|user| user.contains(':')) {
            return error("passwords have no place in an address: keys and agents open machines");
        }
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((host, "")) => (host, None),
                Some((host, port)) => (host, port.strip_prefix(':').or(Some("?"))),
                None => return error("a bracket is open"),
            },
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = match port.map(str::parse::<u16>) {
            None => 22,
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return error("the port is no number from 1 to 65535"),
        };
        let plain = |text: &str| {
            !text.is_empty() && !text.starts_with('-') && text.chars().all(|c| c.is_ascii_graphic())
        };
        if !plain(host) || user.is_some_and(|user| !plain(user)) {
            return error("there is no user or host in it");
        }
        let path = match path.map(|path| path.trim_end_matches('/')) {
            None | Some("" | "~") => return error("it names no folder"),
            Some(path) => match path.strip_prefix("~/") {
                Some(inside) => inside.to_owned(),
                None => format!("/{path}"),
            },
        };
        if path.chars().any(char::is_control) || path.len() > 4096 {
            return error("its path holds what no path holds");
        }
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port, path })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        if self.port != 22 {
            write!(f, ":{}", self.port)?;
        }
        match self.path.starts_with('/') {
            true => f.write_str(&self.path),
            false => write!(f, "/~/{}", self.path),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        for (text, user, host, port, path) in [
            ("sftp://joe@bastion/srv/b", Some("joe"), "bastion", 22, "/srv/b"),
            ("sftp://bastion:2222/~/b/c", None, "bastion", 2222, "b/c"),
            ("sftp://joe@[::1]:2222/b", Some("joe"), "::1", 2222, "/b"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            let got = (address.user.as_deref(), address.host.as_str(), address.port, address.path.as_str());
            assert_eq!(got, (user, host, port, path), "{text}");
        }
        let other: Address = "sftp://H:22/a b/".parse().unwrap();
        assert_eq!((other.path.as_str(), other.known_as().as_str()), ("/a b", "h"));
    }

    #[test]
    fn what_is_no_address_is_refused_and_no_password_is_repeated() {
        for bad in [
            "sftp://",
            "sftp://host",
            "sftp://host/",
            "sftp:///path",
            "sftp://@host/p",
            "sftp://host:0/p",
            "sftp://host:70000/p",
            "sftp://host:x/p",
            "sftp://[::1/p",
            "sftp://[::1]x/p",
            "sftp://joe@-o/p",
            "sftp://joe:secret@host/p",
            "sftp://host/a\nb",
            "sftp://host/~",
        ] {
            let error = bad.parse::<Address>().unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
