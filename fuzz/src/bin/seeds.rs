//! Writes the seeds: `cargo run --manifest-path fuzz/Cargo.toml --bin seeds`. To be run when a format changes.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use patchwright_delta::{CreateOptions, create};
use patchwright_formats::journal::{Journal, Print, Step};
use patchwright_formats::lzx::{E8, EncodeOptions, Level, Window, encode};
use patchwright_formats::manifest::{
    FilePatch, NewEntry, NewFile, Node, OldEntry, OldFile, OldTree, OldVersion, Source, TreePatch,
};
use patchwright_formats::pa19;
use patchwright_formats::undo::{Attributes, Undo};
use patchwright_formats::{ByteRange, ContainerWriter, Kind, Manifest, PatchId, Regions, RetainRange, TreePath};
use patchwright_fuzz::join;

#[path = "../../../crates/patchwright-image/tests/it/pe.rs"]
mod pe;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (name, old, new) in cases() {
        write(&root, "delta_roundtrip", name, &join(&old, &new))?;
        for (method, max_memory_bytes) in [("suffixes", CreateOptions::default().max_memory_bytes), ("blocks", 0)] {
            let mut body = Vec::new();
            create(&old, &new, &CreateOptions { max_memory_bytes }, &|_| (), &mut body)?;
            write(&root, "delta_apply", &format!("{name}-{method}"), &join(&old, &body))?;
        }
        lzx(&root, name, &old, &new)?;
    }
    let (old, new) = (image(0), image(0x40));
    write(&root, "pe_normalise", "image", &[&[0, 1][..], &old].concat())?;
    for (name, choice) in [("raw", 0), ("native", 0b1_0100), ("ranges", 0b11), ("native-ranges", 0b10_0111)] {
        let input = [&[choice, 200, 210, 220][..], &join(&old, &new)].concat();
        write(&root, "pa19_roundtrip", name, &input)?;
        let regions = Regions {
            ignore: vec![ByteRange::new(200, 8)],
            retain: vec![RetainRange { old_offset: 210, len: 8, new_offset: 220 }],
        };
        let regions = if choice & 1 == 0 { Regions::default() } else { regions };
        let profile = if choice & 4 == 0 { pa19::Profile::Raw } else { pa19::Profile::Native };
        let options = pa19::CreateOptions { profile, ext: 0x300, ..pa19::CreateOptions::default() };
        let made = pa19::create(&[pa19::OldInput { bytes: &old, regions: &regions }], &new, &options)?;
        write(&root, "pa19_read", name, &join(&old, &made.patch))?;
    }
    for (name, seed) in objects()? {
        write(&root, "prepare", name, &[&[0xff], &seed[..]].concat())?;
    }
    write(&root, "journal", "every-step", &journal())?;
    write(&root, "container", "file", &container(&file_manifest()?)?)?;
    write(&root, "container", "manifest", &join(&file_manifest()?, &undo().encode()))?;
    write(&root, "container", "tree-manifest", &join(&tree_manifest()?, &undo().encode()))?;
    images(&root)?;
    write(&root, "regions", "both", &[100, 120, 0, 10, 5, 1, 20, 8, 30, 0, 50, 50])?;
    write(&root, "regions", "overflow", &[100, 120, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2])?;
    Ok(())
}

/// Objects of each format with a function of its own section, one that shares a section, a call and a pointer to them.
fn objects() -> Result<Vec<(&'static str, Vec<u8>)>, Box<dyn std::error::Error>> {
    use object::write::{Object, Relocation, StandardSection, Symbol, SymbolSection};
    use object::{
        Architecture, BinaryFormat, Endianness, RelocationEncoding, RelocationFlags, RelocationKind, SymbolFlags,
        SymbolKind, SymbolScope,
    };
    let x86 = &[0x55, 0xe8, 0, 0, 0, 0, 0x75, 0xf8, 0x5d, 0xc3][..];
    let arm = &[0xfd, 0x7b, 0xbf, 0xa9, 0, 0, 0, 0x94, 0xe0, 0xff, 0xff, 0x54, 0xc0, 0x03, 0x5f, 0xd6][..];
    let mut made = Vec::new();
    for (name, format, architecture, code) in [
        ("elf-x86-64", BinaryFormat::Elf, Architecture::X86_64, x86),
        ("elf-x86", BinaryFormat::Elf, Architecture::I386, x86),
        ("elf-aarch64", BinaryFormat::Elf, Architecture::Aarch64, arm),
        ("coff-x64", BinaryFormat::Coff, Architecture::X86_64, x86),
        ("coff-x86", BinaryFormat::Coff, Architecture::I386, x86),
    ] {
        let mut object = Object::new(format, architecture, Endianness::Little);
        let shared = object.section_id(StandardSection::Text);
        let own = object.add_section(Vec::new(), b".text.own".to_vec(), object::SectionKind::Text);
        let mut last = None;
        for (symbol, section) in [("first", shared), ("second", shared), ("own", own)] {
            let value = object.append_section_data(section, code, 16);
            last = Some(object.add_symbol(Symbol {
                name: symbol.as_bytes().to_vec(),
                value,
                size: code.len() as u64,
                kind: SymbolKind::Text,
                scope: SymbolScope::Linkage,
                weak: false,
                section: SymbolSection::Section(section),
                flags: SymbolFlags::None,
            }));
        }
        let symbol = last.ok_or("no symbol")?;
        if code == x86 {
            let flags = RelocationFlags::Generic {
                kind: RelocationKind::Relative,
                encoding: RelocationEncoding::Generic,
                size: 32,
            };
            object.add_relocation(shared, Relocation { offset: 2, symbol, addend: -4, flags })?;
        }
        let data = object.section_id(StandardSection::Data);
        let at = object.append_section_data(data, &[0; 8], 8);
        let size = if matches!(architecture, Architecture::I386) { 32 } else { 64 };
        let flags = RelocationFlags::Generic {
            kind: RelocationKind::Absolute,
            encoding: RelocationEncoding::Generic,
            size,
        };
        object.add_relocation(data, Relocation { offset: at, symbol, addend: 0, flags })?;
        made.push((name, object.write()?));
    }
    let member = &made[0].1;
    let header = format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "a.o/", 0, 0, 0, 644, member.len());
    let index = [&1_u32.to_be_bytes()[..], &(8 + 60 + 14_u32).to_be_bytes(), b"first\0"].concat();
    let first = format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "/", 0, 0, 0, 0, index.len());
    made.push(("archive", [b"!<arch>\n", first.as_bytes(), &index, header.as_bytes(), member].concat()));
    Ok(made)
}

