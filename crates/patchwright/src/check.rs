//! `check`: which functions of an image can be redirected while it runs, and what keeps the others from it.
//!
//! The rules are those of `patchwright-image`. Here it is decided which functions are asked for, and what is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use patchwright_image::{
    Address, Audited, Format, Image, ImageError, ImageErrorKind, Kind, Machine, Objection, Protocol, Rule, Source,
    Verdict, audit,
};

use crate::report::{
    CheckAnswer, CheckCause, CheckCounts, CheckObjection, CheckReport, CheckSource, CheckedFunction, CheckedSite, hex,
};
use crate::{Error, ErrorKind, Result};

/// Which functions must be hot-patchable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Require {
    /// All but those of the toolchain's start files.
    #[default]
    All,
    /// Those that others see.
    Exported,
    /// Those of these names.
    List(Vec<String>),
}

/// What `check` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Which functions must be hot-patchable.
    pub require: Require,
    /// Bytes of pad that each needs; by default 5 on x86, 6 on x86-64, none on ARM64.
    pub min_pad: Option<usize>,
    /// Names of functions that need not be.
    pub allow: Vec<String>,
}

/// Bytes shown before and after an entry.
const SHOWN_BYTES: u64 = 16;

/// Audits the image or object at `path`, function by function.
///
/// # Errors
/// It cannot be read, is damaged, or is of a kind that is not supported.
pub fn check(path: &Path, options: &CheckOptions) -> Result<CheckReport> {
    let data = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
    let image = Image::read(&data).map_err(|error| explain(&error, path))?;
    let audited = audit(&image, options.min_pad);
    Ok(report(path, options, &image, &audited))
}

fn explain(error: &ImageError, path: &Path) -> Error {
    let made = Error::new(ErrorKind::Malformed, error.to_string()).at(path);
    match error.kind {
        ImageErrorKind::Malformed => made,
        ImageErrorKind::Unsupported => {
            made.hint("supported are PE and COFF for x86 and x64, and ELF for x86, x86-64 and little-endian ARM64")
        }
    }
}

fn report(path: &Path, options: &CheckOptions, image: &Image<'_>, audited: &[Audited<'_>]) -> CheckReport {
    let wanted = Wanted::new(options);
    let functions: Vec<_> = audited.iter().map(|found| wanted.judge(image, found)).collect();
    let missing = wanted.missing(audited);
    let counts = counts(&functions);
    let failed = counts.failing > 0 || !missing.is_empty() || counts.required == 0;
    let mut warnings = Vec::new();
    if counts.required == 0 && missing.is_empty() {
        warnings.push("no function was found that is asked for".to_owned());
    }
    let has_symbols = image.sources().iter().any(|(source, _)| *source == Source::Symbols);
    if !has_symbols {
        warnings
            .push("the image has no symbol table: functions that no other source tells of are missing here".to_owned());
    }
    CheckReport {
        schema: "patchwright.check/1",
        image: path.to_owned(),
        format: match image.format() {
            Format::Elf => "elf",
            Format::Pe => "pe",
        },
        machine: match image.machine() {
            Machine::X86 => "x86",
            Machine::X86_64 => "x86-64",
            Machine::Aarch64 => "aarch64",
        },
        kind: match image.kind() {
            Kind::Executable => "executable",
            Kind::Library => "library",
            Kind::Object => "object",
        },
        require: match options.require {
            Require::All => "all",
            Require::Exported => "exported",
            Require::List(_) => "list",
        },
        min_pad: options.min_pad.unwrap_or_else(|| image.machine().default_pad()),
        answer: if failed { CheckAnswer::NotHotPatchable } else { CheckAnswer::HotPatchable },
        sources: image
            .sources()
            .iter()
            .map(|(source, functions)| CheckSource { source: source_name(*source), functions: *functions })
            .collect(),
        counts,
        causes: causes(&functions),
        missing,
        functions,
        warnings,
    }
}

const fn source_name(source: Source) -> &'static str {
    match source {
        Source::Symbols => "symbols",
        Source::DynamicSymbols => "dynamic-symbols",
        Source::Exports => "exports",
        Source::Pdata => "pdata",
        Source::EhFrame => "eh-frame",
        Source::PatchableEntries => "patchable-function-entries",
        Source::LinkMap => "link-map",
    }
}

/// What is asked for, ready to look up.
struct Wanted<'a> {
    require: &'a Require,
    list: BTreeSet<&'a str>,
    allow: BTreeSet<&'a str>,
}

