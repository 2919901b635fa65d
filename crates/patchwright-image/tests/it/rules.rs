//! For each rule an image that breaks it and no other: reasons, notes and findings together are that rule alone.

use std::collections::BTreeSet;

use object::write::{Object, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};
use patchwright_image::{Class, Companions, Image, Rule, Verdict, audit, findings};

use crate::pe::{self, ARM64, BASE_32, BASE_64, CODE, Pe, X64, X86, words};

/// An ELF object with symbols in `.text`: name, offset, length.
fn elf(architecture: Architecture, code: &[u8], symbols: &[(&str, u64, u64)]) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, architecture, Endianness::Little);
    let text = object.section_id(StandardSection::Text);
    object.append_section_data(text, code, 64);
    for (name, value, size) in symbols {
        object.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value: *value,
            size: *size,
            kind: if name.starts_with("data") { SymbolKind::Data } else { SymbolKind::Text },
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(text),
            flags: SymbolFlags::None,
        });
    }
    object.write().unwrap()
}

/// x64 code for ELF: a pad, and `f` behind it.
fn x64(pad: &[u8], code: &[u8]) -> Vec<u8> {
    elf(Architecture::X86_64, &[pad, code].concat(), &[("f", pad.len() as u64, code.len() as u64)])
}

/// `xchg ax, ax; jmp f`, where the linker fills in where `f` is.
fn relocated() -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let text = object.section_id(StandardSection::Text);
    object.append_section_data(text, &[PAD, &[0x66, 0x90, 0xe9, 0, 0, 0, 0]].concat(), 64);
    let symbol = object.add_symbol(Symbol {
        name: b"f".to_vec(),
        value: 16,
        size: 7,
        kind: SymbolKind::Text,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(text),
        flags: SymbolFlags::None,
    });
    let flags = object::RelocationFlags::Elf { r_type: object::elf::R_X86_64_PLT32 };
    object.add_relocation(text, object::write::Relocation { offset: 19, symbol, addend: -4, flags }).unwrap();
    object.write().unwrap()
}

/// All that is said about `f`, and about the image.
fn broken(data: &[u8], pdb: Option<&[u8]>) -> (BTreeSet<Rule>, Class) {
    let image = Image::read_with(data, Companions { pdb }).unwrap();
    let audited = audit(&image, None);
    let f = audited.iter().find(|one| one.function.names.iter().any(|name| name.starts_with('f'))).unwrap();
    let mut rules: BTreeSet<Rule> = f.notes.iter().map(|note| note.rule).collect();
    match &f.verdict {
        Verdict::Unpatchable { reasons } => rules.extend(reasons.iter().map(|reason| reason.rule)),
        Verdict::Exempt { rule } => rules.extend([*rule]),
        Verdict::HotPatchable { .. } => {}
        Verdict::Unknown { why } => panic!("{why}"),
    }
    rules.extend(findings(&image).iter().map(|finding| finding.rule));
    (rules, f.class())
}

fn check(what: &str, data: &[u8], rule: Rule, class: Class) {
    assert_eq!(broken(data, None), (BTreeSet::from([rule]), class), "{what}");
}

/// Sixteen bytes of filler.
const PAD: &[u8] = &[0xcc; 16];
/// `xchg ax, ax; ret`, and filler up to 16 bytes.
const GOOD: &[u8] = &[0x66, 0x90, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc];
const F: u32 = CODE + 16;

/// A PE image for x64 that exports `f` behind a pad.
fn pe64(code: &[u8]) -> Pe {
    Pe::new(X64, &[PAD, code, PAD].concat()).export(F)
}

