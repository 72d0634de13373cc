//! Charts from every place, through the whole delivery, with the programs that people use: real Helm, 4 and 3, and Debian's registry.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::peers::registry::{Kind, Peer};
use super::program::{Outcome, Program, tool};
use super::shelf::Shelf;

const HEAD: &str =
    "apiVersion: bundle/v1\nkind: Release\nname: demo\nversion: 1.0.0\nvendor: Demo\nseal: none\n";

/// A vendor's folder with the chart `shop`, which needs `db`.
pub(super) struct Desk {
    pub(super) folder: tempfile::TempDir,
    pub(super) program: Program,
}

impl Desk {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::at(folder.path());
        let desk = Self { folder, program };
        desk.put("db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.2.3\n");
        desk.put("db/templates/db.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: db}\n");
        desk.put(
            "shop/Chart.yaml",
            "apiVersion: v2\nname: shop\nversion: 1.0.0+build.7\nappVersion: 1.10\ndescription: A <shop> & more\n\
             maintainers: [{name: Ann, email: ann@shop.example}]\nannotations: {artifacthub.io/images: none}\ndependencies:\n\
             - {name: db, version: '>=1.0.0 <2', repository: 'file://../db', alias: store, condition: store.on, tags: [x], \
             import-values: [data, {parent: a, child: b}]}\n",
        );
        desk.put("shop/values.yaml", "store: {on: true}\n");
        desk.put("shop/.helmignore", "*.bak\nnotes/\n");
        desk.put("shop/old.bak", "left out");
        desk.put("shop/notes/x", "left out");
        desk.put("shop/templates/shop.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n");
        desk
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    /// Runs Helm in the folder.
    #[track_caller]
    pub(super) fn helm(&self, helm: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new(helm);
        command.args(arguments).current_dir(self.folder.path()).env_clear().env("HOME", self.path("home"));
        String::from_utf8(tool(&mut command)).unwrap()
    }

    pub(super) fn release(&self, rest: &str) {
        self.put("release.yaml", format!("{HEAD}{rest}"));
    }

    pub(super) fn lock(&self) -> Outcome {
        let mut command = self.program.command(&["lock"]);
        Outcome::of(command.env("BUNDLE_HELM", xtask::tools::helm4().unwrap()).output().unwrap())
    }

    /// Builds, signs and loads into `registry`; gives the bundle's folder.
    fn deliver(&self, registry: &str) -> std::path::PathBuf {
        self.program.done(&["keygen", "signing", "--out", "key"]);
        self.program.done(&["trust", "init", "--threshold", "1", "--key", "key.pub", "--out", "trust.json"]);
        self.program.done(&["build", "--out", "out", "--sign-key", "key.key"]);
        self.program.done(&["verify", "out/demo-1.0.0", "--trust", "trust.json"]);
        let target = format!("{registry}/mirror");
        self.program.done(&["load", "out/demo-1.0.0", "--trust", "trust.json", "--registry", &target]);
        self.path("out/demo-1.0.0")
    }
}

fn helms() -> [std::path::PathBuf; 2] {
    [xtask::tools::helm4().unwrap(), xtask::tools::helm3().unwrap()]
}

#[test]
fn a_chart_in_a_folder_comes_out_of_the_customers_registry_as_helm_reads_it() {
    let desk = Desk::new();
    let customer = Peer::start(Kind::Plain);
    for helm in &helms() {
        // The digest in Chart.lock is Helm's own: that the chart locks proves that it is computed alike.
        desk.helm(helm, &["dependency", "update", "shop"]);
        desk.release("charts: [{path: shop, release: shop}]\n");
        desk.lock().says(0, &["shop", "1.0.0+build.7"]);
    }
    desk.deliver(&customer.host());
    let address = format!("oci://{}/mirror/charts/shop", customer.host());
    let mut pulled = Vec::new();
    for helm in &helms() {
        let _ = fs::remove_dir_all(desk.path("pulled"));
        fs::create_dir(desk.path("pulled")).unwrap();
        let version = ["--version", "1.0.0+build.7", "--plain-http"];
        desk.helm(helm, &[&["pull", &address, "-d", "pulled"][..], &version].concat());
        let name = fs::read_dir(desk.path("pulled")).unwrap().next().unwrap().unwrap().path();
        pulled.push(fs::read(name).unwrap());
        let theirs = desk.helm(helm, &[&["template", "x", &address][..], &version].concat());
        assert_eq!(theirs, desk.helm(helm, &["template", "x", "shop"]));
        assert!(theirs.contains("name: db") && theirs.contains("name: shop"));
    }
    assert_eq!(pulled[0], pulled[1]);
    let mut names = Vec::new();
    bundle::chart::archive::read_with(&pulled[0], &mut |path, _| {
        names.push(path.to_string());
        Ok(())
    })
    .unwrap();
    let wanted = [
        ".helmignore",
        "Chart.lock",
        "Chart.yaml",
        "charts/db-1.2.3.tgz",
        "templates/shop.yaml",
        "values.yaml",
    ];
    assert_eq!(names, wanted.map(|name| format!("shop/{name}")));
}

#[test]
fn the_same_folder_gives_the_same_lock_anywhere() {
    let locks: Vec<Vec<u8>> = (0..2)
        .map(|_| {
            let desk = Desk::new();
            desk.release("charts: [{path: db}]\n");
            desk.lock().says(0, &["db"]);
            fs::read(desk.path("release.lock")).unwrap()
        })
        .collect();
    assert_eq!(locks[0], locks[1]);
}

