//! `patchwright check IMAGE`

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use patchwright::report::{CheckAnswer, CheckObjection, CheckReport, CheckedFunction};
use patchwright::{CheckOptions, Error, ErrorKind, Require, Result};

use super::{Examples, ExitCodes, after_help};
use crate::console::{Answer, Console};
use crate::sarif;
use crate::text::{count, counted, escape, escape_path, facts};

pub(crate) const EXIT_CODES: ExitCodes = &[
    (0, "every function that is asked for is hot-patchable"),
    (1, "at least one is not, or is not there"),
    (3, "IMAGE is damaged, or of a format or machine type that is not supported"),
    (4, "the program database belongs to another build"),
    (5, "reading failed"),
];

const EXAMPLES: Examples = &[
    ("Is every function hot-patchable", "patchwright check app"),
    (
        "Ask for what others call, with room for a jump to anywhere",
        "patchwright check lib.so --require exported --min-pad 14",
    ),
    ("Look at one function", "patchwright check app --function main"),
    ("Tell a build server", "patchwright check app --sarif > check.sarif"),
];

/// Functions listed per cause, before the rest is only counted.
const LISTED: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Asked {
    /// All functions but those of the toolchain's start files and precompiled runtime
    Own,
    /// Those of the toolchain too
    All,
    /// Functions that other images see; of an object, other objects
    Exported,
    /// The functions that --list names
    List,
}

/// Say which functions of IMAGE can be redirected while it runs
///
/// IMAGE is a program, a library, an object or an archive of objects: PE, COFF or ELF for x86, x86-64, ARM64 and ARM.
/// Functions that fail stand under the rule that they break, with what to do about it. All broken rules are told, not the
/// first only.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    /// The program, library, object or archive
    image: PathBuf,
    /// Which functions must be hot-patchable [default: own]
    #[arg(long, value_enum, value_name = "WHICH")]
    require: Option<Asked>,
    /// Names for --require list: one per line, # begins a comment
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Bytes of pad before each entry [default: 5 on x86, 6 on x86-64, 8 on ARM, 0 on ARM64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=120))]
    min_pad: Option<u8>,
    /// Names of functions that may fail: one per line, # begins a comment
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,
    /// The program database of a PE image [default: the one beside IMAGE that belongs to it]
    #[arg(long, value_name = "FILE")]
    pdb: Option<PathBuf>,
    /// Print what fails as SARIF 2.1.0, for build servers
    #[arg(long, conflicts_with_all = ["json", "function"])]
    sarif: bool,
    /// Ask for this function alone, and show its bytes
    #[arg(long, value_name = "NAME", conflicts_with_all = ["require", "list"])]
    function: Option<String>,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        let mut report = patchwright::check(&self.image, &self.options()?)?;
        if let Some(name) = &self.function {
            // The indices of the causes go with the functions.
            let keep = |function: &CheckedFunction| function.names.contains(name);
            let kept: Vec<usize> = (0..report.functions.len()).filter(|at| keep(&report.functions[*at])).collect();
            for cause in &mut report.causes {
                cause.functions = cause.functions.iter().filter_map(|at| kept.binary_search(at).ok()).collect();
            }
            report.functions.retain(keep);
        }
        if self.sarif {
            let answer = Answer::data(sarif::log(&report)?).warnings(&report.warnings);
            return Ok(if report.answer == CheckAnswer::NotHotPatchable { answer.no() } else { answer });
        }
        let answer = console.report(&report, |report| match &self.function {
            Some(name) => pictures(report, name),
            None => text(report),
        })?;
        let answer = answer.warnings(&report.warnings);
        Ok(if report.answer == CheckAnswer::NotHotPatchable { answer.no() } else { answer })
    }

    fn options(&self) -> Result<CheckOptions> {
        let require = match (self.require, &self.list, &self.function) {
            (_, _, Some(name)) => Require::List(vec![name.clone()]),
            (Some(Asked::List), Some(list), None) => Require::List(names(list)?),
            (Some(Asked::Exported), None, None) => Require::Exported,
            (Some(Asked::All), None, None) => Require::All,
            (None | Some(Asked::Own), None, None) => Require::Own,
            _ => {
                let message = "--require list and --list FILE belong together";
                return Err(Error::new(ErrorKind::Usage, message).hint("give both, or neither"));
            }
        };
        let allow = self.allow.as_deref().map(names).transpose()?.unwrap_or_default();
        Ok(CheckOptions { require, min_pad: self.min_pad.map(usize::from), allow, pdb: self.pdb.clone() })
    }
}

