//! Decisions: facts in, plain data out. No disk, no network, no clock, no environment.

pub mod catalog;
pub mod changes;
pub mod copy;
pub mod diff;
pub mod drift;
pub mod export;
pub mod installed;
pub mod load;
pub mod mapping;
pub mod payload;
pub mod placing;
pub mod preflight;
pub mod prelude;
pub mod redact;
pub mod repair;
pub mod rights;
pub mod upgrade;
pub mod waiting;
