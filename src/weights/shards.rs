//! Sharded weights: `model.safetensors.index.json` against the files that are there.
//!
//! The list is transformers' own (`save_pretrained`): `weight_map` says which file holds which tensor, `metadata.total_size` how many
//! bytes all tensors have. Any file that ends so is taken for one and speaks of its own folder. Loaders go by `weight_map`, so what it
//! says must hold; nobody goes by `total_size`, and well-known models have it wrong, so that is only told.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;

use super::safetensors::Tensors;
use crate::path::EntryPath;
use crate::text::printable;

/// How a list of shards is called, after whatever name it has.
pub const LIST_ENDING: &str = ".safetensors.index.json";

/// What is wrong with a set of shards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// The list is none.
    #[error("{list}: {why}")]
    List {
        /// Path of the list.
        list: String,
        /// What is wrong.
        why: String,
    },
    /// The list names a file that is not there.
    #[error("{list} names the shard {shard}, which is not among the model's files")]
    Missing {
        /// Path of the list.
        list: String,
        /// Path of the shard.
        shard: String,
    },
    /// A file that is a shard by its name, and that the list does not name.
    #[error("{list} does not name {shard}, which lies beside it as one of its shards")]
    Extra {
        /// Path of the list.
        list: String,
        /// Path of the file.
        shard: String,
    },
    /// The list places a tensor in a file that has none of that name.
    #[error("{list} places tensor {tensor} in {shard}, which does not have it")]
    Tensor {
        /// Path of the list.
        list: String,
        /// Path of the shard.
        shard: String,
        /// The tensor.
        tensor: String,
    },
    /// Shards without a list, of which some are missing.
    #[error("{have} of the {of} shards of {stem} are among the model's files, and {first_missing} is not")]
    Incomplete {
        /// What their names begin with.
        stem: String,
        /// How many there are.
        have: usize,
        /// How many their names speak of.
        of: u64,
        /// One that is missing.
        first_missing: String,
    },
}

/// A list whose total is not the sum of what it lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherTotal {
    /// Path of the list.
    pub list: String,
    /// The total it states.
    pub stated: u64,
    /// Bytes of the tensors of its shards.
    pub found: u64,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: Metadata,
    weight_map: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    total_size: Option<serde_json::Number>,
}

/// Checks every list of a model. `lists` are the lists with their text, `files` all paths, `tensors` what each `safetensors` file holds.
///
/// # Errors
/// The first fault; totals that do not agree are given back.
pub fn check(
    lists: &[(EntryPath, Vec<u8>)],
    files: &[EntryPath],
    tensors: &HashMap<EntryPath, Tensors>,
) -> Result<Vec<OtherTotal>, ShardError> {
    let mut totals = Vec::new();
    let mut listed: HashSet<&str> = HashSet::new();
    let paths: HashMap<&str, &EntryPath> = files.iter().map(|path| (path.as_str(), path)).collect();
    for (path, text) in lists {
        let list = path.as_str();
        let fault = |why: String| ShardError::List { list: list.to_owned(), why };
        let List { metadata, weight_map } =
            serde_json::from_slice(text).map_err(|error| fault(printable(&error.to_string(), 200)))?;
        if weight_map.is_empty() {
            return Err(fault("its weight_map names no tensor".into()));
        }
        let folder = list.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut shards: BTreeMap<String, Vec<&String>> = BTreeMap::new();
        for (tensor, shard) in &weight_map {
            shards.entry(join(folder, shard)).or_default().push(tensor);
        }
        let mut found = 0u64;
        for (shard, wanted) in &shards {
            let shown = printable(shard, 200);
            let Some(path) = paths.get(shard.as_str()) else {
                return Err(ShardError::Missing { list: list.to_owned(), shard: shown });
            };
            listed.insert(path.as_str());
            let Some(has) = tensors.get(*path) else { continue };
            found = found.saturating_add(has.bytes);
            if let Some(tensor) = wanted.iter().find(|tensor| !has.names.contains(**tensor)) {
                let tensor = printable(tensor, 120);
                return Err(ShardError::Tensor { list: list.to_owned(), shard: shown, tensor });
            }
        }
        if let Some(stated) = metadata.total_size.and_then(|total| total.as_u64())
            && stated != found
        {
            totals.push(OtherTotal { list: list.to_owned(), stated, found });
        }
    }
    let by_name = shards_by_name(files);
    for (group, members) in &by_name {
        let list = format!("{}{LIST_ENDING}", group.stem);
        if paths.contains_key(list.as_str()) {
            if let Some(shard) = members.values().find(|path| !listed.contains(path.as_str())) {
                return Err(ShardError::Extra { list, shard: shard.as_str().to_owned() });
            }
            continue;
        }
        let missing = (1..=group.of).find(|number| !members.contains_key(number));
        if let Some(number) = missing {
            return Err(ShardError::Incomplete {
                stem: group.stem.clone(),
                have: members.len(),
                of: group.of,
                first_missing: format!("{}-{number:05}-of-{:05}.safetensors", group.stem, group.of),
            });
        }
    }
    Ok(totals)
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Shards that belong together by their names.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    /// Path up to the numbers.
    stem: String,
    /// How many their names speak of.
    of: u64,
}

