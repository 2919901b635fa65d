//! The hot build on what compilers make, and on what is left of it when it is damaged.

use std::path::Path;
use std::process::Command;

use patchwright_formats::hot::{HotPart, References};
use patchwright_image::hot::{Case, HotError, build};

const SOURCE: &str = r#"
#include <stdio.h>
#ifdef NEW
#define PICK(old, new) (new)
#else
#define PICK(old, new) (old)
#endif
struct pair { int one; int two; };
static int calls;
static const char *const words[] = {"one", "two", "three"};
__attribute__((noinline)) int value(int n) {
    switch (n) { case 0: return 3; case 1: return PICK(7, 8); case 2: puts("two"); return 1; case 3: return 9; case 4: return 99; default: return calls++; }
}
__attribute__((noinline)) const char *word(struct pair *p) { return words[p->one + p->two * PICK(0, 1)]; }
struct pair p;
int main(int count, char **arguments) { p.one = count; printf("%d %s %s\n", value(count), word(&p), arguments[0]); }
"#;

/// Compiles the two versions, or nothing where there is no compiler.
fn compile(folder: &Path, flags: &[&str]) -> Option<(Vec<u8>, Vec<u8>)> {
    let source = folder.join("source.c");
    std::fs::write(&source, SOURCE).unwrap();
    let one = |define: &str, output: &str| {
        let output = folder.join(output);
        let mut gcc = Command::new("gcc");
        gcc.args(["-O2", "-g", "-ffunction-sections", "-Wl,--build-id"]).args(flags).arg(define);
        let ran = gcc.arg("-o").arg(&output).arg(&source).output().ok()?;
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        std::fs::read(output).ok()
    };
    Some((one("-DOLD", "old")?, one("-DNEW", "new")?))
}

#[test]
fn the_same_change_is_found_however_the_program_is_linked() {
    for (flags, references) in [
        (&["-Wl,--emit-relocs"][..], References::Kept),
        (&["-Wl,--emit-relocs", "-no-pie", "-fno-pie"], References::Kept),
        (&["-Wl,--emit-relocs", "-static"], References::Kept),
        (&[], References::Decoded),
        (&["-static-pie"], References::Decoded),
        (&["-Wl,-z,pack-relative-relocs"], References::Decoded),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let Some((old, new)) = compile(folder.path(), flags) else { return };
        let made = build(&old, &new).unwrap_or_else(|error| panic!("{flags:?}: {error:?}"));
        let names: Vec<&str> = made.part.functions.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(names, ["value", "word"], "{flags:?}");
        assert_eq!(made.part.references, references, "{flags:?}");
        assert_eq!(HotPart::decode(&made.part.encode()).unwrap(), made.part);
        assert_eq!(build(&old, &new).unwrap().part, made.part, "the same every time");
        let nothing = build(&old, &old).unwrap_err();
        assert!(
            matches!(&nothing, HotError::Refused(all) if all.iter().all(|one| one.case == Case::Identity)),
            "{nothing:?}"
        );
    }
}

#[test]
fn what_is_missing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, expect) in [
        (&["-no-pie", "-fno-pie"][..], "the program is for a fixed address and its relocations are missing"),
        (&["-s"], "it has no symbols of functions"),
    ] {
        let Some((old, new)) = compile(folder.path(), flags) else { return };
        let HotError::Image { old: true, error } = build(&old, &new).unwrap_err() else { panic!("another error") };
        assert!(error.message.contains(expect), "{error}");
    }
}

/// Any byte of headers, symbols and relocations may be wrong: an error or a part, never a panic.
#[test]
fn damaged_programs_are_refused_or_read() {
    let folder = tempfile::tempdir().unwrap();
    for flags in [&["-Wl,--emit-relocs"][..], &[]] {
        let Some((old, new)) = compile(folder.path(), flags) else { return };
        damage(&old, &new);
    }
}

fn damage(old: &[u8], new: &[u8]) {
    let step = old.len() / 97;
    for len in (0..old.len()).step_by(step) {
        let _ = build(&old[..len], new);
        let _ = build(old, &new[..len.min(new.len())]);
    }
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for _ in 0..400 {
        let mut damaged = old.to_vec();
        for _ in 0..=random(6) {
            let at = random(damaged.len());
            damaged[at] = u8::try_from(random(256)).unwrap();
        }
        let _ = build(&damaged, new);
        let _ = build(new, &damaged);
    }
}
