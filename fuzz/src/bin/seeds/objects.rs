//! Objects to be prepared, and an archive of one.

use std::path::Path;

use crate::write;

pub(crate) fn write_all(root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    for (name, seed) in objects()? {
        write(root, "prepare", name, &[&[0xff], &seed[..]].concat())?;
    }
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
        let flags =
            RelocationFlags::Generic { kind: RelocationKind::Absolute, encoding: RelocationEncoding::Generic, size };
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
