//! The texts for the operator, rendered for this very bundle: its names, digests, sizes and key ids, and the exact commands.
//!
//! A file of the release at the path of one of them takes its place: a vendor's own guide goes before ours.

use serde::Serialize;

use super::{Error, Plan, Request};
use crate::bundle::names::TEXTS;
use crate::bundle::plain;
use crate::checked::ByteSize;
use crate::limits;
use crate::oci::reference::ReferenceError;
use crate::oci::{LocalName, media};
use crate::release::Release;
use crate::release::lock::{Graph, LockedTool, Of};
use crate::release::sections::{Gpu, Requires};
use crate::release::template::{Style, Template};
use crate::sys::fs;

/// Templates of [`TEXTS`], in their order.
const TEMPLATES: [&str; TEXTS.len()] = [
    include_str!("../../../templates/README.md.j2"),
    include_str!("../../../templates/INSTALLATION_GUIDE.md.j2"),
    include_str!("../../../templates/docs/AIRGAPPED.md.j2"),
    include_str!("../../../templates/docs/ARCHITECTURE.md.j2"),
    include_str!("../../../templates/docs/OPERATIONS.md.j2"),
    include_str!("../../../templates/docs/TROUBLESHOOTING.md.j2"),
    include_str!("../../../templates/scripts/check-prerequisites.sh.j2"),
    include_str!("../../../templates/scripts/load-images.sh.j2"),
];

/// What the templates may use.
#[derive(Serialize)]
struct About {
    name: String,
    version: String,
    vendor: String,
    sealed: bool,
    /// Whether it runs with a licence alone.
    licensed: bool,
    /// The version that it is an upgrade of.
    base: Option<String>,
    relied_on: String,
    volumes: usize,
    first_volume: String,
    size: String,
    payload_kib: u64,
    /// Everything with a manifest of its own, in the order of the payload.
    roots: Vec<Root>,
    images: Vec<Root>,
    /// Referrers, charts and models.
    others: Vec<Root>,
    charts: Vec<Root>,
    models: Vec<Root>,
    tools: Vec<Program>,
    /// The vendor's own files.
    files: Vec<String>,
    /// Those of them that are documents.
    documents: Vec<String>,
    /// Those of them that are scripts.
    scripts: Vec<String>,
    signers: Vec<String>,
    /// The first chart's.
    namespace: Option<String>,
    requires: Needs,
}

/// An image, referrer, chart or model.
#[derive(Clone, Serialize)]
struct Root {
    name: String,
    /// Below the customer's registry.
    path: String,
    tag: Option<String>,
    platforms: String,
    digest: String,
    hex: String,
    /// What follows the path: `:TAG`, or `@DIGEST` for an image that has no tag.
    at: String,
    /// Whether `skopeo` does not find it in a layout: its manifest is Docker's, it has no tag, or a name that is none there.
    plain: bool,
    /// A chart's, as Helm writes it; a model's.
    version: String,
    /// A chart's Helm release.
    release: Option<String>,
    /// A chart's namespace.
    namespace: Option<String>,
    /// How many files a model has, and how much they weigh.
    files: usize,
    size: String,
    /// A model's file that must be accepted.
    notice: Option<String>,
}

#[derive(Serialize)]
struct Program {
    name: String,
    platform: String,
    path: String,
}

/// What a cluster must offer, as the script asks for it.
#[derive(Serialize)]
struct Needs {
    kubernetes: String,
    cpu: u32,
    memory_mib: u64,
    storage_class: bool,
    ingress: bool,
    gpu: &'static str,
}

