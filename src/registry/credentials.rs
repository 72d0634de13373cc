//! Names and passwords, from the files and helper programs that `docker login` and `podman login` write.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docker_credential::{CredentialRetrievalError as Fault, DockerCredential};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Error;
use super::answer::clean;
use crate::limits;
use crate::tools::credential::{self, Held};

/// How to say who we are.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// By name and password.
    Password {
        /// Name.
        user: String,
        /// Password.
        secret: String,
    },
    /// By an identity token, which a token issuer exchanges (`refresh_token` of RFC 6749).
    Identity(String),
}

/// Credentials by registry, each looked for once.
pub(super) struct Credentials {
    files: Vec<PathBuf>,
    known: Mutex<HashMap<String, Option<Credential>>>,
}

impl Credentials {
    /// Credentials from `files`, the first that knows a registry holds.
    pub(super) fn new(files: &[PathBuf]) -> Self {
        Self { files: files.to_vec(), known: Mutex::default() }
    }

    /// The credential for `registry`; `None` when none is configured. Blocks: a helper program may be run.
    ///
    /// A file that is there and cannot be read, or a helper that fails, is an error and never "nobody".
    pub(super) fn find(&self, registry: &str) -> Result<Option<Credential>, Error> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(registry).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let mut found = None;
        for file in &self.files {
            found = read(file, registry)?;
            if found.is_some() {
                break;
            }
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(registry.to_owned(), found.clone());
        Ok(found)
    }
}

/// What a Docker configuration says of `registry` alone, as one that a cluster pulls with; `None` when none is configured.
///
/// # Errors
/// [`Error::Credentials`] for those that are configured and cannot be had.
pub fn docker_config(registry: &str) -> Result<Option<Zeroizing<String>>, Error> {
    let found = Credentials::new(&super::Options::default().credential_files).find(registry)?;
    let key = if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry };
    let entry = match found {
        None => return Ok(None),
        Some(Credential::Password { user, secret }) => {
            serde_json::json!({"auth": STANDARD.encode(format!("{user}:{secret}"))})
        }
        Some(Credential::Identity(token)) => serde_json::json!({"identitytoken": token}),
    };
    Ok(Some(Zeroizing::new(serde_json::json!({"auths": {key: entry}}).to_string())))
}

/// The part of a Docker configuration that names helpers. They are run by us, within a time limit, and not by who reads the rest.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Helpers {
    cred_helpers: Option<HashMap<String, String>>,
    creds_store: Option<String>,
}

fn read(path: &Path, registry: &str) -> Result<Option<Credential>, Error> {
    // Docker Hub's key is older than its name.
    let key = if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry };
    let fault = |place: String, why: &str| Error::Credentials {
        registry: registry.to_owned(),
        place,
        why: clean(why),
    };
    let name = path.display().to_string();
    let mut config = Zeroizing::new(Vec::new());
    let whole =
        File::open(path).and_then(|file| file.take(limits::HAND_WRITTEN_BYTES).read_to_end(&mut config));
    match whole {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(fault(name, &error.to_string())),
    }
    let no_logins = || fault(name.clone(), "it is not a JSON file of logins");
    let mut logins: serde_json::Value = serde_json::from_slice(&config).map_err(|_| no_logins())?;
    let helpers: Helpers = serde_json::from_slice(&config).map_err(|_| no_logins())?;
    let ask = |helper: &str| {
        let patience = Duration::from_secs(limits::CREDENTIAL_HELPER_SECONDS);
        let held = credential::ask(helper, key, patience);
        let held = held.map_err(|error| fault(format!("docker-credential-{helper}"), &error.to_string()))?;
        Ok(held.map(|Held { username, secret }| match username.as_str() {
            "<token>" => Credential::Identity(secret),
            _ => Credential::Password { user: username, secret },
        }))
    };
    if let Some(helper) = helpers.cred_helpers.as_ref().and_then(|all| all.get(key)).filter(|h| !h.is_empty())
    {
        return ask(helper);
    }
    for names in ["credHelpers", "credsStore"] {
        logins.as_object_mut().and_then(|logins| logins.remove(names));
    }
    let logins = Zeroizing::new(logins.to_string());
    match docker_credential::get_credential_from_reader(logins.as_bytes(), key) {
        Ok(DockerCredential::UsernamePassword(user, secret)) => {
            Ok(Some(Credential::Password { user, secret }))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credential::Identity(token))),
        Err(Fault::NoCredentialConfigured) => match helpers.creds_store.filter(|store| !store.is_empty()) {
            Some(store) => ask(&store),
            None => Ok(None),
        },
        Err(Fault::CredentialDecodingError) => Err(fault(name, "the entry is not base64 of name:password")),
        Err(Fault::CredentialMismatchError) => Err(fault(name, "the entry holds two different credentials")),
        Err(_) => Err(no_logins()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn find(config: &str, registry: &str) -> Result<Option<Credential>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        Credentials::new(&[folder.path().join("absent.json"), path]).find(registry)
    }

    #[test]
    fn reads_logins_and_identity_tokens() {
        let config = r#"{"auths":{"h.io:5000":{"auth":"YW5uOnA6dw=="},"https://index.docker.io/v1/":{"identitytoken":"t"}}}"#;
        let password = Credential::Password { user: "ann".into(), secret: "p:w".into() };
        assert!(find(config, "h.io:5000").unwrap() == Some(password));
        assert!(find(config, "docker.io").unwrap() == Some(Credential::Identity("t".into())));
        assert!(find(config, "other.io").unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_read_is_not_nobody() {
        for config in [
            "{",
            r#"{"auths":{"h.io":{"auth":"%%"}}}"#,
            r#"{"credHelpers":{"h.io":"no-such-helper-anywhere"}}"#,
            r#"{"credHelpers":{"h.io":"../helper"}}"#,
            r#"{"credsStore":"no-such-helper-anywhere"}"#,
        ] {
            assert!(matches!(find(config, "h.io"), Err(Error::Credentials { .. })), "{config}");
        }
    }
}