fn names(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(|error| Error::io("read", path, &error))?;
    let names = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    Ok(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn text(report: &CheckReport) -> String {
    let counts = &report.counts;
    let image = escape_path(&report.image);
    let good = counts.required - counts.failing;
    let number = counted(counts.required as u64, "function that is asked for", "functions that are asked for");
    let mut text = match report.answer {
        CheckAnswer::HotPatchable => format!("yes: {image} is hot-patchable: all of {number}\n\n"),
        CheckAnswer::NotHotPatchable => {
            format!("no: {image} is not hot-patchable: {} of {number}\n\n", count(good as u64))
        }
    };
    let kind = [&report.format.to_uppercase(), report.machine, report.kind].map(str::to_owned);
    let kind: Vec<_> = kind.into_iter().filter(|word| !word.is_empty()).collect();
    let sources: Vec<_> =
        report.sources.iter().map(|source| format!("{} {}", source.source, count(source.functions as u64))).collect();
    text += &facts([
        ("image", kind.join(" ")),
        ("asked for", format!("{}, pad of {}", report.require, counted(report.min_pad as u64, "byte", "bytes"))),
        ("functions", functions(report)),
        (
            "patched by",
            format!("one store {}, breakpoint {}, stopped threads {}", counts.atomic, counts.trap, counts.stopped),
        ),
        ("told by", if sources.is_empty() { "nobody".to_owned() } else { sources.join(", ") }),
    ]);
    for cause in &report.causes {
        let title = if cause.rule.is_empty() { "unreadable" } else { &cause.rule };
        let number = counted(cause.functions.len() as u64, "function", "functions");
        let _ = write!(text, "\n{title}, broken by {number}\n  rule: {}\n  remedy: {}\n", cause.meaning, cause.remedy);
        for function in cause.functions.iter().take(LISTED).filter_map(|at| report.functions.get(*at)) {
            let found = function.reasons.iter().find(|reason| reason.rule == cause.rule);
            let found = found.map(|reason| format!(": {}", escape(&reason.found))).unwrap_or_default();
            let member = function.member.as_deref().map(|member| format!("{}  ", escape(member))).unwrap_or_default();
            let _ = writeln!(text, "  {member}{}  {}{found}", escape(&function.address), name(function));
        }
        if let Some(more) = cause.functions.len().checked_sub(LISTED).filter(|more| *more > 0) {
            let _ = writeln!(text, "  and {} more; --json lists all", count(more as u64));
        }
    }
    text += &around(report);
    if !report.missing.is_empty() {
        let missing: Vec<_> = report.missing.iter().map(|name| escape(name)).collect();
        let _ = writeln!(text, "\nnot in the image: {}", missing.join(", "));
    }
    text
}

/// What is not about one function: the toolchain's, the image as a whole, contradictions, members without code.
fn around(report: &CheckReport) -> String {
    let mut text = String::new();
    if !report.origins.is_empty() {
        let role = if report.require == "all" { "asked for" } else { "not asked for" };
        let _ = writeln!(text, "\nof the toolchain, {role}:");
        for origin in &report.origins {
            let number = counted(origin.functions as u64, "function", "functions");
            let _ = writeln!(text, "  {}: {number}, {} not hot-patchable", origin.origin, count(origin.failing as u64));
        }
    }
    if !report.findings.is_empty() {
        text += "\nthe image as a whole:\n";
        text.extend(report.findings.iter().map(|one| format!("  {}: {}\n", one.rule, escape(&one.found))));
    }
    if !report.disagreements.is_empty() {
        let _ = writeln!(
            text,
            "\nsources contradict each other in {}:",
            counted(report.disagreements.len() as u64, "place", "places")
        );
        for one in report.disagreements.iter().take(LISTED) {
            let member = one.member.as_deref().map(|member| format!("{}  ", escape(member))).unwrap_or_default();
            let _ = writeln!(text, "  {member}{}  {}", escape(&one.address), escape(&one.found));
        }
        if let Some(more) = report.disagreements.len().checked_sub(LISTED).filter(|more| *more > 0) {
            let _ = writeln!(text, "  and {} more; --json lists them", count(more as u64));
        }
    }
    let skipped: Vec<_> =
        report.members.iter().filter_map(|member| Some((member, member.skipped.as_deref()?))).collect();
    if !skipped.is_empty() {
        text += "\nmembers that were not checked:\n";
        for (member, why) in skipped.iter().take(LISTED) {
            let _ = writeln!(text, "  {}: {}", escape(&member.member), escape(why));
        }
        if let Some(more) = skipped.len().checked_sub(LISTED).filter(|more| *more > 0) {
            let _ = writeln!(text, "  and {} more; --json lists them", count(more as u64));
        }
    }
    text
}

fn functions(report: &CheckReport) -> String {
    let counts = &report.counts;
    let numbers = [
        (counts.hot_patchable, "hot-patchable"),
        (counts.unpatchable, "not"),
        (counts.unknown, "unreadable"),
        (counts.exempt, "thunks or parts"),
    ];
    let told: Vec<_> = numbers
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{} {word}", count(number as u64)))
        .collect();
    let mut text = format!("{} found", count(counts.functions as u64));
    if !told.is_empty() {
        let _ = write!(text, ": {}", told.join(", "));
    }
    for (number, word) in [(counts.runtime, "of the toolchain"), (counts.allowed, "allowed to fail")] {
        if number > 0 {
            let _ = write!(text, "; {} {word}", count(number as u64));
        }
    }
    text
}

fn name(function: &CheckedFunction) -> String {
    match function.names.split_first() {
        None => "(no name)".to_owned(),
        Some((first, [])) => escape(first),
        Some((first, more)) => {
            format!("{} and {}", escape(first), counted(more.len() as u64, "other name", "other names"))
        }
    }
}

/// Each function of that name with its bytes.
fn pictures(report: &CheckReport, name: &str) -> String {
    if report.functions.is_empty() {
        return format!("no: {} has no function {}\n", escape_path(&report.image), escape(name));
    }
    report.functions.iter().map(picture).collect::<Vec<_>>().join("\n")
}

fn picture(function: &CheckedFunction) -> String {
    let names: Vec<_> = function.names.iter().map(|name| escape(name)).collect();
    let by = match function.protocol {
        Some("atomic") => " by one store",
        Some("trap") => " behind a breakpoint",
        Some(_) => " with all threads stopped",
        None => "",
    };
    let size = function.size.map_or_else(|| "unknown".to_owned(), |size| counted(size, "byte", "bytes"));
    let mut text = facts([
        ("function", names.join(", ")),
        ("address", escape(&function.address)),
        ("size", size),
        ("verdict", format!("{}{by}", function.verdict)),
        ("class", function.class.to_owned()),
        ("jump", jump(function)),
        ("told by", function.sources.join(", ")),
    ]);
    if let Some(from) = function.origin.or(function.member.as_deref()).or(function.object.as_deref()) {
        text += &facts([("comes from", escape(from))]);
    }
    let site = &function.site;
    let offset = usize::try_from(site.offset).unwrap_or(usize::MAX);
    text.push('\n');
    let pad = counted(site.pad_bytes as u64, "byte", "bytes");
    let _ = writeln!(text, "  pad    {}  {pad} of filler", spaced(&site.before));
    let cut = offset.saturating_mul(2).min(site.after.len());
    let (landing, code) = site.after.split_at(cut);
    let first = site.bytes.saturating_mul(2).min(code.len());
    let (first, rest) = code.split_at(first);
    if !landing.is_empty() {
        let _ = writeln!(text, "  entry  {}  stays", spaced(landing));
    }
    let _ = writeln!(text, "  site   {}  the jump goes here", spaced(first));
    let _ = writeln!(text, "         {}", spaced(rest));
    for (title, list) in [("broken", &function.reasons), ("note", &function.notes)] {
        text.extend(list.iter().map(|one| line(title, one)));
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// How far a jump in the pad leads, and whether the old function can still be called.
fn jump(function: &CheckedFunction) -> String {
    let reach = match function.reach {
        "none" => "no room for one",
        "branch" => "within 128 MiB",
        "rel32-only" => "within 2 GiB",
        "slot" => "anywhere, through a pointer within 2 GiB",
        _ => "anywhere",
    };
    let original = match function.call_original {
        "yes" => "the first instruction can move",
        "needs-fixup" => "the first instruction can move once it is corrected",
        _ => "the first instruction cannot move",
    };
    format!("{reach}; {original}")
}

fn line(title: &str, one: &CheckObjection) -> String {
    let rule = if one.rule.is_empty() { String::new() } else { format!("{}: ", one.rule) };
    format!("{title}: {rule}{}\n", escape(&one.found))
}

/// `cccc90` as `cc cc 90`.
fn spaced(hex: &str) -> String {
    let (pairs, _) = hex.as_bytes().as_chunks::<2>();
    pairs.iter().map(|pair| String::from_utf8_lossy(pair)).collect::<Vec<_>>().join(" ")
}
