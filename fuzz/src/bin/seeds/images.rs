//! Images, objects and archives, by hand and of the compilers that are here.

use std::fs;
use std::path::Path;

use patchwright_fuzz::join;

use crate::write;

#[path = "../../../../crates/patchwright-image/tests/it/pe.rs"]
mod pe;

/// Images by hand, one per machine, with every table that is read; and what compilers make, where they are.
pub(crate) fn write_all(root: &Path) -> std::io::Result<()> {
    use pe::{ARM64, BASE_32, BASE_64, CODE, Pe, THUMB, X64, X86, words};
    let pad = [0xcc; 16];
    let good = [0x66, 0x90, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc];
    let code = [&pad[..], &good, &pad, &[0xff, 0x24, 0xc5, 0, 0x40, 0, 0x40, 0xc3]].concat();
    let guid = *b"0123456789abcdef";
    let reference = [&b"RSDS"[..], &guid, &[1, 0, 0, 0], b"c:\\f.pdb\0"].concat();
    let f = CODE + 16;
    let mut x64 = Pe::new(X64, &code);
    let own = x64.add(&[1, 0, 0, 0]);
    let of_part = x64.add(&[&[0x21, 0, 0, 0][..], &words(&[f, f + 3, own])].concat());
    let table = x64.add(&words(&[f, f + 1, CODE + 40]));
    let at = (BASE_64 + u64::from(table)).to_le_bytes();
    let flags = 0x00c1_0400_u32.to_le_bytes();
    let block = [&words(&[table & !0xfff, 12])[..], &(0xa000 | table & 0xfff).to_le_bytes()].concat();
    x64.directory(5, &block);
    let x64 = x64
        .pdata(&[f, f + 3, own, CODE + 48, CODE + 56, of_part])
        .debug(2, &reference)
        .export(f)
        .load_config(&[
            (0x80, &at),
            (0x88, &[3]),
            (0x90, &flags),
            (0xb0, &at),
            (0xb8, &[1]),
            (0x108, &at),
            (0x110, &[2]),
        ])
        .build();
    let module = [pe::compile3(true), pe::procedure("f", 16, 3), pe::procedure("g", 48, 8)].concat();
    let pdb = pe::pdb(guid, &[("a.obj", module.clone()), ("b.obj", pe::compile3(false))]);
    write(root, "image", "pe-x64", &join(&pdb, &x64))?;
    let mut x86 = Pe::new(X86, &code);
    let table = x86.add(&words(&[f, CODE + 48]));
    let at = u32::try_from(BASE_32).expect("below 4 GiB") + table;
    let block = [&words(&[CODE, 12])[..], &0x3013_u16.to_le_bytes(), &[0; 2]].concat();
    x86.directory(5, &block);
    let x86 =
        x86.export(f).load_config(&[(0x40, &at.to_le_bytes()), (0x44, &[2]), (0x50, &at.to_le_bytes()), (0x54, &[2])]);
    write(root, "image", "pe-x86", &join(&[], &x86.build()))?;
    let word = words(&[0, 0, 0, 0, 0xd503_201f, 0xd65f_03c0, 0xb000_0010, 0xf940_0210, 0xd61f_0200]);
    let mut arm64 = Pe::new(ARM64, &word);
    let unwind = arm64.add(&words(&[0x0040_0003, 0xe3]));
    let arm64 = arm64.pdata(&[f, 2 << 2 | 1, f + 8, unwind]).export(f).load_config(&[(0xc8, &[1])]);
    write(root, "image", "pe-arm64", &join(&[], &arm64.build()))?;
    let thumb = [&[0; 16][..], &[0x10, 0xb5, 0xff, 0xf7, 0xfe, 0xff, 0x10, 0xbd]].concat();
    let thumb = Pe::new(THUMB, &thumb).pdata(&[f | 1, 4 << 2 | 1]).export(f | 1);
    write(root, "image", "pe-arm", &join(&[], &thumb.build()))?;
    compiled(root)
}

