//! Programs as people run them, ours and others', each in an environment of the test's making.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The user of that name, as almost everywhere.
pub(crate) const NOBODY: u32 = 65534;

/// Our program, with a home folder of its own and nothing of the machine's environment.
pub(crate) struct Program {
    home: PathBuf,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    /// A program whose home is `home`: what it remembers is in `home/state`, its Docker configuration in `home/docker`.
    pub(crate) fn at(home: &Path) -> Self {
        Self { home: home.to_owned() }
    }

    /// The folder that remembers.
    pub(crate) fn state(&self) -> PathBuf {
        self.home.join("state")
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bundle"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", &self.home)
            .env("BUNDLE_STATE", self.state())
            .env("DOCKER_CONFIG", self.home.join("docker"))
            .current_dir(&self.home)
            .stdin(Stdio::null());
        command
    }

    /// Root may read and write everything, so here it is run as nobody, whose home is nowhere; from its home, which all may enter.
    pub(crate) fn as_nobody<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        // The build folder may be where nobody may go.
        let program = self.home.join("program");
        fs::copy(env!("CARGO_BIN_EXE_bundle"), &program).unwrap();
        fs::set_permissions(&self.home, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("HOME", "/nonexistent").current_dir(&self.home);
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Outcome {
        Outcome::of(self.command(arguments).output().unwrap())
    }

    /// Runs, and is done only when the program says so.
    #[track_caller]
    pub(crate) fn done<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Outcome {
        let outcome = self.run(arguments);
        let shown: Vec<_> = arguments.iter().map(|a| a.as_ref().to_string_lossy().into_owned()).collect();
        assert_eq!(outcome.code, Some(0), "bundle {}\n{}{}", shown.join(" "), outcome.stdout, outcome.stderr);
        outcome
    }
}

impl Outcome {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Ended with `code`, and said each of `words`.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for word in words {
            assert!(self.stderr.contains(word) || self.stdout.contains(word), "no \"{word}\" in {self:#?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
    }
}

/// Runs another program to its end and gives its stdout; it must be there and succeed.
#[track_caller]
pub(crate) fn tool(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let words = || String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, words());
    output.stdout
}
