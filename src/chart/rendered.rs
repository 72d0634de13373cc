//! What a chart rendered: its objects, one by one, and a chart that renders to exactly them again.
//!
//! Helm 3 shows hooks to no post-renderer, and Helm 4 takes only plugins as post-renderers. So what is installed is neither the vendor's
//! chart nor a post-rendered one, but [`freeze`]: the manifests as they were rendered, checked and relocated, in a chart of the same name and
//! version whose templates have nothing left to decide. Both Helms then handle hooks, custom resource definitions and roll-backs as ever.

use std::collections::BTreeMap;

use serde::Serialize;

use super::metadata::Metadata;
use super::pack::pack;
use crate::path::{EntryPath, PathError};
use crate::release::yaml::tree::{self, Node, TreeError};

/// One object of a stream of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object<'a> {
    /// `apps/v1`; empty where it says none.
    pub api: String,
    /// `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace, where it says one.
    pub namespace: Option<String>,
    /// When Helm runs it, if it is a hook: `pre-install,pre-upgrade`.
    pub hook: Option<String>,
    /// The template it comes from, where the text says so.
    pub source: Option<String>,
    /// Its text.
    pub text: &'a str,
}

impl Object<'_> {
    /// Whether it is a definition that is created before all else and never changed: one of the folder `crds/` of a chart, or of a chart in it.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.kind == "CustomResourceDefinition" && self.source.as_deref().is_some_and(is_of_crds)
    }

    /// `deployment.apps`, as kubectl takes it.
    #[must_use]
    pub fn resource(&self) -> String {
        let kind = self.kind.to_lowercase();
        match self.api.rsplit_once('/') {
            Some((group, _)) => format!("{kind}.{group}"),
            None => kind,
        }
    }
}

/// Whether `source` (`x/charts/y/crds/a.yaml`) lies in a folder `crds/`: a chart that is called so is none.
fn is_of_crds(source: &str) -> bool {
    let mut steps = source.split('/').skip(1);
    loop {
        match steps.next() {
            Some("crds") => return true,
            Some("charts") => drop(steps.next()),
            _ => return false,
        }
    }
}

/// The template that a document comes from, where Helm says so in its first line of comments.
#[must_use]
pub fn source(document: &str) -> Option<&str> {
    let mut comments = document.lines().take_while(|line| line.trim().is_empty() || line.starts_with('#'));
    comments.find_map(|line| line.strip_prefix("# Source: ")).map(str::trim)
}

/// The objects of `text`, in its order; documents without a kind and a name are none.
///
/// # Errors
/// Where it is not YAML.
pub fn objects(text: &str) -> Result<Vec<Object<'_>>, TreeError> {
    let documents = tree::documents(text)?;
    let ends = documents.iter().skip(1).map(|next| next.start).chain([text.len()]);
    let mut all = Vec::new();
    let mut file = None;
    for (document, end) in documents.iter().zip(ends) {
        let text = text.get(document.start..end).unwrap_or_default();
        // Helm says it once for each file of definitions, however many documents that has and whatever it begins with.
        file = source(text).or(file);
        let Some(root) = &document.root else { continue };
        let text = text.strip_suffix("---").unwrap_or(text).trim_matches('\n');
        let at = |keys: &[&str]| {
            let node = keys.iter().try_fold(root, |node: &Node<'_>, key| node.get(key))?;
            node.text().filter(|text| !text.is_empty()).map(ToOwned::to_owned)
        };
        let (Some(kind), Some(name)) = (at(&["kind"]), at(&["metadata", "name"])) else { continue };
        all.push(Object {
            api: at(&["apiVersion"]).unwrap_or_default(),
            kind,
            name,
            namespace: at(&["metadata", "namespace"]),
            hook: at(&["metadata", "annotations", "helm.sh/hook"]),
            source: file.map(ToOwned::to_owned),
            text,
        });
    }
    Ok(all)
}

/// The addresses under which the ingresses of `text` are reached: `https://` where they have a certificate for the host.
#[must_use]
pub fn addresses(text: &str) -> Vec<String> {
    let Ok(documents) = tree::documents(text) else { return Vec::new() };
    fn list<'n, 'a>(node: Option<&'n Node<'a>>) -> &'n [Node<'a>] {
        match node {
            Some(Node::List(items)) => items,
            _ => &[],
        }
    }
    let mut all = Vec::new();
    for root in documents.iter().filter_map(|document| document.root.as_ref()) {
        if root.get("kind").and_then(Node::text) != Some("Ingress") {
            continue;
        }
        let Some(spec) = root.get("spec") else { continue };
        let secured: Vec<String> = list(spec.get("tls"))
            .iter()
            .flat_map(|tls| list(tls.get("hosts")))
            .filter_map(|host| host.text().map(ToOwned::to_owned))
            .collect();
        for host in
            list(spec.get("rules")).iter().filter_map(|rule| rule.get("host")?.text().map(ToOwned::to_owned))
        {
            let scheme = if secured.contains(&host) { "https" } else { "http" };
            let address = format!("{scheme}://{host}");
            if !all.contains(&address) {
                all.push(address);
            }
        }
    }
    all
}

