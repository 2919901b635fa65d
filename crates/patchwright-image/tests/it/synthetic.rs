//! Objects of a few bytes, one rule each.

use object::write::{Object, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};
use patchwright_image::{Image, Protocol, Rule, Verdict, audit};

/// An ELF object whose `.text` begins with `before`, then holds `code` as a function `f`.
fn object(architecture: Architecture, before: &[u8], code: &[u8], size: u64) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, architecture, Endianness::Little);
    let text = object.section_id(StandardSection::Text);
    object.append_section_data(text, before, 16);
    let value = object.append_section_data(text, code, 1);
    object.add_symbol(Symbol {
        name: b"f".to_vec(),
        value,
        size,
        kind: SymbolKind::Text,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(text),
        flags: SymbolFlags::None,
    });
    object.write().unwrap()
}

pub(crate) fn arm64() -> Vec<u8> {
    object(Architecture::Aarch64, &[], &[0x1f, 0x20, 0x03, 0xd5, 0xc0, 0x03, 0x5f, 0xd6], 8)
}

pub(crate) fn x64_object() -> Vec<u8> {
    object(Architecture::X86_64, &[0x90; 16], &[0x66, 0x90, 0xc3], 3)
}

/// The verdict on `f`, and the notes.
fn judge(data: &[u8], min_pad: Option<usize>) -> (Verdict, Vec<Rule>) {
    let image = Image::read(data).unwrap();
    let audited = audit(&image, min_pad);
    let f = audited.iter().find(|one| one.function.names == ["f"]).unwrap();
    (f.verdict.clone(), f.notes.iter().map(|note| note.rule).collect())
}

const PAD: &[u8] = &[0xcc; 16];

#[test]
fn each_rule_is_told() {
    for (what, before, code, broken) in [
        ("two bytes after a pad", PAD, &[0x66, 0x90, 0xc3][..], &[][..]),
        ("mov edi, edi", PAD, &[0x8b, 0xff, 0xc3], &[]),
        ("push first", PAD, &[0x55, 0x5d, 0xc3], &[Rule::A01]),
        ("no pad", &[0xc3; 16], &[0x66, 0x90, 0xc3], &[Rule::A02]),
        ("push and no pad", &[0xc3; 16], &[0x55, 0x5d, 0xc3], &[Rule::A01, Rule::A02]),
        ("a pad of zeros", &[0; 16], &[0x66, 0x90, 0xc3], &[Rule::A02]),
        (
            "one long nop",
            &[0x2e, 0x66, 0x0f, 0x1f, 0x84, 0, 0, 2, 0, 0, 0x66, 0x0f, 0x1f, 0x44, 0, 0],
            &[0x66, 0x90, 0xc3],
            &[],
        ),
        ("into the first instruction", PAD, &[0xb8, 0, 0, 0, 0, 0xeb, 0xfb], &[Rule::A05]),
        ("into the pad", PAD, &[0x66, 0x90, 0xeb, 0xfa], &[Rule::A05]),
        ("back to the entry", PAD, &[0x66, 0x90, 0x75, 0xfc, 0xc3], &[Rule::A06]),
        ("back behind the entry", PAD, &[0x66, 0x90, 0x75, 0xfe, 0xc3], &[]),
        ("a call to itself", PAD, &[0x66, 0x90, 0xe8, 0xf9, 0xff, 0xff, 0xff, 0xc3], &[]),
        ("back to endbr", PAD, &[0xf3, 0x0f, 0x1e, 0xfa, 0x66, 0x90, 0xeb, 0xf8], &[Rule::A06]),
        ("back to the site", PAD, &[0xf3, 0x0f, 0x1e, 0xfa, 0x66, 0x90, 0xeb, 0xfc], &[Rule::A06]),
        ("one byte behind endbr", PAD, &[0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x5d, 0xc3], &[Rule::A01]),
    ] {
        let (verdict, _) = judge(&object(Architecture::X86_64, before, code, code.len() as u64), None);
        let found: Vec<_> = match verdict {
            Verdict::HotPatchable { by: Protocol::Atomic } => Vec::new(),
            Verdict::Unpatchable { reasons } => reasons.iter().map(|reason| reason.rule).collect(),
            other => panic!("{what}: {other:?}"),
        };
        assert_eq!(found, broken, "{what}");
    }
}

