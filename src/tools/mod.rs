//! Programs of others, run with nothing of the machine's environment but what is given.
//!
//! The only place that starts a process. A program's words are passed on as facts; what they mean is for whoever asked.

pub mod helm;
mod process;

pub use process::{Ended, ProcessError, Run};
