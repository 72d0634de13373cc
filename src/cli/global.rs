//! Options that every command takes, and what is known of them before the command line is understood.

use std::io::IsTerminal as _;

use clap::{Args, ColorChoice, ValueEnum};

use super::exit::Exit;
use super::failure::Failure;
use super::ui;

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Answer with one JSON document on stdout: the command's report, or {"error": …}.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Say only what went wrong.
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Say more: every blob as it is done.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(super) verbose: bool,
    #[arg(help = "Colour: auto (on a terminal, unless NO_COLOR is set), always, never")]
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    #[arg(hide_default_value = true)]
    pub(super) color: Colour,
    /// Progress on stderr: auto (bars on a terminal, else plain lines), plain, json (an event a line), none.
    #[arg(long, global = true, value_name = "HOW", default_value = "auto", hide_possible_values = true)]
    #[arg(hide_default_value = true)]
    pub(super) progress: Progress,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Progress {
    /// Bars on a terminal, else plain lines.
    Auto,
    /// Lines, a few a minute.
    Plain,
    /// One JSON event a line.
    Json,
    /// Not at all.
    None,
}

impl Colour {
    /// Whether a stream gets colour.
    pub(super) fn wanted(self, terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

/// What is known of a command line that may not be understood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Early {
    json: bool,
    colour: Colour,
}

impl Early {
    /// Looks through the arguments for the two options that matter when the others are wrong.
    pub(super) fn read() -> Self {
        let mut early = Self { json: false, colour: Colour::Auto };
        let mut arguments = std::env::args_os().skip(1).take_while(|argument| argument != "--");
        while let Some(argument) = arguments.next() {
            let argument = argument.to_string_lossy().into_owned();
            let value = match argument.split_once('=') {
                Some(("--color", value)) => Some(value.to_owned()),
                None if argument == "--color" => arguments.next().map(|v| v.to_string_lossy().into_owned()),
                _ => None,
            };
            early.json |= argument == "--json";
            if let Some(colour) = value.and_then(|value| Colour::from_str(&value, false).ok()) {
                early.colour = colour;
            }
        }
        early
    }

    /// For clap's own texts.
    pub(super) fn clap_colour(self) -> ColorChoice {
        match self.colour {
            Colour::Auto => ColorChoice::Auto,
            Colour::Always => ColorChoice::Always,
            Colour::Never => ColorChoice::Never,
        }
    }

    /// Tells help, the version, or what is wrong with the arguments, in clap's words.
    pub(super) fn usage(self, error: &clap::Error) -> Exit {
        let styled = error.render();
        if !error.use_stderr() {
            let colour = self.colour.wanted(std::io::stdout().is_terminal());
            let text = if colour { styled.ansi().to_string() } else { styled.to_string() };
            return ui::tell_help(&text);
        }
        let colour = self.colour.wanted(std::io::stderr().is_terminal());
        ui::tell_stderr(&if colour { styled.ansi().to_string() } else { styled.to_string() });
        if self.json {
            let text = styled.to_string();
            let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            let hint = "bundle --help lists the commands and their options";
            ui::tell_failure_as_json(&Failure::usage("arguments", message).hint(hint));
        }
        Exit::Usage
    }
}