#[test]
fn a_chart_that_helm_pushed_is_carried_as_it_is_and_locks_again_without_a_blob() {
    let desk = Desk::new();
    let vendor = Peer::start(Kind::Plain);
    let customer = Peer::start(Kind::Plain);
    let [helm, _] = helms();
    desk.helm(&helm, &["package", "db"]);
    let place = format!("oci://{}/charts", vendor.host());
    desk.helm(&helm, &["push", "db-1.2.3.tgz", &place, "--plain-http"]);
    desk.release(&format!("charts: [{{ref: '{place}/db', version: 1.2.3}}]\n"));
    desk.lock().says(0, &["db", "1.2.3"]);
    let asked = vendor.requests().len();
    desk.lock().says(0, &["up to date"]);
    let again = vendor.requests();
    assert!(again[asked..].iter().all(|request| !request.contains("/blobs/")), "{:?}", &again[asked..]);
    desk.deliver(&customer.host());
    let address = format!("oci://{}/mirror/charts/db", customer.host());
    fs::create_dir(desk.path("pulled")).unwrap();
    desk.helm(&helm, &["pull", &address, "--version", "1.2.3", "--plain-http", "-d", "pulled"]);
    assert_eq!(
        fs::read(desk.path("pulled/db-1.2.3.tgz")).unwrap(),
        fs::read(desk.path("db-1.2.3.tgz")).unwrap()
    );
}

#[test]
fn a_chart_of_a_repository_is_carried_with_its_provenance() {
    let desk = Desk::new();
    let customer = Peer::start(Kind::Plain);
    let [helm, _] = helms();
    desk.helm(&helm, &["package", "db", "-d", "repo"]);
    let archive = fs::read(desk.path("repo/db-1.2.3.tgz")).unwrap();
    let digest = bundle::digest::Digest::of(&archive);
    let provenance = format!("-----BEGIN PGP SIGNED MESSAGE-----\n\nfiles:\n  db-1.2.3.tgz: {digest}\n");
    desk.put("repo/db-1.2.3.tgz.prov", &provenance);
    desk.helm(&helm, &["repo", "index", "repo"]);
    let shelf = Shelf::of(&desk.path("repo"));
    desk.release(&format!("charts: [{{repo: 'http://{}', name: db, version: 1.2.3}}]\n", shelf.host()));
    desk.lock().says(0, &["db", "1.2.3"]);
    shelf.forget();
    desk.lock().says(0, &["up to date"]);
    assert_eq!(shelf.asked(), ["/index.yaml"]);
    desk.deliver(&customer.host());
    let address = format!("oci://{}/mirror/charts/db", customer.host());
    fs::create_dir(desk.path("pulled")).unwrap();
    desk.helm(&helm, &["pull", &address, "--version", "1.2.3", "--plain-http", "--prov", "-d", "pulled"]);
    assert_eq!(fs::read(desk.path("pulled/db-1.2.3.tgz")).unwrap(), archive);
    assert_eq!(fs::read_to_string(desk.path("pulled/db-1.2.3.tgz.prov")).unwrap(), provenance);
}

#[test]
fn files_and_tools_lie_in_the_folder_and_are_checked() {
    let desk = Desk::new();
    desk.put("docs/guide.md", "guide");
    desk.put("docs/more/deep.md", "deep");
    desk.put("web/kubectl", "#!/bin/sh\necho kubectl\n");
    desk.put("bundle-static", "#!/bin/sh\necho bundle\n");
    let sha256 = |name: &str| bundle::digest::Digest::of(&fs::read(desk.path(name)).unwrap()).hex();
    let shelf = Shelf::of(&desk.path("web"));
    let (kubectl, ours) = (sha256("web/kubectl"), sha256("bundle-static"));
    desk.release(&format!(
        "charts: [{{path: db}}]\nfiles:\n- {{from: docs/, to: manual/}}\n- {{from: db/Chart.yaml, to: legal/}}\ntools:\n\
         - {{name: kubectl, from: 'http://{}/kubectl', sha256: {kubectl}, platform: linux/amd64}}\n\
         - {{name: bundle, from: bundle-static, sha256: {ours}, platform: linux/amd64}}\n",
        shelf.host()
    ));
    desk.lock().says(0, &["3 files, 2 tools"]);
    shelf.forget();
    desk.lock().says(0, &["up to date"]);
    assert!(shelf.asked().is_empty());
    desk.program.done(&["keygen", "signing", "--out", "key"]);
    desk.program.done(&["trust", "init", "--threshold", "1", "--key", "key.pub", "--out", "trust.json"]);
    let built = desk.program.done(&["build", "--out", "out", "--sign-key", "key.key"]);
    assert!(!built.stderr.contains("does not contain the program"), "{built:#?}");
    let bundle = desk.path("out/demo-1.0.0");
    assert_eq!(fs::read_to_string(bundle.join("manual/more/deep.md")).unwrap(), "deep");
    assert!(bundle.join("legal/Chart.yaml").is_file());
    assert_eq!(tool(&mut Command::new(bundle.join("tools/linux-amd64/kubectl"))), b"kubectl\n");
    assert_eq!(tool(&mut Command::new(bundle.join("bundle"))), b"bundle\n");
    tool(Command::new("sha256sum").args(["-c", "--quiet", "SHA256SUMS"]).current_dir(&bundle));
    let verify = ["verify", "out/demo-1.0.0", "--trust", "trust.json"];
    desk.program.done(&verify);
    fs::write(bundle.join("tools/linux-amd64/kubectl"), "#!/bin/sh\necho other\n").unwrap();
    desk.program.run(&verify).says(1, &["tools/linux-amd64/kubectl"]);
}

#[test]
fn a_bundle_without_the_program_says_so() {
    let desk = Desk::new();
    desk.release("charts: [{path: db}]\n");
    desk.lock().says(0, &[]);
    desk.program.run(&["build", "--out", "out"]).says(0, &["does not contain the program", "tools:"]);
}
