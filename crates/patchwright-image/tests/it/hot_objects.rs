//! The hot build with the objects of both builds: the same part as from the relocations that a linker keeps.

use std::fs;
use std::path::Path;
use std::process::Command;

use patchwright_formats::hot::{HotPart, References};
use patchwright_image::hot::{Case, HotError, Linked, ObjectFile, build, build_linked};

const MAIN: &str = r#"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef NEW
#define PICK(old, new) (new)
#else
#define PICK(old, new) (old)
#endif
extern int helper(const char *, int);
extern __thread int per_thread;
extern int shared[4];
static __thread int own;
static int hidden[8], *const into_hidden = &hidden[3];
static const char *const words[] = {"one", "two", "three"};
int (*volatile chosen)(const char *, int) = helper;
__attribute__((noinline)) int value(int n) {
    switch (n) { case 0: return 3; case 1: return PICK(7, 8); case 2: puts("two"); return own; case 3: return 9; case 4: return 99; case 5: return *into_hidden; default: return per_thread++ + errno; }
}
__attribute__((noinline)) int sum(void) { int all = 0; for (int *p = hidden; p != hidden + 8; p++) all += *p; for (int i = 0; i < 4; i++) all += shared[i]; return all + PICK(0, 1); }
__attribute__((noinline)) const char *word(unsigned n) { return words[n % 3]; }
int main(int count, char **arguments) { hidden[count & 7] = shared[1] = own = atoi(word(count)); return value(count) + sum() + chosen(arguments[0], count) + (stderr != NULL); }
"#;

const HELPER: &str = r#"
#include <string.h>
__thread int per_thread = 5;
int shared[4];
int helper(const char *text, int n) { static int calls; calls += n; return memcmp(text, "helper text", n) ? (int)strlen(text) : calls; }
"#;

struct Built {
    program: Vec<u8>,
    objects: Vec<ObjectFile>,
}

/// Compiles one version, with the second source in an archive; nothing where there is no compiler.
fn compile(folder: &Path, version: &str, compile: &[&str], link: &[&str]) -> Option<Built> {
    let folder = folder.join(version);
    fs::create_dir_all(&folder).unwrap();
    let run = |command: &mut Command| {
        let ran = command.current_dir(&folder).output().ok()?;
        assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
        Some(())
    };
    for (name, source) in [("main", MAIN), ("helper", HELPER)] {
        fs::write(folder.join(format!("{name}.c")), source).unwrap();
        let output = format!("{name}.o");
        run(Command::new("gcc")
            .args(["-O2", "-c"])
            .args(compile)
            .args([&format!("-D{version}"), "-o", &output])
            .arg(format!("{name}.c")))?;
    }
    run(Command::new("ar").args(["rcs", "libhelper.a", "helper.o"]))?;
    let identity = format!("-Wl,--build-id=0x{}", if version == "NEW" { "1111" } else { "2222" });
    run(Command::new("gcc").args(link).arg(identity).args(["-o", "program", "main.o", "libhelper.a"]))?;
    let read = |name: &str| ObjectFile { name: name.to_owned(), data: fs::read(folder.join(name)).unwrap() };
    Some(Built { program: read("program").data, objects: vec![read("libhelper.a"), read("main.o")] })
}

fn part(old: &Built, new: &Built) -> Result<HotPart, HotError> {
    fn linked(built: &Built) -> Linked<'_> {
        Linked { file: &built.program, objects: &built.objects }
    }
    build_linked(linked(old), linked(new)).map(|made| made.part)
}

