//! From what a command of GCC or Clang asks for to what is added to it.

use std::ffi::OsString;

use super::compiler::{Compiler, Family, Objects};
use super::gnu::{GnuJob, Stage};
use super::plan::{Choices, Plan};
use super::recipe::{MachineType, Nops};
use crate::{Error, ErrorKind, Result};

/// What must be true of a compiler before it is trusted.
const OLDEST_GCC: u32 = 8;
const OLDEST_CLANG: u32 = 11;
/// Clang 14 to 17 drop a tail call that is the first instruction.
const MISCOMPILES: std::ops::RangeInclusive<u32> = 14..=17;

/// What to add to the command, or why it cannot be done. All objections are told at once.
///
/// # Errors
/// The compiler, its version or its target cannot give the guarantee.
pub(crate) fn plan(job: &GnuJob, compiler: &Compiler, choices: &Choices) -> Result<Plan> {
    let mut plan = Plan::default();
    if job.stage <= Stage::Preprocess {
        return Ok(plan);
    }
    let machine = compiler.machine.filter(|_| compiler.objects != Objects::Other);
    let objections = objections(job, compiler, machine);
    let (true, Some(machine)) = (objections.is_empty(), machine) else {
        let message = format!("{} cannot make hot-patchable code", compiler.shown());
        let hint = "call the compiler without patchwright, or take another one; --dry-run shows what would be run";
        return Err(Error::new(ErrorKind::Refused, message).details(objections).hint(hint));
    };
    let pad = choices.pad.unwrap_or_else(|| machine.usual_pad());
    plan.pad = Some(pad);
    let nops = Nops::for_pad(machine, pad)?;
    let by_linker = compiler.objects != Objects::Elf && machine == MachineType::Arm64;
    if by_linker {
        pads_by_linker(job, compiler, pad, &mut plan);
    } else {
        compile(job, compiler, machine, nops, pad, &mut plan);
    }
    if job.stage == Stage::Link && !job.relocatable {
        link(job, compiler, choices, &mut plan);
    }
    Ok(plan)
}

fn objections(job: &GnuJob, compiler: &Compiler, machine: Option<MachineType>) -> Vec<String> {
    let mut list = Vec::new();
    match (compiler.family, machine) {
        (_, None) => list.push("the target is none of x86, x86-64, ARM and ARM64 with ELF or COFF objects".to_owned()),
        (Family::Gcc, Some(MachineType::Arm64 | MachineType::Arm)) if compiler.objects != Objects::Elf => {
            list.push("GCC for Windows on ARM has no known way".to_owned());
        }
        (Family::Clang, Some(MachineType::Arm)) => {
            list.push("Clang has no -fpatchable-function-entry for 32-bit ARM".to_owned());
        }
        _ => {}
    }
    match compiler.family {
        Family::Gcc if compiler.major < OLDEST_GCC => {
            list.push(format!("GCC has -fpatchable-function-entry since version {OLDEST_GCC}"));
        }
        Family::Clang if compiler.major < OLDEST_CLANG => {
            list.push(format!("Clang places its nops behind ENDBR and BTI since version {OLDEST_CLANG}"));
        }
        Family::Clang if MISCOMPILES.contains(&compiler.major) && job.ms_hotpatch => list.push(
            "HP-D05: -fms-hotpatch of Clang 14 to 17 drops a tail call that is the first instruction \
             (LLVM issues 59039, 76879, 76958)"
                .to_owned(),
        ),
        _ => {}
    }
    list
}

