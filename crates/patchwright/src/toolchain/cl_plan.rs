//! From what `cl` and `link` are asked for to what is run: the rules of the vendor's documentation, and what it takes for
//! them to hold with Clang and lld.
//!
//! | option | x86 | x64 | ARM, ARM64 |
//! |---|---|---|---|
//! | `/hotpatch` | acts | always on in `cl`; Clang is told to | nothing to do |
//! | `/functionpadmin` | 5 | 6 | needs a value |
//!
//! `/hotpatch` in a command that links implies `/functionpadmin`; on ARM64, where it needs a value, of 16.

use std::ffi::OsString;

use super::cl_options::ClJob;
use super::gnu::Stage;
use super::link_options::{LinkJob, size};
use super::plan::{Choices, Plan};
use super::recipe::{MachineType, Nops};
use crate::{Error, ErrorKind, Result};

/// What compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Microsoft's own.
    Cl,
    /// `clang-cl` of this version.
    ClangCl { major: u32 },
}

/// Clang's `/hotpatch` is right from here on.
const FIRST_RIGHT_CLANG: u32 = 18;
/// Clang writes the record that the linker looks for without debug information from here on.
const FIRST_WITH_RECORD: u32 = 21;
/// The two bytes of a short jump reach so far back.
const REACH: usize = 126;

/// What is added to a command of `cl`: words for the compiler, and words for the linker that go behind `/link`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClPlan {
    pub(crate) plan: Plan,
    pub(crate) linker: Vec<OsString>,
    /// Whether the image is to be audited.
    pub(crate) audits: bool,
}

/// Plans a command of `cl`. `link` is what its linker is told, the environment included.
///
/// # Errors
/// An option cannot be, or the compiler is known to make wrong code. All objections at once.
pub(crate) fn plan_cl(
    job: &ClJob,
    link: &LinkJob,
    dialect: Dialect,
    machine: Option<MachineType>,
    choices: &Choices,
) -> Result<ClPlan> {
    let mut result = ClPlan::default();
    if job.stage <= Stage::Preprocess {
        return Ok(result);
    }
    if !job.mistakes.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "options that cannot be").details(&job.mistakes));
    }
    let links = job.stage == Stage::Link && !link.links_nothing;
    let Some(machine) = machine else {
        if job.hotpatch {
            let message = "the target of the compiler is none of x86, x64, ARM and ARM64";
            return Err(Error::new(ErrorKind::Refused, message).hint("choose one with --target= or -m32"));
        }
        return Ok(result);
    };
    let pad = if links { pad(link, Some(machine), job.hotpatch, choices)? } else { Pad::default() };
    let plan = &mut result.plan;
    plan.pad = pad.bytes;
    if !job.sources.is_empty() {
        compile(job, dialect, machine, pad.bytes.or(choices.pad), plan)?;
    }
    if job.hotpatch && machine != MachineType::X86 {
        plan.note([format!("HP-D06: /hotpatch is implied on {}", machine.name())]);
    }
    if job.hotpatch && !links {
        let size = if machine.linker_default().is_none() { ":16" } else { "" };
        plan.note([format!("nothing is linked here: the link still needs /functionpadmin{size}")]);
    }
    if job.assembled > 0 && job.hotpatch {
        plan.note(["sources in assembly stay as their author wrote them".to_owned()]);
    }
    result.plan.warnings.extend(pad.warning);
    if links {
        result.linker.extend(pad.implied.map(OsString::from));
        result.audits = pad.bytes.is_some();
    }
    Ok(result)
}

