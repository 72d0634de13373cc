//! `bundle relocate`: rendered manifests in, the same with every bundled image at its place out.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::limits;
use crate::oci::Reference;
use crate::relocate::{self, Change, Spot, mapping};
use crate::sys::fs;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// What `bundle load --mapping` wrote.
    pub mapping: &'a Path,
    /// References that may stay as they are.
    pub ignored: &'a [Reference],
    /// The manifests.
    pub text: &'a [u8],
}

/// What became of the manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The new text.
    #[serde(skip)]
    pub text: String,
    /// The difference, for a person.
    #[serde(skip)]
    pub diff: String,
    /// What was changed.
    pub changes: Vec<Change>,
    /// What looks like a reference, is not known, and was left.
    pub left: Vec<Spot>,
}

/// Why nothing was relocated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The mapping cannot be read.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The mapping is none.
    #[error("{file}: {source}", file = file.display())]
    Mapping {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        source: mapping::MappingError,
    },
    /// The manifests are larger than any chart's.
    #[error("the manifests have more than {} bytes", limits::RENDERED_BYTES)]
    TooLarge,
    /// The manifests are not text.
    #[error("the manifests are not UTF-8 text from byte {at} on")]
    Text {
        /// Offset of the first byte that is not.
        at: usize,
    },
    /// They cannot be relocated.
    #[error(transparent)]
    Relocate(#[from] relocate::Error),
}

/// Relocates manifests.
///
/// # Errors
/// [`Error`]; nothing comes out then.
pub fn relocate(request: &Request<'_>) -> Result<Report, Error> {
    let bytes = fs::read_limited(request.mapping, limits::MAPPING_BYTES)?;
    let went = mapping::parse(&bytes)
        .map_err(|source| Error::Mapping { file: request.mapping.to_owned(), source })?;
    if request.text.len() as u64 > limits::RENDERED_BYTES {
        return Err(Error::TooLarge);
    }
    let text = std::str::from_utf8(request.text).map_err(|error| Error::Text { at: error.valid_up_to() })?;
    let known = mapping::known(went, request.ignored.to_vec());
    let relocated = relocate::relocate(text, &known)?;
    let diff = relocate::unified(text, &relocated.text, "manifests");
    Ok(Report { diff, text: relocated.text, changes: relocated.changes, left: relocated.left })
}

/// Why no plugin was written.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The program does not know where it is.
    #[error("this program cannot tell where it lies: {0}")]
    Program(std::io::Error),
    /// The folder cannot be made.
    #[error("{folder}: {source}", folder = folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The plugin cannot be written.
    #[error(transparent)]
    File(#[from] fs::Error),
}

/// Writes a plugin for Helm 4 into `folder`, which runs this program on `mapping`; gives the plugin's name.
///
/// Helm 4 takes only plugins as post-renderers: helm.sh/helm/v4, pkg/postrenderer.
///
/// # Errors
/// [`PluginError`].
pub fn plugin(folder: &Path, mapping: &Path, ignored: &[Reference]) -> Result<&'static str, PluginError> {
    const NAME: &str = "bundle-relocate";
    let program = std::env::current_exe().map_err(PluginError::Program)?;
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|source| PluginError::Folder { folder: path.to_owned(), source })
    };
    // JSON strings are YAML, whatever a path has in it.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut arguments =
        vec!["relocate".to_owned(), "--mapping".to_owned(), absolute(mapping)?.display().to_string()];
    arguments.extend(ignored.iter().flat_map(|reference| ["--ignore".to_owned(), reference.to_string()]));
    let arguments: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
    let text = format!(
        "apiVersion: v1\ntype: postrenderer/v1\nname: {NAME}\nversion: {}\nruntime: subprocess\nruntimeConfig:\n  platformCommand:\n    \
         - command: {}\n      args: [{}]\n",
        env!("CARGO_PKG_VERSION"),
        quoted(&program.display().to_string()),
        arguments.join(", ")
    );
    std::fs::create_dir_all(folder)
        .map_err(|source| PluginError::Folder { folder: folder.to_owned(), source })?;
    fs::write(&folder.join("plugin.yaml"), text.as_bytes(), fs::PUBLIC)?;
    Ok(NAME)
}
