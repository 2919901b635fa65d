//! `check`: which functions of an image can be redirected while it runs, and what keeps the others from it.
//!
//! The rules are those of `patchwright-image`. Here it is decided which functions are asked for, and what is counted. The
//! file is read into memory as a whole, since a mapped file that shrinks would end the process: what is held at once is
//! the file, its database, and a few hundred bytes per function.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use patchwright_image::{
    Address, Audited, Companions, Content, Format, Image, ImageError, ImageErrorKind, Kind, Machine, Member, Movable,
    Objection, PdbReference, Protocol, Rule, Source, Verdict, audit, findings, is_archive, members,
};
use rayon::prelude::*;

use crate::report::{
    CheckAnswer, CheckCause, CheckCounts, CheckDisagreement, CheckMember, CheckObject, CheckObjection, CheckOrigin,
    CheckReport, CheckSource, CheckedFunction, CheckedSite, hex,
};
use crate::{Error, ErrorKind, Result};

/// Which functions must be hot-patchable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Require {
    /// All but those of the toolchain's start files and precompiled runtime.
    #[default]
    Own,
    /// Those of the toolchain too.
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
    /// Bytes of pad that each needs; by default 5 on x86, 6 on x86-64, 8 on ARM, none on ARM64.
    pub min_pad: Option<usize>,
    /// Names of functions that need not be.
    pub allow: Vec<String>,
    /// The program database of a PE image; by default the one beside the image that belongs to it.
    pub pdb: Option<PathBuf>,
}

/// Larger files are refused: they are held in memory.
const LARGEST_FILE: u64 = 4 << 30;

/// Bytes shown before and after an entry.
const SHOWN_BYTES: u64 = 16;

/// Contradictions that are told; one damaged table makes thousands.
const TOLD_DISAGREEMENTS: usize = 100;

/// Audits the image, object or archive at `path`, function by function.
///
/// # Errors
/// It cannot be read, is damaged, or is of a kind that is not supported; or the database belongs to another build.
pub fn check(path: &Path, options: &CheckOptions) -> Result<CheckReport> {
    let data = read(path)?;
    let wanted = Wanted::new(options);
    let mut warnings = Vec::new();
    let (kind, parts) = if is_archive(&data) {
        (Some("archive"), archive(path, options, &wanted, &data)?)
    } else {
        let pdb = Pdb::find(path, options, &data, &mut warnings)?;
        let part = match part(None, options, &wanted, &data, pdb.bytes.as_deref()) {
            Err(error) if error.kind == ImageErrorKind::Mismatch && !pdb.asked_for => {
                warnings.push(format!("{} is not used: it belongs to another build of the image", pdb.path.display()));
                part(None, options, &wanted, &data, None)
            }
            other => other,
        };
        let blamed = |error: ImageError| match error.kind {
            ImageErrorKind::Mismatch => explain(&error, &pdb.path),
            _ => explain(&error, path),
        };
        (None, vec![part.map_err(blamed)?])
    };
    Ok(report(path, options, &wanted, kind, parts, warnings))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let cannot = |error: std::io::Error| Error::io("read", path, &error);
    let len = fs::metadata(path).map_err(cannot)?.len();
    if len > LARGEST_FILE {
        let message = format!("{len} bytes: larger than {LARGEST_FILE}");
        return Err(Error::new(ErrorKind::Malformed, message).at(path).hint("strip debug information from a copy"));
    }
    fs::read(path).map_err(cannot)
}

fn explain(error: &ImageError, path: &Path) -> Error {
    let kind = if error.kind == ImageErrorKind::Mismatch { ErrorKind::WrongInput } else { ErrorKind::Malformed };
    let made = Error::new(kind, error.to_string()).at(path);
    match error.kind {
        ImageErrorKind::Malformed => made,
        ImageErrorKind::Unsupported => made.hint(
            "supported are PE, COFF and ELF for x86, x86-64, ARM64 and little-endian ARM, and archives of objects",
        ),
        ImageErrorKind::Mismatch => made.hint("link again, or take the database that the image was linked with"),
    }
}

/// The program database of an image.
struct Pdb {
    path: PathBuf,
    bytes: Option<Vec<u8>>,
    asked_for: bool,
}

impl Pdb {
    /// The one that was named, or else the one that lies beside the image by the name that the image knows.
    fn find(image: &Path, options: &CheckOptions, data: &[u8], warnings: &mut Vec<String>) -> Result<Self> {
        if let Some(path) = &options.pdb {
            return Ok(Self { path: path.clone(), bytes: Some(read(path)?), asked_for: true });
        }
        let name = PdbReference::of(data).map(|reference| reference.path);
        let name = name.as_deref().and_then(|path| path.rsplit(['/', '\\']).next()).filter(|name| !name.is_empty());
        let path = name.map(|name| image.with_file_name(name)).unwrap_or_default();
        let there = name.is_some() && path.is_file() && path != image;
        let bytes = if there { read(&path).map_err(|error| warnings.push(error.message)).ok() } else { None };
        Ok(Self { path, bytes, asked_for: false })
    }
}

