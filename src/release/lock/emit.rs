//! The lock as text: one line for each blob, so that a reviewer sees in a diff what changed.
//!
//! Written by hand for exactly this shape; the same lock always gives the same bytes.

use std::fmt::{self, Write};

use super::install::{write_install, write_upgrade};
use super::{
    FoundImage, Lock, LockedBlob, LockedChart, LockedFile, LockedImage, LockedLicense, LockedManifest,
    LockedModel, LockedReferrer, LockedSbom, LockedTool, ModelFile, Seal,
};
use crate::digest::Digest;

const HEADER: &str = "# Written by `bundle lock`. Commit it; do not edit.\n";

impl Lock {
    /// The text of `release.lock`.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let Self { format, release, name, version, vendor, seal, volume_size, .. } = self;
        let Self { images, charts, models, files, tools, license, upgrade, install, .. } = self;
        let seal = match seal {
            Seal::Age => "age",
            Seal::None => "none",
        };
        out.push_str(HEADER);
        writeln!(out, "format: {format}\nrelease: {release}\nname: {}", Text(name))?;
        writeln!(out, "version: {}\nvendor: {}", Text(&version.to_string()), Text(vendor))?;
        writeln!(out, "seal: {seal}\nvolume-size: {}", volume_size.0)?;
        if images.is_empty() {
            out.push_str("images: []\n");
        }
        section(out, "images", images, write_image)?;
        section(out, "charts", charts, write_chart)?;
        section(out, "models", models, write_model)?;
        section(out, "files", files, write_file)?;
        section(out, "tools", tools, write_tool)?;
        license.as_ref().map_or(Ok(()), |license| write_license(out, license))?;
        upgrade.as_ref().map_or(Ok(()), |upgrade| write_upgrade(out, upgrade))?;
        install.as_ref().map_or(Ok(()), |install| write_install(out, install))
    }
}

/// A list at the top level; nothing when it is empty.
fn section<T>(
    out: &mut String,
    key: &str,
    items: &[T],
    write: impl Fn(&mut String, &T) -> fmt::Result,
) -> fmt::Result {
    if !items.is_empty() {
        writeln!(out, "{key}:")?;
    }
    items.iter().try_for_each(|item| write(out, item))
}

fn write_image(out: &mut String, image: &LockedImage) -> fmt::Result {
    let LockedImage { reference, from, original, platforms, .. } = image;
    let LockedImage { manifests, sboms, referrers, left_behind, cosign_key, .. } = image;
    writeln!(out, "  - reference: {}", Text(&reference.to_string()))?;
    if let Some(from) = from {
        writeln!(out, "    from: {}", Text(from))?;
    }
    if let Some(original) = original {
        writeln!(out, "    original: {original}")?;
    }
    write_text(out, "    cosign-key", cosign_key.as_deref())?;
    let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
    writeln!(out, "    platforms: [{}]", Texts(&platforms))?;
    write_manifests(out, "    ", manifests)?;
    write_sboms(out, "    ", sboms)?;
    if !referrers.is_empty() {
        out.push_str("    referrers:\n");
    }
    referrers.iter().try_for_each(|referrer| write_referrer(out, referrer))?;
    if !left_behind.is_empty() {
        out.push_str("    left-behind:\n");
    }
    left_behind.iter().try_for_each(|digest| writeln!(out, "      - {digest}"))
}

fn write_referrer(out: &mut String, referrer: &LockedReferrer) -> fmt::Result {
    let LockedReferrer { subject, tag, artifact_type, manifests, sboms } = referrer;
    writeln!(out, "      - subject: {subject}")?;
    write_text(out, "        tag", tag.as_deref())?;
    write_text(out, "        artifact-type", artifact_type.as_deref())?;
    write_manifests(out, "        ", manifests)?;
    write_sboms(out, "        ", sboms)
}

fn write_sboms(out: &mut String, indent: &str, sboms: &[LockedSbom]) -> fmt::Result {
    if !sboms.is_empty() {
        writeln!(out, "{indent}sboms:")?;
    }
    sboms.iter().try_for_each(|LockedSbom { digest, kind }| {
        writeln!(out, "{indent}  - {{digest: {digest}, kind: {}}}", kind.as_str())
    })
}

fn write_chart(out: &mut String, chart: &LockedChart) -> fmt::Result {
    let LockedChart { name, version, from, release, namespace, manifests, rendered, images } = chart;
    writeln!(out, "  - name: {}\n    version: {}\n    from: {}", Text(name), Text(version), Text(from))?;
    write_text(out, "    release", release.as_deref())?;
    write_text(out, "    namespace", namespace.as_deref())?;
    write_manifests(out, "    ", manifests)?;
    if let Some(rendered) = rendered {
        writeln!(out, "    rendered: {rendered}")?;
    }
    if !images.is_empty() {
        out.push_str("    images:\n");
    }
    images.iter().try_for_each(|FoundImage { reference, found_in }| {
        let reference = reference.to_string();
        writeln!(out, "      - {{reference: {}, found-in: [{}]}}", Text(&reference), Texts(found_in))
    })
}