/// `STEM-00001-of-00030.safetensors`, by stem and count, then by number.
fn shards_by_name(files: &[EntryPath]) -> BTreeMap<Group, BTreeMap<u64, &EntryPath>> {
    let mut groups: BTreeMap<Group, BTreeMap<u64, &EntryPath>> = BTreeMap::new();
    for path in files {
        let parts = path.as_str().strip_suffix(".safetensors").and_then(|text| {
            let (rest, of) = text.rsplit_once("-of-")?;
            let (stem, number) = rest.rsplit_once('-')?;
            let number_of = |digits: &str| {
                let plain = digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit());
                plain.then(|| digits.parse::<u64>().ok()).flatten()
            };
            Some((stem.to_owned(), number_of(number)?, number_of(of)?))
        });
        if let Some((stem, number, of)) = parts {
            groups.entry(Group { stem, of }).or_default().insert(number, path);
        }
    }
    groups
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn run(list: Option<&str>, files: &[(&str, &[&str])]) -> Result<Vec<OtherTotal>, String> {
        let mut paths: Vec<EntryPath> = files.iter().map(|(path, _)| path.parse().unwrap()).collect();
        let tensors = files
            .iter()
            .map(|(path, names)| {
                let names = names.iter().map(|name| (*name).to_owned()).collect();
                (path.parse().unwrap(), Tensors { names, bytes: 10 })
            })
            .collect();
        let mut lists = Vec::new();
        if let Some(list) = list {
            let path: EntryPath = "m/model.safetensors.index.json".parse().unwrap();
            paths.push(path.clone());
            lists.push((path, list.as_bytes().to_vec()));
        }
        check(&lists, &paths, &tensors).map_err(|error| error.to_string())
    }

    const ONE: &str = "m/model-00001-of-00002.safetensors";
    const TWO: &str = "m/model-00002-of-00002.safetensors";
    const LIST: &str = r#"{"metadata":{"total_size":20},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;

    #[test]
    fn whole_sets_hold() {
        assert_eq!(run(Some(LIST), &[(ONE, &["a", "x"]), (TWO, &["b"])]), Ok(vec![]));
        assert_eq!(run(None, &[(ONE, &[]), (TWO, &[])]), Ok(vec![]));
        assert_eq!(run(None, &[("m/model.safetensors", &[])]), Ok(vec![]));
        let beside = &[(ONE, &["a"][..]), (TWO, &["b"]), ("m/consolidated.safetensors", &[])];
        assert_eq!(run(Some(LIST), beside), Ok(vec![]));
    }

    #[test]
    fn a_total_that_is_wrong_is_told() {
        let told = run(Some(&LIST.replace("20", "21")), &[(ONE, &["a"]), (TWO, &["b"])]).unwrap();
        assert_eq!((told[0].stated, told[0].found), (21, 20));
    }

    #[test]
    fn broken_sets_are_named() {
        type Files<'a> = &'a [(&'a str, &'a [&'a str])];
        let climbing = LIST.replace("model-00002-of-00002", "../secret");
        let cases: [(&str, Option<&str>, Files<'_>, &str); 8] = [
            ("a missing shard", Some(LIST), &[(ONE, &["a"])], TWO),
            ("a missing shard without a list", None, &[(TWO, &["b"])], ONE),
            (
                "an extra shard",
                Some(LIST),
                &[(ONE, &["a"]), (TWO, &["b"]), ("m/model-00003-of-00003.safetensors", &[])],
                "does not name m/model-00003",
            ),
            ("a tensor elsewhere", Some(LIST), &[(ONE, &["b"]), (TWO, &["a"])], "places tensor a"),
            ("a list that is none", Some("[]"), &[(ONE, &["a"]), (TWO, &["b"])], "index.json"),
            ("a list that is cut", Some(&LIST[..40]), &[(ONE, &["a"]), (TWO, &["b"])], "index.json"),
            ("a list of nothing", Some(r#"{"weight_map":{}}"#), &[], "names no tensor"),
            ("a list that climbs", Some(&climbing), &[(ONE, &["a"]), (TWO, &["b"])], "not among"),
        ];
        for (reason, list, files, words) in cases {
            let error = run(list, files).expect_err(reason);
            assert!(error.contains(words), "{reason}: {error}");
        }
    }
}
