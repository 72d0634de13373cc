//! Runs a command and tells how long it took, how much memory it held at most and how much it wrote.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a run came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Run {
    pub(super) seconds: f64,
    /// Peak resident memory, in bytes.
    pub(super) memory: u64,
    /// Bytes asked of files, pipes and sockets, whether the medium was asked or memory had them.
    pub(super) read: u64,
    /// Bytes given to the disk that the command itself wrote.
    pub(super) written: u64,
}

/// Runs `command` to its end; an error when it fails. Memory and bytes written are read from `/proc` every few milliseconds, and both
/// only grow, so at most the last few milliseconds of a run go unseen.
pub(super) fn run(command: &mut Command, log: &Path) -> Result<Run, String> {
    let shown = format!("{command:?}");
    let output = std::fs::File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
    let errors = output.try_clone().map_err(|e| e.to_string())?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let started = Instant::now();
    let mut child = command.spawn().map_err(|e| format!("{shown}: {e}"))?;
    let mut run = Run::default();
    let mut asked = 0;
    let folder = format!("/proc/{}", child.id());
    let status = loop {
        run.memory = run.memory.max(field(&format!("{folder}/status"), "VmHWM:").saturating_mul(1024));
        run.read = run.read.max(field(&format!("{folder}/io"), "rchar:"));
        run.written = run.written.max(field(&format!("{folder}/io"), "write_bytes:"));
        asked = field(&format!("{folder}/io"), "wchar:").max(asked);
        match child.try_wait().map_err(|e| format!("{shown}: {e}"))? {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    run.seconds = started.elapsed().as_secs_f64();
    // What it said went into the log, in whole pages: our file, not its. And the kernel counts as its writing that it notes when a file
    // was read (`relatime`: the first time after the file changed), so no more is its own than it asked to be written.
    let said = std::fs::metadata(log).map_or(0, |facts| facts.len());
    run.written = run.written.saturating_sub(said.next_multiple_of(4096)).min(asked.saturating_sub(said));
    if status.success() {
        return Ok(run);
    }
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let last: Vec<&str> = said.lines().rev().take(8).collect();
    Err(format!("{shown}: {status}\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n")))
}

fn field(path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|v| v.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
