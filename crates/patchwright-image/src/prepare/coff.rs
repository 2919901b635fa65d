//! A COFF object ⇄ the model. Writing keeps the order of everything, and every byte that did not have to change.
//!
//! Addends live in the fields. A section says its length a second time in the auxiliary record of its symbol, with a
//! checksum that decides which COMDAT sections are the same.

use std::borrow::Cow;

use object::pe;

use super::bytes::{array, put, range, signed_at, u16_at, u32_at};
use super::codeview;
use super::model::{Class, Model, Reloc, Role, Section, Symbol, SymbolKind, role_by_name};
use crate::error::ImageError;
use crate::image::{Format, Machine};

const HEADER: u64 = 20;
const SECTION: u64 = 40;
const SYMBOL: u64 = 18;
const RELOC: u64 = 10;

/// What of the file the model does not show, and writing needs.
#[derive(Debug)]
pub(crate) struct Coff<'data> {
    data: &'data [u8],
    /// Where the table of sections begins.
    table: u64,
    symbols: u64,
    sections: Vec<Header>,
    /// For each section the place of the auxiliary record that describes it.
    records: Vec<Option<u64>>,
    /// Whether linkers in the manner of Microsoft's make the pads.
    pub(crate) linker_pads: bool,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    at: u64,
    size: u64,
    raw: u64,
    relocs: u64,
    reloc_number: u64,
    /// Whether the first relocation holds the number of all, itself among them.
    many: bool,
    lines: u64,
    line_number: u64,
    flags: u32,
}

fn cut(what: &str) -> ImageError {
    ImageError::malformed(format!("{what} reaches beyond the end of the file"))
}

impl<'data> Coff<'data> {
    /// Reads an object. Index 0 of sections is none.
    pub(crate) fn read(data: &'data [u8]) -> Result<(Self, Model<'data>), ImageError> {
        let whole = || cut("the COFF header");
        let machine = match u16_at(data, 0).ok_or_else(whole)? {
            0x8664 => Machine::X86_64,
            0x014c => Machine::X86,
            other => return Err(ImageError::unsupported(format!("COFF objects of machine type {other:#x}"))),
        };
        let number = u64::from(u16_at(data, 2).ok_or_else(whole)?);
        let symbols = u64::from(u32_at(data, 8).ok_or_else(whole)?);
        let symbol_number = u64::from(u32_at(data, 12).ok_or_else(whole)?);
        let table = HEADER + u64::from(u16_at(data, 16).ok_or_else(whole)?);
        let strings_at = symbols + symbol_number * SYMBOL;
        if symbol_number > 0 && range(data, symbols, symbol_number * SYMBOL).is_none() {
            return Err(cut("the symbol table"));
        }
        let strings = usize::try_from(strings_at).ok().and_then(|at| data.get(at..)).unwrap_or_default();
        let mut this = Self { data, table, symbols, sections: Vec::new(), records: Vec::new(), linker_pads: false };
        let none = Section {
            name: b"",
            role: Role::Data,
            data: Cow::Borrowed(&[]),
            align: 1,
            relocs: Vec::new(),
            packed: false,
        };
        let mut model = Model { format: Format::Pe, machine, sections: vec![none], symbols: Vec::new() };
        for index in 0..number {
            let header = this.read_header(table + index * SECTION)?;
            let name = range(data, header.at, 8).unwrap_or_default();
            model.sections.push(this.section(&header, section_name(name, strings))?);
            this.sections.push(header);
        }
        this.records = vec![None; model.sections.len()];
        this.read_symbols(symbol_number, strings, &mut model)?;
        for index in 1..model.sections.len() {
            let relocs = this.read_relocs(index, &model)?;
            model.sections[index].relocs = relocs;
        }
        let feature = model.symbols.iter().any(|symbol| symbol.name == b"@feat.00");
        this.linker_pads = feature || model.sections.iter().any(|section| section.name == b".debug$S");
        Ok((this, model))
    }

