//! A small release that really installs: one service whose image starts and answers, a database secret that is made, a hook, a licence; locked,
//! built and loaded into a registry that the cluster's node pulls from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::images::standin;
use xtask::registry::{Config, Server};

use crate::cases::cluster::{self, Namespace};
use crate::cases::program::{Outcome, Program};

/// The release, delivered and loaded.
pub(crate) struct Shop {
    pub(crate) home: tempfile::TempDir,
    pub(crate) program: Program,
    pub(crate) registry: Server,
    pub(crate) namespace: Namespace,
    pub(crate) folder: PathBuf,
    /// What `--registry` is.
    pub(crate) place: String,
}

/// What a case wants otherwise.
#[derive(Default)]
pub(crate) struct Otherwise {
    /// Further templates of the chart: name and text.
    pub(crate) templates: Vec<(&'static str, String)>,
    /// Further files of the chart.
    pub(crate) files: Vec<(&'static str, String)>,
    /// Further images, which stand in for the vendor's: `acme/worker:v1`.
    pub(crate) images: Vec<&'static str>,
    /// Lines added to `install:`.
    pub(crate) install: &'static str,
    /// Lines added to release.yaml.
    pub(crate) release: String,
    /// Whether there is a licence policy; the licence of `acme` is then delivered.
    pub(crate) licensed: bool,
    /// Loaded but not put into the registry: nothing.
    pub(crate) unloaded: bool,
}

const CHART: &str = "apiVersion: v2\nname: shop\nversion: VERSION\nappVersion: VERSION\n";
const VALUES: &str = "image: docker.io/acme/agent:v1\nreplicas: 1\ncrash: false\ngreeting: hello\ndatabase: {secret: shop-database, key: password}\nhost: shop.example.com\n";
const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: shop-agent, labels: {app: shop-agent}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: shop-agent}}
  template:
    metadata: {labels: {app: shop-agent}, annotations: {greeting: {{ .Values.greeting | quote }}}}
    spec:
      terminationGracePeriodSeconds: 1
      {{- with .Values.pullSecret }}
      imagePullSecrets: [{name: {{ . }}}]
      {{- end }}
      containers:
        - name: agent
          image: {{ .Values.image }}
          {{- if .Values.crash }}
          command: ["/no-such-program"]
          {{- end }}
          env:
            - {name: PASSWORD, valueFrom: {secretKeyRef: {name: {{ .Values.database.secret }}, key: {{ .Values.database.key }}}}}
          ports: [{name: http, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /health, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: shop-agent}
spec: {selector: {app: shop-agent}, ports: [{name: http, port: 8080, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  tls: [{hosts: [{{ .Values.host }}], secretName: shop-tls}]
  rules: [{host: {{ .Values.host }}, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop-agent, port: {name: http}}}}]}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: shop-config}
