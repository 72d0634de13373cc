//! `bundle man`: the manual, one page for each command.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, CommandFactory as _};
use serde::Serialize;

use super::{Cli, Exit, Failure, Ui, Verb};
use crate::sys::fs;

/// Write the manual pages, or print one.
///
/// Without --out prints the page of COMMAND (bundle man trust init | man -l -).
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The command whose page is printed; the program itself by default.
    #[arg(conflicts_with = "out")]
    command: Vec<String>,
    /// Write every page into this folder, which exists.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    pages: Vec<PathBuf>,
}

impl Verb for Man {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let mut root = Cli::command();
        root.build();
        if let Some(out) = &self.out {
            let mut report = Report { pages: Vec::new() };
            write_all(&root, out, &mut report.pages)?;
            ui.answer(&report, |page| {
                for path in &report.pages {
                    page.line(&path.display().to_string());
                }
            });
            return Ok(Exit::Done);
        }
        let mut found = &root;
        for name in &self.command {
            found = found.find_subcommand(name).ok_or_else(|| {
                Failure::usage("no_such_command", format!("there is no command \"{name}\""))
                    .hint("bundle --help lists the commands")
            })?;
        }
        ui.text(&String::from_utf8_lossy(&render(found)?));
        Ok(Exit::Done)
    }
}

/// The pages of `command` and of all below it, but for hidden ones.
fn write_all(command: &clap::Command, folder: &Path, pages: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let path = folder.join(format!("{}.1", file_name(command)));
    fs::write(&path, &render(command)?, fs::PUBLIC)?;
    pages.push(path);
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_all(below, folder, pages)?;
    }
    Ok(())
}

fn file_name(command: &clap::Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).replace(' ', "-")
}

fn render(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(file_name(command))
        .render(&mut page)
        .map_err(|error| Failure::world("man", format!("the page cannot be made: {error}")))?;
    Ok(page)
}
