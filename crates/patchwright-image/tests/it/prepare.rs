//! `prepare` on objects of a few bytes: what is put before a function, what moves, and what damage does.

use std::borrow::Cow;

use object::write::{Object, Relocation, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationEncoding,
    RelocationFlags, RelocationKind, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};
use patchwright_image::{
    Image, ImageErrorKind, Outcome, PrepareOptions, Verdict, audit, is_archive, prepare, prepare_archive,
};

/// A section with functions: name, offset, length.
struct Code<'a> {
    bytes: &'a [u8],
    functions: &'a [(&'a str, u64, u64)],
    align: u64,
}

fn object(format: BinaryFormat, architecture: Architecture, code: &Code<'_>) -> Vec<u8> {
    with_pointers(format, architecture, code, &[0])
}

/// The same with pointers to these distances from each function.
fn with_pointers(format: BinaryFormat, architecture: Architecture, code: &Code<'_>, pointers: &[i64]) -> Vec<u8> {
    let mut object = Object::new(format, architecture, Endianness::Little);
    let text = object.add_section(Vec::new(), b".text.x".to_vec(), SectionKind::Text);
    object.append_section_data(text, code.bytes, code.align);
    let mut symbols = Vec::new();
    for (name, value, size) in code.functions {
        symbols.push(object.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value: *value,
            size: *size,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(text),
            flags: SymbolFlags::None,
        }));
    }
    let width = if architecture == Architecture::I386 { 4 } else { 8 };
    let data = object.add_section(Vec::new(), b".data".to_vec(), SectionKind::Data);
    for symbol in symbols {
        for addend in pointers.iter().copied() {
            let offset = object.append_section_data(data, &[0; 8][..width], 8);
            let size = u8::try_from(8 * width).unwrap();
            let flags = RelocationFlags::Generic {
                kind: RelocationKind::Absolute,
                encoding: RelocationEncoding::Generic,
                size,
            };
            object.add_relocation(data, Relocation { offset, symbol, addend, flags }).unwrap();
        }
    }
    object.write().unwrap()
}