/// An image per machine with most of what is read of it.
pub(crate) fn images() -> Vec<Vec<u8>> {
    let mut x64 = pe64(GOOD).debug(20, &0x40_u32.to_le_bytes());
    let table = x64.add(&words(&[F, F + 2]));
    let at = (BASE_64 + u64::from(table)).to_le_bytes();
    let unwind = x64.add(&[1, 0, 0, 0]);
    let flags = 0x0081_0400_u32.to_le_bytes();
    let fields: [(usize, &[u8]); 7] =
        [(0x80, &at), (0x88, &[2]), (0x90, &flags), (0xb0, &at), (0xb8, &[2]), (0x108, &at), (0x110, &[2])];
    let x64 = x64.pdata(&[F, F + 3, unwind]).load_config(&fields);
    let mut x86 = Pe::new(X86, &[PAD, &[0xa1, 0, 0x20, 0x40, 0, 0xc3], PAD].concat()).export(F);
    x86.directory(5, &[&words(&[CODE, 12])[..], &0x3011_u16.to_le_bytes(), &[0; 2]].concat());
    let arm64 = Pe::new(ARM64, &words(&[0, 0, 0, 0, 0xd503_201f, 0xd65f_03c0])).export(F).pdata(&[F, 2 << 2 | 1]);
    let thumb =
        Pe::new(pe::THUMB, &[&[0; 16][..], &[0x10, 0xb5, 0x10, 0xbd]].concat()).export(F | 1).pdata(&[F, 2 << 2 | 1]);
    [x64, x86, arm64, thumb].iter().map(Pe::build).collect()
}

/// An image and its database.
pub(crate) fn image_with_pdb() -> (Vec<u8>, Vec<u8>) {
    let module = [pe::compile3(true), pe::procedure("f", 16, 3), pe::procedure("leaf", 40, 4)].concat();
    with_pdb(&[("a.obj", module), ("b.obj", pe::compile3(false))])
}

#[test]
fn nothing_is_said_of_what_is_good() {
    for (what, data) in [
        ("object", x64(PAD, &GOOD[..3])),
        ("image", pe64(GOOD).build()),
        ("image for x86", Pe::new(X86, &[PAD, &[0x8b, 0xff, 0xc3][..], PAD].concat()).export(F).build()),
        // bl to a function and back needs no note: a nop, and room for a jump to anywhere.
        ("ARM64", elf(Architecture::Aarch64, &words(&[0, 0, 0, 0, 0xd503_201f, 0xd65f_03c0]), &[("f", 16, 8)])),
        ("ARM64 image", Pe::new(ARM64, &words(&[0, 0, 0, 0, 0xd503_201f, 0xd65f_03c0])).export(F).build()),
    ] {
        assert_eq!(broken(&data, None), (BTreeSet::new(), Class::Atomic), "{what}");
    }
}

#[test]
fn a01_the_first_instruction_is_too_short() {
    check("push", &x64(PAD, &[0x55, 0x5d, 0xc3]), Rule::A01, Class::No);
    check("push behind endbr", &x64(PAD, &[0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x5d, 0xc3]), Rule::A01, Class::No);
    check("two nops", &x64(PAD, &[0x90, 0x90, 0xc3]), Rule::A01, Class::Stopped);
}

#[test]
fn a02_there_is_no_pad() {
    check("code before", &x64(&[0xc3; 16], &GOOD[..3]), Rule::A02, Class::No);
    check("five bytes", &x64(&[&[0xc3; 11][..], &[0xcc; 5]].concat(), &GOOD[..3]), Rule::A02, Class::No);
    check("zeros", &x64(&[0; 16], &GOOD[..3]), Rule::A02, Class::No);
    // A nop of ten bytes whose last five are a nop as well, but which begins in another function.
    let cut = [0xc3, 0xc3, 0xc3, 0xc3, 0xc3, 0xc3, 0xc3, 0xc3, 0xc3, 0xc3, 0xc3, 0x0f, 0x1f, 0x44, 0, 0];
    check("a nop of five", &x64(&cut, &GOOD[..3]), Rule::A02, Class::No);
}

#[test]
fn a03_the_pad_belongs_to_the_function_before() {
    let code = [&[0xc3][..], &PAD[1..], GOOD].concat();
    let symbols = [("before", 0, 14), ("f", 16, 3)];
    check("its end", &elf(Architecture::X86_64, &code, &symbols), Rule::A03, Class::No);
    let symbols = [("before", 0, 17), ("f", 16, 3)];
    check("beyond the entry", &elf(Architecture::X86_64, &code, &symbols), Rule::A03, Class::No);
}