fn compile(job: &ClJob, dialect: Dialect, machine: MachineType, pad: Option<usize>, plan: &mut Plan) -> Result<()> {
    let on_x86 = matches!(machine, MachineType::X86 | MachineType::X64);
    match dialect {
        Dialect::Cl => {
            if job.hotpatch && machine == MachineType::X86 {
                plan.add(["/hotpatch"]);
            }
            if !job.hotpatch {
                return Ok(());
            }
        }
        // What `cl` does on x64 without being told, Clang does as well; on x86 nobody does.
        Dialect::ClangCl { .. } if !job.hotpatch && machine == MachineType::X86 => return Ok(()),
        Dialect::ClangCl { major } if major < FIRST_RIGHT_CLANG && on_x86 => {
            if !job.hotpatch {
                plan.note([format!("Clang {major} is too old for hot-patchable code, and makes none")]);
                return Ok(());
            }
            let reason = "HP-D05: /hotpatch of Clang 14 to 17 drops a tail call that is the first instruction (LLVM issues \
                          59039, 76879, 76958)";
            let message = format!("Clang {major} makes wrong code with /hotpatch");
            return Err(Error::new(ErrorKind::Refused, message).details([reason]).hint("take Clang 18 or later"));
        }
        Dialect::ClangCl { major } => {
            if on_x86 && job.lto {
                // The linker pads objects whose record allows it, and that of link-time optimisation does not. Functions
                // carry pads of their own through it.
                let nops = Nops::for_pad(machine, pad.unwrap_or_else(|| machine.usual_pad()))?;
                plan.add([format!("/clang:{}", nops.flag())]);
            } else if on_x86 {
                plan.add(["-Xclang", "-fms-hotpatch"]);
            }
            let needs_record = !(on_x86 && job.lto);
            if needs_record && major < FIRST_WITH_RECORD && !job.debug {
                // To the compiler proper: the driver would have the linker make a PDB.
                plan.add(["-Xclang", "-gcodeview", "-Xclang", "-debug-info-kind=line-tables-only"]);
            }
        }
    }
    plan.add(["/Gy"]);
    if job.function_sections == Some(false) {
        plan.warn("HP-D02: /Gy- wins over ours: functions share a section, and only the first of each gets a pad");
    }
    Ok(())
}

/// Which pad the linker makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pad {
    /// Its size, if one is made and the size is known.
    pub(crate) bytes: Option<usize>,
    /// The option that nobody typed.
    pub(crate) implied: Option<String>,
    pub(crate) warning: Option<String>,
}

