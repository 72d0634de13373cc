//! Which host a registry's name stands for, and whether it may be spoken to without TLS.
//!
//! Plain HTTP is for hosts of this machine and for those the user named; nothing a registry says widens that.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use url::{Host, Url};

use super::Error;

/// What is known of the way to each registry.
pub(super) struct Hosts {
    plain: Vec<String>,
    tls_first: bool,
    doors: Mutex<HashMap<String, Door>>,
}

/// The scheme of a host of this machine, which is found by trying.
#[derive(Clone, Copy)]
struct Door {
    tls: bool,
    settled: bool,
}

impl Hosts {
    /// `plain` are the hosts named for plain HTTP; `tls_first` tries TLS before plain HTTP on hosts of this machine.
    pub(super) fn new(plain: &[String], tls_first: bool) -> Self {
        let plain = plain.iter().map(|host| named(host)).collect();
        Self { plain, tls_first, doors: Mutex::default() }
    }

    /// The URL of `path` (with its query) below `/v2/` of `registry`.
    pub(super) fn api(&self, registry: &str, path: &str) -> Result<Url, Error> {
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let scheme = if self.uses_tls(registry) { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{host}/v2/{path}"))
            .map_err(|error| Error::Setup { why: format!("\"{registry}\" is not a host: {error}") })
    }

    fn uses_tls(&self, registry: &str) -> bool {
        if self.plain.contains(&named(registry)) {
            return false;
        }
        if !is_this_machine(registry) {
            return true;
        }
        let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.get(registry).map_or(self.tls_first, |door| door.tls)
    }

    /// Notes that `registry` speaks the scheme it was called with.
    pub(super) fn settle(&self, registry: &str, tls: bool) {
        if is_this_machine(registry) {
            let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
            doors.entry(registry.to_owned()).or_insert(Door { tls, settled: true }).settled = true;
        }
    }

    /// Whether the scheme of `registry` is beyond doubt.
    pub(super) fn is_settled(&self, registry: &str) -> bool {
        let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        !is_this_machine(registry) || doors.get(registry).is_some_and(|door| door.settled)
    }

    /// `registry` was called with the wrong scheme. True when the other one is now to be tried: once, and only on this machine.
    pub(super) fn turn(&self, registry: &str, tls: bool) -> bool {
        if !is_this_machine(registry) || self.plain.contains(&named(registry)) {
            return false;
        }
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        match doors.get(registry) {
            Some(door) if door.tls == tls => false,
            Some(_) => true,
            None => {
                doors.insert(registry.to_owned(), Door { tls: !tls, settled: false });
                true
            }
        }
    }

    /// Whether `url` may be called: always with TLS, without it only on this machine or where the user said so.
    pub(super) fn admits(&self, url: &Url) -> bool {
        match url.scheme() {
            "https" => true,
            "http" => loops_back(url) || self.plain.contains(&authority(url)),
            _ => false,
        }
    }
}

/// Scheme, host and port alike: the only place an `Authorization` may go.
pub(super) fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

/// Host and, where it is stated, port.
pub(super) fn authority(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    }
}

/// A registry's name as [`authority`] gives it for plain HTTP: lower case, port 80 left out.
fn named(registry: &str) -> String {
    let url = Url::parse(&format!("http://{}/", registry.trim_end_matches('/')));
    url.map_or_else(|_| registry.to_lowercase(), |url| authority(&url))
}

/// Scheme and host, for messages: what is left when everything that could be secret is gone.
pub(super) fn place(url: &Url) -> String {
    format!("{}://{}", url.scheme(), authority(url))
}

/// Whether `url` points into this machine: `localhost`, 127.0.0.0/8 or `::1`, by name and not by what a name resolves to.
pub(super) fn loops_back(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn is_this_machine(registry: &str) -> bool {
    Url::parse(&format!("http://{registry}/")).is_ok_and(|url| loops_back(&url))
}

/// Whether `url` names a cloud's metadata service or another link-local address, where no token issuer lives.
pub(super) fn is_metadata(url: &Url) -> bool {
    let address = match url.host() {
        Some(Host::Domain(name)) => return name == "metadata" || name.starts_with("metadata.google."),
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => address.to_canonical(),
        None => return true,
    };
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified() || v4.octets() == [100, 100, 100, 200],
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || v6.is_unspecified() || v6.segments()[..3] == [0xfd00, 0x0ec2, 0]
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn plain_http_is_for_this_machine_and_named_hosts() {
        let hosts = Hosts::new(&["lab:5000".to_owned()], false);
        for (registry, wanted) in [
            ("docker.io", "https://registry-1.docker.io/v2/x"),
            ("harbor.acme.internal", "https://harbor.acme.internal/v2/x"),
            ("lab:5000", "http://lab:5000/v2/x"),
            ("lab:5001", "https://lab:5001/v2/x"),
            ("localhost:5000", "http://localhost:5000/v2/x"),
            ("127.9.0.1:5000", "http://127.9.0.1:5000/v2/x"),
            ("[::1]:5000", "http://[::1]:5000/v2/x"),
            ("127.0.0.1.evil.example", "https://127.0.0.1.evil.example/v2/x"),
        ] {
            assert_eq!(hosts.api(registry, "x").unwrap().as_str(), wanted);
        }
        assert!(hosts.admits(&url("http://lab:5000/a")));
        assert!(!hosts.admits(&url("http://lab/a")));
        assert!(!hosts.admits(&url("ftp://localhost/a")));
    }

    #[test]
    fn the_scheme_of_this_machine_turns_once() {
        let hosts = Hosts::new(&[], true);
        assert!(hosts.uses_tls("localhost:1"));
        assert!(hosts.turn("localhost:1", true));
        assert!(hosts.turn("localhost:1", true), "a second thread that tried the old scheme goes along");
        assert!(!hosts.uses_tls("localhost:1"));
        assert!(!hosts.turn("localhost:1", false));
        hosts.settle("localhost:2", true);
        assert!(!hosts.turn("localhost:2", true));
        assert!(!hosts.turn("example.com", true));
    }

    #[test]
    fn metadata_services_are_known() {
        for bad in [
            "http://169.254.169.254/latest",
            "https://[fe80::1]/",
            "https://[::ffff:169.254.169.254]/",
            "http://metadata.google.internal/",
            "http://100.100.100.200/",
            "http://[fd00:ec2::254]/",
        ] {
            assert!(is_metadata(&url(bad)), "{bad}");
        }
        assert!(!is_metadata(&url("https://auth.docker.io/token")));
    }
}