/// A text of the bundle: path, bytes and mode.
type Text = (&'static str, Vec<u8>, u32);

/// Renders every text. `tools` are the programs in the folder.
pub(super) fn render(plan: &Plan, request: &Request<'_>, tools: &[LockedTool]) -> Result<Vec<Text>, Error> {
    let about = about(plan, request, tools)?;
    let ours = TEXTS
        .iter()
        .zip(TEMPLATES)
        .filter(|(path, _)| !about.files.iter().any(|file| file.eq_ignore_ascii_case(path)));
    ours.map(|(path, text)| {
        let fault = |error: &dyn std::error::Error| Error::Template { name: path, why: error.to_string() };
        let template = Template::parse(text, path, Style::Text).map_err(|error| fault(&error))?;
        let text = template.render(&about).map_err(|error| fault(&error))?;
        let mode = if plain::is_script(path) { fs::PROGRAM } else { fs::PUBLIC };
        Ok((*path, text.into_bytes(), mode))
    })
    .collect()
}

fn about(plan: &Plan, request: &Request<'_>, tools: &[LockedTool]) -> Result<About, Error> {
    let lock = &plan.lock;
    let bytes = fs::read_limited(request.file, limits::HAND_WRITTEN_BYTES)?;
    // It was read once before, when it was locked; the lock is of these very bytes.
    let release = Release::parse(&bytes, &request.file.display().to_string())
        .map_err(|error| Error::Template { name: "README.md", why: error.to_string() })?;
    let roots: Vec<(Of<'_>, Root)> = lock.graphs().map(|graph| (graph.of, root(&graph))).collect();
    let only = |wanted: fn(&Of<'_>) -> bool| -> Vec<Root> {
        roots.iter().filter(|(of, _)| wanted(of)).map(|(_, root)| root.clone()).collect()
    };
    let files: Vec<String> = lock.files.iter().map(|file| file.path.to_string()).collect();
    let of_files = |wanted: fn(&str) -> bool| -> Vec<String> {
        files.iter().filter(|file| wanted(file)).cloned().collect()
    };
    let requires = release.install.as_ref().and_then(|install| install.value.requires.clone());
    Ok(About {
        name: plan.release.name.clone(),
        version: plan.release.version.to_string(),
        vendor: plan.release.vendor.clone(),
        base: plan.payload.base.as_ref().map(|base| base.version.to_string()),
        relied_on: ByteSize(plan.payload.relied_on.iter().map(|relied| relied.size).sum()).to_string(),
        sealed: lock.seal == crate::release::lock::Seal::Age,
        licensed: lock.license.as_ref().is_some_and(|license| license.required),
        volumes: plan.shape.volumes(),
        first_volume: crate::bundle::index::volume_name(&plan.release, lock.seal, 0).to_string(),
        size: ByteSize(plan.shape.total_length()).to_string(),
        payload_kib: plan.shape.total_length().div_ceil(1024),
        images: only(|of| matches!(of, Of::Image(_))),
        others: only(|of| !matches!(of, Of::Image(_))),
        charts: only(|of| matches!(of, Of::Chart(_))),
        models: only(|of| matches!(of, Of::Model(_))),
        roots: roots.iter().map(|(_, root)| root.clone()).collect(),
        tools: tools
            .iter()
            .map(|tool| Program {
                name: tool.name.clone(),
                platform: tool.platform.to_string(),
                path: tool.path.to_string(),
            })
            .collect(),
        documents: of_files(|file| file.ends_with(".md")),
        scripts: of_files(|file| file.ends_with(".sh")),
        files,
        signers: request.sign_keys.iter().map(|key| key.public().id().to_string()).collect(),
        namespace: lock.charts.iter().find_map(|chart| chart.namespace.clone()),
        requires: needs(requires.as_ref()),
    })
}

fn needs(requires: Option<&Requires>) -> Needs {
    let minimum = requires.and_then(|requires| requires.kubernetes.as_ref()?.comparators.first());
    Needs {
        kubernetes: minimum.map_or("1.0".to_owned(), |c| format!("{}.{}", c.major, c.minor.unwrap_or(0))),
        cpu: requires.and_then(|requires| requires.cpu_per_node).unwrap_or(0),
        memory_mib: requires.and_then(|requires| requires.memory_per_node).map_or(0, |size| size.0 >> 20),
        storage_class: requires.is_some_and(|requires| requires.storage_class),
        ingress: requires.is_some_and(|requires| requires.ingress),
        gpu: match requires.map(|requires| requires.gpu) {
            None | Some(Gpu::None) => "none",
            Some(Gpu::Optional) => "optional",
            Some(Gpu::Required) => "required",
        },
    }
}

/// What the texts say of one root.
fn root(graph: &Graph<'_>) -> Root {
    let root = graph.root();
    let mut told = Root {
        name: graph.of.to_string(),
        path: String::new(),
        tag: None,
        platforms: String::new(),
        digest: root.map(|root| root.digest.to_string()).unwrap_or_default(),
        hex: root.map(|root| root.digest.hex()).unwrap_or_default(),
        at: String::new(),
        plain: root.is_some_and(|root| media::is_docker(&root.media_type)),
        version: String::new(),
        release: None,
        namespace: None,
        files: 0,
        size: String::new(),
        notice: None,
    };
    match graph.of {
        Of::Image(image) => {
            told.name = image.reference.to_string();
            image.reference.repository().path().clone_into(&mut told.path);
            told.tag = image.reference.tag().map(str::to_owned);
            told.plain |= told.tag.is_none();
            let platforms: Vec<String> = image.platforms.iter().map(ToString::to_string).collect();
            told.platforms = platforms.join(", ");
        }
        Of::Referrer(image, referrer) => {
            image.reference.repository().path().clone_into(&mut told.path);
            told.tag.clone_from(&referrer.tag);
        }
        Of::Chart(chart) => {
            place(&mut told, LocalName::chart(&chart.name, &chart.version));
            told.version.clone_from(&chart.version);
            told.release.clone_from(&chart.release);
            told.namespace.clone_from(&chart.namespace);
        }
        Of::Model(model) => {
            place(&mut told, LocalName::model(&model.name, &model.version.to_string()));
            told.version = model.version.to_string();
            told.files = model.files.len();
            told.size = ByteSize(model.files.iter().map(|file| file.size).sum()).to_string();
            told.notice = model.notice.as_ref().map(ToString::to_string);
        }
    }
    told.plain |= told.tag.is_some() && !is_name_in_layout(&told.name);
    told.at = match &told.tag {
        Some(tag) => format!(":{tag}"),
        None => format!("@{}", told.digest),
    };
    told
}

/// Whether readers of layouts take `name` for one (OCI image-spec, annotations.md, `org.opencontainers.image.ref.name`): letters and digits
/// with one separator between them. Repositories and tags may have more of them, and tags end in one.
fn is_name_in_layout(name: &str) -> bool {
    name.split('/').all(|component| {
        let component = component.replace("--", "-");
        component
            .split(['-', '.', '_', ':', '@', '+'])
            .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric()))
    })
}

fn place(told: &mut Root, name: Result<LocalName, ReferenceError>) {
    if let Ok(name) = name {
        told.name = name.to_string();
        name.path().clone_into(&mut told.path);
        told.tag = Some(name.tag().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::is_name_in_layout;

    #[test]
    fn names_that_layouts_do_not_have_are_known() {
        for name in ["docker.io/library/redis:7", "h:5000/a--b/c_d.e:v1.0-rc.1", "charts/x:1.0_2"] {
            assert!(is_name_in_layout(name), "{name}");
        }
        for name in ["docker.io/a__b/c:1", "docker.io/a/b:v1..2", "docker.io/a/b:v1-", "docker.io/a---b:_"] {
            assert!(!is_name_in_layout(name), "{name}");
        }
    }
}
