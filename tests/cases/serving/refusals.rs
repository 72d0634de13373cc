//! Bad input: each with its message, its next step and its exit code.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::{Site, flip};
use crate::cases::peers::registry::certificates;
use crate::cases::program::tool;

#[test]
fn nothing_is_served_before_the_signature_holds_and_the_grant_opens() {
    let site = Site::new("");
    let run = |words: &[String]| site.stage.program.run(words);
    let without = |option: &str| {
        let mut words = site.serve(&[]);
        let at = words.iter().position(|word| word == option).unwrap();
        words.drain(at..at + 2);
        words
    };
    run(&without("--identity")).says(2, &["sealed and no identity", "--identity FILE"]);
    run(&without("--trust")).says(2, &["--trust"]);

    let mut other = site.serve(&[]);
    let at = other.iter().position(|word| word == "acme.key").unwrap();
    site.stage.program.done(&["keygen", "recipient", "--out", "other"]);
    other[at] = "other.key".to_owned();
    run(&other).says(1, &["not_granted", "ask the vendor"]);
    let grants = site.bundle().join("grants");
    fs::rename(&grants, site.stage.path("grants")).unwrap();
    run(&site.serve(&[])).says(1, &["not_granted", "put it into the folder grants/"]);
    fs::rename(site.stage.path("grants"), &grants).unwrap();

    flip(&site.bundle().join("bundle.json"), 100);
    run(&site.serve(&[])).says(1, &["bundle.json is not the file that was signed"]);
    flip(&site.bundle().join("bundle.json"), 100);
    flip(&site.bundle().join("SHA256SUMS"), 3);
    let plain: Vec<String> = site.serve(&[]).into_iter().filter(|word| word != "--json").collect();
    run(&plain).says(1, &["REFUSED: nothing is served", "copy it again from its source"]);
    run(&[plain, vec!["--print-hosts-toml".to_owned()]].concat()).says(1, &["nothing is served"]);
}

#[test]
fn addresses_that_cannot_be_listened_on_are_named() {
    let site = Site::new("");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = |listen: &str| {
        let mut words = site.words("serve");
        words.extend(["--listen", listen].map(str::to_owned));
        site.stage.program.run(&words)
    };
    let port = format!("sport = :{}", taken.local_addr().unwrap().port());
    run(&address).says(3, &["cannot listen on", "in use", &port, "state: Nothing is served"]);
    run("192.0.2.1:5000").says(3, &["cannot listen on 192.0.2.1:5000", "no such address"]);
    run("5000").says(2, &["--listen"]);
}

#[test]
fn certificates_and_keys_that_do_not_fit_are_named() {
    let site = Site::new("");
    let folder = site.stage.path("");
    certificates(&folder);
    fs::write(folder.join("text"), "no certificate").unwrap();
    fs::set_permissions(folder.join("text"), fs::Permissions::from_mode(0o600)).unwrap();
    tool(
        Command::new("openssl")
            .args(["genpkey", "-algorithm", "ed25519", "-out", "other.key"])
            .current_dir(&folder),
    );
    let run =
        |cert: &str, key: &str| site.stage.program.run(&site.serve(&["--tls-cert", cert, "--tls-key", key]));
    for key in ["server.key", "other.key"] {
        fs::set_permissions(folder.join(key), fs::Permissions::from_mode(0o644)).unwrap();
    }
    run("server.crt", "server.key").says(1, &["a private key that others may read", "chmod 600"]);
    for key in ["server.key", "other.key"] {
        fs::set_permissions(folder.join(key), fs::Permissions::from_mode(0o600)).unwrap();
    }
    run("text", "server.key").says(2, &["it holds no certificate", "BEGIN CERTIFICATE"]);
    run("server.crt", "text").says(2, &["it holds no private key", "without a passphrase"]);
    run("server.crt", "other.key").says(2, &["do not go together"]);
    run("gone", "server.key").says(2, &["gone", "look at the path"]);
    let half = site.stage.program.run(&site.serve(&["--tls-cert", "server.crt"]));
    half.says(2, &["--tls-key"]);
}

#[test]
fn files_of_passwords_that_let_nobody_in_are_named() {
    let site = Site::new("");
    let run = |lines: &str, more: &[&str]| {
        fs::write(site.stage.path("users"), lines).unwrap();
        site.stage.program.run(
            &[site.serve(&["--htpasswd", "users"]), more.iter().map(|w| (*w).to_owned()).collect()].concat(),
        )
    };
    run("robot:$apr1$abc$def\n", &[]).says(2, &["users, line 1: the hash is not bcrypt's", "htpasswd -B"]);
    run("# nobody\n\n", &[]).says(2, &["names no user", "htpasswd -B"]);
    let mut open = site.words("serve");
    open.extend(["--listen", "0.0.0.0:0", "--htpasswd", "users"].map(str::to_owned));
    site.stage.program.run(&open).says(2, &["would send passwords in the clear", "--tls-cert"]);
}
