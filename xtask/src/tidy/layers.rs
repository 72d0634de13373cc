//! A module names its own layer and lower ones, never higher.

use super::{Problem, Source, at, whole};

/// The layers of `src/`, lowest first.
const LAYERS: [(&str, &[&str]); 6] = [
    ("words", &["digest", "path", "limits", "checked", "buffers", "progress", "text"]),
    ("formats", &["release", "bundle", "oci", "chart", "weights", "license", "relocate"]),
    ("plans", &["plan"]),
    ("ports", &["registry", "store", "sources", "courier", "tools", "sys"]),
    ("verbs", &["ops"]),
    ("face", &["cli"]),
];

/// The layer of a top-level module: its rank and name.
pub(super) fn layer_of(module: &str) -> Option<(usize, &'static str)> {
    let rank = LAYERS.iter().position(|(_, modules)| modules.contains(&module))?;
    Some((rank, LAYERS[rank].0))
}

/// The top-level module that a file of `src/` is in; `None` for other files and for the two roots.
pub(super) fn module_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("src/")?;
    let name = rest.split('/').next().unwrap_or(rest);
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (!matches!(name, "lib" | "main")).then_some(name)
}

pub(super) fn check(file: &Source, code: &str) -> Vec<Problem> {
    let Some(module) = module_of(&file.path) else { return Vec::new() };
    let Some((own, _)) = layer_of(module) else {
        return vec![whole(file, format!("module {module} is in no layer"))];
    };
    let mut problems = Vec::new();
    for (offset, name) in named(&file.path, code) {
        let higher = layer_of(&name).filter(|(rank, _)| *rank > own);
        if let Some((_, layer)) = higher {
            let line = code[..offset].matches('\n').count();
            problems.push(at(file, line, format!("{module} may not name {name}, which is higher ({layer})")));
        }
    }
    problems
}

/// Top-level modules named in `code`, with the offset of the path.
fn named(path: &str, code: &str) -> Vec<(usize, String)> {
    let climbs = format!("{}::", vec!["super"; depth(path)].join("::"));
    let mut found = Vec::new();
    for prefix in ["crate::", climbs.as_str()] {
        for (offset, _) in code.match_indices(prefix) {
            let before = code[..offset].chars().next_back();
            // `xcrate::`, and a longer climb, which would leave the crate and not compile.
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = &code[offset + prefix.len()..];
            found.extend(heads(rest).into_iter().map(|name| (offset, name)));
        }
    }
    found
}

/// How many modules lie between the file's own and the crate's root, itself counted.
fn depth(path: &str) -> usize {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    inner.split('/').filter(|part| *part != "mod").count()
}

/// The first names of what follows `crate::`: one, or each of a group.
fn heads(rest: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let mut names = Vec::new();
    let mut nesting = 0;
    let mut start = true;
    for (offset, c) in group.char_indices() {
        match c {
            '{' => nesting += 1,
            '}' if nesting == 0 => break,
            '}' => nesting -= 1,
            ',' if nesting == 0 => start = true,
            c if start && !c.is_whitespace() => {
                names.push(word(&group[offset..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}
