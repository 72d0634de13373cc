//! Faults of registries.

use super::Failure;
use crate::registry::{Error, Site};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        of(&error).telling(&error)
    }
}

/// What follows from a fault of a registry, without its words.
pub(super) fn of(error: &Error) -> Failure {
    match error {
        Error::NotFound { .. } => Failure::world("not_in_registry", "")
            .hint("look at the name and tag; registries say the same of what you may not see: docker login"),
        Error::Unauthorized { registry, .. } => Failure::world("unauthorized", "").hint(format!(
            "log in: docker login {registry} (or podman login); the Docker configuration is read, also from $DOCKER_CONFIG"
        )),
        Error::Denied { .. } => {
            Failure::world("denied", "").hint("this account may not do that: ask whoever runs the registry for the right, or log in as another")
        }
        Error::TooManyRequests { .. } => Failure::world("too_many_requests", "").hint("wait, then run the same command again; it goes on"),
        Error::Unreachable { host, .. } => Failure::world("unreachable", "").hint(format!(
            "look at name, port, network and proxy (HTTPS_PROXY, NO_PROXY): curl -v https://{host}/v2/ (http:// where it has no TLS)"
        )),
        Error::NoAddress { host } if !host.contains(['.', ':']) => Failure::world("unreachable", "").hint(format!(
            "it begins with the registry's host, like HOST/{host}; was the host forgotten? If {host} is the host: this machine cannot resolve that name"
        )),
        Error::NoAddress { .. } => Failure::world("unreachable", "")
            .hint("look at the spelling of the name, and at the name servers of this machine (/etc/resolv.conf, /etc/hosts)"),
        Error::Broken { .. } => Failure::world("connection", "")
            .hint("look at the network and at the registry's log (or its proxy's: limits of size and time), then run the same command again; it goes on"),
        Error::NoRegistry { .. } => Failure::world("not_a_registry", "").hint("look at host and port: a registry answers at /v2/ of its host; what comes after the host is only a prefix of names"),
        Error::Tls { why, .. } if why.contains("expired on") || why.contains("holds only from") => Failure::world("tls", "")
            .hint("if the clock is right, whoever runs the registry must renew its certificate; else set the clock"),
        Error::Tls { why, .. } if why.contains("CaUsedAsEndEntity") => Failure::world("tls", "").hint(
            "the registry shows a CA's certificate (CA:TRUE) as its own; give it one that is not a CA's: openssl req -x509 … -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:NAME, and that to --ca-file",
        ),
        Error::Tls { .. } => Failure::world("tls", "")
            .hint("if the registry has an own CA: --ca-file CA.pem; if it speaks plain HTTP: --plain-http HOST"),
        Error::WrongDigest { .. } => Failure::refused("wrong_digest", "")
            .hint("what came is not what was pinned: the registry is damaged, a proxy interferes, or someone lies"),
        Error::ShortBody { .. } | Error::Stalled { .. } | Error::Crawled { .. } => {
            Failure::world("connection", "").hint("look at the network, then run the same command again; it goes on")
        }
        Error::TooLong { .. } | Error::Malformed { .. } => {
            Failure::world("not_a_registry", "").hint("look at the host: this is not how a registry answers (a proxy or login page does)")
        }
        Error::RedirectRefused { .. } | Error::RealmRefused { .. } => Failure::refused("redirect", "")
            .hint("the registry sends us where credentials or content must not go; tell whoever runs it"),
        Error::PlainHttpRefused { host } => {
            Failure::refused("plain_http", "").hint(format!("if that is meant: --plain-http {host}"))
        }
        Error::Refused { status: 413, .. } => {
            Failure::world("registry_refused", "").hint("the registry, or a proxy before it, limits the size of uploads: raise that limit (nginx: client_max_body_size; its ingress: proxy-body-size)")
        }
        Error::Refused { status: 400, message, .. } if message.contains("HTTPS") => {
            Failure::world("registry_refused", "").hint("it speaks TLS there: leave --plain-http out")
        }
        Error::Refused { status: 500.., .. } => {
            Failure::world("registry_failed", "").hint("the fault is in the registry: look at its own log and at its disk (is it full?), then run the same command again")
        }
        Error::Refused { .. } => Failure::world("registry_refused", "").hint("the words after the status are the registry's own"),
        Error::Web { site, host, status, code, .. } => web(*site, host, *status, code),
        Error::OtherHead { .. } => Failure::refused("moved", "")
            .hint("what is there is not what was pinned: a mirror that lags or lies, or history that was rewritten; pin the commit anew"),
        Error::Credentials { .. } => {
            Failure::usage("credentials", "").hint("mend the Docker configuration, or log in again: docker login")
        }
        Error::UnevenSource { .. } => Failure::refused("damage", "").hint("bundle verify names what is damaged"),
        Error::CaFile { .. } => Failure::usage("ca_file", "").hint("--ca-file takes a PEM file: -----BEGIN CERTIFICATE-----"),
        Error::Setup { .. } => Failure::usage("setup", "").hint("look at the proxy variables (HTTP_PROXY, HTTPS_PROXY) and the registry's name"),
    }
}

/// What follows from the refusal of a server that is no registry.
fn web(site: Site, host: &str, status: u16, code: &str) -> Failure {
    match (site, status) {
        (Site::Hub, 403) => Failure::world("gated", "").hint(format!(
            "ask for access on the model's page at https://{host}, and set HF_TOKEN to a token of the account that has it"
        )),
        (Site::Hub, 401) if code == "GatedRepo" => Failure::world("gated", "").hint(format!(
            "accept the model's terms on its page at https://{host}, and set HF_TOKEN to a token of that account"
        )),
        (Site::Hub, 401) => Failure::world("unauthorized", "")
            .hint("hubs answer so for private, gated and missing models alike: look at the name, and set HF_TOKEN (or HF_TOKEN_PATH)"),
        (Site::Hub, 404) => {
            Failure::world("not_on_hub", "").hint("look at owner, name and commit, and at HF_ENDPOINT where a mirror is used")
        }
        (Site::Other, 401 | 403) => Failure::world("unauthorized", "").hint("it does not let us in; look at the address"),
        (Site::Other, 404) => Failure::world("not_found", "").hint("look at the address"),
        _ => Failure::world("server_refused", "").hint("the words after the status are the server's own"),
    }
}
