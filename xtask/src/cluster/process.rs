//! The processes of a cluster: started apart from the task, known again by id and start time, ended by id.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Site;

/// One process of a cluster.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
}

/// Starts it in a process group of its own, so that it outlives the task and Ctrl-C is not its.
pub(super) fn start(site: &Site, part: &Part) -> Result<(), String> {
    let error = |error: std::io::Error| format!("{}: {error}", part.program.display());
    let log = File::create(site.path(&format!("log/{}", part.name))).map_err(error)?;
    let child = Command::new(&part.program)
        .args(&part.arguments)
        .current_dir(&site.folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(error)?)
        .stderr(log)
        .spawn()
        .map_err(error)?;
    let began = began(child.id()).ok_or_else(|| format!("{} ended at once", part.name))?;
    fs::write(site.path(&format!("pid/{}", part.name)), format!("{} {began}\n", child.id())).map_err(error)
}

/// When a process began, in the kernel's ticks: an id alone may be another's by now. `None` when it is gone, or dead and not yet
/// waited for.
fn began(id: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is in parentheses and may hold anything; the third is the state, the 22nd the start.
    let rest = text.rsplit_once(") ")?.1;
    let mut fields = rest.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The processes that were started: name, id, and whether they run.
fn started(site: &Site) -> Vec<(String, u32, bool)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(site.path("pid")).into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let Some((id, start)) = text.trim().split_once(' ') else { continue };
        let (Ok(id), Ok(start)) = (id.parse::<u32>(), start.parse::<u64>()) else { continue };
        all.push((entry.file_name().to_string_lossy().into_owned(), id, began(id) == Some(start)));
    }
    all
}

/// Whether any was started, and each still runs.
pub(super) fn all_run(site: &Site) -> bool {
    let all = started(site);
    !all.is_empty() && all.iter().all(|(_, _, runs)| *runs)
}

/// Ends them, the kubelet first so that nothing is started again, etcd last so that what others still write is kept.
pub(super) fn end_all(site: &Site) -> Result<(), String> {
    let order = ["kubelet", "containerd", "scheduler", "controller-manager", "apiserver", "etcd"];
    let mut all = started(site);
    all.sort_by_key(|(name, _, _)| order.iter().position(|known| known == name));
    for (name, id, runs) in all {
        if runs {
            end(id).map_err(|why| format!("{name}: {why}"))?;
        }
        let _ = fs::remove_file(site.path(&format!("pid/{name}")));
    }
    Ok(())
}

/// Ends one process and waits until it is gone: asked first, then not asked.
pub(super) fn end(id: u32) -> Result<(), String> {
    for (signal, patience) in [("-TERM", 10), ("-KILL", 30)] {
        // It may end by itself meanwhile.
        let _ = Command::new("kill").args([signal, &id.to_string()]).stderr(Stdio::null()).status();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(patience) {
            if began(id).is_none() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Err(format!("process {id} does not end"))
}

/// The last lines of every log, for people who look for what went wrong.
pub(super) fn logs(site: &Site) -> String {
    let mut text = String::new();
    for (name, _, runs) in started(site) {
        let log = fs::read_to_string(site.path(&format!("log/{name}"))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = &lines[lines.len().saturating_sub(12)..];
        text += &format!("-- {name}{}\n{}\n", if runs { "" } else { ", which ended" }, end.join("\n"));
    }
    text
}
