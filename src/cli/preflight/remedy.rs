//! What to do about a check that is not as it must be.

use signing::Weight;

use crate::plan::preflight::{Area, Check, Fault, Seen, Style};

/// What to do next; nothing for what is fine.
pub(in crate::cli) fn remedy(check: &Check) -> Option<String> {
    if check.weight == Weight::Ignore {
        return None;
    }
    let fixed = |text: &str| Some(text.to_owned());
    match &check.seen {
        Seen::Told { name, .. } if check.area == Area::Licence => fixed(licence(name)),
        Seen::Told { .. } => fixed("bundle verify says more about the bundle, and what to do"),
        Seen::RegistryNotNamed => fixed("name it: --registry HOST/PREFIX"),
        Seen::RegistryFault { place, fault, .. } => Some(registry(place, *fault)),
        Seen::UploadRefused { style: Style::Pieces, .. } => fixed(
            "nothing, where the line is good; else let the registry, or the proxy before it, take PATCH requests",
        ),
        Seen::UploadRefused { repository, fault, .. } => Some(registry(repository, *fault)),
        Seen::PathTooDeep { .. } => {
            fixed("fold paths: --flatten here, and for load and install; or --map FROM=TO for shorter names")
        }
        Seen::ProbeKept { .. } => fixed(
            "nothing: the registry's garbage collection removes it; many registries let nobody delete a blob (docker-registry: storage.delete.enabled)",
        ),
        Seen::NoCluster { fault, .. } => fixed(cluster(*fault)),
        Seen::Version { .. } => {
            fixed("update the cluster first, or ask the vendor for a release that runs on it")
        }
        Seen::NotAsked { .. } => {
            fixed("let this user read that, or have somebody look who may: kubectl auth can-i --list")
        }
        Seen::Forbidden { namespace, .. } => Some(format!(
            "ask the cluster's administrator for these rights; the role admin in the namespace has most: kubectl create rolebinding bundle --clusterrole=admin --user=YOU --namespace={namespace}"
        )),
        Seen::NoNodes { .. } => fixed("look why: kubectl get nodes; kubectl describe node NAME"),
        Seen::SmallNodes { enough: 0, .. } => {
            fixed("give the cluster a node that is large enough, or ask the vendor whether less will do")
        }
        Seen::SmallNodes { .. } => fixed("nothing, if the others have room for all of it"),
        Seen::OtherPlatform { .. } => fixed(
            "give the cluster nodes of a platform that the images are for, or ask the vendor for a bundle with this one",
        ),
        Seen::NoGpus { .. } => fixed(
            "where the model is to run here: nodes with GPUs and the vendor's device plugin (kubectl get nodes -o yaml shows nvidia.com/gpu); else answer that it is not",
        ),
        Seen::NodeDisk { .. } => fixed(
            "nothing, if the pods spread over several nodes; else more disk for images (containerd's root)",
        ),
        Seen::ClassMissing { kind: "storage class", name: None, .. } => fixed(
            "mark one as default: kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true; or name the one to use: --storage-class NAME",
        ),
        Seen::ClassMissing { kind, .. } => Some(format!(
            "name one that is there, or have the cluster's administrator install it: kubectl get {}",
            kind.replace(' ', "")
        )),
        Seen::Postgres { got: None, .. } => {
            fixed("look yourself: psql --host HOST --command 'show server_version'")
        }
        Seen::Postgres { .. } => fixed("use a later PostgreSQL, or the release's own"),
        Seen::NoPostgres { .. } => fixed(
            "look at name, port, firewall, and listen_addresses of the database; pods must reach it too",
        ),
        Seen::Disk { path, .. } => Some(format!("make room in {path}, or set TMPDIR to a folder with room")),
        Seen::Clock { .. } => fixed(
            "set the clock that is wrong (chronyc makestep, timedatectl): certificates, tokens and licences are judged by it",
        ),
        Seen::Registry { .. }
        | Seen::UploadTaken { .. }
        | Seen::LargestBlob { .. }
        | Seen::Allowed { .. }
        | Seen::Nodes { .. }
        | Seen::LargeNodes { .. }
        | Seen::Gpus { .. }
        | Seen::ClassThere { .. }
        | Seen::PostgresNotNamed { .. } => None,
    }
}

/// What to do about a licence that was judged so.
pub(in crate::cli) fn licence(verdict: &str) -> &'static str {
    match verdict {
        "none" | "unreadable" => {
            "put the licence the vendor sent as CUSTOMER.lic into a copy's licenses/, or give it to install with --license FILE"
        }
        "warning" | "grace" | "expired" => {
            "if the clock is right (date -u), ask the vendor for a renewed licence; nothing else of the bundle has to come again"
        }
        "not-yet-valid" | "clock-unset" | "clock-behind" => "look at the clock (date -u) first",
        "other-customer" => {
            "use the licence that was made for you: its file is named after you, or say who you are: --customer ID"
        }
        "lacks-features" => "ask the vendor for a licence that grants this",
        _ => "get the licence from the vendor again, as a file",
    }
}

fn registry(place: &str, fault: Fault) -> String {
    let host = place.split('/').next().unwrap_or(place);
    match fault {
        Fault::Unreachable => format!("look at name, port, network and proxy: curl -v https://{host}/v2/"),
        Fault::Tls => format!("give its certificate authority: --ca-file CA.pem; or --plain-http {host} if it has no TLS"),
        Fault::Unauthorized => format!("log in: docker login {host} (or podman login)"),
        Fault::Denied => format!(
            "ask whoever runs the registry for the right to push to {place}, or log in as another; in Harbor the project must exist"
        ),
        Fault::NotFound => format!("make {place} first where the registry wants that (Harbor: the project; ECR: each repository)"),
        Fault::TooLarge => {
            "raise the limit of the registry or the proxy before it (nginx: client_max_body_size; its ingress: proxy-body-size)".to_owned()
        }
        Fault::Full => format!(
            "make room in the registry (garbage collection, a larger disk), or have the quota of {place} raised; bundle load --dry-run tells how much will be sent"
        ),
        Fault::Program | Fault::Other => "look at the registry's log, and whether its disk is full; whoever runs it knows what it refuses".to_owned(),
    }
}

/// What to do when the cluster cannot be asked.
pub(in crate::cli) fn cluster(fault: Fault) -> &'static str {
    match fault {
        Fault::Program => {
            "install kubectl 1.22 or later, or name one: BUNDLE_KUBECTL=/path/to/kubectl; a bundle may bring it in tools/"
        }
        Fault::Unreachable => {
            "look at KUBECONFIG and the context (--kubeconfig, --context): kubectl cluster-info"
        }
        Fault::Unauthorized => "get a kubeconfig that holds, or log in again: kubectl auth whoami",
        _ => "look what kubectl says by itself: kubectl version; kubectl auth can-i --list",
    }
}
