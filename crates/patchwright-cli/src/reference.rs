//! The documents that say what the command line takes, made of its definition: `docs/cli.md`, `docs/exit-codes.md`,
//! `docs/man/` and `docs/completions/`. A test holds them against the files; `cargo xtask bless` rewrites them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};
use patchwright::ErrorKind;

use crate::cli::Cli;
use crate::commands::completions::{Shell, script};
use crate::commands::{
    ExitCodes, apply, cc, check, cl, completions, diff, inspect, ld, link, man, msimsp, msp, pcp, prepare, revert,
    status, verify,
};

const EXIT_CODES: [(&str, ExitCodes); 17] = [
    ("diff", diff::EXIT_CODES),
    ("apply", apply::EXIT_CODES),
    ("revert", revert::EXIT_CODES),
    ("status", status::EXIT_CODES),
    ("inspect", inspect::EXIT_CODES),
    ("verify", verify::EXIT_CODES),
    ("check", check::EXIT_CODES),
    ("cc", cc::EXIT_CODES),
    ("cl", cl::EXIT_CODES),
    ("link", link::EXIT_CODES),
    ("prepare", prepare::EXIT_CODES),
    ("ld", ld::EXIT_CODES),
    ("pcp", pcp::EXIT_CODES),
    ("msp", msp::EXIT_CODES),
    ("msimsp", msimsp::EXIT_CODES),
    ("completions", completions::EXIT_CODES),
    ("man", man::EXIT_CODES),
];

const GENERATED: &str = "<!-- Generated from the definition of the command line by cargo xtask bless -->";

/// The help of the program and of every verb.
fn cli_md() -> String {
    // Without a terminal's width and a colour nothing of the machine is in it.
    let mut program = Cli::command().disable_help_subcommand(true).term_width(100);
    program.build();
    let verbs: Vec<_> = program.get_subcommands().cloned().collect();
    let mut text = format!(
        "{GENERATED}\n\n# The command line\n\nThe flags and the exit codes are a contract; see [exit-codes.md](exit-codes.md). \
         `patchwright VERB --help` prints what stands here, `-h` a shorter form.\n\n"
    );
    text.extend(verbs.iter().map(|verb| {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        format!("- [`{0}`](#patchwright-{0}): {about}\n", verb.get_name())
    }));
    text += &section("patchwright", program);
    for verb in verbs {
        let title = format!("patchwright {}", verb.get_name());
        let parts: Vec<_> = verb.get_subcommands().filter(|part| part.get_name() != "help").cloned().collect();
        text += &section(&title, verb);
        text.extend(parts.into_iter().map(|part| section(&format!("{title} {}", part.get_name()), part)));
    }
    text
}

fn section(title: &str, mut command: Command) -> String {
    let help = command.render_long_help().to_string();
    let help: String = help.trim_end().lines().map(|line| format!("{}\n", line.trim_end())).collect();
    format!("\n## {title}\n\n```text\n{help}```\n")
}

/// What every exit code means, to everybody and to each verb.
fn exit_codes_md() -> String {
    let mut text = format!(
        "{GENERATED}\n\n# Exit codes\n\nSorted by what the caller does next. With `--json` an error is an object of \
         schema `patchwright.error/1` whose `kind` is the name below.\n\n| code | kind | meaning |\n|---:|---|---|\n\
         | 0 | | done, or yes |\n"
    );
    for kind in ErrorKind::ALL {
        let _ = writeln!(text, "| {} | `{}` | {} |", kind.exit_code(), kind_name(kind), kind.meaning());
    }
    text += "\nUsage (2) and bugs (70) mean the same to every verb; the others:\n";
    for (verb, codes) in EXIT_CODES {
        let _ = writeln!(text, "\n## {verb}\n\n| code | meaning |\n|---:|---|");
        codes.iter().for_each(|(code, meaning)| {
            let _ = writeln!(text, "| {code} | {meaning} |");
        });
    }
    text
}

fn kind_name(kind: ErrorKind) -> String {
    serde_json::to_string(&kind).unwrap().trim_matches('"').to_owned()
}

/// Compares a document with its file, or writes it there.
fn check(path: &str, made: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(path);
    if std::env::var_os("PATCHWRIGHT_BLESS").is_some_and(|bless| bless == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, made).unwrap();
        return;
    }
    let found = fs::read(&path).unwrap_or_default();
    assert!(
        String::from_utf8_lossy(&found).replace("\r\n", "\n").as_bytes() == made,
        "{} is not what the command line says: run cargo xtask bless and read the diff",
        path.display()
    );
}

#[test]
fn cli_md_is_what_the_parser_takes() {
    check("cli.md", cli_md().as_bytes());
}

#[test]
fn exit_codes_md_is_what_the_errors_are() {
    check("exit-codes.md", exit_codes_md().as_bytes());
}

#[test]
fn man_pages_are_what_the_parser_takes() {
    let pages = man::pages();
    assert_eq!(pages.len(), 1 + EXIT_CODES.len() + pcp::VERBS + msp::VERBS);
    for (name, page) in pages {
        check(&format!("man/{name}"), &page);
    }
}

#[test]
fn completions_are_what_the_parser_takes() {
    for (shell, name) in [
        (Shell::Bash, "patchwright.bash"),
        (Shell::Zsh, "_patchwright"),
        (Shell::Fish, "patchwright.fish"),
        (Shell::Pwsh, "patchwright.ps1"),
    ] {
        check(&format!("completions/{name}"), &script(shell));
    }
}

#[test]
fn every_verb_tells_of_exit_codes_that_exist() {
    let program = Cli::command();
    let verbs: Vec<_> = program.get_subcommands().map(Command::get_name).collect();
    assert_eq!(verbs, EXIT_CODES.map(|(verb, _)| verb));
    let known: Vec<u8> = ErrorKind::ALL.map(ErrorKind::exit_code).into_iter().chain([0]).collect();
    for (verb, codes) in EXIT_CODES {
        assert!(codes.iter().all(|(code, _)| known.contains(code)), "{verb}");
        assert!(codes.is_sorted_by_key(|(code, _)| *code), "{verb}");
        // Beside its number it fits on a line of help.
        assert!(codes.iter().all(|(_, meaning)| meaning.chars().count() <= 94), "{verb}");
    }
}