/// Images by hand, one per machine, with every table that is read; and what compilers make, where they are.
fn images(root: &Path) -> std::io::Result<()> {
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

/// A journal with every sort of step, without the hash at its end, which the target adds.
fn journal() -> Vec<u8> {
    let path = || b"bin/app".to_vec();
    let file = |hash| Print::File { size: 70, hash: [hash; 32] };
    let steps = vec![
        Step::Take { path: path(), stash: 3, before: Print::Link { target: b"../x".into() } },
        Step::RemoveFolder { path: path(), mode: 0o755, owner: (0, 1000) },
        Step::MakeFolder { path: path(), mode: 0o700 },
        Step::Put { path: path(), stash: 0, before: Print::Absent, after: file(1) },
        Step::Put { path: path(), stash: 1, before: file(2), after: file(3) },
        Step::SetMode { path: path(), before: 0o644, after: 0o755 },
    ];
    let mut bytes = Journal { steps }.encode();
    bytes.truncate(bytes.len() - 32);
    bytes
}

fn container(manifest: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = ContainerWriter::new(Cursor::new(Vec::new()))?;
    for (kind, bytes) in [(Kind::COLD, &b"body"[..]), (Kind::COLD, b""), (Kind::MANIFEST, manifest)] {
        writer.add(kind, |out| out.write_all(bytes))?;
    }
    Ok(writer.finish()?.0.into_inner())
}

fn regions() -> Regions {
    Regions {
        ignore: vec![ByteRange::new(20, 5)],
        retain: vec![RetainRange { old_offset: 50, len: 10, new_offset: 80 }],
    }
}

fn new_file() -> NewFile {
    NewFile { size: 90, hash: [1; 32], retained: vec![ByteRange::new(80, 10)] }
}

fn old_file() -> OldFile {
    OldFile { size: 100, hash: [2; 32], regions: regions() }
}

fn file_manifest() -> std::io::Result<Vec<u8>> {
    let old = |body| OldVersion { file: old_file(), body };
    Manifest::File(FilePatch { new: new_file(), olds: vec![old(0), old(1)] }).encode()
}

fn tree_manifest() -> std::io::Result<Vec<u8>> {
    let path = |text: &str| TreePath::new(text).expect("a plain path");
    let new = vec![
        NewEntry { path: path("bin"), node: Node::Folder { mode: 0o755 } },
        NewEntry { path: path("bin/app"), node: Node::File { mode: 0o755, file: new_file() } },
        NewEntry { path: path("link"), node: Node::Symlink { target: "../x".into() } },
    ];
    let entries = vec![OldEntry { path: path("app"), node: Node::File { mode: 0o755, file: old_file() } }];
    let sources = vec![Source::Delta { entry: 0, body: 1 }];
    Manifest::Tree(TreePatch { new, olds: vec![OldTree { entries, sources }] }).encode()
}

fn undo() -> Undo {
    let attributes = Attributes {
        modified: Some((-7, 999_999_999)),
        owner: Some((0, 1000)),
        mode: Some(0o4755),
        extended: vec![(b"user.note".to_vec(), b"x".to_vec())],
    };
    Undo { reverts: PatchId([5; 32]), attributes: vec![Attributes::default(), attributes] }
}

/// Streams in the smallest window, with translated calls, after what the targets of LZX choose by.
fn lzx(root: &Path, name: &str, old: &[u8], new: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let files = join(old, new);
    for (level, how) in [("fast", 0x20), ("best", 0x10)] {
        write(root, "lzx_roundtrip", &format!("{name}-{level}"), &[&[0, how], &files[..]].concat())?;
    }
    let len = u32::try_from(new.len())?;
    let options = EncodeOptions { e8: E8::Always(len), level: Level::Best };
    let stream = encode(old, new, Window::MIN, &options)?;
    let [low, high, more, _] = len.to_le_bytes();
    Ok(write(root, "lzx_decode", name, &[&[0, low, high, more], &join(old, &stream)[..]].concat())?)
}

fn write(root: &Path, target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let dir = root.join(target);
    fs::create_dir_all(&dir)?;
    fs::write(dir.join(name), bytes)
}

/// Small files that differ in the ways that program files do.
fn cases() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    // Every 16th word is a pointer; a new version moves what it points to.
    let word =
        |i: u32, shift: u32| i.wrapping_mul(0x9e37_79b9).wrapping_add(if i.is_multiple_of(16) { shift } else { 0 });
    let words = |shift| (0..500).flat_map(|i| word(i, shift).to_le_bytes()).collect();
    let table: Vec<u8> = words(0);
    let text = b"mov eax, [ebp+8]; call 0x1040; ".repeat(40);
    let mut edited = text.clone();
    edited.splice(300..300, *b"a few bytes more");
    edited[900] ^= 0x20;
    let moved = [&table[800..], &text[..400], &table[..800]].concat();
    vec![
        ("empty", vec![], vec![]),
        ("from-nothing", vec![], text.clone()),
        ("to-nothing", text.clone(), vec![]),
        ("equal", table.clone(), table.clone()),
        ("edited", text.clone(), edited),
        ("shifted-pointers", table.clone(), words(0x10)),
        ("moved-parts", [&table[..], &text].concat(), moved),
        ("unrelated", text, table),
    ]
}

