//! How the client behaves: what a person sets, and what the environment says.

use std::path::PathBuf;
use std::time::Duration;

use crate::sys::environment;

/// Settings of a [`Client`](super::Client).
#[derive(Debug, Clone)]
pub struct Options {
    /// Registries (host, perhaps with a port) that are spoken to over plain HTTP. Hosts of this machine need not be named.
    pub plain_http: Vec<String>,
    /// PEM files of certificate authorities that hold besides the system's and Mozilla's.
    pub ca_files: Vec<PathBuf>,
    /// No byte either way for this long, and the request is tried again. There is no limit on the whole.
    pub stall: Duration,
    /// How often one request is tried; at least 1.
    pub attempts: u32,
    /// The first wait between two attempts; each further one is twice as long.
    pub backoff: Duration,
    /// Bytes of one upload window: `Some` sends windows (`PATCH`) from the start, `None` one streamed `PUT` as long as that goes.
    pub upload_window: Option<u64>,
    /// Proxies.
    pub proxies: Proxies,
    /// Docker configuration and podman authentication files, the first that knows the registry holds.
    pub credential_files: Vec<PathBuf>,
}

/// Proxies for hosts that are not this machine; those of this machine are always called directly.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For `http` targets: a URL, perhaps with name and password.
    pub http: Option<String>,
    /// For `https` targets.
    pub https: Option<String>,
    /// Hosts, domains and networks called directly, as `NO_PROXY` lists them.
    pub except: String,
}

impl std::fmt::Debug for Proxies {
    /// Proxy URLs may hold passwords, so only whether there is one is told.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxies(http: {}, https: {})", self.http.is_some(), self.https.is_some())
    }
}

impl Default for Options {
    /// Sixty seconds of patience, five attempts, and proxies and credentials as the environment names them.
    fn default() -> Self {
        Self {
            plain_http: Vec::new(),
            ca_files: Vec::new(),
            stall: Duration::from_secs(60),
            attempts: 5,
            backoff: Duration::from_millis(500),
            upload_window: None,
            proxies: Proxies::from_environment(),
            credential_files: credential_files(environment::path),
        }
    }
}

impl Proxies {
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; the lower-case forms win, as in curl.
    #[must_use]
    pub fn from_environment() -> Self {
        let read = |name: &str| environment::text(&name.to_lowercase()).or_else(|| environment::text(name));
        Self {
            http: read("HTTP_PROXY").or_else(|| read("ALL_PROXY")),
            https: read("HTTPS_PROXY").or_else(|| read("ALL_PROXY")),
            except: read("NO_PROXY").unwrap_or_default(),
        }
    }
}

/// Where credentials are looked for: `REGISTRY_AUTH_FILE` alone when set (containers-auth.json(5)), else Docker's
/// `config.json`, then podman's `auth.json`. `read` is the environment.
fn credential_files(read: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let read = |name| read(name).filter(|path| !path.as_os_str().is_empty());
    if let Some(file) = read("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let home = read("HOME");
    [
        read("DOCKER_CONFIG")
            .or_else(|| home.as_ref().map(|home| home.join(".docker")))
            .map(|folder| folder.join("config.json")),
        read("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
        home.map(|home| home.join(".config/containers/auth.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(set: &[(&str, &str)]) -> Vec<PathBuf> {
        credential_files(|name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
        })
    }

    #[test]
    fn an_explicit_file_is_the_only_one() {
        assert_eq!(files(&[("REGISTRY_AUTH_FILE", "/a.json"), ("HOME", "/h")]), [PathBuf::from("/a.json")]);
    }

    #[test]
    fn docker_comes_before_podman() {
        let found = files(&[("HOME", "/h"), ("DOCKER_CONFIG", "/d"), ("XDG_RUNTIME_DIR", "")]);
        assert_eq!(
            found,
            [PathBuf::from("/d/config.json"), PathBuf::from("/h/.config/containers/auth.json")]
        );
        assert!(files(&[]).is_empty());
    }
}
