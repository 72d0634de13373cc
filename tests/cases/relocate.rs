//! Relocation by vectors: each file says in its name why it is there, and in itself what becomes of it.

use std::fs;
use std::path::{Path, PathBuf};

use bundle::relocate::{Error, Known, mapping, relocate};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/relocate")
}

fn known() -> Known {
    mapping::known(mapping::parse(&fs::read(folder().join("mapping.json")).unwrap()).unwrap(), Vec::new())
}

/// `{7}` stands for the digest of 64 sevens.
fn digests(text: &str) -> String {
    "0123456789abcdef".chars().fold(text.to_owned(), |text, c| {
        text.replace(&format!("{{{c}}}"), &format!("sha256:{}", c.to_string().repeat(64)))
    })
}

/// What stands under a heading, up to the next one.
fn part<'t>(text: &'t str, heading: &str) -> Option<&'t str> {
    let start = text.find(&format!("#### {heading}\n"))? + heading.len() + 6;
    let rest = &text[start..];
    Some(&rest[..rest.find("#### ").unwrap_or(rest.len())])
}

fn lines(all: &[impl ToString]) -> String {
    all.iter().map(|one| format!("{}\n", one.to_string())).collect()
}

#[test]
fn vectors_become_what_they_say() {
    let known = known();
    let mut wrong = Vec::new();
    let mut count = 0;
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names.iter().filter(|path| path.extension().is_some_and(|end| end == "yaml")) {
        count += 1;
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let vector = digests(&fs::read_to_string(path).unwrap());
        let source = &vector[..vector.find("#### ").unwrap()];
        match (relocate(source, &known), part(&vector, "becomes"), part(&vector, "refused")) {
            (Ok(relocated), Some(wanted), None) => {
                if relocated.text != wanted {
                    wrong.push(format!(
                        "{name}:\n{}",
                        bundle::relocate::unified(wanted, &relocated.text, "wanted")
                    ));
                }
                if lines(&relocated.left) != part(&vector, "left").unwrap_or("") {
                    wrong.push(format!("{name} left:\n{}", lines(&relocated.left)));
                }
                let again = relocate(&relocated.text, &known).unwrap();
                if again.text != relocated.text || !again.changes.is_empty() {
                    wrong.push(format!("{name}, a second time:\n{:#?}", again.changes));
                }
            }
            (Err(Error::Remains(remains)), None, Some(wanted)) if lines(&remains) == wanted => {}
            (other, ..) => wrong.push(format!("{name}: {other:#?}")),
        }
    }
    assert!(count > 25, "{count}");
    assert!(wrong.is_empty(), "{} of {count}\n{}", wrong.len(), wrong.join("\n"));
}