fn compile(job: &GnuJob, compiler: &Compiler, machine: MachineType, nops: Nops, pad: usize, plan: &mut Plan) {
    // Clang warns of flags that it has no use for: assembly, and mere linking, gets none.
    if job.compiled > 0 {
        plan.add(["-ffunction-sections", "-falign-functions=16"]);
        plan.add([nops.flag()]);
    }
    let chosen = job.nops.as_ref();
    if let Some((flag, chosen)) = chosen {
        if let Some(shortcoming) = chosen.shortcoming(machine, pad) {
            plan.warn(format!("{flag} wins over ours: {shortcoming}"));
        }
        if job.ms_hotpatch {
            plan.warn("-fms-hotpatch and -fpatchable-function-entry both make an entry: one is enough");
        }
    }
    plan.note(job.contrary.iter().map(|flag| format!("{flag} wins over ours")));
    let two_nops = chosen.is_none_or(|(_, chosen)| chosen.total.saturating_sub(chosen.before) >= 2);
    let gcc_on_x86 = compiler.family == Family::Gcc && matches!(machine, MachineType::X86 | MachineType::X64);
    plan.mend_objects = gcc_on_x86 && two_nops && job.makes_code();
    if job.assembled > 0 {
        plan.note([format!("{} in assembly stay as their author wrote them", sources(job.assembled))]);
    }
}

fn sources(number: usize) -> String {
    if number == 1 { "1 source".to_owned() } else { format!("{number} sources") }
}

/// ARM64 on Windows: nops before the prologue are an error there, and a function needs none at its entry. The linker makes
/// pads of objects whose debug records say that they are hot-patchable, which of ARM64 they always do.
fn pads_by_linker(job: &GnuJob, compiler: &Compiler, pad: usize, plan: &mut Plan) {
    if job.compiled > 0 {
        plan.add(["-ffunction-sections"]);
        if compiler.major < 21 {
            plan.add(["-Xclang", "-gcodeview", "-Xclang", "-debug-info-kind=line-tables-only"]);
        }
    }
    if job.stage == Stage::Link {
        plan.add([format!("-Wl,-Xlink=-functionpadmin:{pad}")]);
    }
}

