//! A program in a real terminal (tmux), as a person has it: keys are sent, and the screen is read.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Columns and lines.
const SIZE: (&str, &str) = ("120", "44");
/// How long something may take to appear.
const PATIENCE: Duration = Duration::from_secs(90);

/// A terminal, which ends with all that runs in it when it is dropped.
pub struct Terminal {
    folder: tempfile::TempDir,
}

impl Terminal {
    /// Starts `command`, with its environment and no other; `shown` is what a person would have typed. When it has ended, `exit code N`
    /// is on the screen.
    ///
    /// # Errors
    /// What tmux said.
    pub fn start(command: &Command, shown: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_string_lossy().replace('\'', "'\\''"));
        let mut script = String::from("trap : INT\nclear\n");
        if let Some(place) = command.get_current_dir() {
            script += &format!("cd {}\n", quoted(place.as_os_str()));
        }
        script += &format!("echo {}\nenv -i TERM=\"$TERM\"", quoted(format!("$ {shown}").as_ref()));
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                script += &format!(" {}={}", name.to_string_lossy(), quoted(value));
            }
        }
        for word in std::iter::once(command.get_program()).chain(command.get_args()) {
            script += &format!(" {}", quoted(word));
        }
        script += "\necho \"exit code $?\"\nexec sleep 600\n";
        let file = folder.path().join("run.sh");
        std::fs::write(&file, script).map_err(|error| error.to_string())?;
        let terminal = Self { folder };
        let line = format!("exec sh '{}'", file.display());
        terminal.tmux(&["new-session", "-d", "-x", SIZE.0, "-y", SIZE.1, &line])?;
        Ok(terminal)
    }

    /// Presses keys, by tmux's names: `Enter`, `C-c`, `Down`; what is no name is typed.
    ///
    /// # Errors
    /// What tmux said.
    pub fn press(&self, keys: &[&str]) -> Result<(), String> {
        self.tmux(&[&["send-keys"], keys].concat()).map(drop)
    }

    /// What is on the screen, and what has gone off it.
    ///
    /// # Errors
    /// What tmux said.
    pub fn screen(&self) -> Result<String, String> {
        let text = self.tmux(&["capture-pane", "-p", "-J", "-S", "-200"])?;
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        Ok(lines.join("\n").trim_end().to_owned())
    }

    /// The screen once `text` is on it.
    ///
    /// # Errors
    /// The screen, when the text does not appear.
    pub fn wait(&self, text: &str) -> Result<String, String> {
        let begun = Instant::now();
        loop {
            let screen = self.screen()?;
            if screen.contains(text) {
                return Ok(screen);
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("\"{text}\" does not appear:\n{screen}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("tmux")
    }

    fn tmux(&self, arguments: &[&str]) -> Result<String, String> {
        tmux(&self.socket(), arguments)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

/// A server of its own for each terminal, so that no other is touched.
fn tmux(socket: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("tmux");
    command.arg("-f").arg("/dev/null").arg("-S").arg(socket).args(arguments);
    command.env_remove("TMUX").env("LC_ALL", "C.UTF-8");
    let output = command.output().map_err(|error| format!("tmux: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("tmux: {}", String::from_utf8_lossy(&output.stderr).trim_end())),
    }
}
