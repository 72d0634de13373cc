//! The worked example as a whole: locked, built, verified and loaded, with images that stand in and a small model.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use xtask::example;
use xtask::registry::{Config, Server};

use super::program::{Program, tool};
use super::world::files;

#[test]
fn it_is_cut_delivered_and_loaded_and_the_folder_has_the_layout_promised() {
    let scratch = tempfile::tempdir().unwrap();
    let home = scratch.path();
    let vendor = Server::start(Config::default()).unwrap();
    let customer = Server::start(Config::default()).unwrap();
    let images = example::images(&vendor, &home.join("standin")).unwrap();
    assert_eq!(images.len(), 8);
    fs::create_dir_all(home.join("vendor/keys")).unwrap();
    example::derive(&home.join("vendor"), &vendor.host(), &[]).unwrap();
    let program = Program::at(home);
    program.done(&["keygen", "signing", "--out", "ci"]);
    program.done(&["keygen", "signing", "--out", "vendor/keys/license"]);
    program.done(&["keygen", "recipient", "--out", "escrow"]);
    program.done(&["keygen", "recipient", "--out", "acme"]);
    program.done(&["lock", "-f", "vendor/release.yaml", "--helm", "vendor/build/tools/helm"]);
    let line = "build -f vendor/release.yaml --out out --sign-key ci.key --recipient escrow.pub";
    program.done(&line.split(' ').collect::<Vec<_>>());
    let folder = home.join("out/incidentfox-enterprise-1.2.0");
    let there: BTreeSet<String> = files(&folder).into_keys().collect();
    for path in [
        "README.md",
        "INSTALLATION_GUIDE.md",
        "LICENSE_AGREEMENT.md",
        "incidentfox-installer",
        "install/questions.yaml",
        "install/values.yaml.j2",
        "docs/AIRGAPPED.md",
        "docs/ARCHITECTURE.md",
        "docs/OPERATIONS.md",
        "docs/TROUBLESHOOTING.md",
        "docs/incidentfox/INSTALLATION.md",
        "examples/values-airgapped.yaml",
        "examples/values-connected.yaml",
        "examples/values-production.yaml",
        "scripts/backup-database.sh",
        "scripts/check-prerequisites.sh",
        "scripts/load-images.sh",
        "tools/linux-amd64/helm",
        "tools/linux-amd64/kubectl",
    ] {
        assert!(there.contains(path), "{path} is not in {there:?}");
    }
    for script in ["check-prerequisites.sh", "load-images.sh"] {
        tool(Command::new("shellcheck").arg(folder.join("scripts").join(script)));
    }
    let path = folder.display().to_string();
    program.done(&["trust", "init", "--key", "ci.pub", "--threshold", "1", "--out", "trust.json"]);
    program.done(&["verify", &path, "--trust", "trust.json", "--identity", "escrow.key"]);
    let registry = format!("{}/mirror", customer.host());
    program.done(&[
        "load",
        &path,
        "--trust",
        "trust.json",
        "--identity",
        "escrow.key",
        "--registry",
        &registry,
    ]);
    for image in &images {
        let (_, bytes) = customer.manifest(&format!("mirror/{}", image.repository), &image.tag).unwrap();
        assert_eq!(bytes, image.graph.root().bytes, "{}", image.repository);
    }
    install(home, &folder, &customer);
    the_guide_installs(&program, &folder, &customer);
    let line = "license issue --key vendor/keys/license.key --tiers vendor/tiers.yaml --customer acme-corp --tier enterprise";
    let licence = ["--expires", "2036-01-10", "--out", "acme-corp.lic"];
    program.done(&line.split(' ').chain(licence).collect::<Vec<_>>());
    let line = "license verify acme-corp.lic --public-key vendor/keys/license.pub --customer acme-corp --feature airgapped";
    program.done(&line.split(' ').chain(["--at", "2030-01-01"]).collect::<Vec<_>>());
}

/// The chart out of the customer's registry, rendered as the vendor's document says; Helm is the one that travelled.
fn install(home: &Path, folder: &Path, customer: &Server) {
    let document = fs::read_to_string(folder.join("docs/incidentfox/INSTALLATION.md")).unwrap();
    let line = document.lines().find(|line| line.starts_with("helm upgrade --install")).unwrap();
    // There is no cluster here: everything but talking to one is done.
    let line = line
        .replace("helm upgrade --install", "helm template --plain-http --kube-version 1.34")
        .replace("harbor.acme.internal", &format!("{}/mirror", customer.host()))
        .replace("/media/stick/incidentfox-enterprise-1.2.0", &folder.display().to_string());
    let path = format!("{}:/usr/bin:/bin", folder.join("tools/linux-amd64").display());
    let mut shell = Command::new("sh");
    shell.args(["-euc", &line]).current_dir(home).env_clear().env("PATH", path).env("HOME", home);
    let rendered = String::from_utf8(tool(&mut shell)).unwrap();
    let here = format!("image: \"{}/mirror/incidentfox/agent:v1.2.0\"", customer.host());
    assert!(rendered.contains(&here), "{rendered}");
    assert!(!rendered.contains("docker.io/"));
}

/// What the guide prints for the cluster is what the program takes. There is none here, and no licence: that is what is said.
fn the_guide_installs(program: &Program, folder: &Path, customer: &Server) {
    let guide = fs::read_to_string(folder.join("INSTALLATION_GUIDE.md")).unwrap();
    let printed = |verb: &str| -> Vec<Vec<String>> {
        let lines = guide.lines().filter(|line| line.starts_with(&format!("bundle {verb} ")));
        let here = |line: &str| {
            line.replace("harbor.acme.internal", &format!("{}/mirror", customer.host()))
                .replace("/media/stick/incidentfox-enterprise-1.2.0", &folder.display().to_string())
        };
        lines.map(|line| here(line).split(' ').skip(1).map(str::to_owned).collect()).collect()
    };
    for verb in ["preflight", "install"] {
        let all = printed(verb);
        assert_eq!(all.len(), if verb == "install" { 2 } else { 1 }, "{guide}");
        for words in all {
            let outcome = program.run(&words);
            let (code, said) = (outcome.code, outcome.stdout + &outcome.stderr);
            let (wanted, missing) =
                if verb == "install" { (3, "no cluster answers") } else { (1, "there is no licence") };
            assert!(code == Some(wanted) && said.contains(missing), "{words:?}: {code:?}: {said}");
        }
    }
}