#[test]
fn a04_one_store_does_not_reach() {
    check("8 bytes", &x64(&[0xcc; 7], &GOOD[..3]), Rule::A04, Class::Trap);
    check("a cache line", &x64(&[0xcc; 63], &GOOD[..3]), Rule::A04, Class::Trap);
    check("behind endbr", &x64(&[0xcc; 11], &[0xf3, 0x0f, 0x1e, 0xfa, 0x66, 0x90, 0xc3]), Rule::A04, Class::Trap);
    let page = Pe::new(X64, &[&vec![0xcc; 4095][..], GOOD].concat()).export(CODE + 4095);
    check("a page", &page.build(), Rule::A04, Class::No);
}

#[test]
fn a05_something_leads_into_the_site() {
    // mov eax, imm32; jmp into it
    check("a branch", &x64(PAD, &[0xb8, 0, 0, 0, 0, 0xeb, 0xfb]), Rule::A05, Class::No);
    check("a branch into the pad", &x64(PAD, &[0x66, 0x90, 0xeb, 0xfa]), Rule::A05, Class::No);
    // cmp edi, 0; ja; jmp [rdi*8+table]
    let table = u32::try_from(BASE_32).unwrap() + pe::DATA;
    let code = [&[0x83, 0xff, 0x00, 0x77, 0x07, 0xff, 0x24, 0xbd][..], &table.to_le_bytes(), &[0xc3, 0xcc, 0xcc, 0xcc]];
    let mut jumps = Pe::new(X86, &[PAD, &code.concat(), PAD].concat());
    jumps.add(&u32::try_from(BASE_32 + u64::from(F) + 1).unwrap().to_le_bytes());
    check("a jump table", &jumps.export(F).build(), Rule::A05, Class::No);
    // A pointer in data that the loader corrects.
    let mut pointer = pe64(GOOD);
    let at = pointer.add(&(BASE_64 + u64::from(F) + 1).to_le_bytes());
    let block = [&words(&[at & !0xfff, 12])[..], &(0xa000 | u16::try_from(at & 0xfff).unwrap()).to_le_bytes(), &[0; 2]];
    pointer.directory(5, &block.concat());
    check("a pointer", &pointer.build(), Rule::A05, Class::No);
    for (what, table, count) in [("exceptions", 0x108, 0x110), ("longjmp", 0xb0, 0xb8)] {
        let mut image = pe64(&[0xb8, 0, 0, 0, 0, 0xc3]);
        let at = image.add(&(F + 2).to_le_bytes());
        let fields = [(table, &(BASE_64 + u64::from(at)).to_le_bytes()[..]), (count, &[1])];
        check(what, &image.load_config(&fields).build(), Rule::A05, Class::No);
    }
}

#[test]
fn a06_the_function_loops_to_its_entry() {
    check("a condition", &x64(PAD, &[0x66, 0x90, 0x75, 0xfc, 0xc3]), Rule::A06, Class::No);
    check("to endbr", &x64(PAD, &[0xf3, 0x0f, 0x1e, 0xfa, 0x66, 0x90, 0xeb, 0xf8]), Rule::A06, Class::No);
    check("behind endbr", &x64(PAD, &[0xf3, 0x0f, 0x1e, 0xfa, 0x66, 0x90, 0xeb, 0xfc]), Rule::A06, Class::No);
    // The cold part jumps back: 48 is its place.
    let code = [PAD, GOOD, PAD, &[0xeb, 0xde]].concat();
    let symbols = [("f", 16, 3), ("f.cold", 48, 2)];
    check("from a cold part", &elf(Architecture::X86_64, &code, &symbols), Rule::A06, Class::No);
    // The same of a chained piece on x64: its unwind data lead to those of the function.
    let mut chained = Pe::new(X64, &code);
    let own = chained.add(&[1, 0, 0, 0]);
    let of_part = chained.add(&[&[0x21, 0, 0, 0][..], &words(&[F, F + 3, own])].concat());
    let chained = chained.pdata(&[F, F + 3, own, CODE + 48, CODE + 50, of_part]).export(F);
    check("from a chained piece", &chained.build(), Rule::A06, Class::No);
    check("through a relocation", &relocated(), Rule::A06, Class::No);
    let word = words(&[0, 0, 0, 0, 0xd503_201f, 0x17ff_ffff]);
    check("ARM64", &elf(Architecture::Aarch64, &word, &[("f", 16, 8)]), Rule::A06, Class::No);
}

