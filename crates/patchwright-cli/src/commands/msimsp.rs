//! `patchwright msimsp`: the flags of Msimsp.exe, as people and their scripts know them.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use patchwright::msp::{
    BuildOptions, LOGERR, LOGINFO, LOGNONE, LOGPERFMESSAGES, LOGWARN, PatchPackage, UIALL, create_patch_package_ex,
};
use patchwright::{Error, ErrorKind, PathMapping, Result};

use super::msp_build::{answer, timed};
use super::{Examples, ExitCodes, after_help};
use crate::console::{Answer, Console};
use crate::progress::progress;

pub(crate) const EXIT_CODES: ExitCodes = &[
    (0, "the patch is written"),
    (1, "there is nothing to patch"),
    (3, "the properties or the images are at fault; the message has the code of PATCHWIZ"),
    (5, "reading or writing failed"),
];

const EXAMPLES: Examples = &[
    ("As on Windows", r"patchwright msimsp -s app.pcp -p app.msp -l app.log"),
    ("Where the paths in the PCP are here", r"patchwright msimsp --map C:\build=/srv/build -s app.pcp -p app.msp"),
];

/// Build a patch with the flags of Msimsp.exe
///
/// Flags are read in either case, and with `/` in place of `-`. `-s PCP` is the input and `-p MSP` the output [default:
/// PatchOutputPath]; `-l LOG` appends a log, `-lp LOG` one that says how long each phase took; `-f DIR` is the folder for
/// temporary files, and `-k` makes one that exists an error; `-d` says when it is done; `-?` is this text.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
#[command(
    override_usage = "patchwright msimsp [--map <PREFIX=DIR>]... -s <PCP> [-p <MSP>] [-l|-lp <LOG>] [-f <DIR>] [-k] [-d]"
)]
pub(crate) struct Args {
    /// Where the Windows paths of the PCP lead here; before the flags of Msimsp.exe
    #[arg(long = "map", value_name = "PREFIX=DIR")]
    mappings: Vec<PathMapping>,
    /// The flags of Msimsp.exe
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    words: Vec<OsString>,
}

/// What was typed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Flags {
    pcp: Option<PathBuf>,
    patch: Option<PathBuf>,
    log: Option<PathBuf>,
    log_level: u32,
    temp_folder: Option<PathBuf>,
    keep: bool,
    dialog: bool,
    help: bool,
}

impl Flags {
    fn read(words: &[OsString]) -> std::result::Result<Self, String> {
        let mut flags = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let flag = word.to_str().and_then(|text| text.strip_prefix(['-', '/'])).map(str::to_ascii_lowercase);
            let mut value = |slot: &mut Option<PathBuf>| match words.next() {
                Some(_) if slot.is_some() => Err(format!("{} is there twice", word.display())),
                Some(value) if value != "--json" => {
                    *slot = Some(PathBuf::from(value));
                    Ok(())
                }
                _ => Err(format!("{} needs a path", word.display())),
            };
            match flag.as_deref() {
                Some("s") => value(&mut flags.pcp)?,
                Some("p") => value(&mut flags.patch)?,
                Some("f") => value(&mut flags.temp_folder)?,
                Some("l") => {
                    value(&mut flags.log)?;
                    flags.log_level = LOGINFO | LOGWARN | LOGERR;
                }
                Some("lp") => {
                    value(&mut flags.log)?;
                    flags.log_level = LOGINFO | LOGWARN | LOGERR | LOGPERFMESSAGES;
                }
                Some("k") => flags.keep = true,
                Some("d") => flags.dialog = true,
                Some("?") => flags.help = true,
                // Ours; it was seen before this.
                Some("-json") => {}
                _ => return Err(format!("{} is no flag of Msimsp.exe", word.display())),
            }
        }
        Ok(flags)
    }
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        let usage = |what: String| {
            Error::new(ErrorKind::Usage, what)
                .hint("patchwright msimsp -s APP.pcp -p APP.msp [-l LOG] [-f DIR] [-k] [-d]; -? tells more")
        };
        let flags = Flags::read(&self.words).map_err(usage)?;
        if flags.help {
            return Ok(Answer::data(help()));
        }
        let Some(pcp_path) = flags.pcp else { return Err(usage("-s is missing: it names the .pcp".to_owned())) };
        let parameters = PatchPackage {
            pcp_path,
            patch_path: flags.patch,
            log_path: flags.log.clone(),
            temp_folder: flags.temp_folder,
            remove_temp_folder_if_present: !flags.keep,
            flags: UIALL | if flags.log.is_some() { flags.log_level } else { LOGNONE },
            reserved: 0,
        };
        let options = BuildOptions { mappings: self.mappings.clone(), ..timed()? };
        let report = create_patch_package_ex(&parameters, &options, progress(console).as_ref())
            .map_err(patchwright::msp::PatchPackageError::into_error)?;
        let told = answer(console, &report)?;
        Ok(if flags.dialog { told.notes(["the patch is made".to_owned()]) } else { told })
    }
}

/// The long help, for `-?`.
fn help() -> String {
    use clap::CommandFactory;
    let mut program = crate::cli::Cli::command().disable_help_subcommand(true);
    program.build();
    let command = program.find_subcommand_mut(OsStr::new("msimsp"));
    command.map(|command| command.render_long_help().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> std::result::Result<Flags, String> {
        Flags::read(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_those_of_msimsp() {
        let path = |text: &str| Some(PathBuf::from(text));
        let all = LOGINFO | LOGWARN | LOGERR;
        let base = || Flags { pcp: path("a.pcp"), patch: path("a.msp"), ..Flags::default() };
        for (line, expect) in [
            ("-s a.pcp -p a.msp", base()),
            ("/S a.pcp /P a.msp", base()),
            ("-p a.msp -l x.log -s a.pcp", Flags { log: path("x.log"), log_level: all, ..base() }),
            ("-s a.pcp -p a.msp /LP x", Flags { log: path("x"), log_level: all | LOGPERFMESSAGES, ..base() }),
            ("-s a.pcp -p a.msp -f /s -K -d", Flags { temp_folder: path("/s"), keep: true, dialog: true, ..base() }),
            ("-s a.pcp -p a.msp --json", base()),
            ("-?", Flags { help: true, ..Flags::default() }),
            ("", Flags::default()),
        ] {
            assert_eq!(read(line), Ok(expect), "{line}");
        }
        for (line, part) in [
            ("-s", "needs a path"),
            ("-s a -s b", "twice"),
            ("-l a -lp b", "twice"),
            ("-e", "no flag"),
            ("a.pcp", "no flag"),
            ("--s a", "no flag"),
        ] {
            assert!(read(line).is_err_and(|why| why.contains(part)), "{line}");
        }
    }
}