/// The bytes of the section, and where each function is in it.
fn read(data: &[u8]) -> (Vec<u8>, u64, Vec<(String, u64, u64)>) {
    let file = object::File::parse(data).unwrap();
    let section = file.section_by_name(".text.x").unwrap();
    let functions = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
    let functions = functions.map(|symbol| (symbol.name().unwrap().to_owned(), symbol.address(), symbol.size()));
    (section.data().unwrap().to_vec(), section.align(), functions.collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `bytes` as one function, and what becomes of it: bytes in hexadecimal, entry, size.
fn check(architecture: Architecture, bytes: &[u8], expect: &str, entry: u64, size: u64) {
    let code = Code { bytes, functions: &[("f", 0, bytes.len() as u64)], align: 16 };
    let old = object(BinaryFormat::Elf, architecture, &code);
    let new = prepare(&old, &PrepareOptions::default()).unwrap();
    let (text, _, functions) = read(&new.bytes);
    assert_eq!(hex(&text), expect.replace(' ', ""), "{bytes:02x?}");
    assert_eq!(functions, [("f".to_owned(), entry, size)], "{bytes:02x?}");
    let image = Image::read(&new.bytes).unwrap();
    let audited = audit(&image, None);
    assert!(matches!(audited[0].verdict, Verdict::HotPatchable { .. }), "{bytes:02x?}: {:?}", audited[0]);
    let again = prepare(&new.bytes, &PrepareOptions::default()).unwrap();
    assert!(matches!(again.bytes, Cow::Borrowed(_)) && again.functions[0].outcome == Outcome::Already);
}

const CC_14: &str = "cccccccccccccccccccccccccccc";
const CC_16: &str = "cccccccccccccccccccccccccccccccc";

#[test]
fn each_need_is_met() {
    use Architecture::{Aarch64, I386, X86_64};
    // A pad is all it lacks: lea eax, [rdi+1]; ret
    check(X86_64, &[0x8d, 0x47, 1, 0xc3], &format!("{CC_16} 8d4701c3"), 16, 4);
    // push rbp; pop rbp; ret
    check(X86_64, &[0x55, 0x5d, 0xc3], &format!("{CC_14} 6690 555dc3"), 14, 5);
    check(I386, &[0x55, 0x5d, 0xc3], &format!("{CC_14} 6690 555dc3"), 14, 5);
    // endbr64; push rbp: it stays first.
    let endbr = [0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x5d, 0xc3];
    check(X86_64, &endbr, "cccccccccccccccccccc f30f1efa 6690 f30f1efa555dc3", 10, 13);
    // A loop to its entry goes to the old code; a call of itself to the new entry.
    check(X86_64, &[0xff, 0xcf, 0x75, 0xfc, 0xc3], &format!("{CC_14} 6690 ffcf75fcc3"), 14, 7);
    let calls = [0x53, 0xe8, 0xfa, 0xff, 0xff, 0xff, 0x5b, 0xc3];
    check(X86_64, &calls, &format!("{CC_14} 6690 53e8f8ffffff5bc3"), 14, 10);
    // A lone ret.
    check(X86_64, &[0xc3], &format!("{CC_14} 6690 c3"), 14, 3);
    // GCC's two nops: one instruction, and a pad.
    check(X86_64, &[0x90, 0x90, 0x5d, 0xc3], &format!("{CC_16} 66905dc3"), 16, 4);
    // sub sp, sp, #16; ret: six nops and a seventh. Nothing stands in a nop's way but what accepts calls.
    let nop = "1f2003d5";
    let sub = [0xff, 0x43, 0, 0xd1, 0xc0, 3, 0x5f, 0xd6];
    check(Aarch64, &sub, &format!("{}ff4300d1c0035fd6", nop.repeat(8)), 28, 12);
    let bti = [0x5f, 0x24, 3, 0xd5, 0xff, 0x43, 0, 0xd1, 0xc0, 3, 0x5f, 0xd6];
    check(Aarch64, &bti, &format!("{}5f2403d5{nop}5f2403d5ff4300d1c0035fd6", nop.repeat(6)), 24, 20);
}

#[test]
fn functions_of_one_section_move_apart() {
    // f: push rbx; call g; jmp short g (a tail call); g: push rbp; jne back to g; pop; ret
    let bytes =
        [0x53, 0xe8, 0x0a, 0, 0, 0, 0xeb, 0x08, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0x55, 0x75, 0xfd, 0x5d, 0xc3];
    let functions = [("f", 0, 8), ("g", 16, 5)];
    let code = Code { bytes: &bytes, functions: &functions, align: 16 };
    let mut old = code.bytes.to_vec();
    // The filler between them, as gas writes it.
    old.splice(8..16, [0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]);
    let code = Code { bytes: &old, ..code };
    let old = object(BinaryFormat::Elf, Architecture::X86_64, &code);
    let new = prepare(&old, &PrepareOptions::default()).unwrap();
    let (text, align, functions) = read(&new.bytes);
    assert_eq!(align, 16);
    assert_eq!(functions, [("f".to_owned(), 14, 10), ("g".to_owned(), 46, 7)]);
    let f = "5 3 e8 18000000 eb 16 0f1f840000000000".replace(' ', "");
    let g = "6690 55 75fd 5dc3".replace(' ', "");
    assert_eq!(hex(&text), format!("{CC_14}6690{f}{CC_14}{g}"));
}

#[test]
fn pointers_follow() {
    let code = Code { bytes: &[0x55, 0x5d, 0xc3], functions: &[("f", 0, 3)], align: 1 };
    for (format, architecture) in [
        (BinaryFormat::Elf, Architecture::X86_64),
        (BinaryFormat::Elf, Architecture::I386),
        (BinaryFormat::Coff, Architecture::X86_64),
        (BinaryFormat::Coff, Architecture::I386),
    ] {
        let old = with_pointers(format, architecture, &code, &[0, 1]);
        let new = prepare(&old, &PrepareOptions::default()).unwrap();
        let file = object::File::parse(&*new.bytes).unwrap();
        let data = file.section_by_name(".data").unwrap();
        let bytes = data.data().unwrap();
        // To the entry by the symbol alone; past the first byte beyond the island.
        let addends = data.relocations().map(|(at, relocation)| {
            let at = usize::try_from(at).unwrap();
            if relocation.has_implicit_addend() { i64::from(bytes[at]) } else { relocation.addend() }
        });
        assert_eq!(addends.collect::<Vec<_>>(), [0, 3], "{format:?} {architecture:?}");
        assert_eq!(file.section_by_name(".text.x").unwrap().align(), 16);
    }
}

#[test]
fn what_is_no_object_is_told() {
    let mut linked = object(BinaryFormat::Elf, Architecture::X86_64, &Code { bytes: &[], functions: &[], align: 1 });
    linked[16] = 2;
    for (data, told) in [
        (&b"BC\xc0\xde1234"[..], "bitcode"),
        (&[0xde, 0xc0, 0x17, 0x0b, 0, 0], "bitcode"),
        (&linked, "linked already"),
        (&[0, 0, 0xff, 0xff, 1, 0], "/bigobj"),
        (b"MZ", "machine type"),
    ] {
        let error = prepare(data, &PrepareOptions::default()).unwrap_err();
        assert_eq!(error.kind, ImageErrorKind::Unsupported, "{error}");
        assert!(error.message.contains(told), "{error}");
    }
    let thin = prepare_archive(b"!<thin>\n", &PrepareOptions::default()).unwrap_err();
    assert!(thin.message.contains("thin"), "{thin}");
}

/// Members of two lengths with an index: offsets follow, and what is no object stays.
#[test]
fn archives_keep_their_form() {
    let member = object(
        BinaryFormat::Elf,
        Architecture::X86_64,
        &Code { bytes: &[0x55, 0x5d, 0xc3], functions: &[("f", 0, 3)], align: 16 },
    );
    let header = |name: &str, len: usize| format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{len:<10}`\n", 1, 2, 3, 644);
    let names = b"a_rather_long_name_of_a_member.o/\n";
    let mut archive = b"!<arch>\n".to_vec();
    let mut add = |name: &str, body: &[u8]| {
        let at = archive.len();
        archive.extend_from_slice(header(name, body.len()).as_bytes());
        archive.extend_from_slice(body);
        archive.resize(archive.len().next_multiple_of(2), b'\n');
        at
    };
    let index_at = add("/", &[0; 4 + 8 + 4]);
    add("//", names);
    let first = add("/0", &member);
    add("lib.rmeta/", b"metadata!");
    let second = add("b.o/", &member);
    let number = |value: usize| u32::try_from(value).unwrap().to_be_bytes();
    let index = [number(2), number(first), number(second), *b"f\0g\0"].concat();
    archive[index_at + 60..index_at + 76].copy_from_slice(&index);
    assert!(is_archive(&archive));
    let new = prepare_archive(&archive, &PrepareOptions::default()).unwrap();
    let told: Vec<_> = new.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(told, ["a_rather_long_name_of_a_member.o", "b.o"]);
    let file = object::read::archive::ArchiveFile::parse(&*new.bytes).unwrap();
    let members: Vec<_> = file.members().map(Result::unwrap).collect();
    let read: Vec<_> = members.iter().map(|member| String::from_utf8_lossy(member.name()).into_owned()).collect();
    assert_eq!(read, ["a_rather_long_name_of_a_member.o", "lib.rmeta", "b.o"]);
    assert_eq!(members[1].data(&*new.bytes).unwrap(), b"metadata!");
    for (symbol, at) in file.symbols().unwrap().unwrap().map(Result::unwrap).zip([0, 2]) {
        let found = file.member(symbol.offset()).unwrap();
        assert_eq!(found.name(), members[at].name());
    }
    let same = prepare_archive(&new.bytes, &PrepareOptions::default()).unwrap();
    assert!(matches!(same.bytes, Cow::Borrowed(_)));
}

/// Whatever is hurt: an error or an object that loads where it did, and no panic.
#[test]
fn damage_does_no_harm() {
    let bytes =
        [0x53, 0xe8, 0x0a, 0, 0, 0, 0xeb, 0x08, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x55, 0x5d, 0xc3];
    let code = Code { bytes: &bytes, functions: &[("f", 0, 8), ("g", 16, 3)], align: 16 };
    for (format, architecture) in [
        (BinaryFormat::Elf, Architecture::X86_64),
        (BinaryFormat::Elf, Architecture::I386),
        (BinaryFormat::Elf, Architecture::Aarch64),
        (BinaryFormat::Coff, Architecture::X86_64),
        (BinaryFormat::Coff, Architecture::I386),
    ] {
        let whole = object(format, architecture, &code);
        let try_one = |data: &[u8]| {
            if let Ok(new) = prepare(data, &PrepareOptions::default()) {
                assert!(new.bytes.len() < data.len() * 300 + 4096);
                assert!(Image::read(data).is_err() || Image::read(&new.bytes).is_ok());
            }
        };
        (0..whole.len()).for_each(|len| try_one(&whole[..len]));
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff, whole[at] ^ 0x80, whole[at].wrapping_add(1)] {
                let mut hurt = whole.clone();
                hurt[at] = value;
                try_one(&hurt);
            }
        }
    }
}
