//! `patchwright man`

use std::fs;
use std::path::PathBuf;

use clap::CommandFactory;
use clap_mangen::Man;
use patchwright::{Error, Result};

use super::{Examples, ExitCodes, after_help, no_json};
use crate::cli::Cli;
use crate::console::{Answer, Console};
use crate::text::escape_path;

pub(crate) const EXIT_CODES: ExitCodes = &[(0, "the pages are printed or written"), (5, "writing failed")];

const EXAMPLES: Examples = &[
    ("Read the page of the program", "patchwright man | man -l -"),
    ("Install the pages of all verbs", "patchwright man -o /usr/local/share/man/man1"),
];

/// Print the manual page, or write those of all verbs
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    /// Write one page for the program and one for each verb into this folder, which is made if need be
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        no_json(console)?;
        let mut pages = pages();
        let Some(folder) = &self.output else {
            return Ok(Answer::data(pages.swap_remove(0).1));
        };
        fs::create_dir_all(folder).map_err(|error| Error::io("make the folder", folder, &error))?;
        let mut told = String::new();
        for (name, page) in pages {
            let path = folder.join(name);
            fs::write(&path, page).map_err(|error| Error::io("write", &path, &error))?;
            told += &format!("{}\n", escape_path(&path));
        }
        Ok(Answer::data(told))
    }
}

/// The name and the content of each page: the program's first, then the verbs in the order of the help.
pub(crate) fn pages() -> Vec<(String, Vec<u8>)> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let with_parts = |verb: &clap::Command| -> Vec<clap::Command> {
        let parts = verb.get_subcommands().filter(|part| part.get_name() != "help").cloned();
        std::iter::once(verb.clone()).chain(parts).collect()
    };
    let verbs: Vec<_> = program.get_subcommands().flat_map(with_parts).collect();
    std::iter::once(program).chain(verbs).map(|command| page(Man::new(command))).collect()
}

fn page(page: Man) -> (String, Vec<u8>) {
    let mut text = Vec::new();
    page.render(&mut text).expect("a Vec takes everything");
    (page.get_filename(), text)
}
