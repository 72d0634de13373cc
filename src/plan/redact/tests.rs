//! What is taken out, and what must stay readable. `I` stands for a pseudonym of an IP address, `E` of an e-mail address.

use serde_json::json;

use super::*;

fn redactor() -> Redactor {
    let mut redactor = Redactor::new([7; KEY_BYTES], BTreeSet::new());
    redactor.know("hunter2-of-the-cluster");
    redactor.begin("a.log");
    redactor
}

/// Pseudonyms as one letter.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("[ip-").into_iter().chain(rest.find("[email-")).min() {
        let end = at + rest[at..].find(']').unwrap_or(0) + 1;
        out += &rest[..at];
        out += if rest[at..].starts_with("[ip") { "I" } else { "E" };
        rest = &rest[end..];
    }
    out + rest
}

#[test]
fn what_must_not_leave_does_not_and_all_else_stays() {
    let jwt = format!("eyJ{}.{}.{}", "a".repeat(20), "b".repeat(20), "c".repeat(20));
    for (reason, text, wanted) in [
        ("a secret of the cluster, anywhere", "x=hunter2-of-the-cluster!", "x=[secret]!"),
        ("by its name", "password=abc123 user=fox", "password=[secret] user=fox"),
        ("in JSON", r#"{"apiKey": "abc, 123", "user": "fox"}"#, r#"{"apiKey": "[secret]", "user": "fox"}"#),
        (
            "in JSON inside JSON",
            r#""{\"password\":\"a\",\"b\":1}""#,
            r#""{\"password\":\"[secret]\",\"b\":1}""#,
        ),
        ("with an escaped quote in it", r#"{"secret": "a\"b", "c": 1}"#, r#"{"secret": "[secret]", "c": 1}"#),
        ("in YAML", "  db_password: 's3 cr3t'\n  port: 5432", "  db_password: '[secret]'\n  port: 5432"),
        ("as an option", "run --auth-token abc --verbose", "run --auth-token [secret] --verbose"),
        ("an option without a value", "run --token --verbose", "run --token --verbose"),
        ("in an environment", "PGPASSWORD=x psql", "PGPASSWORD=[secret] psql"),
        ("in a query", "GET /?access_token=abc&page=2", "GET /?access_token=[secret]&page=2"),
        ("in an address", "postgres://fox:pa@ss@db.acme/x", "postgres://[secret]@db.acme/x"),
        ("an address without", "https://db.acme/x", "https://db.acme/x"),
        ("of a header", "Authorization: Bearer abc.def-ghi", "Authorization: Bearer [token]"),
        (
            "of a header in lower case",
            "authorization: basic Zm94OnNlY3JldA==",
            "authorization: basic [token]",
        ),
        ("a token by its prefix", "used ghp_0123456789abcdef0123 for it", "used [token] for it"),
        ("an age identity", "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQ", "[token]"),
        ("a word that begins so", "sk-learn and hf_transfer", "sk-learn and hf_transfer"),
        (
            "a private key",
            "a\n-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\nb",
            "a\n[private-key]\nb",
        ),
        ("half of a private key", "-----BEGIN PRIVATE KEY-----\nMHc\n", "[private-key]"),
        ("a certificate stays", "-----BEGIN CERTIFICATE-----\nMHc\n", "-----BEGIN CERTIFICATE-----\nMHc\n"),
        ("e-mail", "mail jane.doe+x@acme.example.com.", "mail E."),
        ("an image by digest is none", "acme/agent@sha256:0123", "acme/agent@sha256:0123"),
        ("a module by version is none", "go get x/y@v1.2.3", "go get x/y@v1.2.3"),
        ("IPv4, its port stays", "dial tcp 10.0.3.7:5432: refused", "dial tcp I:5432: refused"),
        ("IPv4 with its mask", "10.213.0.0/24.", "I/24."),
        (
            "this machine stays",
            "on 127.0.0.1:8080, 0.0.0.0 and [::1]",
            "on 127.0.0.1:8080, 0.0.0.0 and [::1]",
        ),
        ("IPv6", "from fd00:1::7 and [2001:db8::1]:443", "from I and [I]:443"),
        ("a program's word is no IPv6", "std::fs::read dead::beef", "std::fs::read dead::beef"),
        ("a time is none", "at 03:21:45.123 on 2026-11-25", "at 03:21:45.123 on 2026-11-25"),
        ("a version is no IPv4", "v1.2.3.4 and 1.33.5", "v1.2.3.4 and 1.33.5"),
        (
            "names of secrets stay",
            "secretName: fox-license, token: false",
            "secretName: fox-license, token: false",
        ),
        (
            "what Kubernetes says of secrets stays",
            "secret \"fox-license\" not found",
            "secret \"fox-license\" not found",
        ),
        ("numbers of a model stay", "max_tokens: 4096", "max_tokens: 4096"),
        ("what is no ASCII stays", "für password=ü-x, grüße", "für password=[secret], grüße"),
    ] {
        assert_eq!(plain(&redactor().text(text)), wanted, "{reason}");
        // What has no end takes all that follows.
        if reason.starts_with("half") {
            continue;
        }
        assert_eq!(
            plain(&redactor().text(&format!("{text}\n{text}"))),
            format!("{wanted}\n{wanted}"),
            "{reason}, twice"
        );
    }
    assert_eq!(redactor().text(&format!("got {jwt}, ok")), "got [token], ok");
}

#[test]
fn pseudonyms_are_the_same_everywhere_and_say_nothing_without_the_key() {
    let mut one = redactor();
    let text = one.text("10.0.0.1 10.0.0.2 10.0.0.1 a@b.cc A@B.cc");
    let marks: Vec<&str> = text.split(' ').collect();
    assert_eq!((marks[0], marks[3]), (marks[2], marks[4]));
    assert_ne!(marks[0], marks[1]);
    assert_eq!(redactor().text("10.0.0.1"), marks[0]);
    assert_ne!(Redactor::new([8; KEY_BYTES], BTreeSet::new()).text("10.0.0.1"), marks[0]);
    let taken = one.taken();
    let counts: Vec<(Kind, u64)> = taken.iter().map(|taken| (taken.kind, taken.count)).collect();
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 5);
    assert!(taken.iter().all(|taken| taken.files == BTreeSet::from(["a.log".to_owned()])));
}

#[test]
fn objects_are_read_by_the_names_of_their_fields() {
    let mut value = json!({
        "metadata": {
            "managedFields": [{"a": "10.0.0.1"}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "by a@b.cc"},
        },
        "env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "DB_HOST", "value": "db"}, {"name": "API_TOKEN", "value": ""}],
        "args": ["--password", "x", "--port", "1"],
        "secret": {"secretName": "fox", "defaultMode": 288},
        "password": "x",
        "automountServiceAccountToken": false,
        "podIP": "10.0.0.1",
    });
    let mut redactor = redactor();
    redactor.json(&mut value);
    let ip = redactor.text("10.0.0.1");
    let email = redactor.text("a@b.cc");
    assert_eq!(
        value,
        json!({
            "metadata": {"annotations": {"note": format!("by {email}")}},
            "env": [{"name": "DB_PASSWORD", "value": "[secret]"}, {"name": "DB_HOST", "value": "db"}, {"name": "API_TOKEN", "value": ""}],
            "args": ["--password", "[secret]", "--port", "1"],
            "secret": {"secretName": "fox", "defaultMode": 288},
            "password": "[secret]",
            "automountServiceAccountToken": false,
            "podIP": ip,
        })
    );
}

#[test]
fn what_is_asked_to_stay_stays_and_short_words_are_no_secrets() {
    let mut redactor = Redactor::new([7; KEY_BYTES], BTreeSet::from([Kind::Ip]));
    for value in ["fox", "postgres", ""] {
        redactor.know(value);
    }
    let text = "postgres of fox at 10.0.0.1";
    assert_eq!(redactor.text(text), text);
}
