//! Two builds of a small library or program, linked in the ways that the hot build reads; and a build with its object.

use std::fs;
use std::path::Path;
use std::process::Command;

use patchwright_fuzz::join;

use crate::write;

const SOURCE: &str = "__attribute__((visibility(\"hidden\"))) extern int other(int);\n\
    static int calls, many[6]; __thread int own; extern int import(const char *);\n\
    #ifdef FIXED\n\
    __attribute__((noinline)) int import(const char *text) { return text[0]; }\n\
    #endif\n\
    __attribute__((noinline)) int f(int a) { switch (a) { case 0: return calls++; case 1: return NEW; case 2: return own;\n\
    case 3: return import(\"text\"); case 4: return 12; case 5: return 99; } return many[a & 3]; }\n\
    int other(int a) { int all = a; for (int *p = many; p != many + 6; p++) all += *p; return f(all); }\n\
    int (*table[])(int) = { f, other }; void _start(void) { f(other(2)); }\n";

/// Seeds of `hot_build`, as far as GCC is here.
pub(crate) fn write_all(root: &Path) -> std::io::Result<()> {
    let folder = std::env::temp_dir().join(format!("patchwright-hot-seeds-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("a.c"), SOURCE)?;
    let small = "-O2 -nostdlib -Wl,-z,noseparate-code -Wl,-z,max-page-size=4096 -falign-functions=16";
    let compile = |flags: &str, new: &str| -> std::io::Result<Option<Vec<u8>>> {
        let out = folder.join("out");
        let mut gcc = Command::new("gcc");
        gcc.args(small.split(' ')).args(flags.split(' ')).args([&format!("-DNEW={new}"), "-o"]).arg(&out).arg("a.c");
        match gcc.current_dir(&folder).status() {
            Ok(status) if status.success() => fs::read(&out).map(Some),
            _ => {
                eprintln!("left out: gcc {small} {flags}");
                Ok(None)
            }
        }
    };
    for (name, flags) in [
        ("kept", "-shared -fpic -Wl,--emit-relocs"),
        ("kept-fixed", "-static -no-pie -fno-pie -DFIXED -Wl,--emit-relocs"),
        ("decoded", "-shared -fpic"),
        ("decoded-relr", "-shared -fpic -Wl,-z,pack-relative-relocs"),
        ("typed", "-shared -fpic -g1 -Wl,--emit-relocs"),
    ] {
        let old = compile(&format!("{flags} -Wl,--build-id=0x1111"), "7")?;
        let new = compile(&format!("{flags} -Wl,--build-id=0x2222"), "80000")?;
        if let (Some(old), Some(new)) = (old, new) {
            write(root, "hot_build", name, &join(&old, &new))?;
        }
    }
    for (name, flags) in [("object", "-fpic"), ("object-fixed", "-fno-pie -DFIXED")] {
        let linked = match name {
            "object" => "-shared -fpic -Wl,--build-id=0x1111",
            _ => "-static -no-pie -fno-pie -DFIXED -Wl,--build-id=0x1111",
        };
        if let (Some(object), Some(program)) = (compile(&format!("{flags} -c"), "7")?, compile(linked, "7")?) {
            write(root, "hot_build", name, &join(&object, &program))?;
        }
    }
    fs::remove_dir_all(&folder)
}