#[test]
fn a_lone_ret_needs_filler_behind_it() {
    let with = object(Architecture::X86_64, PAD, &[0xc3, 0xcc, 0xcc], 1);
    assert_eq!(judge(&with, None).0, Verdict::HotPatchable { by: Protocol::Atomic });
    let long = object(Architecture::X86_64, PAD, &[0xc3, 0x0f, 0x1f, 0], 1);
    assert_eq!(judge(&long, None).0, Verdict::HotPatchable { by: Protocol::Atomic });
    let without = object(Architecture::X86_64, PAD, &[0xc3, 0x55], 1);
    assert!(matches!(judge(&without, None).0, Verdict::Unpatchable { reasons } if reasons[0].rule == Rule::A10));
}

#[test]
fn the_site_decides_the_protocol() {
    for (pad, expect) in [(6, Protocol::Atomic), (7, Protocol::Trap), (14, Protocol::Atomic), (15, Protocol::Trap)] {
        let data = object(Architecture::X86_64, &vec![0x90; pad], &[0x66, 0x90, 0xc3], 3);
        assert_eq!(judge(&data, None).0, Verdict::HotPatchable { by: expect }, "pad of {pad}");
        assert!(matches!(judge(&data, Some(pad + 1)).0, Verdict::Unpatchable { .. }), "pad of {pad}");
    }
    let nops = object(Architecture::X86_64, &[0x90; 6], &[0x90, 0x90, 0xc3], 3);
    assert_eq!(judge(&nops, None), (Verdict::HotPatchable { by: Protocol::Stopped }, vec![Rule::A01]));
}

#[test]
fn arm64_needs_a_nop() {
    let (verdict, notes) = judge(&arm64(), None);
    assert_eq!((verdict, notes), (Verdict::HotPatchable { by: Protocol::Atomic }, vec![Rule::A14]));
    // sub sp, sp, #16; ret
    let plain = object(Architecture::Aarch64, &[], &[0xff, 0x43, 0, 0xd1, 0xc0, 3, 0x5f, 0xd6], 8);
    assert_eq!(judge(&plain, None).0, Verdict::HotPatchable { by: Protocol::Stopped });
    // bti c; nop; b back to the nop
    let code = [0x5f, 0x24, 3, 0xd5, 0x1f, 0x20, 3, 0xd5, 0xff, 0xff, 0xff, 0x17];
    let looping = object(Architecture::Aarch64, &[], &code, 12);
    assert!(matches!(judge(&looping, None).0, Verdict::Unpatchable { reasons } if reasons[0].rule == Rule::A06));
}

#[test]
fn other_machines_are_refused() {
    for architecture in [Architecture::Riscv64, Architecture::LoongArch64, Architecture::X86_64_X32] {
        let error = Image::read(&object(architecture, &[], &[0; 8], 8)).unwrap_err();
        assert_eq!(error.kind, patchwright_image::ImageErrorKind::Unsupported, "{error}");
    }
}

/// Symbols may share a name, but not so that a small file takes any memory.
#[test]
fn shared_names_are_read_so_often_only() {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let text = object.section_id(StandardSection::Text);
    object.append_section_data(text, &[0x90; 4000], 16);
    let name = vec![b'n'; 100_000];
    for value in 0..4000 {
        object.add_symbol(Symbol {
            name: name.clone(),
            value,
            size: 1,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(text),
            flags: SymbolFlags::None,
        });
    }
    let data = object.write().unwrap();
    assert!(data.len() < 300_000, "the name is stored once");
    let image = Image::read(&data).unwrap();
    let read: usize = image.functions().iter().flat_map(|function| &function.names).map(String::len).sum();
    assert!(read <= 2 * data.len(), "{read} bytes of names");
    assert!(!image.functions().is_empty());
}
