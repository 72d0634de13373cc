//! A database outside the cluster: whether `PostgreSQL` answers there, and its version where it tells it before a login.
//!
//! The start of its protocol (`PostgreSQL` documentation, "Message Flow: Start-up"): no password is asked for or sent.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use semver::Version;

use crate::plan::preflight::Postgres;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Protocol 3.0.
const PROTOCOL: u32 = 3 << 16;
/// Bytes of what it says first that are read.
const ANSWER: usize = 16 << 10;

/// Asks `place`, `HOST[:PORT]`.
pub(super) fn facts(place: &str) -> Postgres {
    let with_port = place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let at = if with_port { place.to_owned() } else { format!("{place}:5432") };
    Postgres { answers: ask(&at), at }
}

fn ask(at: &str) -> Result<Option<Version>, String> {
    let told = |error: std::io::Error| error.to_string();
    let address = at.to_socket_addrs().map_err(told)?.next().ok_or("its name has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(told)?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .map_err(told)?;
    stream.write_all(&hello()).map_err(told)?;
    let mut answer = vec![0; ANSWER];
    let mut length = 0;
    loop {
        let read = stream.read(&mut answer[length..]).map_err(told)?;
        length += read;
        match judge(&answer[..length]) {
            Said::More if read > 0 && length < ANSWER => {}
            Said::Version(version) => return Ok(version),
            Said::More | Said::Other => return Err("what answers there does not speak PostgreSQL".to_owned()),
        }
    }
}

/// The first message: length, protocol, parameters. The user need not exist.
fn hello() -> Vec<u8> {
    let body = b"user\0bundle_preflight\0database\0postgres\0\0";
    let length = u32::try_from(body.len() + 8).unwrap_or(0);
    [&length.to_be_bytes()[..], &PROTOCOL.to_be_bytes(), body].concat()
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// Not yet enough.
    More,
    /// It is `PostgreSQL`; its version where it lets anybody in.
    Version(Option<Version>),
    /// Something else.
    Other,
}

/// Reads messages: a letter, a length that counts itself, a body.
fn judge(mut bytes: &[u8]) -> Said {
    loop {
        let Some((letter, rest)) = bytes.split_first() else { return Said::More };
        if !b"RESKZN".contains(letter) {
            return Said::Other;
        }
        let Some(length) = rest.get(..4).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes)
        else {
            return Said::More;
        };
        let length = length as usize;
        if !(4..=ANSWER).contains(&length) {
            return Said::Other;
        }
        let Some(body) = rest.get(4..length) else { return Said::More };
        match letter {
            // AuthenticationOk; everything else asks for a proof of who we are, and we have none.
            b'R' if body.get(..4) == Some(&[0; 4]) => {}
            b'R' | b'E' | b'Z' => return Said::Version(None),
            b'S' if body.starts_with(b"server_version\0") => {
                let text =
                    body["server_version\0".len()..].split(|byte| *byte == 0).next().unwrap_or_default();
                return Said::Version(version(&String::from_utf8_lossy(text)));
            }
            _ => {}
        }
        bytes = &rest[length..];
    }
}

/// `16.10 (Debian 16.10-1)`, `13beta1`.
fn version(text: &str) -> Option<Version> {
    let number = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    let mut parts = text.split(' ').next().unwrap_or_default().split('.');
    let major = number(parts.next()?)?;
    Some(Version::new(major, parts.next().and_then(number).unwrap_or(0), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(letter: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap_or(0).to_be_bytes();
        [&[letter][..], &length, body].concat()
    }

    #[test]
    fn what_answers_is_told_apart() {
        let ok = message(b'R', &[0; 4]);
        let tells =
            [ok.clone(), message(b'S', b"a\0b\0"), message(b'S', b"server_version\x0016.10 (Debian)\0")]
                .concat();
        for (reason, bytes, wanted) in [
            ("it lets everybody in", tells.clone(), Said::Version(Some(Version::new(16, 10, 0)))),
            ("it wants a password", message(b'R', &[0, 0, 0, 10]), Said::Version(None)),
            ("it refuses this user", message(b'E', b"SFATAL\0"), Said::Version(None)),
            ("half of it", tells[..20].to_vec(), Said::More),
            ("nothing", vec![], Said::More),
            ("a web server", b"HTTP/1.1 400 Bad Request\r\n".to_vec(), Said::Other),
            ("a length that cannot be", vec![b'R', 0xff, 0xff, 0xff, 0xff], Said::Other),
        ] {
            assert_eq!(judge(&bytes), wanted, "{reason}");
        }
    }
}
