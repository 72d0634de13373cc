//! What each process of a cluster is told: certificates, tokens, configurations, arguments.
//!
//! Users are told apart by tokens, made anew for each cluster; the API server shows itself to the kubelet by a certificate.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::process::Part;
use super::site::{BRIDGE, DNS_ADDRESS, NODE, NODE_ADDRESS, PODS, SERVICE_ADDRESS, SERVICES, Site};
use super::{output, programs};

/// The processes, in the order in which they start.
pub(super) struct Plan {
    pub(super) control_plane: Vec<Part>,
    pub(super) containerd: Part,
    pub(super) kubelet: Part,
}

/// Writes what they read.
pub(super) fn write(site: &Site) -> Result<Plan, String> {
    let error = |error: std::io::Error| format!("{}: {error}", site.folder.display());
    for name in ["log", "pid", "cni", "registries", "volume-plugins", "pod-logs"] {
        fs::create_dir_all(site.path(name)).map_err(error)?;
    }
    // Tokens and keys lie below.
    fs::set_permissions(&site.folder, fs::Permissions::from_mode(0o700)).map_err(error)?;
    certificates(site)?;
    let ports = free_ports()?;
    users(site, ports[2])?;
    let mut control_plane = vec![etcd(site, ports), apiserver(site, ports)?];
    control_plane.push(controller_manager(site)?);
    control_plane.push(Part {
        name: "scheduler",
        program: programs::program("kube-scheduler")?,
        arguments: words(
            &[&format!("--kubeconfig={}", site.text("scheduler.kubeconfig"))],
            &["--leader-elect=false", "--secure-port=0"],
        ),
    });
    put(site, "containerd.toml", &containerd(site))?;
    put(site, "cni/10-bundle.conflist", &network(site).to_string())?;
    put(site, "kubelet.json", &format!("{:#}\n", kubelet(site)))?;
    let containerd = Part {
        name: "containerd",
        program: "containerd".into(),
        arguments: vec!["--config".to_owned(), site.text("containerd.toml")],
    };
    let kubelet = Part {
        name: "kubelet",
        program: programs::program("kubelet")?,
        arguments: vec![
            format!("--config={}", site.text("kubelet.json")),
            format!("--kubeconfig={}", site.text("kubelet.kubeconfig")),
            format!("--root-dir={}", site.text("kubelet")),
            format!("--cert-dir={}", site.text("kubelet-pki")),
            format!("--hostname-override={NODE}"),
            format!("--node-ip={NODE_ADDRESS}"),
        ],
    };
    Ok(Plan { control_plane, containerd, kubelet })
}

fn words(own: &[&str], fixed: &[&str]) -> Vec<String> {
    own.iter().chain(fixed).map(|word| (*word).to_owned()).collect()
}

fn put(site: &Site, name: &str, text: &str) -> Result<(), String> {
    fs::write(site.path(name), text).map_err(|error| format!("{}: {error}", site.text(name)))
}

/// Three ports nobody listens on: etcd's two and the API server's. All are held until each is known.
fn free_ports() -> Result<[u16; 3], String> {
    let bind = || TcpListener::bind("127.0.0.1:0").map_err(|error| format!("127.0.0.1: {error}"));
    let held = [bind()?, bind()?, bind()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr().map_err(|error| error.to_string())?.port();
    }
    Ok(ports)
}

fn certificates(site: &Site) -> Result<(), String> {
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(&site.folder);
        output(command).map(drop)
    };
    let new =
        ["req", "-x509", "-nodes", "-days", "30", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let names = format!(
        "subjectAltName=IP:127.0.0.1,IP:{NODE_ADDRESS},IP:{SERVICE_ADDRESS},DNS:localhost,DNS:kubernetes.default.svc"
    );
    let server =
        ["-keyout", "server.key", "-out", "server.crt", "-subj", "/CN=kube-apiserver", "-addext", &names];
    openssl(&[&new[..], &server].concat())?;
    // What the API server shows to the kubelet, which believes this certificate and no other.
    let client =
        ["-keyout", "client.key", "-out", "client.crt", "-subj", "/O=system:masters/CN=kube-apiserver"];
    openssl(&[&new[..], &client].concat())?;
    openssl(&["genrsa", "-out", "accounts.key", "2048"])
}

/// The users, each with a token and a kubeconfig.
fn users(site: &Site, port: u16) -> Result<(), String> {
    let all = [
        ("kubeconfig", "bundle-admin", "system:masters"),
        ("kubelet.kubeconfig", "system:node:bundle-node", "system:nodes"),
        ("controller-manager.kubeconfig", "system:kube-controller-manager", ""),
        ("scheduler.kubeconfig", "system:kube-scheduler", ""),
    ];
    let mut tokens = String::new();
    for (file, user, groups) in all {
        let token = token()?;
        tokens += &format!("{token},{user},{user},\"{groups}\"\n");
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bundle", "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                "certificate-authority-data": in_base64(site, "server.crt")?,
            }}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "bundle", "context": {"cluster": "bundle", "user": user}}],
            "current-context": "bundle",
        });
        put(site, file, &format!("{config:#}\n"))?;
    }
    put(site, "tokens.csv", &tokens)
}