fn write_model(out: &mut String, model: &LockedModel) -> fmt::Result {
    let LockedModel { name, version, from, notice, manifests, files } = model;
    writeln!(out, "  - name: {}\n    version: {}", Text(name), Text(&version.to_string()))?;
    writeln!(out, "    from: {}", Text(from))?;
    write_text(out, "    notice", notice.as_ref().map(crate::path::EntryPath::as_str))?;
    write_manifests(out, "    ", manifests)?;
    if files.is_empty() {
        return out.write_str("    files: []\n");
    }
    out.push_str("    files:\n");
    files.iter().try_for_each(|ModelFile { path, size, sha256, layers }| {
        let layers: Vec<String> = layers.iter().map(Digest::to_string).collect();
        let (path, sha256, layers) = (Text(path.as_str()), sha256.hex(), layers.join(", "));
        writeln!(out, "      - {{path: {path}, size: {size}, sha256: \"{sha256}\", layers: [{layers}]}}")
    })
}

fn write_file(out: &mut String, file: &LockedFile) -> fmt::Result {
    let LockedFile { path, size, sha256, from } = file;
    let (path, from) = (Text(path.as_str()), Text(from));
    writeln!(out, "  - {{path: {path}, size: {size}, sha256: \"{}\", from: {from}}}", sha256.hex())
}

fn write_tool(out: &mut String, tool: &LockedTool) -> fmt::Result {
    let LockedTool { name, platform, path, size, sha256, from } = tool;
    writeln!(out, "  - name: {}\n    platform: {}", Text(name), Text(&platform.to_string()))?;
    writeln!(out, "    path: {}\n    size: {size}", Text(path.as_str()))?;
    writeln!(out, "    sha256: \"{}\"\n    from: {}", sha256.hex(), Text(from))
}

fn write_license(out: &mut String, license: &LockedLicense) -> fmt::Result {
    let LockedLicense { required, public_key, features, grace_days, warn_days } = license;
    writeln!(out, "license:\n  required: {required}\n  public-key: {}", Quoted(&public_key.to_pem()))?;
    if !features.is_empty() {
        writeln!(out, "  features: [{}]", Texts(features))?;
    }
    writeln!(out, "  grace-days: {grace_days}\n  warn-days: {warn_days}")
}

/// `key` and its value, when there is one.
pub(super) fn write_text(out: &mut String, key: &str, value: Option<&str>) -> fmt::Result {
    value.map_or(Ok(()), |value| writeln!(out, "{key}: {}", Text(value)))
}

/// The key `manifests` of an entry whose keys stand behind `indent`.
fn write_manifests(out: &mut String, indent: &str, manifests: &[LockedManifest]) -> fmt::Result {
    if manifests.is_empty() {
        return writeln!(out, "{indent}manifests: []");
    }
    writeln!(out, "{indent}manifests:")?;
    manifests.iter().try_for_each(|manifest| write_manifest(out, indent, manifest))
}

fn write_manifest(out: &mut String, indent: &str, manifest: &LockedManifest) -> fmt::Result {
    let LockedManifest { digest, size, media_type, platform, inline, config, layers, children } = manifest;
    writeln!(out, "{indent}  - digest: {digest}\n{indent}    size: {size}")?;
    writeln!(out, "{indent}    media-type: {}", Text(media_type))?;
    if let Some(platform) = platform {
        writeln!(out, "{indent}    platform: {}", Text(&platform.to_string()))?;
    }
    if let Some(inline) = inline {
        writeln!(out, "{indent}    inline: {}", Quoted(inline))?;
    }
    if let Some(config) = config {
        writeln!(out, "{indent}    config: {}", Flow(config))?;
    }
    if !layers.is_empty() {
        writeln!(out, "{indent}    layers:")?;
        layers.iter().try_for_each(|layer| writeln!(out, "{indent}      - {}", Flow(layer)))?;
    }
    if !children.is_empty() {
        writeln!(out, "{indent}    children:")?;
        children.iter().try_for_each(|child| writeln!(out, "{indent}      - {child}"))?;
    }
    Ok(())
}

struct Flow<'a>(&'a LockedBlob);

impl fmt::Display for Flow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LockedBlob { digest, size, media_type } = self.0;
        write!(f, "{{digest: {digest}, size: {size}, media-type: {}}}", Text(media_type))
    }
}

/// Scalars between the brackets of a flow list.
struct Texts<'a>(&'a [String]);

impl fmt::Display for Texts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(place, text)| {
            f.write_str(if place == 0 { "" } else { ", " })?;
            Text(text).fmt(f)
        })
    }
}

/// A scalar: plain where every YAML reader takes it for text, else quoted.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.0.starts_with(|c: char| c.is_ascii_alphabetic())
            && self.0.bytes().all(|b| b.is_ascii_alphanumeric() || b"./+_-:@".contains(&b))
            && !self.0.ends_with(':')
            && !RESERVED.contains(&self.0.to_ascii_lowercase().as_str());
        if plain { f.write_str(self.0) } else { Quoted(self.0).fmt(f) }
    }
}

/// Words that YAML 1.1 or 1.2 readers take for something else than text.
const RESERVED: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

/// A double-quoted scalar (YAML 1.2, 7.3.1), on one line, everything that does not print escaped (5.7).
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\r' => f.write_str("\\r")?,
                ' '..='~' => f.write_char(c)?,
                c if c.is_alphanumeric() => f.write_char(c)?,
                c if u32::from(c) <= 0xffff => write!(f, "\\u{:04X}", u32::from(c))?,
                c => write!(f, "\\U{:08X}", u32::from(c))?,
            }
        }
        f.write_char('"')
    }
}