#[test]
fn a07_something_of_use_is_in_the_way() {
    let kcfi = [&[0x90; 11][..], &[0xb8, 1, 2, 3, 4]].concat();
    check("KCFI", &x64(&kcfi, &GOOD[..3]), Rule::A07, Class::No);
    let code = [&[0xcc; 11][..], &[0xb8, 1, 2, 3, 4], GOOD].concat();
    let named = elf(Architecture::X86_64, &code, &[("__cfi_f", 11, 5), ("f", 16, 3)]);
    check("KCFI by name", &named, Rule::A07, Class::No);
    let signature = [&[0xcc; 8][..], &0xc105_cafe_u32.to_le_bytes(), &[1, 2, 3, 4]].concat();
    check("signature", &x64(&signature, &GOOD[..3]), Rule::A07, Class::No);
    let code = [&[0xcc; 12][..], &[1, 2, 3, 4], GOOD].concat();
    let data = elf(Architecture::X86_64, &code, &[("data", 12, 4), ("f", 16, 3)]);
    check("data", &data, Rule::A07, Class::No);
    // /guard:xfg, and a table that says that pointers lead to the function.
    let mut xfg = Pe::new(X64, &[&[0xcc; 8][..], &[1, 2, 3, 4, 5, 6, 7, 8], GOOD].concat()).export(F);
    let table = xfg.add(&F.to_le_bytes());
    let flags = 0x0080_0400_u32.to_le_bytes();
    let table = (BASE_64 + u64::from(table)).to_le_bytes();
    let xfg = xfg.load_config(&[(0x80, &table), (0x88, &[1]), (0x90, &flags)]);
    check("XFG", &xfg.build(), Rule::A07, Class::No);
}

/// The offset of an entry thunk, of which ARM64 needs to know only when a pad is asked for.
#[test]
fn a07_offsets_of_hybrid_images() {
    let code = words(&[0, 0, 0, 0x1234, 0xd503_201f, 0xd65f_03c0]);
    let image = Pe::new(ARM64, &code).export(F).load_config(&[(0xc8, &[1])]).build();
    let image = Image::read(&image).unwrap();
    let audited = audit(&image, Some(16));
    let Verdict::Unpatchable { reasons } = &audited[0].verdict else { panic!("{:?}", audited[0]) };
    assert_eq!(reasons[0].rule, Rule::A07);
}

#[test]
fn a08_a_relocation_covers_the_site() {
    // mov eax, [abs32]; ret
    let mut image = Pe::new(X86, &[PAD, &[0xa1, 0, 0x20, 0x40, 0, 0xc3], PAD].concat()).export(F);
    let block = [&words(&[CODE, 12])[..], &0x3011_u16.to_le_bytes(), &[0; 2]].concat();
    image.directory(5, &block);
    check("HIGHLOW", &image.build(), Rule::A08, Class::Atomic);
}

#[test]
fn a09_the_site_is_not_in_the_file() {
    let image = Pe::new(X64, &[PAD, GOOD].concat()).export(CODE + 0x800);
    check("memory only", &image.build(), Rule::A09, Class::No);
}

