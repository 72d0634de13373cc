//! Docker's credential helpers (docker-credential-helpers, README: "Development"): `docker-credential-<name> get` reads a registry on stdin
//! and writes a name and a secret as JSON. What it writes is never put into a message.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::located;
use super::process::{ProcessError, Run};
use crate::limits;
use crate::sys::environment;

/// What a helper has.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Held {
    /// The name; `<token>` where the secret is an identity token.
    pub username: String,
    /// The password or token.
    pub secret: String,
}

/// Why a helper gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its name could be a path.
    #[error("its name holds more than letters, digits, - _ and .")]
    Name,
    /// There is no such program.
    #[error("it is not on the search path")]
    Absent,
    /// It did not run to its end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It ended with an error.
    #[error("it failed: {0}")]
    Failed(String),
    /// It wrote something else.
    #[error("it gave a malformed answer")]
    Malformed,
}

/// Asks the helper `name` for `registry`, for at most `patience`; `None` when it has nothing.
///
/// # Errors
/// [`Error`]: "could not ask" is never "nothing there".
pub fn ask(name: &str, registry: &str, patience: Duration) -> Result<Option<Held>, Error> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(Error::Name);
    }
    let program = located(&format!("docker-credential-{name}"), None, None).ok_or(Error::Absent)?;
    ask_program(&program, registry, patience)
}

fn ask_program(program: &Path, registry: &str, patience: Duration) -> Result<Option<Held>, Error> {
    let run = Run {
        program,
        arguments: vec!["get".into()],
        // It needs what its user has set: agents, key rings, profiles.
        environment: environment::all(),
        folder: Path::new("/"),
        patience,
        input: registry.as_bytes(),
        stop: None,
        held: None,
    };
    let ended = run.run()?;
    let stdout = Zeroizing::new(ended.stdout);
    if ended.code == Some(0) {
        return serde_json::from_slice(&stdout).map(Some).map_err(|_| Error::Malformed);
    }
    let said = [&stdout[..], &ended.stderr[..]].map(|said| String::from_utf8_lossy(said).trim().to_owned());
    // What every helper prints when it simply has none (docker-credential-helpers, credentials/error.go).
    if said.iter().any(|said| said.contains("credentials not found")) {
        return Ok(None);
    }
    let [stdout, stderr] = said;
    let said = if stderr.is_empty() { stdout } else { stderr };
    Err(Error::Failed(said.chars().take(limits::ERROR_BODY_BYTES).collect()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Instant;

    use super::*;

    /// Asks a helper that is this script.
    fn asked(script: &str) -> Result<Option<Held>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("docker-credential-test");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        ask_program(&program, "h.io:5000", Duration::from_secs(1))
    }

    #[test]
    fn a_helper_is_asked_for_the_registry_on_stdin() {
        let script =
            r#"test "$1" = get && printf '{"ServerURL":"x","Username":"ann","Secret":"%s"}' "$(cat)""#;
        let held = asked(script).unwrap().unwrap();
        assert_eq!((held.username.as_str(), held.secret.as_str()), ("ann", "h.io:5000"));
        let none = "echo credentials not found in native keychain; exit 1";
        assert!(asked(none).unwrap().is_none());
    }

    #[test]
    fn a_helper_that_fails_or_never_ends_is_not_nobody() {
        for (script, said) in [
            ("echo the key ring is locked >&2; exit 3", "it failed: the key ring is locked"),
            ("echo '{'", "it gave a malformed answer"),
            ("exec yes", "wrote more than"),
            ("exec sleep 1000", "said nothing for 1 seconds, and was ended"),
            ("sleep 1000 & exec >&- 2>&-; wait", "said nothing for 1 seconds, and was ended"),
        ] {
            let begun = Instant::now();
            let error = asked(script).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(said), "{script}: {error}");
            assert!(begun.elapsed() < Duration::from_secs(60), "{script}");
        }
    }
}