fn token() -> Result<String, String> {
    let mut bytes = [0; 16];
    let read = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| format!("/dev/urandom: {error}"))?;
    Ok(hex::encode(bytes))
}

fn in_base64(site: &Site, name: &str) -> Result<String, String> {
    use base64::Engine as _;
    let bytes = fs::read(site.path(name)).map_err(|error| format!("{}: {error}", site.text(name)))?;
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}

fn etcd(site: &Site, ports: [u16; 3]) -> Part {
    let [clients, peers, _] = ports;
    let (clients, peers) = (format!("http://127.0.0.1:{clients}"), format!("http://127.0.0.1:{peers}"));
    let arguments = vec![
        format!("--data-dir={}", site.text("etcd")),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
        // It is thrown away with the cluster.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    Part { name: "etcd", program: "etcd".into(), arguments }
}

fn apiserver(site: &Site, ports: [u16; 3]) -> Result<Part, String> {
    let [etcd, _, port] = ports;
    let arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--advertise-address={NODE_ADDRESS}"),
        format!("--tls-cert-file={}", site.text("server.crt")),
        format!("--tls-private-key-file={}", site.text("server.key")),
        format!("--token-auth-file={}", site.text("tokens.csv")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", site.text("accounts.key")),
        format!("--service-account-signing-key-file={}", site.text("accounts.key")),
        format!("--service-cluster-ip-range={SERVICES}"),
        format!("--kubelet-client-certificate={}", site.text("client.crt")),
        format!("--kubelet-client-key={}", site.text("client.key")),
        // Nobody resolves the name of the node.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        // Webhooks are called at their pods: nothing forwards a Service's address.
        "--enable-aggregator-routing=true".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--profiling=false".to_owned(),
    ];
    Ok(Part { name: "apiserver", program: programs::program("kube-apiserver")?, arguments })
}

fn controller_manager(site: &Site) -> Result<Part, String> {
    let arguments = vec![
        format!("--kubeconfig={}", site.text("controller-manager.kubeconfig")),
        format!("--service-account-private-key-file={}", site.text("accounts.key")),
        format!("--root-ca-file={}", site.text("server.crt")),
        "--use-service-account-credentials=true".to_owned(),
        "--enable-hostpath-provisioner=true".to_owned(),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ];
    let program: PathBuf = programs::program("kube-controller-manager")?;
    Ok(Part { name: "controller-manager", program, arguments })
}

fn containerd(site: &Site) -> String {
    let quoted = |name: &str| format!("{:?}", site.text(name));
    format!(
        r#"version = 2
root = {root}
state = {state}
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = {socket}
[ttrpc]
address = {ttrpc}
[debug]
level = "warn"
[plugins."io.containerd.internal.v1.opt"]
path = {opt}
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# What may not be lowered (containers of containers lack CAP_SYS_RESOURCE) is left as it is.
restrict_oom_score_adj = true
# So that they are found and unmounted by the folder.
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = {cni}
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = {registries}
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = {runc}
"#,
        root = quoted("containerd"),
        state = quoted("containerd-state"),
        socket = quoted("containerd.sock"),
        ttrpc = quoted("containerd.sock.ttrpc"),
        opt = quoted("opt"),
        pause = super::pause::NAME,
        cni = quoted("cni"),
        registries = quoted("registries"),
        runc = quoted("runc"),
    )
}

fn network(site: &Site) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "bundle",
        "plugins": [{
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": true,
            // No rules that would have to be taken back; pods reach this machine and each other.
            "ipMasq": false,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "dataDir": site.text("addresses"),
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
}

fn kubelet(site: &Site) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "healthzPort": 0,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": false},
            "x509": {"clientCAFile": site.text("client.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": format!("unix://{}", site.text("containerd.sock")),
        // Nobody answers there; without it every pod has an event that says so.
        "clusterDNS": [DNS_ADDRESS],
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", site.name),
        "failCgroupV1": false,
        "failSwapOn": false,
        "makeIPTablesUtilChains": false,
        "localStorageCapacityIsolation": false,
        // The disk is shared with other work: nothing is thrown out for it.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "1Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
        },
        "nodeStatusUpdateFrequency": "4s",
        "serializeImagePulls": false,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "podLogsDir": site.text("pod-logs"),
        "volumePluginDir": site.text("volume-plugins"),
    })
}