/// A small 32-bit image with code, imports, relocations and a lock table, in which what code leads to moves by `shift`.
fn image(shift: u32) -> Vec<u8> {
    const BASE: u32 = 0x40_0000;
    let mut image = vec![0u8; 0x800];
    image[..2].copy_from_slice(b"MZ");
    image[0x80..0x84].copy_from_slice(b"PE\0\0");
    put(&mut image, 0x3C, &[0x80]);
    // File header and the start of the optional header: three sections, time, sizes.
    put(&mut image, 0x84, &[0x0003_014C, 0x5000_0000 + shift, 0, 0, 0x010E_00E0, 0x010B]);
    put(&mut image, 0x98 + 28, &[BASE, 0x1000, 0x200]);
    put(&mut image, 0x98 + 56, &[0x4000, 0x200]);
    // Directories: imports, relocations, load configuration.
    put(&mut image, 0x98 + 92, &[16, 0, 0, 0x2000 + shift, 40]);
    put(&mut image, 0x98 + 96 + 8 * 5, &[0x3000, 12]);
    put(&mut image, 0x98 + 96 + 8 * 10, &[0x2100, 0x40]);
    let sections = [(b".text\0\0\0", 0x6000_0020), (b".idata\0\0", 0x4000_0040), (b".reloc\0\0", 0x4200_0040)];
    for ((n, at), (name, characteristics)) in [(1, 0x178), (2, 0x1A0), (3, 0x1C8)].into_iter().zip(sections) {
        image[at..at + 8].copy_from_slice(name);
        put(&mut image, at + 8, &[0x200, 0x1000 * n, 0x200, 0x200 * n, 0, 0, 0, characteristics]);
    }
    // mov eax, [address]; and further on a call and a conditional jump.
    put(&mut image, 0x200, &[0xA190_9090, BASE + 0x2080 + shift]);
    image[0x220] = 0xE8;
    put(&mut image, 0x221, &[0x100 + shift]);
    image[0x225..0x227].copy_from_slice(&[0x0F, 0x84]);
    put(&mut image, 0x227, &[0x120 + shift]);
    // One library, one import by name.
    let moved = 0x400 + shift as usize;
    put(&mut image, moved, &[0x2060 + shift, 0, 0, 0x2090 + shift, 0x2070 + shift]);
    put(&mut image, moved + 0x60, &[0x20A0 + shift, 0, 0, 0, 0x20A0 + shift]);
    image[moved + 0x90..moved + 0x95].copy_from_slice(b"k.dll");
    image[moved + 0xA2..moved + 0xA6].copy_from_slice(b"open");
    // The load configuration and its table of lock prefixes; the relocations.
    put(&mut image, 0x520, &[BASE + 0x2140]);
    put(&mut image, 0x540, &[BASE + 0x1020]);
    put(&mut image, 0x600, &[0x1000, 12, 0x0000_3004]);
    image
}

fn put(image: &mut [u8], at: usize, values: &[u32]) {
    for (place, value) in image[at..].chunks_mut(4).zip(values) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}