#[test]
fn a10_the_function_is_too_short() {
    check(
        "a lone ret",
        &elf(Architecture::X86_64, &[PAD, &[0xc3, 0x55]].concat(), &[("f", 16, 1)]),
        Rule::A10,
        Class::No,
    );
    let half = elf(Architecture::X86_64, &[PAD, &[0x66, 0x90, 0xc3]].concat(), &[("f", 16, 1)]);
    check("half an instruction", &half, Rule::A10, Class::No);
    // With filler behind it the jump may cover that; it is said, and good.
    let filler = elf(Architecture::X86_64, &[PAD, &[0xc3, 0xcc]].concat(), &[("f", 16, 1)]);
    check("filler behind it", &filler, Rule::A10, Class::AtomicRet);
    let uneven = elf(Architecture::X86_64, &[&PAD[..15], &[0xc3, 0xcc]].concat(), &[("f", 15, 1)]);
    assert_eq!(broken(&uneven, None), (BTreeSet::from([Rule::A04, Rule::A10]), Class::No));
}

#[test]
fn a11_it_is_patched_already() {
    let code = [&[0xcc; 11][..], &[0xe9, 0, 1, 0, 0], &[0xeb, 0xf9, 0xc3]].concat();
    check("E9", &elf(Architecture::X86_64, &code, &[("f", 16, 3)]), Rule::A11, Class::Patched);
    let code = [&[0xcc; 10][..], &[0xff, 0x25, 0, 1, 0, 0], &[0xeb, 0xf8, 0xc3]].concat();
    check("FF 25", &elf(Architecture::X86_64, &code, &[("f", 16, 3)]), Rule::A11, Class::Patched);
    // The way of Windows: a page of jumps.
    let mut code = [&[0xcc; 11][..], &[0xe9, 16, 0, 0, 0], &[0xeb, 0xf9, 0xc3], &PAD[..13]].concat();
    code.extend([0xff, 0x25, 0xfa, 0x0f, 0, 0]);
    check("HPAT", &elf(Architecture::X86_64, &code, &[("f", 16, 3)]), Rule::A11, Class::Patched);
    let word = words(&[0, 0, 0, 0, 0x1400_0002, 0xd65f_03c0, 0x5800_8010, 0xd61f_0200]);
    check("HPAT of ARM64", &elf(Architecture::Aarch64, &word, &[("f", 16, 8)]), Rule::A11, Class::Patched);
}

#[test]
fn a12_no_endbr_in_a_tracked_image() {
    check("PE", &pe64(GOOD).debug(20, &0x40_u32.to_le_bytes()).build(), Rule::A12, Class::Atomic);
    // A shadow stack alone asks for nothing.
    let shadow = pe64(GOOD).debug(20, &1_u32.to_le_bytes()).build();
    assert_eq!(broken(&shadow, None), (BTreeSet::new(), Class::Atomic));
}

#[test]
fn a13_the_word_may_not_change_under_a_core() {
    let word = words(&[0, 0, 0, 0, 0xd100_43ff, 0xd65f_03c0]);
    check("sub sp", &elf(Architecture::Aarch64, &word, &[("f", 16, 8)]), Rule::A13, Class::Stopped);
    let thumb = [&[0; 16][..], &[0x10, 0xb5, 0x10, 0xbd]].concat();
    check("push", &Pe::new(pe::THUMB, &thumb).export(F | 1).build(), Rule::A13, Class::Stopped);
}

#[test]
fn a14_the_replacement_must_be_near() {
    let word = words(&[0xd65f_03c0, 0xd503_201f, 0xd65f_03c0]);
    check("no pad", &elf(Architecture::Aarch64, &word, &[("f", 4, 8)]), Rule::A14, Class::Atomic);
}

#[test]
fn a15_two_names() {
    let code = [PAD, GOOD].concat();
    let symbols = [("f", 16, 3), ("f2", 16, 3)];
    check("an alias", &elf(Architecture::X86_64, &code, &symbols), Rule::A15, Class::Atomic);
}

