//! The lock as text: one line for each blob, so that a reviewer sees in a diff what changed.
//!
//! Written by hand for exactly this shape; the same lock always gives the same bytes.

use std::fmt::{self, Write};

use super::{Lock, LockedBlob, LockedImage, LockedManifest, Seal};

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
        let Self { format, release, name, version, vendor, seal, volume_size, images } = self;
        let seal = match seal {
            Seal::Age => "age",
            Seal::None => "none",
        };
        out.push_str(HEADER);
        writeln!(out, "format: {format}\nrelease: {release}\nname: {}", Text(name))?;
        writeln!(out, "version: {}\nvendor: {}", Text(&version.to_string()), Text(vendor))?;
        writeln!(out, "seal: {seal}\nvolume-size: {}", volume_size.0)?;
        if images.is_empty() {
            return out.write_str("images: []\n");
        }
        out.push_str("images:\n");
        images.iter().try_for_each(|image| write_image(out, image))
    }
}

fn write_image(out: &mut String, image: &LockedImage) -> fmt::Result {
    let LockedImage { reference, from, original, platforms, manifests } = image;
    writeln!(out, "  - reference: {}", Text(&reference.to_string()))?;
    if let Some(from) = from {
        writeln!(out, "    from: {}", Text(from))?;
    }
    if let Some(original) = original {
        writeln!(out, "    original: {original}")?;
    }
    let platforms: Vec<String> = platforms.iter().map(|p| Text(&p.to_string()).to_string()).collect();
    writeln!(out, "    platforms: [{}]", platforms.join(", "))?;
    if manifests.is_empty() {
        return out.write_str("    manifests: []\n");
    }
    out.push_str("    manifests:\n");
    manifests.iter().try_for_each(|manifest| write_manifest(out, manifest))
}

fn write_manifest(out: &mut String, manifest: &LockedManifest) -> fmt::Result {
    let LockedManifest { digest, size, media_type, platform, inline, config, layers, children } = manifest;
    writeln!(out, "      - digest: {digest}\n        size: {size}")?;
    writeln!(out, "        media-type: {}", Text(media_type))?;
    if let Some(platform) = platform {
        writeln!(out, "        platform: {}", Text(&platform.to_string()))?;
    }
    if let Some(inline) = inline {
        writeln!(out, "        inline: {}", Quoted(inline))?;
    }
    if let Some(config) = config {
        writeln!(out, "        config: {}", Flow(config))?;
    }
    if !layers.is_empty() {
        out.push_str("        layers:\n");
        layers.iter().try_for_each(|layer| writeln!(out, "          - {}", Flow(layer)))?;
    }
    if !children.is_empty() {
        out.push_str("        children:\n");
        children.iter().try_for_each(|child| writeln!(out, "          - {child}"))?;
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

/// A scalar: plain where every YAML reader takes it for text, else quoted.
struct Text<'a>(&'a str);

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
struct Quoted<'a>(&'a str);

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
