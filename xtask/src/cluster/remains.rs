//! What a cluster makes outside its processes: a bridge, cgroups, mounts, volumes; and how all of it goes away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::site::{BRIDGE, Extent, NODE_ADDRESS, Site};
use super::{kubectl, output, process};

const CGROUPS: &str = "/sys/fs/cgroup";
/// Where the controller that provides volumes puts them; it cannot be told otherwise.
const VOLUMES: &str = "/tmp/hostpath_pv";

/// Makes the bridge; the node's address must be there before the kubelet is.
pub(super) fn bridge() -> Result<(), String> {
    let address = format!("{NODE_ADDRESS}/24");
    for arguments in [
        ["link", "add", BRIDGE, "type", "bridge"].as_slice(),
        &["address", "add", &address, "dev", BRIDGE],
        &["link", "set", BRIDGE, "up"],
    ] {
        let mut ip = Command::new("ip");
        ip.args(arguments);
        output(ip)?;
    }
    Ok(())
}

/// The cluster's cgroup in every hierarchy: the kubelet makes its own below, and wants this one to be there.
pub(super) fn cgroups(site: &Site) -> Result<(), String> {
    let root = Path::new(CGROUPS);
    let all = hierarchies(root)?;
    if all == [root.to_owned()] {
        // Version 2: what the kubelet limits must be handed down first.
        for controller in ["+cpuset", "+cpu", "+io", "+memory", "+pids"] {
            let _ = fs::write(root.join("cgroup.subtree_control"), controller);
        }
    }
    for hierarchy in all {
        let folder = hierarchy.join(&site.name);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(())
}

/// Where cgroups can be made: one place for version 2, one for each controller for version 1.
fn hierarchies(root: &Path) -> Result<Vec<PathBuf>, String> {
    if root.join("cgroup.controllers").exists() {
        return Ok(vec![root.to_owned()]);
    }
    let error = |error: io::Error| format!("{}: {error}", root.display());
    let mut all = Vec::new();
    for entry in fs::read_dir(root).map_err(error)? {
        let path = entry.map_err(error)?.path();
        if path.join("cgroup.procs").exists() {
            all.push(path);
        }
    }
    Ok(all)
}

/// Ends every process and takes away what is left. What is not there is no error.
pub(super) fn clear(site: &Site) -> Result<(), String> {
    let volumes = volumes(site);
    process::end_all(site)?;
    containers(site)?;
    unmount(site)?;
    remove_cgroups(site)?;
    if site.extent == Extent::Whole {
        // Not by /sys/class/net, which is of the network namespace it was mounted in.
        let ip = |verb: &str| {
            let mut ip = Command::new("ip");
            ip.args(["link", verb, BRIDGE]);
            output(ip)
        };
        if ip("show").is_ok() {
            ip("delete")?;
        }
    }
    for folder in volumes.into_iter().chain(contents(site)) {
        remove(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    // Others' volumes may be in it.
    let _ = fs::remove_dir(VOLUMES);
    Ok(())
}

/// The folders of the volumes that were provided and never given back: they lie outside, under a name only the API knows.
fn volumes(site: &Site) -> Vec<PathBuf> {
    let path = "jsonpath={range .items[*]}{.spec.hostPath.path}{\"\\n\"}{end}";
    let listed = kubectl(site, &["get", "persistentvolumes", "--request-timeout=5s", "--output", path], "");
    let listed = listed.unwrap_or_default();
    listed.lines().map(PathBuf::from).filter(|path| path.starts_with(VOLUMES)).collect()
}

/// Everything in the folder but the lock.
fn contents(site: &Site) -> Vec<PathBuf> {
    let entries = fs::read_dir(&site.folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name != "lock"))
        .collect()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(facts) if facts.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Ends what runs in the cluster's cgroups, then the shims that watched it, which are known by the socket they were told.
fn containers(site: &Site) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let mut inside = Vec::new();
        for hierarchy in hierarchies(Path::new(CGROUPS))? {
            collect(&hierarchy.join(&site.name), &mut inside);
        }
        inside.sort_unstable();
        inside.dedup();
        if inside.is_empty() {
            break;
        }
        for id in &inside {
            let _ = Command::new("kill").args(["-KILL", &id.to_string()]).output();
        }
        if begun.elapsed() > Duration::from_secs(30) {
            return Err(format!("processes in the cgroup {} do not end: {inside:?}", site.name));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let socket = site.text("containerd.sock");
    for entry in fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?.flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
        let shim = words.first().is_some_and(|word| word.ends_with(b"containerd-shim-runc-v2"));
        if shim && words.contains(&socket.as_bytes()) {
            process::end(id)?;
        }
    }
    Ok(())
}

/// The processes in a cgroup and below it.
fn collect(folder: &Path, ids: &mut Vec<u32>) {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    ids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    for child in children(folder) {
        collect(&child, ids);
    }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Deepest first; a cgroup is removed as a folder is. One whose last process is just gone is busy for a moment.
fn remove_cgroups(site: &Site) -> Result<(), String> {
    fn remove(folder: &Path, until: Instant) -> io::Result<()> {
        for child in children(folder) {
            remove(&child, until)?;
        }
        loop {
            match fs::remove_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::ResourceBusy || Instant::now() > until => {
                    return Err(error);
                }
                Ok(()) => return Ok(()),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
    let until = Instant::now() + Duration::from_secs(20);
    for hierarchy in hierarchies(Path::new(CGROUPS))? {
        let folder = hierarchy.join(&site.name);
        remove(&folder, until).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(())
}

/// Unmounts everything below the folder, the last mounted first.
fn unmount(site: &Site) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let mounts = mounts(site)?;
        if mounts.is_empty() {
            return Ok(());
        }
        let mut last = String::new();
        for mount in mounts.iter().rev() {
            let mut command = Command::new("umount");
            command.arg(mount);
            if let Err(why) = output(command) {
                last = why;
            }
        }
        if !last.is_empty() && begun.elapsed() > Duration::from_secs(20) {
            return Err(format!("still mounted below {}: {last}", site.folder.display()));
        }
        if !last.is_empty() {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// What is mounted below the folder, in the order it was mounted (proc(5): the fifth field, octal escapes for white space).
fn mounts(site: &Site) -> Result<Vec<String>, String> {
    let text = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| format!("/proc/self/mountinfo: {error}"))?;
    let prefix = format!("{}/", site.text("").trim_end_matches('/'));
    let places =
        text.lines().filter_map(|line| line.split(' ').nth(4)).map(|place| place.replace("\\040", " "));
    Ok(places.filter(|place| place.starts_with(&prefix)).collect())
}
