//! What can be typed: the flags of all verbs, and the list of verbs. Help, completions, man pages and `docs/cli.md`
//! come from here.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{
    apply, cc, check, cl, completions, diff, inspect, ld, link, man, pcp, prepare, revert, status, verify,
};

/// Makes, checks, applies and takes back patches for native programs.
#[derive(Debug, Parser)]
#[command(
    name = "patchwright",
    version,
    max_term_width = 100,
    long_about = "Makes, checks, applies and takes back patches for native programs.\n\n\
        A patch leads from one or more old versions of a file or folder to the new version. Parts of the old file may \
        hold anything (ignored ranges) or stay as the user has them (retained ranges).\n\n\
        Numbers are decimal, or hexadecimal after 0x.",
    after_long_help = crate::commands::after_help(
        &[
            ("Make a patch, look at it, apply it, take it back", "patchwright diff app-1.0 app-1.1 -o fix.pwp"),
            ("", "patchwright inspect fix.pwp"),
            ("", "patchwright apply fix.pwp /opt/app/app"),
            ("", "patchwright revert fix.pwp /opt/app/app"),
        ],
        &[
            (0, "done, or yes"),
            (1, "the answer is no"),
            (3, "an input is malformed or unsupported"),
            (4, "wrong input: the patch does not belong to this target"),
            (5, "reading or writing failed"),
            (6, "the target is busy, try again"),
            (7, "refused: signature, key or policy"),
        ],
    ),
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every verb takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Print one JSON object instead of text
    ///
    /// The report of the verb or, when it fails, an object of schema `patchwright.error/1`; both on standard output.
    /// The exit code is the same as without it.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Colour the output: auto, always or never; auto means on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto, hide_possible_values = true)]
    pub(crate) color: Color,
    /// Show no progress and no notes; warnings and errors stay
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Makes it the rule for both streams, clap's help included.
    pub(crate) fn set(self) {
        let choice = match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Diff(diff::Args),
    Apply(apply::Args),
    Revert(revert::Args),
    Status(status::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Check(check::Args),
    Cc(cc::Args),
    Cl(cl::Args),
    Link(link::Args),
    Prepare(prepare::Args),
    Ld(ld::Args),
    Pcp(pcp::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// The flags that matter before, and even without, a successful parse.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Early {
    pub(crate) json: bool,
    pub(crate) color: Color,
}

impl Early {
    /// Looks for them the simple way; what is wrong with them is clap's to say.
    pub(crate) fn read(typed: &[OsString]) -> Self {
        let mut early = Self { json: false, color: Color::Auto };
        let mut words = typed.iter().skip(1).map(|word| word.to_str().unwrap_or_default());
        while let Some(word) = words.next() {
            match word {
                "--" => break,
                "--json" => early.json = true,
                "--color" => early.color(words.next().unwrap_or_default()),
                _ => early.color(word.strip_prefix("--color=").unwrap_or_default()),
            }
        }
        early
    }

    fn color(&mut self, word: &str) {
        if let Ok(color) = Color::from_str(word, false) {
            self.color = color;
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn early_flags_are_found_anywhere_before_a_double_dash() {
        for (typed, json, color) in [
            ("", false, Color::Auto),
            ("inspect x --json", true, Color::Auto),
            ("--color never inspect", false, Color::Never),
            ("inspect --color=always --json", true, Color::Always),
            ("--color purple --json", true, Color::Auto),
            ("inspect -- --json --color=never", false, Color::Auto),
            ("--color", false, Color::Auto),
        ] {
            let typed: Vec<_> =
                std::iter::once("patchwright").chain(typed.split_whitespace()).map(OsString::from).collect();
            assert_eq!(Early::read(&typed), Early { json, color }, "{typed:?}");
        }
    }
}