fn link(job: &GnuJob, compiler: &Compiler, choices: &Choices, plan: &mut Plan) {
    if compiler.objects == Objects::Elf && choices.emit_relocs && !job.keeps_relocations {
        if job.stripped {
            plan.note([
                "the image is stripped: it keeps no relocations, so that a hot patch will need the unstripped one"
                    .to_owned(),
            ]);
        } else {
            plan.add(["-Wl,--emit-relocs"]);
        }
    }
    if job.gold_collects {
        plan.warn(
            "HP-D08: gold drops __patchable_function_entries with --gc-sections; use another linker or leave it out",
        );
    }
    let default = if compiler.objects == Objects::Elf { "a.out" } else { "a.exe" };
    plan.image = Some(job.output.clone().unwrap_or_else(|| OsString::from(default)).into());
    plan.map = job.map.clone();
    plan.wants_map = job.map.is_none() && compiler.objects != Objects::CoffMsvc;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler(family: Family, major: u32, machine: MachineType, objects: Objects) -> Compiler {
        Compiler { family, major, version: format!("{major}.0.0"), machine: Some(machine), objects }
    }

    fn planned(line: &str, compiler: &Compiler) -> Result<Plan> {
        let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        plan(&GnuJob::read(&words), compiler, &Choices::default())
    }

    #[test]
    fn each_compiler_gets_what_it_needs() {
        use Family::{Clang, Gcc};
        use MachineType::{Arm, Arm64, X64, X86};
        use Objects::{CoffGnu, Elf};
        let all = "-ffunction-sections -falign-functions=16 -fpatchable-function-entry";
        for (family, machine, objects, line, expect, mends) in [
            (Gcc, X64, Elf, "--version", String::new(), false),
            (Gcc, X64, Elf, "-E a.c", String::new(), false),
            (Gcc, X64, Elf, "-c a.c", format!("{all}=8,6"), true),
            (Gcc, X64, Elf, "-S a.c", format!("{all}=8,6"), true),
            (Gcc, X64, Elf, "-c a.s", String::new(), false),
            (Gcc, X86, Elf, "-c a.c", format!("{all}=7,5"), true),
            (Gcc, X64, Elf, "a.c", format!("{all}=8,6 -Wl,--emit-relocs"), true),
            (Gcc, X64, Elf, "a.o b.a", "-Wl,--emit-relocs".to_owned(), true),
            (Gcc, X64, Elf, "a.o -s", String::new(), true),
            (Gcc, X64, Elf, "a.o -r -o b.o", String::new(), true),
            (Gcc, X64, CoffGnu, "a.c", format!("{all}=8,6"), true),
            (Gcc, Arm64, Elf, "a.c", format!("{all}=5,4 -Wl,--emit-relocs"), false),
            (Gcc, Arm, Elf, "-c a.c", format!("{all}=4,3"), false),
            (Clang, X64, Elf, "-c a.c", format!("{all}=8,6"), false),
            (Clang, X64, Elf, "-c a.s", String::new(), false),
            (Clang, X86, CoffGnu, "a.c", format!("{all}=7,5"), false),
            (
                Clang,
                Arm64,
                CoffGnu,
                "a.c",
                "-ffunction-sections -Xclang -gcodeview -Xclang -debug-info-kind=line-tables-only \
                 -Wl,-Xlink=-functionpadmin:16"
                    .to_owned(),
                false,
            ),
        ] {
            let plan = planned(line, &compiler(family, 19, machine, objects)).unwrap();
            let added: Vec<_> = plan.added.iter().map(|word| word.to_str().unwrap()).collect();
            assert_eq!(
                (added.join(" "), plan.mend_objects),
                (expect, mends),
                "{family:?} {machine:?} {objects:?} {line}"
            );
            assert_eq!(plan.warnings, Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_all_reasons() {
        use Family::{Clang, Gcc};
        for (family, major, machine, objects, line, reasons) in [
            (Gcc, 7, MachineType::X64, Objects::Elf, "-c a.c", &["since version 8"][..]),
            (Clang, 10, MachineType::X64, Objects::Elf, "-c a.c", &["since version 11"]),
            (Clang, 10, MachineType::Arm, Objects::Elf, "-c a.c", &["32-bit ARM", "since version 11"]),
            (Clang, 17, MachineType::X64, Objects::Elf, "-fms-hotpatch -c a.c", &["HP-D05"]),
            (Gcc, 12, MachineType::X64, Objects::Other, "-c a.c", &["the target is none of"]),
        ] {
            let error = planned(line, &compiler(family, major, machine, objects)).unwrap_err();
            assert_eq!((error.kind, error.details.len()), (ErrorKind::Refused, reasons.len()), "{line}");
            for (found, expect) in error.details.iter().zip(reasons) {
                assert!(found.contains(expect), "{found}");
            }
        }
        assert!(planned("-fms-hotpatch -E a.c", &compiler(Clang, 17, MachineType::X64, Objects::Elf)).is_ok());
        assert!(planned("-c a.c", &compiler(Clang, 17, MachineType::X64, Objects::Elf)).is_ok());
    }

    #[test]
    fn flags_of_the_user_win_and_are_told_when_they_break_the_promise() {
        let gcc = compiler(Family::Gcc, 12, MachineType::X64, Objects::Elf);
        for (line, warning, mends) in [
            ("-c a.c -fpatchable-function-entry=16,14", None, true),
            ("-c a.c -fpatchable-function-entry=2", Some("shorter than 6"), true),
            ("-c a.c -fpatchable-function-entry=0", Some("no instruction at the entry"), false),
            ("-c a.c -fpatchable-function-entry=7,6", Some("no instruction at the entry"), false),
            ("a.o -fuse-ld=gold -Wl,--gc-sections", Some("HP-D08"), true),
        ] {
            let plan = planned(line, &gcc).unwrap();
            assert_eq!(plan.mend_objects, mends, "{line}");
            assert_eq!(plan.warnings.len(), usize::from(warning.is_some()), "{line}: {:?}", plan.warnings);
            assert!(warning.is_none_or(|warning| plan.warnings[0].contains(warning)), "{line}: {:?}", plan.warnings);
        }
        assert_eq!(planned("-c a.c -falign-functions=1", &gcc).unwrap().notes, ["-falign-functions=1 wins over ours"]);
    }
}