/// What was found in one image, or in one member of an archive.
struct Part {
    format: &'static str,
    machine: &'static str,
    kind: &'static str,
    min_pad: usize,
    sources: Vec<(Source, usize)>,
    functions: Vec<CheckedFunction>,
    objects: Vec<CheckObject>,
    findings: Vec<CheckObjection>,
    disagreements: Vec<CheckDisagreement>,
    member: Option<CheckMember>,
    has_symbols: bool,
}

fn archive(path: &Path, options: &CheckOptions, wanted: &Wanted<'_>, data: &[u8]) -> Result<Vec<Part>> {
    let members = members(data).map_err(|error| explain(&error, path))?;
    let archive = path.file_name().unwrap_or_default().to_string_lossy();
    let check = |member: &Member<'_>| {
        let name = format!("{archive}({})", member.name);
        match member.content {
            Content::Other(what) => Ok(Part::skipped(name, what)),
            Content::Object(bytes) => part(Some(name), options, wanted, bytes, None).map_err(|mut error| {
                error.message = format!("member {}: {}", member.name, error.message);
                explain(&error, path)
            }),
        }
    };
    members.par_iter().map(check).collect()
}

fn part(
    member: Option<String>,
    options: &CheckOptions,
    wanted: &Wanted<'_>,
    data: &[u8],
    pdb: Option<&[u8]>,
) -> Result<Part, ImageError> {
    let image = Image::read_with(data, Companions { pdb })?;
    let audited = audit(&image, options.min_pad);
    let functions: Vec<_> = audited.par_iter().map(|found| wanted.judge(&image, found, member.as_deref())).collect();
    let disagreements = image.disagreements().iter().take(TOLD_DISAGREEMENTS);
    Ok(Part {
        format: match image.format() {
            Format::Elf => "elf",
            Format::Pe => "pe",
        },
        machine: match image.machine() {
            Machine::X86 => "x86",
            Machine::X86_64 => "x86-64",
            Machine::Aarch64 => "aarch64",
            Machine::Arm => "arm",
        },
        kind: match image.kind() {
            Kind::Executable => "executable",
            Kind::Library => "library",
            Kind::Object => "object",
        },
        min_pad: options.min_pad.unwrap_or_else(|| image.machine().default_pad()),
        sources: image.sources().to_vec(),
        objects: objects(&image, member.as_deref()),
        findings: objections(&findings(&image)),
        disagreements: disagreements
            .map(|one| CheckDisagreement {
                member: member.clone(),
                address: image.place(one.address),
                found: one.found.clone(),
            })
            .collect(),
        has_symbols: has_full_source(image.sources()),
        member: member.map(|member| CheckMember {
            member,
            skipped: None,
            functions: functions.len(),
            failing: functions.iter().filter(|function| is_failing(function)).count(),
        }),
        functions,
    })
}

impl Part {
    fn skipped(member: String, why: &str) -> Self {
        let member = CheckMember { member, skipped: Some(why.to_owned()), functions: 0, failing: 0 };
        Self {
            format: "",
            machine: "",
            kind: "",
            min_pad: 0,
            sources: Vec::new(),
            functions: Vec::new(),
            objects: Vec::new(),
            findings: Vec::new(),
            disagreements: Vec::new(),
            member: Some(member),
            has_symbols: true,
        }
    }
}

/// Whether a source is among them that names every function.
fn has_full_source(sources: &[(Source, usize)]) -> bool {
    sources.iter().any(|(source, _)| matches!(source, Source::Symbols | Source::CodeView | Source::Dwarf))
}

fn objects(image: &Image<'_>, member: Option<&str>) -> Vec<CheckObject> {
    let with_code = image.modules().iter().filter(|module| module.functions > 0);
    with_code
        .map(|module| CheckObject {
            object: member.map_or_else(|| module.name.clone(), str::to_owned),
            library: module.library.clone(),
            producer: module.producer.clone(),
            hot_patch: module.hot_patch,
            origin: module.origin,
            functions: module.functions,
        })
        .collect()
}

