//! Every `release.yaml` in `tests/vectors/release`: its first line says what becomes of it, and where a fault stands.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bundle::release::Release;

#[test]
fn every_vector_is_read_as_its_first_line_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/release");
    let mut seen = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let expected = text.lines().next().unwrap().trim_start_matches("# ").to_owned();
        let start = Instant::now();
        let outcome = Release::parse(&bytes, &name);
        assert!(start.elapsed() < Duration::from_secs(5), "{name} took {:?}", start.elapsed());
        seen += 1;
        let got = match &outcome {
            Ok(_) => "holds".to_owned(),
            Err(error) => format!("refused {}", error.to_string().replace(&format!("{name}:"), "").trim()),
        };
        if !got.starts_with(expected.trim()) {
            wrong.push(format!("{name}\n  expected {expected}\n  got      {got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 40, "{seen} vectors");
}

#[test]
fn a_fault_is_shown_with_the_lines_around_it() {
    let text = "apiVersion: bundle/v1\nkind: Release\nname: demo\nversoin: 1.2.0\n";
    let Err(bundle::release::check::Error::Yaml(bundle::release::yaml::Error::Shape {
        snippet, place, ..
    })) = Release::parse(text.as_bytes(), "release.yaml")
    else {
        panic!("it should be refused by its shape");
    };
    assert_eq!(place.unwrap().to_string(), "4:1");
    assert!(snippet.contains("versoin: 1.2.0") && snippet.contains('^'), "{snippet}");
}

#[test]
fn what_is_not_text_is_refused_with_the_offset() {
    let error = Release::parse(b"apiVersion: \xff\n", "release.yaml").unwrap_err();
    assert_eq!(error.to_string(), "release.yaml: it is not UTF-8 text from byte 12 on");
    let large = vec![b'#'; (4 << 20) + 1];
    let error = Release::parse(&large, "release.yaml").unwrap_err();
    assert!(error.to_string().contains("at most 4194304"), "{error}");
}

#[test]
fn the_schema_is_json_and_knows_every_section() {
    let schema: serde_json::Value = serde_json::from_str(&bundle::release::schema()).unwrap();
    for section in
        ["images", "charts", "models", "files", "tools", "seal", "volume-size", "license", "install"]
    {
        assert!(schema["properties"].get(section).is_some(), "{section}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_schema_that_editors_read_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/schema/release.v1.json");
    assert!(fs::read_to_string(&path).unwrap_or_default() == bundle::release::schema(), "{}", path.display());
}

#[test]
fn the_example_holds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/quickstart/release.yaml");
    let bytes = fs::read(&path).unwrap();
    Release::parse(&bytes, "release.yaml").unwrap();
    assert!(bytes.starts_with(b"# yaml-language-server: $schema=../schema/release.v1.json\n"));
}
