//! The program `bundle`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bundle::cli::run()
}
