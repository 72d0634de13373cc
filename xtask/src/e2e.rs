//! `cargo xtask e2e`: a whole delivery, from a vendor's registry to pods that run.
//!
//! The operator's half runs in a network namespace that has loopback and no route: its own registry, its own cluster, and the bundle are all
//! there is. What is cut is a small product with an image that stands in; every step is the user's own command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use xtask::cluster::{self, Extent, Site};
use xtask::images::standin;
use xtask::registry::{Config, Server};
use xtask::tools;

use crate::{Outcome, cargo, say, setup};

const CHART: &[(&str, &str)] = &[
    ("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n"),
    ("chart/values.yaml", "image: docker.io/acme/agent:v1\nreplicas: 1\n"),
    ("chart/templates/all.yaml", include_str!("e2e/chart.yaml")),
    ("questions.yaml", include_str!("e2e/questions.yaml")),
    ("values.yaml.j2", "replicas: {{ answers.replicas }}\n"),
    ("answers.yaml", "replicas: 2\n"),
];

/// The vendor's half, then the operator's in a namespace without a route.
pub(crate) fn run() -> Outcome {
    setup::run()?;
    let bundle = cargo::build_bundle()?;
    let begun = Instant::now();
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    cut(folder.path(), &bundle)?;
    let name = format!("bundle-e2e-{}", std::process::id());
    let ip = |arguments: &[&str]| {
        let mut ip = cargo::program("ip");
        ip.args(arguments);
        cargo::run(ip)
    };
    ip(&["netns", "add", &name])?;
    let inside = operate_in(&name, folder.path(), &bundle);
    let gone = ip(&["netns", "delete", &name]);
    inside.and(gone)?;
    say::line(&format!("e2e: the whole way took {:.0} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

fn operate_in(name: &str, folder: &Path, bundle: &Path) -> Outcome {
    let enter = format!("--net=/run/netns/{name}");
    let mut loopback = cargo::program("nsenter");
    loopback.args([&enter, "ip", "link", "set", "lo", "up"]);
    cargo::run(loopback)?;
    // Not the running file: building the program may have replaced it.
    let own = cargo::target_folder()?.join("debug/xtask");
    let mut inside = cargo::program("nsenter");
    inside.arg(&enter).arg(own).arg("e2e-operator").arg(folder).arg(bundle);
    cargo::run(inside)
}

/// The release engineer: an image, a chart, a licence, a signed and sealed bundle.
fn cut(folder: &Path, bundle: &Path) -> Outcome {
    let text = |error: std::io::Error| error.to_string();
    say::heading("The vendor cuts a release");
    let vendor = Server::start(Config::default()).map_err(text)?;
    let program = fs::read(standin::program(&folder.join("standin"))?).map_err(text)?;
    let image = standin::image("acme/agent:v1", &["linux/amd64", "linux/arm64"], &program).map_err(text)?;
    image.graph.put(&vendor, &image.repository, &image.tag).map_err(text)?;
    let release = include_str!("e2e/release.yaml").replace("VENDOR", &vendor.host());
    for (path, content) in CHART.iter().copied().chain([("release.yaml", release.as_str())]) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder))
            .and_then(|()| fs::write(&path, content))
            .map_err(text)?;
    }
    let helm = tools::helm4()?;
    for line in [
        "keygen signing --out ci",
        "keygen signing --out license",
        "keygen recipient --out escrow",
        "keygen recipient --out acme",
        "trust init --key ci.pub --threshold 1 --out trust.json",
        &format!("lock --helm {}", helm.display()),
        "build --out out --sign-key ci.key --recipient escrow.pub",
        "grant out/shop-1.0.0 --identity escrow.key --recipient acme.pub --name acme",
    ] {
        run_line(folder, bundle, line)?;
    }
    fs::create_dir_all(folder.join("out/shop-1.0.0/licenses")).map_err(text)?;
    run_line(
        folder,
        bundle,
        "license issue --key license.key --customer acme --tier standard --issuer Shop --expires 2099-01-01 --out out/shop-1.0.0/licenses/acme.lic",
    )
}

/// The operator, where nothing but this machine can be reached.
pub(crate) fn operate(folder: &str, bundle: &str) -> Outcome {
    let (folder, bundle) = (PathBuf::from(folder), PathBuf::from(bundle));
    say::heading("The operator, without a route");
    let registry = Server::start(Config::default()).map_err(|error| error.to_string())?;
    let site = Site::at(folder.join("cluster"), "bundle-e2e", Extent::Whole);
    let outcome = cluster::up(&site, &|line| say::line(line)).and_then(|kubeconfig| {
        fs::write(folder.join("kubeconfig"), fs::read(kubeconfig).map_err(|error| error.to_string())?)
            .map_err(|error| error.to_string())?;
        steps(&folder, &bundle, &registry.host())
    });
    let down = cluster::down(&site, &|line| say::line(line));
    outcome.and(down)
}

fn steps(folder: &Path, bundle: &Path, host: &str) -> Outcome {
    let to = format!("out/shop-1.0.0 --trust trust.json --registry {host}/mirror");
    for line in [
        "verify out/shop-1.0.0 --trust trust.json --identity acme.key".to_owned(),
        format!("preflight {to}"),
        format!("load {to} --identity acme.key"),
        format!("install {to} --answers answers.yaml --yes"),
        "license status out/shop-1.0.0 --trust trust.json".to_owned(),
    ] {
        run_line(folder, bundle, &line)?;
    }
    let kubectl = |arguments: &[&str]| {
        let mut command = Command::new(tools::kubectl()?);
        command.args(arguments).env("KUBECONFIG", folder.join("kubeconfig")).env("HOME", folder);
        cargo::output(command)
    };
    let pods = kubectl(&[
        "get",
        "pods",
        "--namespace",
        "shop",
        "--output",
        "jsonpath={range .items[*]}{.status.phase} {.spec.containers[0].image}{\"\\n\"}{end}",
    ])?;
    say::line(pods.trim_end());
    let running =
        pods.lines().filter(|line| line.starts_with(&format!("Running {host}/mirror/acme/agent"))).count();
    if running != 2 {
        return Err(format!("{running} of 2 pods run the image of {host}"));
    }
    let health = kubectl(&["get", "--raw", "/api/v1/namespaces/shop/services/shop-agent:8080/proxy/health"])?;
    say::line(health.trim_end());
    run_line(folder, bundle, &format!("diagnose {to} --out diagnosis.tar.zst"))
}

/// Shows and runs one command of the program, which must succeed.
fn run_line(folder: &Path, bundle: &Path, line: &str) -> Outcome {
    say::line(&format!("\n$ bundle {line}"));
    let mut command = Command::new(bundle);
    command.args(line.split(' ')).current_dir(folder).stdin(Stdio::null()).env_clear();
    command.env("HOME", folder).env("KUBECONFIG", folder.join("kubeconfig"));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("BUNDLE_KUBECTL", tools::kubectl()?).env("BUNDLE_HELM", tools::helm4()?);
    cargo::run(command)
}