impl<'a> Wanted<'a> {
    fn new(options: &'a CheckOptions) -> Self {
        let list = match &options.require {
            Require::List(names) => names.iter().map(String::as_str).collect(),
            Require::All | Require::Exported => BTreeSet::new(),
        };
        Self { require: &options.require, list, allow: options.allow.iter().map(String::as_str).collect() }
    }

    fn judge(&self, image: &Image<'_>, found: &Audited<'_>) -> CheckedFunction {
        let function = found.function;
        let runtime = function.is_runtime();
        let names = || function.names.iter().map(String::as_str);
        let allowed = names().any(|name| self.allow.contains(name));
        let exempt = matches!(found.verdict, Verdict::Exempt { .. });
        let asked = match self.require {
            Require::All => !runtime && !exempt,
            Require::Exported => function.exported && !runtime && !exempt,
            Require::List(_) => names().any(|name| self.list.contains(name)),
        };
        let (verdict, protocol, reasons) = match &found.verdict {
            Verdict::HotPatchable { by } => ("hot-patchable", Some(protocol_name(*by)), Vec::new()),
            Verdict::Unpatchable { reasons } => ("unpatchable", None, objections(reasons)),
            Verdict::Unknown { why } => {
                ("unknown", None, vec![CheckObjection { rule: String::new(), found: why.clone() }])
            }
            Verdict::Exempt { rule } => {
                let found = rule.remedy().to_owned();
                ("exempt", None, vec![CheckObjection { rule: rule.id(), found }])
            }
        };
        let entry = function.address;
        let pad = u64::try_from(found.site.pad_bytes).unwrap_or_default().min(SHOWN_BYTES);
        CheckedFunction {
            names: function.names.clone(),
            address: image.place(entry),
            size: function.size,
            verdict,
            protocol,
            reasons,
            notes: objections(&found.notes),
            site: CheckedSite {
                offset: found.site.address.0 - entry.0,
                bytes: found.site.len_bytes,
                pad_bytes: found.site.pad_bytes,
                before: hex(image.bytes(Address(entry.0 - pad), entry)),
                after: hex(image.bytes(entry, Address(entry.0.saturating_add(SHOWN_BYTES)))),
            },
            sources: function.sources.iter().map(|source| source_name(*source)).collect(),
            exported: function.exported,
            runtime,
            required: asked && !allowed,
            allowed: asked && allowed,
        }
    }

    /// Names of the list that no function has.
    fn missing(&self, audited: &[Audited<'_>]) -> Vec<String> {
        let known: BTreeSet<_> = audited.iter().flat_map(|found| &found.function.names).map(String::as_str).collect();
        self.list.difference(&known).map(|name| (*name).to_owned()).collect()
    }
}

const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Atomic => "atomic",
        Protocol::Trap => "trap",
        Protocol::Stopped => "stopped",
    }
}

fn objections(found: &[Objection]) -> Vec<CheckObjection> {
    found.iter().map(|one| CheckObjection { rule: one.rule.id(), found: one.found.clone() }).collect()
}

fn is_failing(function: &CheckedFunction) -> bool {
    function.required && function.verdict != "hot-patchable"
}

fn counts(functions: &[CheckedFunction]) -> CheckCounts {
    let number = |test: &dyn Fn(&CheckedFunction) -> bool| functions.iter().filter(|function| test(function)).count();
    CheckCounts {
        functions: functions.len(),
        hot_patchable: number(&|one| one.verdict == "hot-patchable"),
        atomic: number(&|one| one.protocol == Some("atomic")),
        trap: number(&|one| one.protocol == Some("trap")),
        stopped: number(&|one| one.protocol == Some("stopped")),
        unpatchable: number(&|one| one.verdict == "unpatchable"),
        unknown: number(&|one| one.verdict == "unknown"),
        exempt: number(&|one| one.verdict == "exempt"),
        runtime: number(&|one| one.runtime),
        required: number(&|one| one.required),
        allowed: number(&|one| one.allowed),
        failing: number(&is_failing),
    }
}

/// The functions that fail, by rule; one that breaks several stands under each.
fn causes(functions: &[CheckedFunction]) -> Vec<CheckCause> {
    let mut by_rule: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, function) in functions.iter().enumerate().filter(|(_, function)| is_failing(function)) {
        for reason in &function.reasons {
            by_rule.entry(&reason.rule).or_default().push(index);
        }
    }
    let rule = |id: &str| Rule::ALL.into_iter().find(|rule| rule.id() == id);
    by_rule
        .into_iter()
        .map(|(id, functions)| CheckCause {
            rule: id.to_owned(),
            meaning: rule(id).map_or("the code can be read", Rule::meaning),
            remedy: rule(id).map_or("is the image packed or encrypted?", Rule::remedy),
            functions,
        })
        .collect()
}
