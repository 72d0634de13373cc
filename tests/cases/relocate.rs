//! Relocation by vectors: each file says in its name why it is there, and in itself what becomes of it.

use std::fs;
use std::path::{Path, PathBuf};

use bundle::release::yaml::tree::{Node, documents};
use bundle::relocate::{Error, Known, mapping, relocate};
use xtask::images::Seed;

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

/// A stream of random shape; gives the text and how many references it holds outside comments.
struct Generator {
    seed: Seed,
    text: String,
    references: usize,
}

const SPELLED: [(&str, &str); 3] = [
    ("quay.io/prometheus/prometheus:v2.53.0", "/prometheus/prometheus:v2.53.0@{4}"),
    ("ghcr.io/acme/app:1.0", "/acme/app:1.0@{7}"),
    ("localhost:5000/dev/tool:2", "/dev/tool:2@{9}"),
];
const WORDS: [&str; 10] = [
    "nginx",
    "key:value",
    "apps/v1",
    "12:30:00",
    "/etc/x.d/y:ro",
    "http://nginx:80/x",
    "a.b/c",
    "true",
    "é\u{1f600}",
    "1.25",
];

impl Generator {
    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.seed.below(all.len() as u64)).unwrap()]
    }

    /// Words, some of them references, in one line.
    fn line(&mut self) -> String {
        let mut words = Vec::new();
        for _ in 0..=self.seed.below(4) {
            if self.seed.below(3) == 0 {
                self.references += 1;
                let (reference, _) = *self.pick(&SPELLED);
                let before = *self.pick(&["", "--image=", "x,", "image=", "("]);
                words.push(format!("{before}{reference}"));
            } else {
                words.push((*self.pick(&WORDS)).to_owned());
            }
        }
        words.join(" ")
    }

    fn scalar(&mut self, indent: usize) {
        let pad = " ".repeat(indent + 2);
        let line = self.line();
        let text = match self.seed.below(6) {
            0 => format!(" '{}'\n", line.replace('\'', "''")),
            1 => format!(" {}\n", serde_json::Value::from(line.as_str())),
            2 => {
                let second = self.line();
                format!(" |-\n{pad}{line}\n{pad}  {second}\n")
            }
            3 => {
                let second = self.line();
                format!(" >\n{pad}{line}\n\n{pad}{second}\n")
            }
            4 => {
                let json = serde_json::json!({"a": line, "b": [1, {"c": null}]}).to_string();
                format!(" {}\n", serde_json::Value::from(json))
            }
            _ => format!(" x {line} # quay.io/prometheus/prometheus:v2.53.0\n"),
        };
        self.text.push_str(&text);
    }

    fn node(&mut self, indent: usize, depth: usize) {
        let pad = " ".repeat(indent);
        let list = self.seed.below(3) == 0;
        for number in 0..=self.seed.below(3) {
            if self.seed.below(5) == 0 {
                self.text.push_str(&format!("{pad}# ghcr.io/acme/app:1.0\n"));
            }
            let head = if list { format!("{pad}-") } else { format!("{pad}k{number}:") };
            self.text.push_str(&head);
            if depth > 0 && self.seed.below(2) == 0 {
                self.text.push('\n');
                self.node(indent + 2, depth - 1);
            } else {
                self.scalar(indent);
            }
        }
    }
}

/// The same shape; each scalar the same, or the same with its references moved.
fn alike(old: &Node<'_>, new: &Node<'_>, moved: &dyn Fn(&str) -> String) -> bool {
    match (old, new) {
        (Node::Scalar(old), Node::Scalar(new)) => old.style == new.style && moved(&old.value) == new.value,
        (Node::List(old), Node::List(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| alike(old, new, moved))
        }
        (Node::Map(old), Node::Map(new)) => {
            old.len() == new.len()
                && old.iter().zip(new).all(|((a, b), (c, d))| alike(a, c, moved) && alike(b, d, moved))
        }
        (Node::Alias, Node::Alias) => true,
        _ => false,
    }
}

#[test]
fn random_streams_keep_their_shape_and_every_other_byte() {
    let known = known();
    let there = |tail: &str| format!("harbor.acme.internal:8443/mirror{}", digests(tail));
    for number in 0..400 {
        let mut generator = Generator { seed: Seed::new(number), text: String::new(), references: 0 };
        for document in 0..2 {
            generator.text.push_str(&format!("---\n# Source: x/templates/{document}.yaml\n"));
            generator.node(0, 3);
        }
        let Generator { text, references, .. } = generator;
        let relocated = relocate(&text, &known).unwrap_or_else(|error| panic!("{number}: {error}\n{text}"));
        assert_eq!(relocated.changes.len(), references, "{number}\n{text}\n{}", relocated.text);
        let back = SPELLED
            .iter()
            .fold(relocated.text.clone(), |text, (from, tail)| text.replace(&there(tail), from));
        assert_eq!(back, text, "{number}");
        let moved = |value: &str| {
            SPELLED.iter().fold(value.to_owned(), |value, (from, tail)| value.replace(from, &there(tail)))
        };
        let (old, new) = (documents(&text).unwrap(), documents(&relocated.text).unwrap());
        assert_eq!(old.len(), new.len());
        for (old, new) in old.iter().zip(&new) {
            assert!(
                alike(old.root.as_ref().unwrap(), new.root.as_ref().unwrap(), &moved),
                "{number}\n{text}"
            );
        }
        assert_eq!(relocate(&relocated.text, &known).unwrap().text, relocated.text, "{number}");
    }
}

#[test]
fn a_registry_with_an_ipv6_address_is_quoted_where_yaml_needs_it() {
    let went = r#"{"images": [{"from": "docker.io/library/nginx:1", "to": "[::1]:5000/m/nginx:1", "digest": "{1}"}]}"#;
    let known = mapping::known(mapping::parse(digests(went).as_bytes()).unwrap(), Vec::new());
    let text =
        "spec:\n  containers:\n    - image: nginx:1\n    - {image: nginx:1, args: [\"--x=nginx:1\"]}\n";
    let wanted = digests(
        "spec:\n  containers:\n    - image: \"[::1]:5000/m/nginx:1@{1}\"\n    - {image: \"[::1]:5000/m/nginx:1@{1}\", args: [\"--x=[::1]:5000/m/nginx:1@{1}\"]}\n",
    );
    let relocated = relocate(text, &known).unwrap();
    assert_eq!(relocated.text, wanted);
    assert_eq!(relocate(&wanted, &known).unwrap().text, wanted);
}