/// Small libraries and objects of the compilers that are here: symbols, DWARF, unwind data, relocations of all sorts.
fn compiled(root: &Path) -> std::io::Result<()> {
    const SOURCE: &str = "int g(int); __attribute__((noinline)) int f(int a) { switch (a) { case 0: return g(4); \
        case 1: return g(9); case 2: return g(7); case 3: return 12; case 4: return g(3); } return f(a - 1) + 1; }\n\
        int (*table[])(int) = { f };\n";
    let folder = std::env::temp_dir().join(format!("patchwright-seeds-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let (source, out) = (folder.join("a.c"), folder.join("out"));
    fs::write(&source, SOURCE)?;
    for (name, line) in [
        ("elf-x64", "gcc -O2 -g -shared -nostdlib -fpic -fpatchable-function-entry=8,6"),
        ("elf-x64-relr", "gcc -O2 -shared -nostdlib -fpic -Wl,-z,pack-relative-relocs -s"),
        ("elf-x64-object", "gcc -O2 -g -c -fno-pic -fpatchable-function-entry=8,6"),
        ("elf-x86", "gcc -m32 -O2 -g -shared -nostdlib -fpic"),
        ("elf-aarch64", "aarch64-linux-gnu-gcc -O2 -g -shared -nostdlib -Wl,-z,max-page-size=4096"),
        ("elf-arm", "arm-linux-gnueabihf-gcc -O2 -g -shared -nostdlib"),
        ("coff-x64", "clang-19 --target=x86_64-pc-windows-msvc -O2 -g -gcodeview -c -fms-hotpatch"),
        ("coff-x86", "i686-w64-mingw32-gcc -O2 -g -c"),
    ] {
        let mut words = line.split(' ');
        let mut command = std::process::Command::new(words.next().unwrap_or_default());
        command.args(words).arg(&source).arg("-o").arg(&out).current_dir(&folder);
        if !command.status().is_ok_and(|status| status.success()) {
            eprintln!("left out: {name}: {line}");
            continue;
        }
        let object = fs::read(&out)?;
        if name == "coff-x64" {
            let archive = archive(&object);
            write(root, "image", "archive", &join(&[], &archive))?;
        }
        write(root, "image", name, &join(&[], &object))?;
    }
    let cxx = folder.join("a.cc");
    fs::write(&cxx, "struct A { virtual int f() { return 1; } }; int g(A &a) { return a.f() + A().A::f(); }\n")?;
    for (name, line) in [
        ("elf-x64", "gcc -Os -c -ffunction-sections -fcf-protection=full -fpatchable-function-entry=8,6"),
        ("elf-x86", "gcc -m32 -Os -c -ffunction-sections -fpatchable-function-entry=7,5"),
        ("coff-x64", "x86_64-w64-mingw32-g++ -Os -c -ffunction-sections -fpatchable-function-entry=8,6"),
        ("coff-x86", "i686-w64-mingw32-gcc -O2 -c -ffunction-sections -fpatchable-function-entry=7,5"),
    ] {
        let mut words = line.split(' ');
        let mut command = std::process::Command::new(words.next().unwrap_or_default());
        command.args(words).arg(if line.contains("g++") { &cxx } else { &source }).arg("-o").arg(&out);
        if command.current_dir(&folder).status().is_ok_and(|status| status.success()) {
            write(root, "entry_nops", name, &fs::read(&out)?)?;
        } else {
            eprintln!("left out: {name}: {line}");
        }
    }
    fs::remove_dir_all(&folder)
}

/// An archive with one member, and one that is none.
fn archive(object: &[u8]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, bytes) in [("a.obj/", object), ("lib.rmeta/", &b"rust"[..])] {
        let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, bytes.len());
        archive.extend(header.as_bytes());
        archive.extend(bytes);
        archive.resize(archive.len().next_multiple_of(2), b'\n');
    }
    archive
}
