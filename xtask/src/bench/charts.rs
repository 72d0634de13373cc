//! A release of many charts: what `bundle lock` takes beside Helm alone rendering the same charts, and how often it asks the registry.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use xtask::images::{Compression, Family, Layer, Seed, image};
use xtask::registry::{Config, Kind, Server};
use xtask::tools;

use super::machine;
use super::measure::Run;
use super::row::ROUNDS;
use super::spine::Stage;
use crate::say;

/// Charts of the release, and images that each of them runs.
const CHARTS: usize = 40;
const IMAGES: usize = 5;
/// Requests that an image may cost.
const REQUESTS: f64 = 3.0;
/// How much longer than Helm alone a lock may take: reading, packing and asking beside it.
const BOUND: f64 = 1.25;

/// What was measured.
pub(super) struct Charts {
    /// Helm alone, as many at a time as there are cores; seconds.
    helm: f64,
    lock: Run,
    /// Requests for each image to a registry with the referrers API, and to one without.
    requests: [f64; 2],
    again: Run,
    /// Blobs that the second lock fetched.
    fetched: usize,
}

/// Locks a release of [`CHARTS`] charts and all their images, and locks it again.
pub(super) fn case(program: &Path, folder: &Path) -> Result<Charts, String> {
    std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
    let helm = tools::helm4()?;
    let stage = Stage { program, folder };
    let server = Server::start(Config::default()).map_err(|e| e.to_string())?;
    (0..CHARTS).try_for_each(|chart| write_chart(folder, chart)).map_err(|e| e.to_string())?;
    say::line(&format!("locking {CHARTS} charts of {IMAGES} images, beside Helm alone"));
    let mut seen = Charts {
        helm: f64::INFINITY,
        lock: Run::default(),
        requests: [0.0; 2],
        again: Run::default(),
        fetched: 0,
    };
    seen.lock.seconds = f64::INFINITY;
    let older = Server::start(Config { referrers: false, ..Config::default() }).map_err(|e| e.to_string())?;
    write_release(folder, &older)?;
    lock(&stage, &helm)?;
    seen.requests[1] = requests(&older);
    write_release(folder, &server)?;
    for _ in 0..ROUNDS {
        seen.helm = seen.helm.min(render(&helm, folder)?);
        let _ = std::fs::remove_file(folder.join("release.lock"));
        server.reset_stats();
        let run = lock(&stage, &helm)?;
        seen.requests[0] = requests(&server);
        if run.seconds < seen.lock.seconds {
            seen.lock = run;
        }
        say::line(&format!("  lock: {:.2} s; Helm alone {:.2} s", run.seconds, seen.helm));
    }
    server.reset_stats();
    seen.again = lock(&stage, &helm)?;
    seen.fetched = server.stats().count("GET", Kind::Blob);
    Ok(seen)
}

/// Puts all images into a registry, and writes the release that reads them there.
fn write_release(folder: &Path, server: &Server) -> Result<(), String> {
    let mut release = String::from(
        "apiVersion: bundle/v1\nkind: Release\nname: bench\nversion: 1.0.0\nvendor: Bench\nimages:\n",
    );
    for number in 0..CHARTS * IMAGES {
        let name = format!("bench/image-{number}");
        let layer = Layer::seeded(Seed::of(&name), 1000, Compression::Gzip).map_err(|e| e.to_string())?;
        image(Family::Oci, "linux/amd64", &[layer]).put(server, &name, "v1").map_err(|e| e.to_string())?;
        release += &format!("  - {{ref: \"docker.io/{name}:v1\", from: \"{}/{name}:v1\"}}\n", server.host());
    }
    release += "charts:\n";
    for chart in 0..CHARTS {
        release += &format!("  - path: charts/chart-{chart}\n");
    }
    std::fs::write(folder.join("release.yaml"), release).map_err(|e| e.to_string())
}

/// Requests that a registry was asked, for each image.
fn requests(server: &Server) -> f64 {
    server.stats().lines.len() as f64 / (CHARTS * IMAGES) as f64
}

