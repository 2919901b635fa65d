//! The command line of Patchwright: argv becomes a verb of the library, its report becomes text or JSON.
//!
//! The path of a call, file by file:
//!
//! - `cli.rs` and `commands/*.rs`: what was typed, as clap reads it, and what it means to a verb;
//! - `progress.rs`: bars on a terminal while the verb works;
//! - `commands/*.rs`: the report as text, made of the pieces in `text.rs`;
//! - `console.rs`: the two streams, colours, errors, JSON; `bug.rs`: what happens on a panic.
//!
//! `reference.rs` writes the documents that describe all this and holds them against the files in `docs/`.

mod bug;
mod cli;
mod commands;
mod console;
mod progress;
#[cfg(test)]
mod reference;
mod sarif;
mod text;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use patchwright::linker::Face;
use patchwright::toolchain;

use crate::cli::{Cli, Early};
use crate::commands::driver::spell_out;
use crate::console::Console;

fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    bug::hold_tongue();
    let plain = Console::new(false, false);
    let mut behind_gcc = None;
    let bug = bug::catch(&plain, || {
        behind_gcc = toolchain::behind_gcc(&typed);
        0
    });
    if let Some(done) = behind_gcc {
        return ExitCode::from(done.unwrap_or_else(|error| plain.error(&error)));
    }
    if bug != 0 {
        return ExitCode::from(bug);
    }
    let typed = spell_out(typed);
    // By the name of a linker it is one, whatever the arguments are.
    if let Some(face) = typed.first().and_then(|called| Face::of(called)) {
        let play = || commands::ld::play(face, &typed, &plain).unwrap_or_else(|error| plain.error(&error));
        return ExitCode::from(bug::catch(&plain, play));
    }
    // Usage errors and panics have no parsed flags to ask, yet they too are printed as JSON and in the chosen colours.
    let early = Early::read(&typed);
    early.color.set();
    let console = Console::new(early.json, false);
    let exit_code = bug::catch(&console, || run(&typed, &console));
    ExitCode::from(exit_code)
}

fn run(typed: &[OsString], early: &Console) -> u8 {
    let cli = match Cli::try_parse_from(typed) {
        Ok(cli) => cli,
        Err(told) => return early.clap_error(&told),
    };
    let console = Console::new(cli.global.json, cli.global.quiet);
    match cli.command.run(&console).and_then(|answer| console.print(answer)) {
        Ok(exit_code) => exit_code,
        Err(error) => console.error(&error),
    }
}