/// Decides about the pad of a link.
///
/// # Errors
/// The option has no value where it needs one.
pub(crate) fn pad(link: &LinkJob, machine: Option<MachineType>, hotpatch: bool, choices: &Choices) -> Result<Pad> {
    let mut pad = Pad::default();
    let default = machine.and_then(MachineType::linker_default);
    match (link.pads.last(), machine) {
        (None, _) if !hotpatch => {}
        (None, None) => pad.implied = Some("/functionpadmin".to_owned()),
        (None, Some(machine)) => {
            let bytes = choices.pad.unwrap_or_else(|| machine.usual_pad());
            pad.bytes = Some(bytes);
            pad.implied = Some(format!("/functionpadmin:{bytes}"));
        }
        // Each is read, not only the last.
        (Some(_), Some(machine)) if default.is_none() && link.pads.iter().any(Option::is_none) => {
            let message = format!("HP-D07: /functionpadmin needs a value on {}", machine.name());
            return Err(
                Error::new(ErrorKind::Usage, message).hint("write /functionpadmin:16, which holds a jump to anywhere")
            );
        }
        (Some(None), _) => pad.bytes = default,
        // What is no number is the linker's to refuse.
        (Some(Some(value)), _) => pad.bytes = size(value),
    }
    pad.warning = match pad.bytes {
        Some(0) => Some("/functionpadmin:0 turns pads off: no function can be redirected".to_owned()),
        Some(bytes) if bytes > REACH => {
            Some(format!("HP-D09: a pad of {bytes} bytes is out of reach of a short jump, which goes back {REACH}"))
        }
        _ => None,
    };
    Ok(pad)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLANG: Dialect = Dialect::ClangCl { major: 19 };
    const RECORD: &str = "-Xclang -gcodeview -Xclang -debug-info-kind=line-tables-only";

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn planned(line: &str, dialect: Dialect, machine: MachineType) -> Result<ClPlan> {
        let job = ClJob::read(&words(line));
        let link = LinkJob::read(&job.linker);
        plan_cl(&job, &link, dialect, Some(machine), &Choices::default())
    }

    fn shown(words: &[OsString]) -> String {
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    /// What was typed, what is added for the compiler, what for the linker, which pad is audited.
    #[test]
    fn the_rules_of_the_documentation_hold() {
        use MachineType::{Arm, Arm64, X64, X86};
        let hot = format!("-Xclang -fms-hotpatch {RECORD} /Gy");
        let cold = format!("{RECORD} /Gy");
        let (hot, cold) = (hot.as_str(), cold.as_str());
        for (line, dialect, machine, compiler, linker, pad) in [
            ("/hotpatch a.c", CLANG, X86, hot, "/functionpadmin:5", Some(5)),
            ("/hotpatch a.c", CLANG, X64, hot, "/functionpadmin:6", Some(6)),
            ("/hotpatch a.c", CLANG, Arm64, cold, "/functionpadmin:16", Some(16)),
            ("/hotpatch a.c", CLANG, Arm, cold, "/functionpadmin:12", Some(12)),
            ("/hotpatch a.c", Dialect::Cl, X86, "/hotpatch /Gy", "/functionpadmin:5", Some(5)),
            ("/hotpatch a.c", Dialect::Cl, X64, "/Gy", "/functionpadmin:6", Some(6)),
            ("/hotpatch a.c", Dialect::Cl, Arm64, "/Gy", "/functionpadmin:16", Some(16)),
            // Compiling alone implies nothing.
            ("/hotpatch /c a.c", CLANG, X86, hot, "", None),
            ("/hotpatch /E a.c", CLANG, X86, "", "", None),
            // Without the option x64 is as `cl` makes it, and nothing is implied.
            ("a.c", CLANG, X64, hot, "", None),
            ("a.c", CLANG, X86, "", "", None),
            ("a.c", CLANG, Arm64, cold, "", None),
            ("a.c", Dialect::Cl, X64, "", "", None),
            // What the user says wins.
            ("/hotpatch a.c /link /FUNCTIONPADMIN:16", CLANG, X64, hot, "", Some(16)),
            ("/hotpatch a.c /link /FUNCTIONPADMIN:17 /functionpadmin", CLANG, X64, hot, "", Some(6)),
            ("/hotpatch a.c /link /functionpadmin /FUNCTIONPADMIN:17", CLANG, X64, hot, "", Some(17)),
            ("/hotpatch a.c /link /functionpadmin:0x20", CLANG, X86, hot, "", Some(32)),
            ("a.c /link /functionpadmin", CLANG, X64, hot, "", Some(6)),
            ("/hotpatch a.c /link /functionpadmin:16", CLANG, Arm64, cold, "", Some(16)),
            ("/hotpatch a.c /link /functionpadmin:zz", CLANG, X64, hot, "", None),
            // Debug records carry the flag already.
            ("/hotpatch /Z7 a.c", CLANG, X64, "-Xclang -fms-hotpatch /Gy", "/functionpadmin:6", Some(6)),
            (
                "/hotpatch a.c",
                Dialect::ClangCl { major: 21 },
                X64,
                "-Xclang -fms-hotpatch /Gy",
                "/functionpadmin:6",
                Some(6),
            ),
            // Link-time optimisation drops it.
            (
                "/hotpatch -flto a.c",
                CLANG,
                X64,
                "/clang:-fpatchable-function-entry=8,6 /Gy",
                "/functionpadmin:6",
                Some(6),
            ),
            ("/hotpatch -flto=thin /c a.c", CLANG, X86, "/clang:-fpatchable-function-entry=7,5 /Gy", "", None),
            (
                "/hotpatch -flto a.c /link /functionpadmin:14",
                CLANG,
                X64,
                "/clang:-fpatchable-function-entry=16,14 /Gy",
                "",
                Some(14),
            ),
            ("/hotpatch -flto a.c", CLANG, Arm64, cold, "/functionpadmin:16", Some(16)),
            // Objects alone: the option is on the line that links.
            ("a.obj /hotpatch", CLANG, X64, "", "/functionpadmin:6", Some(6)),
        ] {
            let plan = planned(line, dialect, machine).unwrap();
            assert_eq!(shown(&plan.plan.added), compiler, "{line} {machine:?}");
            assert_eq!((shown(&plan.linker), plan.plan.pad), (linker.to_owned(), pad), "{line} {machine:?}");
            assert_eq!(plan.audits, pad.is_some(), "{line}");
            assert_eq!(plan.plan.warnings, Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn what_has_no_effect_is_said() {
        use MachineType::{Arm64, X64, X86};
        for (line, machine, notes) in [
            ("/hotpatch a.c", X86, &[][..]),
            ("/hotpatch a.c", X64, &["HP-D06: /hotpatch is implied on x64"]),
            ("a.c", X64, &[]),
            ("/hotpatch /c a.c", X86, &["nothing is linked here: the link still needs /functionpadmin"]),
            (
                "/hotpatch /c a.c",
                Arm64,
                &[
                    "HP-D06: /hotpatch is implied on ARM64",
                    "nothing is linked here: the link still needs /functionpadmin:16",
                ],
            ),
        ] {
            assert_eq!(planned(line, CLANG, machine).unwrap().plan.notes, notes, "{line} {machine:?}");
        }
    }

    #[test]
    fn what_breaks_the_promise_is_a_warning() {
        for (line, warning) in [
            ("/hotpatch /Gy- a.c", "HP-D02"),
            ("/hotpatch a.c /link /functionpadmin:0", "turns pads off"),
            ("/hotpatch a.c /link /functionpadmin:4096", "HP-D09"),
        ] {
            let warnings = planned(line, CLANG, MachineType::X64).unwrap().plan.warnings;
            assert!(warnings.len() == 1 && warnings[0].contains(warning), "{line}: {warnings:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let old = Dialect::ClangCl { major: 17 };
        for (line, dialect, machine, kind, message) in [
            ("/hotpatch a.c", old, MachineType::X64, ErrorKind::Refused, "makes wrong code"),
            ("a.c /link /functionpadmin", CLANG, MachineType::Arm64, ErrorKind::Usage, "HP-D07"),
            ("a.c /link /functionpadmin /functionpadmin:16", CLANG, MachineType::Arm64, ErrorKind::Usage, "HP-D07"),
            ("/hotpatch- a.c", CLANG, MachineType::X64, ErrorKind::Usage, "cannot be"),
        ] {
            let error = planned(line, dialect, machine).unwrap_err();
            assert_eq!(error.kind, kind, "{line}");
            assert!(error.message.contains(message), "{line}: {error}");
        }
        assert!(planned("a.c", old, MachineType::X64).unwrap().plan.added.is_empty());
        assert!(planned("/hotpatch a.c", old, MachineType::Arm64).is_ok());
    }

    #[test]
    fn a_link_alone_asks_for_itself() {
        for (line, machine, bytes, implied) in [
            ("a.obj", Some(MachineType::X64), None, None),
            ("/functionpadmin a.obj", Some(MachineType::X86), Some(5), None),
            ("/functionpadmin a.obj", Some(MachineType::X64), Some(6), None),
            ("/functionpadmin a.obj", None, None, None),
            ("/functionpadmin:7 a.obj", None, Some(7), None),
        ] {
            let found = pad(&LinkJob::read(&words(line)), machine, false, &Choices::default()).unwrap();
            assert_eq!((found.bytes, found.implied), (bytes, implied), "{line}");
        }
    }
}
