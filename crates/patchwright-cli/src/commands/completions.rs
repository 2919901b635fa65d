//! `patchwright completions SHELL`

use clap::{CommandFactory, ValueEnum};
use patchwright::Result;

use super::{Examples, ExitCodes, after_help, no_json};
use crate::cli::Cli;
use crate::console::{Answer, Console};

pub(crate) const EXIT_CODES: ExitCodes = &[(0, "the script is printed"), (5, "writing failed")];

const EXAMPLES: Examples = &[
    ("For this user's bash", "patchwright completions bash > ~/.local/share/bash-completion/completions/patchwright"),
    ("For this user's fish", "patchwright completions fish > ~/.config/fish/completions/patchwright.fish"),
];

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The shells that we write completions for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell")]
    Pwsh,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        no_json(console)?;
        Ok(Answer::data(script(self.shell)))
    }
}

/// The completion script of a shell.
pub(crate) fn script(shell: Shell) -> Vec<u8> {
    let generator = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Pwsh => clap_complete::Shell::PowerShell,
    };
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut Cli::command(), "patchwright", &mut script);
    script
}
