//! What an installation changes: objects of manifests, before and after.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::chart::rendered::{Object, objects};
use crate::release::yaml::tree::TreeError;

/// What becomes of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It will be there.
    Create,
    /// It will be another.
    Change,
    /// It will be gone.
    Remove,
    /// It stays as it is.
    Keep,
}

impl Change {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Remove => "remove",
            Self::Keep => "keep",
        }
    }
}

/// One object and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectChange {
    /// `Deployment`.
    pub kind: String,
    /// Its namespace; empty for the release's own, or none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When Helm runs it, if it is a hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// What becomes of it.
    pub change: Change,
    /// The difference, for a person; never of a secret.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub diff: String,
}

type Key = (String, String, String);

fn key(object: &Object<'_>) -> Key {
    (object.kind.clone(), object.namespace.clone().unwrap_or_default(), object.name.clone())
}

/// The lines that say something: Helm's own comments and separators do not.
fn said(text: &str) -> Vec<&str> {
    text.lines()
        .map(str::trim_end)
        .filter(|line| !line.starts_with("# Source: ") && *line != "---" && !line.is_empty())
        .collect()
}

/// What becomes of the objects of `old` when `new` is installed, in the order of `new`; those that go come last. Definitions that are
/// created first and never changed are in no `old`: they are kept, and only the cluster knows whether they must be created.
///
/// # Errors
/// Where either is not YAML.
pub fn between(old: &str, new: &str) -> Result<Vec<ObjectChange>, TreeError> {
    let before = objects(old)?;
    let mut before: BTreeMap<Key, &Object<'_>> = before.iter().map(|object| (key(object), object)).collect();
    let mut all = Vec::new();
    for object in objects(new)? {
        let (change, diff) = match before.remove(&key(&object)) {
            None if object.is_first() => (Change::Keep, String::new()),
            None => (Change::Create, String::new()),
            Some(old) => {
                let (old, new) = (said(old.text), said(object.text));
                match old == new {
                    true => (Change::Keep, String::new()),
                    false if object.kind == "Secret" => (Change::Change, String::new()),
                    false => (Change::Change, diff(&old, &new)),
                }
            }
        };
        let (kind, namespace, name) = key(&object);
        all.push(ObjectChange { kind, namespace, name, hook: object.hook, change, diff });
    }
    for ((kind, namespace, name), object) in before {
        // Helm leaves hooks where they are.
        let change = if object.hook.is_some() { Change::Keep } else { Change::Remove };
        all.push(ObjectChange {
            kind,
            namespace,
            name,
            hook: object.hook.clone(),
            change,
            diff: String::new(),
        });
    }
    Ok(all)
}

/// Lines shown around a change.
const CONTEXT: usize = 2;
/// Pairs of lines that are compared at most; beyond, all that is between the first and the last difference is shown as changed.
const PAIRS: usize = 4_000_000;

/// The difference between two lists of lines, as `diff -U2` shows it, without line numbers.
#[must_use]
pub fn diff(old: &[&str], new: &[&str]) -> String {
    let same_start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same_start;
    let same_end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[same_start..old.len() - same_end], &new[same_start..new.len() - same_end]);
    let mut lines: Vec<(char, &str)> = old[..same_start].iter().map(|line| (' ', *line)).collect();
    if a.len().saturating_mul(b.len()) > PAIRS {
        lines.extend(a.iter().map(|line| ('-', *line)));
        lines.extend(b.iter().map(|line| ('+', *line)));
    } else {
        lines.extend(common(a, b));
    }
    lines.extend(old[old.len() - same_end..].iter().map(|line| (' ', *line)));
    let near = |at: usize| {
        lines[at.saturating_sub(CONTEXT)..(at + CONTEXT + 1).min(lines.len())]
            .iter()
            .any(|(sign, _)| *sign != ' ')
    };
    let mut out = String::new();
    let mut gap = false;
    for (at, (sign, line)) in lines.iter().enumerate() {
        if !near(at) {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) && !out.is_empty() {
            out.push_str("  …\n");
        }
        out.push_str(&format!("{sign} {line}\n"));
    }
    out
}

/// The longest common subsequence, with what is not in it.
fn common<'t>(a: &[&'t str], b: &[&'t str]) -> Vec<(char, &'t str)> {
    let width = b.len() + 1;
    let mut length = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            length[i * width + j] = match a[i] == b[j] {
                true => length[(i + 1) * width + j + 1] + 1,
                false => length[(i + 1) * width + j].max(length[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push((' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && length[(i + 1) * width + j] >= length[i * width + j + 1]) {
            lines.push(('-', a[i]));
            i += 1;
        } else {
            lines.push(('+', b[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn object(kind: &str, name: &str, more: &str) -> String {
        format!("---\n# Source: x/templates/{name}.yaml\nkind: {kind}\nmetadata:\n  name: {name}\n{more}\n")
    }

    #[test]
    fn each_object_has_its_change() {
        let hook = "  annotations:\n    helm.sh/hook: pre-install";
        let old = [
            object("ConfigMap", "same", "data: {a: b}"),
            object("ConfigMap", "other", "data:\n  a: b\n  c: d"),
            object("Secret", "hidden", "data: {a: b}"),
            object("Job", "once", hook),
            object("ConfigMap", "gone", ""),
        ]
        .concat();
        let new = [
            "---\n# Source: x/crds/c.yaml\nkind: CustomResourceDefinition\nmetadata: {name: c}\n".to_owned(),
            object("ConfigMap", "same", "data: {a: b}").replace("# Source: x", "# Source: y"),
            object("ConfigMap", "other", "data:\n  a: B\n  c: d"),
            object("Secret", "hidden", "data: {a: c}"),
            object("Service", "new", ""),
        ]
        .concat();
        let all = between(&old, &new).unwrap();
        let seen: Vec<(&str, Change)> = all.iter().map(|one| (one.name.as_str(), one.change)).collect();
        assert_eq!(
            seen,
            [
                ("c", Change::Keep),
                ("same", Change::Keep),
                ("other", Change::Change),
                ("hidden", Change::Change),
                ("new", Change::Create),
                ("gone", Change::Remove),
                ("once", Change::Keep),
            ]
        );
        assert_eq!(all[2].diff, "    name: other\n  data:\n-   a: b\n+   a: B\n    c: d\n");
        assert_eq!(all[3].diff, "", "of a secret nothing is shown");
        let first = between("", &new).unwrap();
        assert!(first.iter().skip(1).all(|one| one.change == Change::Create), "{first:?}");
    }

    #[test]
    fn differences_far_apart_are_shown_apart() {
        let old: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let mut new = old.clone();
        new[3] = "three".into();
        new.insert(15, "more".into());
        let lines =
            |all: &[String]| all.iter().map(String::as_str).map(ToOwned::to_owned).collect::<Vec<_>>();
        let (old, new) = (lines(&old), lines(&new));
        let text = diff(
            &old.iter().map(String::as_str).collect::<Vec<_>>(),
            &new.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        assert_eq!(text, "  1\n  2\n- 3\n+ three\n  4\n  5\n  …\n  13\n  14\n+ more\n  15\n  16\n");
    }
}