#[test]
fn objects_tell_what_kept_relocations_tell() {
    let ways: [(&[&str], &[&str]); 6] = [
        (&["-fno-pie", "-ffunction-sections", "-fdata-sections"], &["-no-pie"]),
        (&["-fno-pie"], &["-no-pie"]),
        (&["-fno-pie"], &["-static"]),
        (&["-fpie", "-ffunction-sections", "-fdata-sections"], &["-pie"]),
        // The linker rewrites what asks where things are.
        (&["-fPIC"], &["-pie"]),
        (&["-fPIC", "-ftls-model=global-dynamic"], &["-no-pie"]),
    ];
    for (flags, link) in ways {
        let folder = tempfile::tempdir().unwrap();
        let with = |kept: bool, version: &str| {
            let more: &[&str] = if kept { &["-Wl,--emit-relocs"] } else { &[] };
            compile(&folder.path().join(kept.to_string()), version, flags, &[link, more].concat())
        };
        let (Some(old), Some(new)) = (with(false, "OLD"), with(false, "NEW")) else { return };
        let (Some(old_kept), Some(new_kept)) = (with(true, "OLD"), with(true, "NEW")) else { return };
        let kept = build(&old_kept.program, &new_kept.program).unwrap_or_else(|error| panic!("{flags:?}: {error:?}"));
        let found = part(&old, &new).unwrap_or_else(|error| panic!("{flags:?} {link:?}: {error:?}"));
        assert_eq!(found.references, References::Objects);
        let names: Vec<&str> = found.functions.iter().map(|function| function.name.as_str()).collect();
        assert!(
            names.contains(&"value") && names.contains(&"sum") && names.len() == 2,
            "{flags:?} {link:?}: {names:?}"
        );
        assert_eq!(HotPart { references: References::Kept, ..found }, kept.part, "{flags:?} {link:?}");
        // Where relocations were kept, objects are not needed.
        let both = [&old_kept, &new_kept].map(|built| Linked { file: &built.program, objects: &old.objects });
        assert_eq!(build_linked(both[0], both[1]).unwrap().part, kept.part);
    }
}

#[test]
fn objects_of_another_build_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let with = |version| compile(folder.path(), version, &["-fno-pie"], &["-no-pie"]);
    let (Some(old), Some(new)) = (with("OLD"), with("NEW")) else { return };
    let mixed = Built { program: old.program.clone(), objects: new.objects.clone() };
    let HotError::Refused(objections) = part(&mixed, &new).unwrap_err() else { panic!("another error") };
    let about = |name: &str| objections.iter().find(|one| one.subject == name && one.case == Case::Unreadable);
    let value = about("value").unwrap_or_else(|| panic!("{objections:?}"));
    assert!(value.reason.contains("the program has other bytes than main.o at +0x"), "{}", value.reason);

    let without = |objects: Vec<ObjectFile>| {
        let built = Built { program: old.program.clone(), objects };
        match part(&built, &new).unwrap_err() {
            HotError::Image { old: true, error } => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let text = |name: &str, data: &[u8]| vec![ObjectFile { name: name.to_owned(), data: data.to_vec() }];
    assert!(without(text("notes.txt", b"nothing")).contains("there are no ELF objects for x86-64"));
    assert!(without(text("libx.a", b"!<arch>\nnot one")).contains("libx.a"));
    let program = text("program", &new.program);
    assert!(without(program).contains("there are no ELF objects for x86-64"));
}

#[test]
fn damaged_objects_are_refused_or_read() {
    let folder = tempfile::tempdir().unwrap();
    let with = |version| compile(folder.path(), version, &["-fno-pie"], &["-no-pie"]);
    let (Some(old), Some(new)) = (with("OLD"), with("NEW")) else { return };
    // Symbols and relocations that lie beyond everything.
    for at in (0..old.objects[1].data.len() - 8).step_by(8) {
        let mut objects = old.objects.clone();
        objects[1].data[at..at + 8].copy_from_slice(&(u64::MAX - 7).to_le_bytes());
        let _ = part(&Built { program: old.program.clone(), objects }, &new);
    }
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for _ in 0..300 {
        let mut objects = old.objects.clone();
        let data = &mut objects[random(2)].data;
        for _ in 0..=random(6) {
            let at = random(data.len());
            data[at] = u8::try_from(random(256)).unwrap();
        }
        if random(4) == 0 {
            let len = random(data.len());
            data.truncate(len);
        }
        let _ = part(&Built { program: old.program.clone(), objects }, &new);
    }
}