    fn read_header(&self, at: u64) -> Result<Header, ImageError> {
        let cut = || cut("the table of sections");
        let word = |offset| u32_at(self.data, at + offset).map(u64::from).ok_or_else(cut);
        let half = |offset| u16_at(self.data, at + offset).map(u64::from).ok_or_else(cut);
        let flags = u32_at(self.data, at + 36).ok_or_else(cut)?;
        let mut header = Header {
            at,
            size: word(16)?,
            raw: word(20)?,
            relocs: word(24)?,
            reloc_number: half(32)?,
            many: false,
            lines: word(28)?,
            line_number: half(34)?,
            flags,
        };
        if flags & pe::IMAGE_SCN_LNK_NRELOC_OVFL.0 != 0 && header.reloc_number == 0xffff {
            header.many = true;
            header.reloc_number = u32_at(self.data, header.relocs).map(u64::from).ok_or_else(cut)?;
        }
        Ok(header)
    }

    fn section(&self, header: &Header, name: &'data [u8]) -> Result<Section<'data>, ImageError> {
        let empty = header.flags & pe::IMAGE_SCN_CNT_UNINITIALIZED_DATA.0 != 0 || header.raw == 0;
        let bytes = if empty { Some(&[][..]) } else { range(self.data, header.raw, header.size) };
        let code = header.flags & (pe::IMAGE_SCN_CNT_CODE.0 | pe::IMAGE_SCN_MEM_EXECUTE.0) != 0;
        let align = header.flags >> 20 & 15;
        let role = match role_by_name(name) {
            _ if code => Role::Code,
            Role::Data if header.flags & (pe::IMAGE_SCN_LNK_INFO.0 | pe::IMAGE_SCN_LNK_REMOVE.0) != 0 => {
                Role::AboutCode
            }
            known => known,
        };
        Ok(Section {
            name,
            role,
            data: Cow::Borrowed(bytes.ok_or_else(|| cut("a section"))?),
            // Without a statement it is 16.
            align: if align == 0 { 16 } else { 1 << (align - 1) },
            relocs: Vec::new(),
            packed: false,
        })
    }

    fn read_symbols(&mut self, number: u64, strings: &'data [u8], model: &mut Model<'data>) -> Result<(), ImageError> {
        let mut more = 0_u8;
        for at in (0..number).map(|index| self.symbols + index * SYMBOL) {
            let bytes: [u8; 18] = array(self.data, at).ok_or_else(|| cut("the symbol table"))?;
            let mut symbol = Symbol { name: b"", kind: SymbolKind::Other, section: None, value: 0, size: 0 };
            if more > 0 {
                // An auxiliary record takes an index of its own.
                more -= 1;
                model.symbols.push(symbol);
                continue;
            }
            more = bytes[17];
            let name = range(self.data, at, 8).unwrap_or_default();
            symbol.name = symbol_name(name, strings);
            symbol.value = u64::from(u32_at(&bytes, 8).unwrap_or(0));
            let section = u16_at(&bytes, 12).filter(|section| (1..=0xfeff).contains(section)).map(usize::from);
            symbol.section = section.filter(|section| *section < model.sections.len());
            let function = u16_at(&bytes, 14).unwrap_or(0) & 0x30 == 0x20;
            let class = pe::SymbolClass(bytes[16]);
            symbol.kind = match (class, function) {
                (pe::IMAGE_SYM_CLASS_STATIC, false) if more > 0 => SymbolKind::Section,
                // Names of sections stand among functions.
                (_, true) if !symbol.name.starts_with(b".") => SymbolKind::Function,
                (pe::IMAGE_SYM_CLASS_STATIC | pe::IMAGE_SYM_CLASS_LABEL, _) => SymbolKind::Label,
                _ => SymbolKind::Other,
            };
            if let (SymbolKind::Section, Some(section)) = (symbol.kind, symbol.section) {
                self.records[section] = Some(at + SYMBOL);
            }
            model.symbols.push(symbol);
        }
        Ok(())
    }

    fn read_relocs(&self, index: usize, model: &Model<'_>) -> Result<Vec<Reloc>, ImageError> {
        let header = &self.sections[index - 1];
        let outside = || ImageError::malformed(format!("a relocation of section {index} lies outside of it"));
        if range(self.data, header.relocs, header.reloc_number * RELOC).is_none() {
            return if header.reloc_number == 0 { Ok(Vec::new()) } else { Err(cut("a table of relocations")) };
        }
        let mut relocs = Vec::new();
        for number in u64::from(header.many)..header.reloc_number {
            let at = header.relocs + number * RELOC;
            let entry: [u8; 10] = array(self.data, at).ok_or_else(outside)?;
            let offset = u64::from(u32_at(&entry, 0).unwrap_or(0));
            let kind = u32::from(u16_at(&entry, 8).unwrap_or(0));
            let symbol = u32_at(&entry, 4).and_then(|symbol| usize::try_from(symbol).ok()).unwrap_or(usize::MAX);
            if symbol >= model.symbols.len() {
                return Err(ImageError::malformed(format!("a relocation of section {index} names no symbol")));
            }
            let addend = match model.class(kind) {
                Class::Absolute(width) | Class::Relative(width) => {
                    signed_at(&model.sections[index].data, offset, width).ok_or_else(outside)?
                }
                _ => 0,
            };
            relocs.push(Reloc { offset, kind, symbol, addend, in_place: true });
        }
        Ok(relocs)
    }

    /// Writes the object with the bytes, relocations, alignments and symbols of `model`, and with the mark that tells
    /// linkers to make pads where they are to.
    pub(crate) fn write(&self, old: &Model<'_>, new: &Model<'_>) -> Result<Vec<u8>, ImageError> {
        let mut new = new.clone();
        let marked = self.linker_pads && codeview::mark(&mut new);
        // An object that does not speak of its compiler gets a section that does.
        let added = (self.linker_pads && !marked).then(|| codeview::section(new.machine));
        let headers_end = self.table + SECTION * self.sections.len() as u64;
        let mut pieces = vec![Piece { offset: 0, len: headers_end, what: What::Headers }];
        for (index, header) in self.sections.iter().enumerate() {
            let bytes = old.sections[index + 1].data.len() as u64;
            if bytes > 0 {
                pieces.push(Piece { offset: header.raw, len: bytes, what: What::Raw(index) });
            }
            if header.reloc_number > 0 {
                pieces.push(Piece {
                    offset: header.relocs,
                    len: header.reloc_number * RELOC,
                    what: What::Relocs(index),
                });
            }
            if header.line_number > 0 {
                pieces.push(Piece { offset: header.lines, len: header.line_number * 6, what: What::Lines(index) });
            }
        }
        if self.symbols > 0 {
            let len = (self.data.len() as u64).saturating_sub(self.symbols);
            pieces.push(Piece { offset: self.symbols, len, what: What::Symbols });
        }
        pieces.sort_by_key(|piece| (piece.offset, piece.len));
        self.put_together(&pieces, old, &new, added)
    }

    fn put_together(
        &self,
        pieces: &[Piece],
        old: &Model<'_>,
        new: &Model<'_>,
        added: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, ImageError> {
        let mut out = Vec::with_capacity(self.data.len() + self.data.len() / 8);
        let mut end = 0;
        let mut places = vec![(0, 0, 0); self.sections.len()];
        let mut symbols = self.symbols;
        for piece in pieces {
            if piece.offset < end {
                return Err(ImageError::unsupported("sections overlap in the file"));
            }
            let gap = range(self.data, end, piece.offset - end).unwrap_or_default();
            out.extend_from_slice(gap);
            // Nobody asks for alignment here, yet all keep to 4.
            while piece.offset % 4 == 0 && out.len() % 4 != 0 {
                out.push(0);
            }
            end = piece.offset + piece.len;
            let at = u32::try_from(out.len()).map_err(|_| ImageError::unsupported("the object grows beyond 4 GiB"))?;
            let bytes = range(self.data, piece.offset, piece.len).ok_or_else(|| cut("a part of the object"))?;
            match piece.what {
                What::Headers => {
                    out.extend_from_slice(bytes);
                    if added.is_some() {
                        out.resize(out.len() + 40, 0);
                    }
                }
                What::Raw(index) => {
                    places[index].0 = at;
                    out.extend_from_slice(&new.sections[index + 1].data);
                }
                What::Relocs(index) => {
                    places[index].1 = at;
                    let many = self.sections[index].many;
                    out.extend_from_slice(&relocs(bytes, many, &new.sections[index + 1].relocs)?);
                }
                What::Lines(index) => {
                    places[index].2 = at;
                    out.extend_from_slice(bytes);
                }
                What::Symbols => {
                    if let Some(section) = &added {
                        self.write_added(&mut out, section)?;
                    }
                    symbols = out.len() as u64;
                    let mut bytes = bytes.to_vec();
                    self.write_symbols(&mut bytes, old, new)?;
                    out.extend_from_slice(&bytes);
                }
            }
        }
        if self.symbols == 0
            && let Some(section) = &added
        {
            self.write_added(&mut out, section)?;
        }
        self.write_headers(&mut out, old, new, &places, symbols)?;
        Ok(out)
    }

    /// The body of one more section at the end of `out`, and its header behind the others.
    fn write_added(&self, out: &mut Vec<u8>, body: &[u8]) -> Result<(), ImageError> {
        let at = out.len() as u64;
        out.extend_from_slice(body);
        let header = self.table + SECTION * self.sections.len() as u64;
        let flags = pe::IMAGE_SCN_CNT_INITIALIZED_DATA.0
            | pe::IMAGE_SCN_MEM_READ.0
            | pe::IMAGE_SCN_MEM_DISCARDABLE.0
            | pe::IMAGE_SCN_ALIGN_4BYTES.0;
        let number = self.sections.len() as u64 + 1;
        let done = put(out, header, 8, u64::from_le_bytes(*b".debug$S"))
            && put(out, header + 16, 4, body.len() as u64)
            && put(out, header + 20, 4, at)
            && put(out, header + 36, 4, u64::from(flags))
            && number < 0xff00
            && put(out, 2, 2, number);
        if done { Ok(()) } else { Err(ImageError::unsupported("the object has no room for another section")) }
    }

    fn write_symbols(&self, bytes: &mut [u8], old: &Model<'_>, new: &Model<'_>) -> Result<(), ImageError> {
        let mut fits = true;
        for ((at, before), after) in (0..).map(|index| index * SYMBOL).zip(&old.symbols).zip(&new.symbols) {
            fits &=
                before.value == after.value || after.value <= u64::from(u32::MAX) && put(bytes, at + 8, 4, after.value);
        }
        for (index, record) in self.records.iter().enumerate() {
            let Some(at) = record.map(|record| record - self.symbols) else { continue };
            let [before, after] = [old, new].map(|model| &*model.sections[index].data);
            if before == after {
                continue;
            }
            fits &= put(bytes, at, 4, after.len() as u64);
            let relocs = new.sections[index].relocs.len() as u64 + u64::from(self.sections[index - 1].many);
            fits &= put(bytes, at + 4, 2, relocs.min(0xffff));
            if u32_at(bytes, at + 8) == Some(checksum(before)) {
                fits &= put(bytes, at + 8, 4, u64::from(checksum(after)));
            }
        }
        if fits { Ok(()) } else { Err(cut("the symbol table")) }
    }

    fn write_headers(
        &self,
        out: &mut [u8],
        old: &Model<'_>,
        new: &Model<'_>,
        places: &[(u32, u32, u32)],
        symbols: u64,
    ) -> Result<(), ImageError> {
        let mut fits = put(out, 8, 4, symbols);
        for (index, header) in self.sections.iter().enumerate() {
            let [before, after] = [old, new].map(|model| &model.sections[index + 1]);
            let (raw, relocs, lines) = places[index];
            let len = after.data.len() as u64;
            fits &= before.data.len() == after.data.len() || put(out, header.at + 16, 4, len);
            fits &= raw == 0 || put(out, header.at + 20, 4, u64::from(raw));
            fits &= relocs == 0 || put(out, header.at + 24, 4, u64::from(relocs));
            fits &= lines == 0 || put(out, header.at + 28, 4, u64::from(lines));
            if before.relocs.len() != after.relocs.len() && !header.many {
                fits &= after.relocs.len() < 0xffff && put(out, header.at + 32, 2, after.relocs.len() as u64);
            }
            if before.align != after.align {
                let align = u64::from(after.align.trailing_zeros()) + 1;
                let flags = u64::from(header.flags) & !(15 << 20) | align << 20;
                fits &= put(out, header.at + 36, 4, flags);
            }
        }
        if fits { Ok(()) } else { Err(cut("the table of sections")) }
    }

    /// Whether the mark for linkers is missing.
    pub(crate) fn lacks_mark(&self, model: &Model<'_>) -> bool {
        self.linker_pads && !codeview::is_marked(model)
    }
}

/// A part of the file.
#[derive(Clone, Copy, Debug)]
struct Piece {
    offset: u64,
    len: u64,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Headers,
    Raw(usize),
    Relocs(usize),
    Lines(usize),
    /// To the end of the file: strings follow.
    Symbols,
}

fn relocs(old: &[u8], many: bool, new: &[Reloc]) -> Result<Vec<u8>, ImageError> {
    let far = || ImageError::unsupported("a section grows beyond 4 GiB");
    let mut out = Vec::with_capacity(old.len());
    if many {
        out.extend_from_slice(&u32::try_from(new.len() + 1).map_err(|_| far())?.to_le_bytes());
        out.extend_from_slice(old.get(4..10).unwrap_or_default());
    }
    for reloc in new {
        out.extend_from_slice(&u32::try_from(reloc.offset).map_err(|_| far())?.to_le_bytes());
        out.extend_from_slice(&u32::try_from(reloc.symbol).map_err(|_| far())?.to_le_bytes());
        out.extend(reloc.kind.to_le_bytes().iter().take(2));
    }
    Ok(out)
}

/// The checksum of LLVM and of Microsoft: CRC-32 that neither begins nor ends with an inversion.
fn checksum(data: &[u8]) -> u32 {
    data.iter().fold(0, |crc, byte| {
        let mut crc = crc ^ u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 0 { 0 } else { 0xedb8_8320 };
        }
        crc
    })
}

fn until_zero(name: &[u8]) -> &[u8] {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    &name[..end]
}

fn string(strings: &[u8], at: usize) -> &[u8] {
    let rest = strings.get(at..).unwrap_or_default();
    until_zero(&rest[..rest.len().min(1 << 14)])
}

/// Up to 8 bytes, or `/` and a decimal offset.
fn section_name<'data>(name: &'data [u8], strings: &'data [u8]) -> &'data [u8] {
    let name = until_zero(name);
    let at = name.strip_prefix(b"/").and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    at.map_or(name, |at| string(strings, at))
}

/// Up to 8 bytes, or 4 zeros and an offset.
fn symbol_name<'data>(name: &'data [u8], strings: &'data [u8]) -> &'data [u8] {
    match (u32_at(name, 0), u32_at(name, 4)) {
        (Some(0), Some(at)) => string(strings, usize::try_from(at).unwrap_or(usize::MAX)),
        _ => until_zero(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_llvm() {
        // JamCRC of "123456789" from 0; and what clang-cl writes for a section `x\0`.
        assert_eq!(checksum(b"x\0"), 0xe7e6_f3fe);
        assert_eq!(checksum(b"a\0"), 0x7ce6_5ae6);
        assert_eq!(checksum(b""), 0);
    }

    #[test]
    fn names_are_short_or_long() {
        let strings = b"\x0c\0\0\0longer\0";
        assert_eq!(section_name(b".text\0\0\0", strings), b".text");
        assert_eq!(section_name(b"/4\0\0\0\0\0\0", strings), b"longer");
        assert_eq!(symbol_name(b"\0\0\0\0\x04\0\0\0", strings), b"longer");
        assert_eq!(symbol_name(b"eight888", strings), b"eight888");
        assert_eq!(symbol_name(b"\0\0\0\0\xff\0\0\0", strings), b"");
    }
}