#[test]
fn a16_a_thunk() {
    check("a pointer", &x64(PAD, &[0xff, 0x25, 0, 0, 0, 0]), Rule::A16, Class::Thunk);
    let import = words(&[0, 0, 0, 0, 0xb000_0010, 0xf940_0210, 0xd61f_0200]);
    check("ARM64", &elf(Architecture::Aarch64, &import, &[("f", 16, 12)]), Rule::A16, Class::Thunk);
    let code = [&words(&[0xd65f_03c0])[..], &words(&[0x1400_0010])].concat();
    let veneer = elf(Architecture::Aarch64, &code, &[("f_veneer", 4, 4)]);
    check("a veneer", &veneer, Rule::A16, Class::Thunk);
}

#[test]
fn a17_a_part() {
    let code = [PAD, GOOD].concat();
    check("cold", &elf(Architecture::X86_64, &code, &[("f.cold", 16, 3)]), Rule::A17, Class::Part);
}

#[test]
fn a18_a_copy() {
    let code = [PAD, GOOD].concat();
    check("constprop", &elf(Architecture::X86_64, &code, &[("f.constprop.0", 16, 3)]), Rule::A18, Class::Atomic);
}

/// `/HOTPATCHCOMPATIBLE` is a promise of the linker, and no rule.
#[test]
fn images_say_that_windows_may_patch_them() {
    for (bits, expect) in [(0x80_u32, true), (0x40, false)] {
        let image = pe64(GOOD).debug(20, &bits.to_le_bytes()).build();
        assert_eq!(Image::read(&image).unwrap().is_hot_patch_compatible(), expect, "{bits:#x}");
    }
}

fn with_pdb(modules: &[(&str, Vec<u8>)]) -> (Vec<u8>, Vec<u8>) {
    let guid = *b"0123456789abcdef";
    let reference = [&b"RSDS"[..], &guid, &[1, 0, 0, 0], b"c:\\x\\f.pdb\0"].concat();
    (pe64(GOOD).debug(2, &reference).build(), pe::pdb(guid, modules))
}

#[test]
fn a19_objects_compiled_differently() {
    let first = [pe::compile3(true), pe::procedure("f", 16, 3)].concat();
    let second = [pe::compile3(false), pe::procedure("g", 40, 2)].concat();
    let (image, pdb) = with_pdb(&[("a.obj", first.clone()), ("b.obj", second.clone())]);
    assert_eq!(broken(&image, Some(&pdb)), (BTreeSet::from([Rule::A19]), Class::Atomic));
    // What the toolchain adds is not compiled by anybody here.
    let (image, pdb) = with_pdb(&[("a.obj", first), (r"c:\vc\lib\libcmt.lib", second)]);
    assert_eq!(broken(&image, Some(&pdb)), (BTreeSet::new(), Class::Atomic));
}

#[test]
fn a20_a_policy() {
    let mut image = pe64(GOOD);
    image.characteristics |= 0x80;
    check("FORCE_INTEGRITY", &image.build(), Rule::A20, Class::Atomic);
    check("a strict shadow stack", &pe64(GOOD).debug(20, &2_u32.to_le_bytes()).build(), Rule::A20, Class::Atomic);
}

/// Procedures of a database count as functions, with their lengths; one of another build is refused.
#[test]
fn databases_belong_to_one_build() {
    let module = [pe::compile3(true), pe::procedure("f", 16, 3), pe::procedure("leaf", 40, 4)].concat();
    let (image, pdb) = with_pdb(&[("a.obj", module.clone())]);
    let read = Image::read_with(&image, Companions { pdb: Some(&pdb) }).unwrap();
    let leaf = read.functions().iter().find(|function| function.names == ["leaf"]).unwrap();
    assert_eq!((leaf.size, leaf.module), (Some(4), Some(0)));
    assert_eq!((read.modules()[0].name.as_str(), read.modules()[0].hot_patch), ("a.obj", Some(true)));
    let other = pe::pdb(*b"fedcba9876543210", &[("a.obj", module)]);
    let error = Image::read_with(&image, Companions { pdb: Some(&other) }).unwrap_err();
    assert_eq!(error.kind, patchwright_image::ImageErrorKind::Mismatch);
    for len in 0..pdb.len() {
        let _: Result<_, _> = Image::read_with(&image, Companions { pdb: Some(&pdb[..len]) }).map(drop);
    }
}
