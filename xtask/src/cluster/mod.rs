//! A real Kubernetes on this machine: etcd, the control plane, and one node whose kubelet runs real containers.
//!
//! It listens on loopback and on a bridge of its own, keeps everything in one folder, and leaves nothing behind: what it started is known by
//! process id and start time, what it mounted by the folder. A cluster is up in seconds, so it is not kept for speed.
//!
//! Absent on purpose: kube-proxy and `CoreDNS`. A Service's own address and name do not answer; the API server reaches a Service's pods
//! directly (`…/services/NAME:PORT/proxy/…`, webhooks), and this machine reaches a pod by its address.

mod parts;
mod pause;
mod process;
mod programs;
mod remains;
mod site;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

pub use programs::install;
pub use site::{Extent, Site};

use crate::tools;

/// How long a part may take until it answers. They take seconds; a machine that is busy with a compiler takes more.
const PATIENCE: Duration = Duration::from_secs(180);

/// Objects a whole cluster is given: a default storage class that really provides volumes, and an ingress class nobody serves.
const OBJECTS: &str = include_str!("objects.json");

/// Starts the cluster where it does not run, and gives the path of its kubeconfig. `say` is told what is done.
///
/// # Errors
/// What is missing, or which part did not come up, with the end of its log.
pub fn up(site: &Site, say: &dyn Fn(&str)) -> Result<PathBuf, String> {
    root()?;
    let _held = hold(site)?;
    let kubeconfig = site.kubeconfig();
    if runs(site) {
        return Ok(kubeconfig);
    }
    remains::clear(site)?;
    let begun = Instant::now();
    let plan = parts::write(site)?;
    for part in &plan.control_plane {
        process::start(site, part)?;
    }
    wait(site, "the API server", || answers(site))?;
    if site.extent == Extent::Whole {
        kubectl(site, &["apply", "--filename", "-"], OBJECTS)?;
        node(site, &plan)?;
    }
    say(&format!(
        "cluster: Kubernetes {} is up in {:.1} s",
        programs::VERSION,
        begun.elapsed().as_secs_f64()
    ));
    Ok(kubeconfig)
}

/// Starts what a node is made of, and waits until it takes pods.
fn node(site: &Site, plan: &parts::Plan) -> Result<(), String> {
    remains::bridge()?;
    remains::cgroups(site)?;
    process::start(site, &plan.containerd)?;
    wait(site, "containerd", || {
        let mut ctr = site.ctr();
        ctr.args(["plugins", "ls"]);
        output(ctr).is_ok_and(|text| text.lines().any(|line| line.contains(" cri ") && line.contains(" ok")))
    })?;
    pause::import(site)?;
    process::start(site, &plan.kubelet)?;
    wait(site, "the node", || {
        let asked = ["wait", "--for=condition=Ready", "--timeout=1s", "node", site::NODE];
        kubectl(site, &asked, "").is_ok()
    })?;
    // Without it pods are refused: the controller makes it a moment after the namespace.
    wait(site, "the default service account", || {
        kubectl(site, &["get", "serviceaccount", "default", "--namespace", "default"], "").is_ok()
    })
}

/// Ends the cluster and takes away everything it made.
///
/// # Errors
/// What could not be ended, unmounted or removed.
pub fn down(site: &Site, say: &dyn Fn(&str)) -> Result<(), String> {
    root()?;
    if !site.folder.exists() {
        say("cluster: there is none");
        return Ok(());
    }
    let _held = hold(site)?;
    remains::clear(site)?;
    fs::remove_dir_all(&site.folder).map_err(|error| format!("{}: {error}", site.folder.display()))?;
    say("cluster: ended, nothing of it is left");
    Ok(())
}

/// Whether it runs and answers.
#[must_use]
pub fn runs(site: &Site) -> bool {
    site.kubeconfig().is_file() && process::all_run(site) && answers(site)
}

/// One at a time: two that start it together must not both do so.
fn hold(site: &Site) -> Result<File, String> {
    let error = |error: std::io::Error| format!("{}: {error}", site.folder.display());
    fs::create_dir_all(&site.folder).map_err(error)?;
    // Beside the folder, which goes away with the cluster.
    let file = File::create(site.folder.with_extension("lock")).map_err(error)?;
    file.lock().map_err(error)?;
    Ok(file)
}

fn answers(site: &Site) -> bool {
    kubectl(site, &["get", "--raw", "/readyz", "--request-timeout=5s"], "").is_ok()
}

/// Asks until it holds. A part that ended, or patience that did, is an error with the ends of the logs.
fn wait(site: &Site, what: &str, holds: impl Fn() -> bool) -> Result<(), String> {
    let begun = Instant::now();
    while !holds() {
        if !process::all_run(site) || begun.elapsed() > PATIENCE {
            let seconds = begun.elapsed().as_secs();
            return Err(format!("{what} is not ready after {seconds} s\n{}", process::logs(site)));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Runs kubectl as the cluster's administrator, with `input` on its stdin; gives what it printed.
///
/// # Errors
/// What it said.
pub fn kubectl(site: &Site, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new(tools::kubectl()?);
    command.env_clear().env("KUBECONFIG", site.kubeconfig()).env("HOME", &site.folder).args(arguments);
    fed(command, input)
}

/// Runs a program and gives its stdout; a failure is an error with its stderr.
fn output(command: Command) -> Result<String, String> {
    fed(command, "")
}

fn fed(mut command: Command, input: &str) -> Result<String, String> {
    use std::io::{Seek as _, Write as _};
    let name = command.get_program().to_string_lossy().into_owned();
    let error = |error: std::io::Error| format!("{name}: {error}");
    let mut file = tempfile::tempfile().map_err(error)?;
    file.write_all(input.as_bytes()).and_then(|()| file.rewind()).map_err(error)?;
    let output = command.stdin(file).output().map_err(error)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{name}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end()))
}

/// Containers, bridges and mounts are root's.
fn root() -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = fs::metadata("/proc/self").map_err(|error| format!("/proc/self: {error}"))?.uid();
    if owner == 0 {
        Ok(())
    } else {
        Err("a cluster runs containers and makes a bridge: run this as root".to_owned())
    }
}
