//! `bundle diagnose` of pods that run and of one that crashes: what support needs is in it, and what must not leave is not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::images::standin;
use xtask::registry::{Config, Server};

use super::cluster::{self, Namespace};
use super::program::{Outcome, Program, tool};
use super::site::{REQUIRES, Site};

const SECRET: &str = "Hunter2OfTheCluster";

/// A namespace in which one pod runs and one crashes with a secret in its last words; its registry.
struct House {
    namespace: Namespace,
    _registry: Server,
    ip: String,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = fs::read(standin::program(folder.path()).unwrap()).unwrap();
        let registry = Server::start(Config::default()).unwrap();
        let image = standin::image("acme/agent:v1", &["linux/amd64", "linux/arm64"], &program).unwrap();
        image.graph.put(&registry, &image.repository, &image.tag).unwrap();
        let pulled = format!("{}/acme/agent:v1", registry.host());
        let namespace = Namespace::new("diagnose");
        let container = |more: Value| {
            let mut container = json!({
                "name": "agent", "image": pulled,
                "env": [{"name": "DB_PASSWORD", "value": "pa55"}, {"name": "ADMIN", "value": "jane.doe@acme.example"}],
            });
            container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!([container])
        };
        namespace.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"password": SECRET}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {
                "app.yaml": format!("upstream: http://10.1.2.3:80\ndsn: postgres://fox:{SECRET}@db/x\napi_key: 'k-1'\ncontact: jane.doe@acme.example\n"),
            }},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "well"}, "spec": {"containers": container(json!({}))}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ill"}, "spec": {"containers": container(json!({
                "args": [format!("--model=/{SECRET}")],
            }))}},
        ]}));
        namespace.kubectl(&["wait", "--for=condition=Ready", "pod/well", "--timeout=90s"]);
        let begun = Instant::now();
        while namespace.kubectl(&[
            "get",
            "pod",
            "ill",
            "--output=jsonpath={.status.containerStatuses[0].restartCount}",
        ]) == "0"
        {
            assert!(
                begun.elapsed() < Duration::from_secs(90),
                "{}",
                namespace.kubectl(&["describe", "pod", "ill"])
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        let ip = namespace.kubectl(&["get", "pod", "well", "--output=jsonpath={.status.podIP}"]);
        Self { namespace, _registry: registry, ip }
    }
}

fn run(home: &Path, arguments: &[&str], kubeconfig: &Path) -> Outcome {
    let program = Program::at(home);
    let mut command = program.command(&[&["diagnose"], arguments].concat());
    command.env("KUBECONFIG", kubeconfig).env("BUNDLE_KUBECTL", xtask::tools::kubectl().unwrap());
    Outcome::of(command.output().unwrap())
}

/// Every file of a diagnosis, as stock tools unpack it.
fn unpacked(file: &Path) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    tool(Command::new("tar").arg("--zstd").arg("-xf").arg(file).arg("-C").arg(folder.path()));
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.path().join("diagnosis")];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder.path().join("diagnosis")).unwrap().display().to_string();
                all.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    all
}

#[test]
fn what_support_needs_is_in_it_and_what_must_not_leave_is_not() {
    static HOUSE: OnceLock<House> = OnceLock::new();
    let house = HOUSE.get_or_init(House::new);
    let home = tempfile::tempdir().unwrap();
    let name = house.namespace.name.as_str();
    let outcome =
        run(home.path(), &["--out", "one.tar.zst", "--namespace", name, "--json"], cluster::shared());
    outcome.says(0, &["look at its index.html before you send it"]);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let files = unpacked(&home.path().join("one.tar.zst"));
    for (path, text) in &files {
        for gone in
            [SECRET, "SHVudGVyMk9mVGhlQ2x1c3Rlcg", "pa55", "jane.doe", "k-1", "10.1.2.3", house.ip.as_str()]
        {
            assert!(!text.contains(gone), "{gone} stands in {path}:\n{text}");
        }
    }
    let at = |path: &str| {
        files.get(&path.replace("NS", name)).unwrap_or_else(|| panic!("no {path} in {:?}", files.keys()))
    };
    assert!(at("namespaces/NS/logs/well/agent.log").contains("agent stands in, on port 8080"));
    // Of a container that began again the node keeps the last log, and for a while the one before.
    let words: String = ["agent.log", "agent.previous.log"]
        .map(|file| files.get(&format!("namespaces/{name}/logs/ill/{file}")).cloned().unwrap_or_default())
        .concat();
    assert!(words.contains("/[secret]/config.json"), "{words}");
    assert!(
        at("namespaces/NS/events.json").contains("BackOff")
            || at("namespaces/NS/events.json").contains("Pulled")
    );
    assert!(at("namespaces/NS/configmaps.json").contains("upstream: http://[ip-"));
    assert!(at("cluster/version.json").contains("v1.33.5"));
    assert!(at("cluster/nodes.json").contains("\"cpu\""));
    let secrets: Value = serde_json::from_str(at("namespaces/NS/secrets.json")).unwrap();
    assert_eq!(secrets, json!([{"name": "db", "type": "Opaque", "keys": ["password"]}]));
    // The page shows what is ill first, and leads to every file.
    let page = at("index.html");
    let (ill, well) =
        (page.find(&format!("{name}/ill")).unwrap(), page.find(&format!("{name}/well")).unwrap());
    assert!(ill < well && page.contains("CrashLoopBackOff") || page.contains("Error"), "{page}");
    for path in files.keys().filter(|path| *path != "index.html") {
        assert!(page.contains(&format!("href=\"{path}\"")), "{path}");
    }
    // What there is none of is said: nothing measures use here.
    let missing = report["missing"].as_array().unwrap();
    assert!(missing.iter().any(|missing| missing["what"].as_str().unwrap().contains("use")), "{missing:?}");
    // An address has one name everywhere, and the same in the next diagnosis; what was taken out is listed.
    let pods: Value = serde_json::from_str(at("namespaces/NS/pods.json")).unwrap();
    let well = pods.as_array().unwrap().iter().find(|pod| pod["metadata"]["name"] == "well").unwrap();
    let mark = well["status"]["podIP"].as_str().unwrap();
    assert!(mark.starts_with("[ip-"), "{mark}");
    let taken: Value = serde_json::from_str(at("redactions.json")).unwrap();
    assert!(taken["taken_out"].as_array().unwrap().iter().any(|taken| taken["mark"] == mark), "{taken}");
    run(home.path(), &["--out", "two.tar.zst", "--namespace", name], cluster::shared())
        .says(0, &["OK: written", "taken out"]);
    assert!(
        unpacked(&home.path().join("two.tar.zst"))[&format!("namespaces/{name}/pods.json")].contains(mark)
    );
    let kept = ["--out", "three.tar.zst", "--namespace", name, "--keep", "ip"];
    run(home.path(), &kept, cluster::shared()).says(0, &["left in"]);
    let three = unpacked(&home.path().join("three.tar.zst"));
    assert!(three[&format!("namespaces/{name}/pods.json")].contains(&house.ip));
    assert!(three["index.html"].contains("Left in, because that was asked for: Ip"));
}

