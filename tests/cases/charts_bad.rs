//! Charts, repositories, files and tools that cannot be carried: each is named, with what to do, and nothing is written.

use std::fs;

use super::charts::Desk;
use super::shelf::Shelf;
use bundle::chart::pack::pack;
use bundle::digest::Digest;

const DB: &str = "apiVersion: v2\nname: db\nversion: 1.2.3\n";

fn packed(name: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let files: Vec<_> = files.iter().map(|(path, bytes)| (path.parse().unwrap(), bytes.to_vec())).collect();
    pack(name, &files).unwrap()
}

/// Refused with `code` and `words`, and no lock, whole or half, is there.
#[track_caller]
fn refused(desk: &Desk, rest: &str, code: i32, words: &[&str]) {
    desk.release(rest);
    let outcome = desk.lock();
    outcome.says(code, words);
    assert!(
        outcome.stderr.contains("release.yaml:") || outcome.stderr.contains("release.yaml: "),
        "{outcome:#?}"
    );
    let left: Vec<String> = fs::read_dir(desk.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("lock") || name.ends_with(".part"))
        .collect();
    assert_eq!(left, [""; 0], "{rest}");
}

#[test]
fn archives_that_lie() {
    let desk = Desk::new();
    let zeros = vec![0; 5 << 20];
    let bomb: Vec<(String, &[u8])> = (0..8).map(|n| (format!("f{n}"), &zeros[..])).collect();
    let bomb: Vec<(&str, &[u8])> = bomb.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    desk.put("bomb.tgz", packed("db", &bomb));
    desk.put("other.tgz", packed("other", &[("Chart.yaml", DB.as_bytes())]));
    desk.put("none.tgz", "not a gzip");
    let lock =
        "dependencies: [{name: db, repository: 'https://c.example', version: 2.0.0}]\ndigest: sha256:0\n";
    let shop = "apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies: [{name: db, version: '*', repository: 'https://c.example'}]\n";
    let db = packed("db", &[("Chart.yaml", DB.as_bytes())]);
    let parts: [(&str, &[u8]); 3] =
        [("Chart.yaml", shop.as_bytes()), ("Chart.lock", lock.as_bytes()), ("charts/db.tgz", &db)];
    desk.put("version.tgz", packed("shop", &parts));
    desk.put("missing.tgz", packed("shop", &parts[..2]));
    let lock = lock.replace("2.0.0", "1.2.3");
    let parts: [(&str, &[u8]); 3] =
        [("Chart.yaml", shop.as_bytes()), ("Chart.lock", lock.as_bytes()), ("charts/db.tgz", &db)];
    desk.put("digest.tgz", packed("shop", &parts));
    for (path, words) in [
        ("bomb.tgz", &["bomb.tgz", "unpacks to more than 200 times"][..]),
        ("other.tgz", &["its folder is named other, and its chart db"]),
        ("none.tgz", &["it is not a gzipped tar", "helm package"]),
        ("version.tgz", &["its lock has db 2.0.0, and charts/ holds 1.2.3", "helm dependency update"]),
        ("missing.tgz", &["it needs the chart db *, and charts/ does not hold it"]),
        ("digest.tgz", &["its lock was made from other dependencies", "sha256:0"]),
    ] {
        refused(&desk, &format!("charts: [{{path: {path}}}]\n"), 2, words);
    }
    refused(&desk, "charts: [{path: gone}]\n", 2, &["gone"]);
}

#[test]
fn folders_that_no_chart_can_be_made_of() {
    let desk = Desk::new();
    let charts = "charts: [{path: db}]\n";
    std::os::unix::fs::symlink("/etc/hostname", desk.path("db/link")).unwrap();
    refused(&desk, charts, 2, &["db/link", "a link that leads out"]);
    fs::remove_file(desk.path("db/link")).unwrap();
    desk.put("db/a:b", "");
    refused(&desk, charts, 2, &["a:b", "FAT", ".helmignore"]);
    fs::remove_file(desk.path("db/a:b")).unwrap();
    desk.put("db/README.md", "");
    desk.put("db/Readme.md", "");
    refused(&desk, charts, 2, &["Readme.md", "one file on filesystems without letter case"]);
    fs::remove_file(desk.path("db/Readme.md")).unwrap();
    desk.put("db/.helmignore", "a/**\n");
    refused(&desk, charts, 2, &["db/.helmignore:1", "not supported"]);
    fs::remove_file(desk.path("db/.helmignore")).unwrap();
    desk.put("db/model.bin", vec![0; (5 << 20) + 1]);
    refused(&desk, charts, 2, &["db/model.bin", "Helm reads files of at most"]);
    desk.put("db/Chart.yaml", "name: db\n");
    refused(&desk, charts, 2, &["the key \"version\" is missing"]);
    desk.release("charts: [{path: shop}]\n");
    desk.lock().says(2, &["it needs the chart db >=1.0.0 <2"]);
}