fn lock(stage: &Stage<'_>, helm: &Path) -> Result<Run, String> {
    let helm = helm.display().to_string();
    stage.bundle(&["lock", "--helm", &helm, "--progress", "none"])
}

/// Every chart through `helm template`, as many at a time as there are cores; seconds.
fn render(helm: &Path, folder: &Path) -> Result<f64, String> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let outcomes: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let work = || {
            loop {
                let chart = next.fetch_add(1, Ordering::Relaxed);
                if chart >= CHARTS {
                    return Ok(());
                }
                let output = Command::new(helm)
                    .args(["template", "bench"])
                    .arg(folder.join(format!("charts/chart-{chart}")))
                    .env("HOME", folder)
                    .output()
                    .map_err(|e| e.to_string())?;
                if !output.status.success() {
                    return Err(String::from_utf8_lossy(&output.stderr).into_owned());
                }
            }
        };
        let running: Vec<_> = (0..machine::cores()).map(|_| scope.spawn(work)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    outcomes.into_iter().collect::<Result<(), String>>()?;
    Ok(started.elapsed().as_secs_f64())
}

/// A chart of some size: a Deployment for each image, and the usual around it.
fn write_chart(folder: &Path, chart: usize) -> std::io::Result<()> {
    let root = folder.join(format!("charts/chart-{chart}"));
    std::fs::create_dir_all(root.join("templates"))?;
    std::fs::write(
        root.join("Chart.yaml"),
        format!("apiVersion: v2\nname: chart-{chart}\nversion: 1.0.0\ntype: application\n"),
    )?;
    let names: Vec<String> = (0..IMAGES).map(|n| format!("  image-{}: v1\n", chart * IMAGES + n)).collect();
    std::fs::write(root.join("values.yaml"), format!("images:\n{}", names.concat()))?;
    std::fs::write(root.join("templates/deployments.yaml"), DEPLOYMENTS)
}

const DEPLOYMENTS: &str = r#"{{- range $name, $tag := .Values.images }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels: {app.kubernetes.io/name: {{ $name }}, app.kubernetes.io/instance: {{ $.Release.Name }}}
spec:
  selector:
    matchLabels: {app.kubernetes.io/name: {{ $name }}}
  template:
    metadata:
      labels: {app.kubernetes.io/name: {{ $name }}}
    spec:
      containers:
        - name: main
          image: "docker.io/bench/{{ $name }}:{{ $tag }}"
          env: [{name: CONFIG, value: {{ $.Values.images | toJson | quote }}}]
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
spec:
  selector: {app.kubernetes.io/name: {{ $name }}}
  ports: [{port: 80}]
{{- end }}
"#;

impl Charts {
    /// Whether all that is promised of it was seen.
    pub(super) fn holds(&self) -> bool {
        self.requests.iter().all(|requests| *requests <= REQUESTS)
            && self.lock.seconds <= BOUND * self.helm
            && self.fetched == 0
    }

    /// As it stands in the report.
    pub(super) fn text(&self) -> String {
        let Self { helm, lock, requests: [requests, older], again, fetched } = self;
        format!(
            "## Many charts\n\nA release of {CHARTS} charts with {IMAGES} images each, rendered by Helm 4. *Helm alone* is `helm template` of every chart, as many at a time as there are cores: what no lock can do without. \
             Each {ROUNDS} times in turn, the fastest counts. Every image is in a repository of its own, for one platform, and the release names none. *Requests an image*: to a registry with the \
             referrers API, and to one without.\n\n\
             | what | seconds | of Helm alone | wanted | requests an image | wanted | blobs fetched | peak memory MiB |\n|---|---|---|---|---|---|---|---|\n\
             | Helm alone | {helm:.2} | – | – | – | – | – | – |\n\
             | lock | {:.2} | {:.2} | ≤ {BOUND} | {requests:.3}, {older:.3} | ≤ {REQUESTS} | – | {} |\n\
             | lock again, unchanged | {:.2} | {:.2} | – | – | – | {fetched} | {} |\n",
            lock.seconds,
            lock.seconds / helm,
            lock.memory >> 20,
            again.seconds,
            again.seconds / helm,
            again.memory >> 20,
        )
    }
}
