//! What the files of a bundle are called (`docs/format.md`, Folder).

/// The signed list of all files.
pub const SUMS: &str = "SHA256SUMS";
/// The index.
pub const INDEX: &str = "bundle.json";
/// The folder of grants.
pub const GRANTS: &str = "grants";
/// The folder of licences.
pub const LICENSES: &str = "licenses";

/// The grant called `name`, which is a grant's.
#[must_use]
pub fn grant(name: impl std::fmt::Display) -> String {
    format!("{GRANTS}/{name}.age")
}

/// The licence called `name`, which is a licence's.
#[must_use]
pub fn license(name: impl std::fmt::Display) -> String {
    format!("{LICENSES}/{name}.lic")
}
