//! The `hosts.toml` files with which containerd finds the vendor's images here.
//!
//! containerd, docs/hosts.md: one folder for each registry's name below `/etc/containerd/certs.d`, with a `hosts.toml` in it.

use crate::ops::serve::Report;

/// What to put where, as text in which everything but the files themselves is a comment.
pub(super) fn text(report: &Report, server: &str) -> String {
    let scheme = if report.tls { "https" } else { "http" };
    let mut text = String::new();
    let mut say = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    say("# For every node with containerd. In /etc/containerd/config.toml:");
    say(
        "#   [plugins.\"io.containerd.grpc.v1.cri\".registry]        (containerd 2: io.containerd.cri.v1.images)",
    );
    say("#     config_path = \"/etc/containerd/certs.d\"");
    say("# That line needs one restart of containerd; the files below do not.");
    if report.tls {
        say("#");
        say(
            "# Copy the certificate of the authority that signed --tls-cert to the nodes, as the ca lines name it",
        );
        say("# (without one that the system knows, delete the lines).");
    }
    if report.passwords {
        say("#");
        say("# Users and passwords: as imagePullSecrets in Kubernetes; for ctr: --user USER:PASSWORD.");
    }
    let names = report.vendors.iter().map(String::as_str).chain([server]);
    for name in names {
        let folder = format!("/etc/containerd/certs.d/{name}");
        say("");
        say(&format!("# ---- {folder}/hosts.toml"));
        // Without it containerd would ask the registry of that name itself next.
        say(&format!("server = \"{scheme}://{server}\""));
        say("");
        say(&format!("[host.\"{scheme}://{server}\"]"));
        say("  capabilities = [\"pull\", \"resolve\"]");
        if report.tls {
            say("  ca = \"/etc/containerd/certs.d/bundle-ca.crt\"");
        }
    }
    text
}