fn report(
    path: &Path,
    options: &CheckOptions,
    wanted: &Wanted<'_>,
    kind: Option<&'static str>,
    parts: Vec<Part>,
    mut warnings: Vec<String>,
) -> CheckReport {
    let real: Vec<&Part> = parts.iter().filter(|part| !part.kind.is_empty()).collect();
    let first = real.first();
    let format = first.map_or("", |part| part.format);
    let machine = first.map_or("", |part| part.machine);
    let mixed = real.iter().any(|part| part.machine != machine);
    let min_pad = first.map_or(0, |part| part.min_pad);
    let kind = kind.or(first.map(|part| part.kind)).unwrap_or("archive");
    let has_symbols = real.iter().all(|part| part.has_symbols);
    let mut sources: BTreeMap<Source, usize> = BTreeMap::new();
    for (source, number) in real.iter().flat_map(|part| &part.sources) {
        *sources.entry(*source).or_default() += number;
    }
    let has_unwind = [Source::Pdata, Source::EhFrame, Source::Exidx].iter().any(|one| sources.contains_key(one));
    let mut objects = Vec::new();
    let mut found_whole = Vec::new();
    let (mut functions, mut members, mut disagreements) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        objects.extend(part.objects);
        found_whole.extend(part.findings);
        functions.extend(part.functions);
        members.extend(part.member);
        disagreements.extend(part.disagreements);
    }
    if kind == "archive" {
        found_whole.extend(mixed_members(&objects));
    }
    disagreements.truncate(TOLD_DISAGREEMENTS);
    let missing = wanted.missing(&functions);
    let counts = counts(&functions);
    let failed = counts.failing > 0 || !missing.is_empty() || counts.required == 0;
    if counts.required == 0 && missing.is_empty() {
        warnings.push("no function was found that is asked for".to_owned());
    }
    if !has_symbols {
        warnings
            .push("the image has no symbol table: functions that no other source tells of are missing here".to_owned());
    }
    CheckReport {
        schema: "patchwright.check/1",
        image: path.to_owned(),
        format,
        machine: if mixed { "mixed" } else { machine },
        kind,
        require: match options.require {
            Require::Own => "own",
            Require::All => "all",
            Require::Exported => "exported",
            Require::List(_) => "list",
        },
        min_pad,
        answer: if failed { CheckAnswer::NotHotPatchable } else { CheckAnswer::HotPatchable },
        sources: sources
            .into_iter()
            .map(|(source, functions)| CheckSource { source: source.name(), functions })
            .collect(),
        confidence: match (has_symbols, has_unwind) {
            (true, _) => "all",
            (false, true) => "unwindable",
            (false, false) => "some",
        },
        disagreements,
        counts,
        origins: origins(&functions),
        objects,
        members,
        findings: found_whole,
        causes: causes(&functions),
        missing,
        functions,
        warnings,
    }
}

/// `HP-A19` of an archive: its members are the objects.
fn mixed_members(objects: &[CheckObject]) -> Option<CheckObjection> {
    let own = || objects.iter().filter(|object| object.origin.is_none());
    let with = own().filter(|object| object.hot_patch == Some(true)).count();
    let without: Vec<_> = own().filter(|object| object.hot_patch == Some(false)).collect();
    let first = without.first().filter(|_| with > 0)?;
    let all = with + without.len();
    let found = format!("{with} of {all} members were compiled for hot patching; {} was not", first.object);
    Some(CheckObjection { rule: Rule::A19.id(), found })
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
            Require::Own | Require::All | Require::Exported => BTreeSet::new(),
        };
        Self { require: &options.require, list, allow: options.allow.iter().map(String::as_str).collect() }
    }

    fn judge(&self, image: &Image<'_>, found: &Audited<'_>, member: Option<&str>) -> CheckedFunction {
        let function = found.function;
        let runtime = function.is_runtime();
        let names = || function.names.iter().map(String::as_str);
        let allowed = names().any(|name| self.allow.contains(name));
        let exempt = matches!(found.verdict, Verdict::Exempt { .. });
        let asked = match self.require {
            Require::Own => !runtime && !exempt,
            Require::All => !exempt,
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
            member: member.map(str::to_owned),
            names: function.names.clone(),
            address: image.place(entry),
            size: function.size,
            verdict,
            class: found.class().name(),
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
            call_original: match found.call_original {
                Movable::Yes => "yes",
                Movable::NeedsFixup => "needs-fixup",
                Movable::No => "no",
            },
            reach: found.reach.name(),
            sources: function.sources.iter().map(|source| source.name()).collect(),
            object: function.module.and_then(|at| image.modules().get(at)).map(|module| module.name.clone()),
            origin: function.origin,
            exported: function.exported,
            runtime,
            required: asked && !allowed,
            allowed: asked && allowed,
        }
    }

    /// Names of the list that no function has.
    fn missing(&self, functions: &[CheckedFunction]) -> Vec<String> {
        if self.list.is_empty() {
            return Vec::new();
        }
        let known: BTreeSet<_> = functions.iter().flat_map(|found| &found.names).map(String::as_str).collect();
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

/// Functions of the toolchain, by where they come from.
fn origins(functions: &[CheckedFunction]) -> Vec<CheckOrigin> {
    let mut found: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    for function in functions {
        let Some(origin) = function.origin else { continue };
        let (number, failing) = found.entry(origin).or_default();
        *number += 1;
        *failing += usize::from(matches!(function.verdict, "unpatchable" | "unknown"));
    }
    found.into_iter().map(|(origin, (functions, failing))| CheckOrigin { origin, functions, failing }).collect()
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