data: {greeting: {{ .Values.greeting | quote }}, braces: "{{ "{{" }} kept }}"}
"#;
const QUESTIONS: &str = "apiVersion: bundle/v1
kind: Questions
questions:
  - {variable: greeting, label: Greeting, help: What it says, type: string, default: hello}
  - {variable: replicas, label: Replicas, type: int, min: 1, max: 3, default: 1}
  - {variable: host, label: Name under which it is reached, type: hostname, required: true}
  - {variable: crash, label: Crash, type: bool, default: false}
  - {variable: password, label: Password of the first administrator, type: secret, generate: 20, reveal: true, secret: {name: shop-admin, key: password}}
  - {variable: database, label: Password of the database, type: secret, generate: 32, secret: {name: shop-database, key: password}}
";
const TEMPLATE: &str = "greeting: {{ answers.greeting }}
replicas: {{ answers.replicas }}
crash: {{ answers.crash }}
host: {{ answers.host }}
pullSecret: {{ pull_secret }}
";

impl Shop {
    pub(crate) fn new(case: &str) -> Self {
        Self::otherwise(case, &Otherwise::default())
    }

    pub(crate) fn otherwise(case: &str, otherwise: &Otherwise) -> Self {
        Self::with(case, Config::default(), otherwise)
    }

    pub(crate) fn with(case: &str, config: Config, otherwise: &Otherwise) -> Self {
        let home = tempfile::tempdir().unwrap();
        let namespace = Namespace::unmade(case);
        let shop = Self {
            program: Program::at(home.path()),
            registry: Server::start(config).unwrap(),
            namespace,
            folder: home.path().join("out/shop-1.0.0"),
            place: String::new(),
            home,
        };
        let place = format!("{}/mirror", shop.registry.host());
        let mut shop = Self { place, ..shop };
        let program = &shop.program;
        program.done(&["keygen", "signing", "--out", "ci"]);
        program.done(&["trust", "init", "--key", "ci.pub", "--threshold", "1", "--out", "trust.json"]);
        if otherwise.licensed {
            program.done(&["keygen", "signing", "--out", "license"]);
        }
        shop.folder = shop.cut("1.0.0", otherwise);
        if !otherwise.unloaded {
            shop.load(&shop.folder);
        }
        shop
    }

    /// Locks and builds a version of it, and gives the delivered folder.
    pub(crate) fn cut(&self, version: &str, otherwise: &Otherwise) -> PathBuf {
        let vendor = self.home.path().join(format!("vendor-{version}"));
        let program = fs::read(standin::program(&standins()).unwrap()).unwrap();
        let images = Server::start(Config::default()).unwrap();
        let mut listed = String::new();
        for name in ["acme/agent:v1"].iter().chain(&otherwise.images) {
            let image = standin::image(name, &["linux/amd64"], &program).unwrap();
            image.graph.put(&images, &image.repository, &image.tag).unwrap();
            listed += &format!("  - {{ref: \"docker.io/{name}\", from: \"{}/{name}\"}}\n", images.host());
        }
        fs::create_dir_all(vendor.join("chart/templates")).unwrap();
        let write = |path: &str, text: &str| {
            let path = vendor.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("chart/Chart.yaml", &CHART.replace("VERSION", version));
        write("chart/values.yaml", VALUES);
        write("chart/templates/all.yaml", DEPLOYMENT);
        for (name, text) in &otherwise.templates {
            write(&format!("chart/templates/{name}"), text);
        }
        for (name, text) in &otherwise.files {
            write(&format!("chart/{name}"), text);
        }
        write("questions.yaml", QUESTIONS);
        write("values.yaml.j2", TEMPLATE);
        let licence = match otherwise.licensed {
            true => {
                fs::copy(self.home.path().join("license.pub"), vendor.join("license.pub")).unwrap();
                "license: {required: true, public-key: license.pub, features: [airgapped], grace-days: 30, warn-days: 14}\n"
            }
            false => "",
        };
        let release = format!(
            "apiVersion: bundle/v1\nkind: Release\nname: shop\nversion: {version}\nvendor: Acme\nplatforms: [linux/amd64]\nseal: none\n\
             images:\n{listed}charts:\n  - {{path: chart, release: shop, namespace: {}}}\n\
             install:\n  questions: questions.yaml\n  values-template: values.yaml.j2\n  health: [{{service: shop-agent, port: 8080, path: /health}}]\n{}\
             {licence}{}",
            self.namespace.name, otherwise.install, otherwise.release,
        );
        write("release.yaml", &release);
        let file = vendor.join("release.yaml").display().to_string();
        let helm = xtask::tools::helm4().unwrap().display().to_string();
        self.program.done(&["lock", "-f", &file, "--helm", &helm]);
        self.program.done(&["build", "-f", &file, "--out", "out", "--sign-key", "ci.key"]);
        let folder = self.home.path().join(format!("out/shop-{version}"));
        if otherwise.licensed {
            self.license("acme", "2099-01-01", &folder.join("licenses/acme.lic"));
        }
        folder
    }

    /// Issues a licence.
    pub(crate) fn license(&self, customer: &str, expires: &str, out: &Path) {
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        let out = out.display().to_string();
        self.program.done(&[
            "license",
            "issue",
            "--key",
            "license.key",
            "--customer",
            customer,
            "--tier",
            "enterprise",
            "--issuer",
            "acme.example",
            "--feature",
            "airgapped",
            "--expires",
            expires,
            "--out",
            &out,
        ]);
    }

    pub(crate) fn load(&self, folder: &Path) {
        let folder = folder.display().to_string();
        self.program.done(&["load", &folder, "--trust", "trust.json", "--registry", &self.place]);
    }

    /// Our program, pointed at the shared cluster.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program.command(arguments);
        // One that is killed leaves there what it had.
        let temporary = self.home.path().join("tmp");
        fs::create_dir_all(&temporary).unwrap();
        command
            .env("TMPDIR", temporary)
            .env("KUBECONFIG", cluster::shared())
            .env("BUNDLE_KUBECTL", xtask::tools::kubectl().unwrap())
            .env("BUNDLE_HELM", xtask::tools::helm4().unwrap());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command(arguments).output().unwrap())
    }

    /// `bundle install` of the delivered folder with these answers, and these further options.
    pub(crate) fn install(&self, answers: &str, more: &[&str]) -> Outcome {
        Outcome::of(self.installing(answers, more).output().unwrap())
    }

    pub(crate) fn installing(&self, answers: &str, more: &[&str]) -> Command {
        fs::write(self.home.path().join("answers.yaml"), answers).unwrap();
        let folder = self.folder.display().to_string();
        let line = [
            "install",
            &folder,
            "--trust",
            "trust.json",
            "--registry",
            &self.place,
            "--answers",
            "answers.yaml",
        ];
        let wait: &[&str] = if more.contains(&"--wait") { &[] } else { &["--wait", "25"] };
        self.command(&[&line[..], more, wait].concat())
    }

    /// The record of a revision.
    pub(crate) fn record(&self, revision: u32) -> serde_json::Value {
        let name = format!("bundle.shop.v{revision}");
        let text = self.namespace.kubectl(&[
            "get",
            "configmap",
            &name,
            "--output",
            "jsonpath={.data.record\\.json}",
        ]);
        serde_json::from_str(&text).unwrap()
    }

    /// The image and greeting of the pods that run; those that are going already are none.
    pub(crate) fn pods(&self) -> String {
        self.namespace.kubectl(&[
            "get",
            "pods",
            "--selector",
            "app=shop-agent",
            "--field-selector",
            "status.phase=Running",
            "--output",
            "go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{(index .spec.containers 0).image}} {{.metadata.annotations.greeting}}\n{{end}}{{end}}",
        ])
    }
}

/// The stand-in's program is compiled once.
fn standins() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("standin");
    static ONCE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    ONCE.get_or_init(|| {
        standin::program(&folder).unwrap();
        folder
    })
    .clone()
}
