//! The bundle on disk, format 1, as codecs over bytes. Knows no path, clock or terminal.

pub mod grant;
pub mod sums;