/// A chart of `metadata`'s name and version that renders to `objects`: the archive. What [`Object::is_first`] is left out: Helm
/// would keep it with every revision, in a secret that holds 1 MiB; and the templates are those of a chart inside, because of a chart Helm
/// keeps everything but the charts inside.
///
/// # Errors
/// Where a chart's name is none of a file.
pub fn freeze(objects: &[Object<'_>], metadata: &Metadata) -> Result<Vec<u8>, PathError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Chart<'a> {
        api_version: &'a str,
        name: &'a str,
        version: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        app_version: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        description: &'a str,
        r#type: &'a str,
    }
    let name = metadata.name.as_str();
    let chart = Chart {
        api_version: "v2",
        name,
        version: metadata.version.as_str(),
        app_version: metadata.app_version.as_str(),
        description: metadata.description.as_str(),
        r#type: "application",
    };
    // JSON is YAML; a struct of texts can always be written.
    let chart = serde_json::to_vec_pretty(&chart).unwrap_or_default();
    let mut files: BTreeMap<EntryPath, Vec<u8>> = BTreeMap::new();
    files.insert("Chart.yaml".parse()?, chart);
    files.insert(format!("{INSIDE}/Chart.yaml").parse()?, INSIDE_CHART.as_bytes().to_vec());
    for (number, object) in objects.iter().enumerate() {
        if object.is_first() {
            continue;
        }
        let kind: String = object.kind.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let path = format!("{INSIDE}/templates/{number:04}-{kind}.yaml").parse()?;
        files.insert(path, format!("{}\n", literal(object.text)).into_bytes());
    }
    let files: Vec<(EntryPath, Vec<u8>)> = files.into_iter().collect();
    pack(name, &files)
}

/// Where the chart inside a frozen one lies.
const INSIDE: &str = "charts/rendered";
const INSIDE_CHART: &str = "{\"apiVersion\": \"v2\", \"name\": \"rendered\", \"version\": \"0.0.0\"}\n";

/// A template that renders to `text`: only what opens an action has a meaning there.
fn literal(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

/// Why a chart cannot be made of manifests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FreezeError {
    /// They are not YAML.
    #[error(transparent)]
    Yaml(#[from] TreeError),
    /// The chart's name is none of a folder.
    #[error(transparent)]
    Path(#[from] PathError),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::chart::archive;

    const RENDERED: &str = "---\n# Source: x/crds/a.yaml\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: as.x\n---\n# Source: x/templates/job.yaml\napiVersion: batch/v1\nkind: Job\nmetadata:\n  name: before\n  namespace: other\n  annotations:\n    \"helm.sh/hook\": pre-install\n---\n# Source: x/templates/nothing.yaml\n---\n# Source: x/templates/c.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  text: |\n    {{ kept }} {{{`as it is`}}}\n    --- not a document\n";

    #[test]
    fn objects_are_found_with_what_helm_makes_of_them() {
        let all = objects(RENDERED).unwrap();
        let seen: Vec<(&str, &str, Option<&str>, bool)> =
            all.iter().map(|o| (o.kind.as_str(), o.name.as_str(), o.hook.as_deref(), o.is_first())).collect();
        assert_eq!(
            seen,
            [
                ("CustomResourceDefinition", "as.x", None, true),
                ("Job", "before", Some("pre-install"), false),
                ("ConfigMap", "c", None, false),
            ]
        );
        assert_eq!(all[1].resource(), "job.batch");
        assert_eq!((all[2].resource().as_str(), all[1].namespace.as_deref()), ("configmap", Some("other")));
        assert!(all[2].text.ends_with("--- not a document"), "{}", all[2].text);
    }

    #[test]
    fn definitions_are_known_by_their_file_whatever_it_begins_with_and_however_many_it_holds() {
        let definition = |name| {
            format!(
                "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: {name}\n"
            )
        };
        let text = format!(
            "---\n# Source: x/charts/y/crds/a.yaml\n# made by a tool\n---\n{}---\n{}---\n# Source: x/templates/c.yaml\n{}---\n# Source: x/charts/crds/templates/d.yaml\n{}",
            definition("as.x"),
            definition("bs.x"),
            definition("cs.x"),
            definition("ds.x")
        );
        let all = objects(&text).unwrap();
        let seen: Vec<_> = all.iter().map(|one| (one.name.as_str(), one.is_first())).collect();
        assert_eq!(seen, [("as.x", true), ("bs.x", true), ("cs.x", false), ("ds.x", false)]);
    }

    #[test]
    fn what_is_frozen_has_no_definitions_and_means_nothing_to_the_template_engine() {
        let metadata = Metadata::parse(b"apiVersion: v2\nname: x\nversion: 1.0.0\n", "Chart.yaml").unwrap();
        let objects = objects(RENDERED).unwrap();
        let packed = freeze(&objects, &metadata).unwrap();
        assert_eq!(packed, freeze(&objects, &metadata).unwrap(), "the same each time");
        let mut files = Vec::new();
        archive::read_with(&packed, &mut |path, bytes| {
            files.push((path.to_string(), String::from_utf8(bytes.to_vec()).unwrap()));
            Ok(())
        })
        .unwrap();
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert!(!names.iter().any(|name| name.contains("customresourcedefinition")), "{names:?}");
        let map = &files.iter().find(|(name, _)| name.ends_with("0002-configmap.yaml")).unwrap().1;
        assert!(map.contains("{{ \"{{\" }} kept }} {{ \"{{\" }}{`as it is`}}}"), "{map}");
    }
}