#[test]
fn repositories_that_lie() {
    let desk = Desk::new();
    let archive = packed("db", &[("Chart.yaml", DB.as_bytes())]);
    desk.put("repo/db.tgz", &archive);
    let shelf = Shelf::of(&desk.path("repo"));
    let entry = |version: &str, digest: &str| {
        format!(
            "apiVersion: v1\nentries:\n  db:\n  - {{version: {version}, urls: [db.tgz], digest: {digest}}}\n"
        )
    };
    let chart = |version: &str| {
        format!("charts: [{{repo: 'http://{}', name: db, version: {version}}}]\n", shelf.host())
    };
    let good = Digest::of(&archive).hex();
    refused(&desk, &chart("1.2.3"), 3, &["index.yaml", "404"]);
    for (index, version, code, words) in [
        (entry("1.2.3", &good), "1.2.4", 2, &["the repository has no db 1.2.4; it has 1.2.3"][..]),
        (
            entry("1.2.3", &Digest::of(b"").hex()),
            "1.2.3",
            1,
            &["db.tgz: its digest is", "listed in the index"],
        ),
        (entry("1.2.4", &good), "1.2.4", 2, &["db.tgz is db 1.2.3; declared is db 1.2.4"]),
        ("entries: [".to_owned(), "1.2.3", 3, &["index.yaml"]),
        (entry("1.2.3", &good).replace("db.tgz", "gone.tgz"), "1.2.3", 3, &["gone.tgz", "404"]),
    ] {
        desk.put("repo/index.yaml", index);
        refused(&desk, &chart(version), code, words);
    }
    desk.put("repo/index.yaml", entry("1.2.3", &good));
    desk.put("repo/db.tgz.prov", "-----BEGIN PGP SIGNED MESSAGE-----\nfiles: {db.tgz: sha256:00}\n");
    refused(&desk, &chart("1.2.3"), 2, &["db.tgz.prov", "the provenance of another archive"]);
    refused(
        &desk,
        "charts: [{repo: 'http://charts.example', name: db, version: 1.2.3}]\n",
        1,
        &["plain HTTP"],
    );
    refused(
        &desk,
        "charts: [{ref: 'oci://x.example/db:1', version: 1.2.3}]\n",
        2,
        &["names a tag or digest"],
    );
    // What was changed after it was locked is found before anything is built.
    fs::remove_file(desk.path("repo/db.tgz.prov")).unwrap();
    desk.release("charts: [{path: db}]\n");
    desk.lock().says(0, &[]);
    desk.put("db/templates/more.yaml", "");
    desk.program
        .run(&["build", "--out", "out"])
        .says(1, &["path:db was changed after it was locked", "bundle lock"]);
}

#[test]
fn files_and_tools_that_cannot_travel() {
    let desk = Desk::new();
    desk.put("docs/A.md", "");
    desk.put("docs/a.md", "");
    desk.put("t", "tool");
    desk.put("one/x:y", "");
    let big = fs::File::create(desk.path("big")).unwrap();
    big.set_len(4 << 30).unwrap();
    let tool = |sha256: &str, from: &str| {
        format!(
            "charts: [{{path: db}}]\ntools: [{{name: t, from: '{from}', sha256: {sha256}, platform: linux/amd64}}]\n"
        )
    };
    let file =
        |from: &str, to: &str| format!("charts: [{{path: db}}]\nfiles: [{{from: {from}, to: {to}}}]\n");
    refused(&desk, &file("docs", "docs"), 2, &["docs/a.md", "one file on filesystems without letter case"]);
    refused(&desk, &file("one", "one"), 2, &["one/x:y", "FAT"]);
    refused(&desk, &file("big", "big"), 2, &["4294967296 bytes", "FAT32", "split"]);
    refused(&desk, &file("t", "volumes/x"), 2, &["volumes/x", "keep for something else"]);
    refused(&desk, &file("gone", "x"), 2, &["gone"]);
    refused(&desk, &tool(&Digest::of(b"").hex(), "t"), 1, &["t: its SHA-256 is", "release.yaml says"]);
    refused(
        &desk,
        &tool(&Digest::of(b"tool").hex(), "ftp://x.example/t"),
        2,
        &["neither a path nor an https:// address"],
    );
}