#[test]
fn a_preflight_goes_along_and_what_may_not_be_seen_is_listed() {
    let site = Site::new(REQUIRES);
    site.put_license("acme.lic", &site.license("acme", 200));
    let namespace = Namespace::new("narrow");
    let out = site.stage.path("d.tar.zst").display().to_string();
    let outcome = site.run("diagnose", &["--out", &out, "--namespace", &namespace.name]);
    outcome.says(0, &["OK: written"]);
    let files = unpacked(Path::new(&out));
    assert!(files["preflight.json"].contains("Kubernetes 1.33.5; the release needs >=1.24"), "{files:?}");
    // One who may list pods and nothing else.
    namespace.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "little"}}));
    namespace.kubectl(&["create", "role", "little", "--verb=list", "--resource=pods"]);
    namespace.kubectl(&[
        "create",
        "rolebinding",
        "little",
        "--role=little",
        &format!("--serviceaccount={}:little", namespace.name),
    ]);
    let token = namespace.kubectl(&["create", "token", "little"]);
    let mut config: Value = serde_json::from_slice(&fs::read(cluster::shared()).unwrap()).unwrap();
    config["users"][0]["user"] = json!({"token": token.trim()});
    let kubeconfig = site.stage.path("little.kubeconfig");
    fs::write(&kubeconfig, config.to_string()).unwrap();
    let outcome =
        run(site.stage.folder.path(), &["--out", "e.tar.zst", "--namespace", &namespace.name], &kubeconfig);
    outcome.says(0, &["not had", "so their values are not known", "forbidden"]);
    assert!(
        unpacked(&site.stage.path("e.tar.zst"))
            .contains_key(&format!("namespaces/{}/pods.json", namespace.name))
    );
}

#[test]
fn nothing_is_written_where_nothing_can_be_seen() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("there.tar.zst"), "mine").unwrap();
    let dead = home.path().join("dead");
    let kubeconfig = fs::read_to_string(cluster::shared()).unwrap();
    let begin = kubeconfig.find("https://127.0.0.1:").unwrap() + 18;
    let port: String = kubeconfig[begin..].chars().take_while(char::is_ascii_digit).collect();
    fs::write(&dead, kubeconfig.replace(&port, "1")).unwrap();
    let cases: [(&str, &[&str], &Path, i32, &str); 4] = [
        ("no cluster", &["--out", "x.tar.zst"], &dead, 3, "kubectl cluster-info"),
        (
            "no such namespace",
            &["--out", "x.tar.zst", "--namespace", "nowhere"],
            cluster::shared(),
            2,
            "there is no namespace nowhere",
        ),
        (
            "a file in the way",
            &["--out", "there.tar.zst", "--namespace", "default"],
            cluster::shared(),
            2,
            "there.tar.zst",
        ),
        (
            "a folder that is not there",
            &["--out", "no/x.tar.zst", "--namespace", "default"],
            cluster::shared(),
            2,
            "no/x.tar.zst",
        ),
    ];
    for (reason, arguments, kubeconfig, code, words) in cases {
        let outcome = run(home.path(), arguments, kubeconfig);
        assert_eq!(outcome.code, Some(code), "{reason}: {outcome:#?}");
        outcome.says(code, &[words]);
    }
    assert_eq!(fs::read_to_string(home.path().join("there.tar.zst")).unwrap(), "mine");
    assert!(!home.path().join("x.tar.zst").exists());
}
