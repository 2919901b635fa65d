//! A relocatable ELF file ⇄ the model. Writing keeps every byte that did not have to change, and the order of all tables.

use std::borrow::Cow;

use object::elf;

use super::bytes::{array, put, range, round_up, signed_at, u16_at, u32_at, u64_at};
use super::model::{Class, Model, Reloc, Role, Section, Symbol, SymbolKind, role_by_name};
use crate::error::ImageError;
use crate::image::{Format, Machine};

/// `SHT_CREL`: relocations in a compressed form, still experimental.
const SHT_CREL: u32 = 0x4000_0014;
const SHT_NOBITS: u32 = 8;

/// What of the file the model does not show, and writing needs.
#[derive(Debug)]
pub(crate) struct Elf<'data> {
    data: &'data [u8],
    wide: bool,
    table: u64,
    entry_size: u64,
    headers: Vec<Header>,
    symbols: Option<usize>,
    /// By section: which section holds its relocations.
    holders: Vec<Option<usize>>,
}

/// A section header of either width.
#[derive(Clone, Copy, Debug)]
struct Header {
    name: u32,
    kind: u32,
    flags: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
    align: u64,
}

fn cut(what: &str) -> ImageError {
    ImageError::malformed(format!("{what} reaches beyond the end of the file"))
}

impl<'data> Elf<'data> {
    /// Reads a relocatable object.
    pub(crate) fn read(data: &'data [u8]) -> Result<(Self, Model<'data>), ImageError> {
        let ident: [u8; 7] = array(data, 0).ok_or_else(|| cut("the ELF header"))?;
        let wide = ident[4] == elf::ELFCLASS64.0;
        if !ident.starts_with(b"\x7fELF") || ident[5] != elf::ELFDATA2LSB.0 {
            return Err(ImageError::unsupported("not a little-endian ELF file"));
        }
        let header = |narrow, wider| if wide { wider } else { narrow };
        let half = |at| u16_at(data, at).ok_or_else(|| cut("the ELF header"));
        if half(16)? != elf::ET_REL.0 {
            return Err(ImageError::unsupported("linked already: objects and archives can be prepared"));
        }
        let machine = match (half(18)?, wide) {
            (62, true) => Machine::X86_64,
            (3, false) => Machine::X86,
            (183, true) => Machine::Aarch64,
            (other, _) => return Err(ImageError::unsupported(format!("ELF objects of machine type {other}"))),
        };
        let table = if wide { u64_at(data, 40) } else { u32_at(data, 32).map(u64::from) };
        let table = table.ok_or_else(|| cut("the ELF header"))?;
        let entry_size = u64::from(half(header(46, 58))?);
        let least = header(40, 64);
        if table != 0 && entry_size != least {
            return Err(ImageError::malformed(format!("section headers of {entry_size} bytes at offset 54")));
        }
        let mut number = u64::from(half(header(48, 60))?);
        let read = |index: u64| read_header(data, wide, table + index * entry_size);
        if number == 0 && table != 0 {
            // More than fit into the field: the first header tells.
            number = read(0).map_or(0, |first| first.size);
        }
        let room = (data.len() as u64).saturating_sub(table) / least;
        if number > room {
            return Err(cut("the table of sections"));
        }
        let headers: Vec<Header> =
            (0..number).map(|index| read(index).ok_or_else(|| cut("a section header"))).collect::<Result<_, _>>()?;
        let mut names = usize::from(half(header(50, 62))?);
        if names == 0xffff {
            names = headers.first().and_then(|first| usize::try_from(first.link).ok()).unwrap_or(0);
        }
        let mut this =
            Self { data, wide, table, entry_size, holders: vec![None; headers.len()], headers, symbols: None };
        let model = this.model(machine, names)?;
        Ok((this, model))
    }

    fn bytes(&self, header: &Header) -> Result<&'data [u8], ImageError> {
        if header.kind == SHT_NOBITS || header.kind == 0 {
            return Ok(&[]);
        }
        range(self.data, header.offset, header.size).ok_or_else(|| cut("a section"))
    }

    fn model(&mut self, machine: Machine, names: usize) -> Result<Model<'data>, ImageError> {
        let names = self.headers.get(names).map(|header| self.bytes(header)).transpose()?.unwrap_or_default();
        let mut sections = Vec::with_capacity(self.headers.len());
        for header in &self.headers {
            let name = text(names, header.name);
            let alloc = header.flags & elf::SHF_ALLOC.0 != 0;
            let code = header.flags & elf::SHF_EXECINSTR.0 != 0 && header.kind != SHT_NOBITS;
            let role = match role_by_name(name) {
                _ if code => Role::Code,
                Role::Data if !alloc => Role::AboutCode,
                known => known,
            };
            sections.push(Section {
                name,
                role,
                data: Cow::Borrowed(self.bytes(header)?),
                align: header.align.max(1),
                relocs: Vec::new(),
                packed: header.flags & elf::SHF_COMPRESSED.0 != 0,
            });
        }
        let symbols = self.read_symbols(machine)?;
        let mut model = Model { format: Format::Elf, machine, sections, symbols };
        self.read_relocs(&mut model)?;
        Ok(model)
    }

    fn read_symbols(&mut self, machine: Machine) -> Result<Vec<Symbol<'data>>, ImageError> {
        let tables: Vec<_> = (0..self.headers.len()).filter(|at| self.headers[*at].kind == elf::SHT_SYMTAB.0).collect();
        let &[at] = tables.as_slice() else {
            return if tables.is_empty() { Ok(Vec::new()) } else { Err(ImageError::malformed("two symbol tables")) };
        };
        self.symbols = Some(at);
        let data = self.bytes(&self.headers[at])?;
        let link = usize::try_from(self.headers[at].link).unwrap_or(usize::MAX);
        let names = self.headers.get(link).map(|header| self.bytes(header)).transpose()?.unwrap_or_default();
        let wider = self.headers.iter().find(|header| header.kind == elf::SHT_SYMTAB_SHNDX.0);
        let wider = wider.map(|header| self.bytes(header)).transpose()?.unwrap_or_default();
        let entry = if self.wide { 24 } else { 16 };
        let mut symbols = Vec::with_capacity(data.len() / entry);
        for (index, bytes) in (0_u64..).zip(data.chunks_exact(entry)) {
            let whole = || ImageError::malformed("a symbol is cut");
            let (value, size, info, section) = if self.wide {
                (u64_at(bytes, 8), u64_at(bytes, 16), bytes.get(4), u16_at(bytes, 6))
            } else {
                let narrow = |at| u32_at(bytes, at).map(u64::from);
                (narrow(4), narrow(8), bytes.get(12), u16_at(bytes, 14))
            };
            let info = *info.ok_or_else(whole)?;
            let section = match section.ok_or_else(whole)? {
                0xffff => u32_at(wider, index * 4).and_then(|wide| usize::try_from(wide).ok()),
                0 | 0xff00.. => None,
                plain => Some(usize::from(plain)),
            };
            let name = text(names, u32_at(bytes, 0).ok_or_else(whole)?);
            let local = info >> 4 == 0;
            let kind = match info & 15 {
                2 | 10 => SymbolKind::Function,
                3 => SymbolKind::Section,
                0 if machine == Machine::Aarch64 && is_mark(name) => SymbolKind::Mark,
                0 if local => SymbolKind::Label,
                _ => SymbolKind::Other,
            };
            let section = section.filter(|section| *section < self.headers.len());
            symbols.push(Symbol {
                name,
                kind,
                section,
                value: value.ok_or_else(whole)?,
                size: size.ok_or_else(whole)?,
            });
        }
        Ok(symbols)
    }

    fn read_relocs(&mut self, model: &mut Model<'data>) -> Result<(), ImageError> {
        for index in 0..self.headers.len() {
            let header = self.headers[index];
            let explicit = match header.kind {
                kind if kind == elf::SHT_RELA.0 => true,
                kind if kind == elf::SHT_REL.0 => false,
                SHT_CREL => return Err(ImageError::unsupported("relocations in the CREL form")),
                _ => continue,
            };
            let target = usize::try_from(header.info).ok().filter(|target| *target < model.sections.len());
            let Some(target) = target.filter(|target| *target != 0) else { continue };
            if self.holders[target].replace(index).is_some() {
                return Err(ImageError::malformed(format!("two tables of relocations for section {target}")));
            }
            let data = self.bytes(&header)?;
            let mut relocs = Vec::new();
            for entry in data.chunks_exact(reloc_size(self.wide, explicit)) {
                let reloc = self.read_reloc(entry, explicit, model, target);
                relocs.push(reloc.ok_or_else(|| {
                    ImageError::malformed(format!("a relocation of section {target} lies outside of it"))
                })?);
            }
            if relocs.iter().any(|reloc| reloc.symbol >= model.symbols.len() && reloc.symbol != 0) {
                return Err(ImageError::malformed(format!("a relocation of section {target} names no symbol")));
            }
            model.sections[target].relocs = relocs;
        }
        Ok(())
    }

    fn read_reloc(&self, entry: &[u8], explicit: bool, model: &Model<'_>, target: usize) -> Option<Reloc> {
        let (offset, symbol, kind) = if self.wide {
            let info = u64_at(entry, 8)?;
            (u64_at(entry, 0)?, info >> 32, u32::try_from(info & 0xffff_ffff).ok()?)
        } else {
            let info = u32_at(entry, 4)?;
            (u64::from(u32_at(entry, 0)?), u64::from(info >> 8), info & 0xff)
        };
        let symbol = usize::try_from(symbol).ok()?;
        let addend = match (explicit, model.class(kind)) {
            (true, _) if self.wide => u64_at(entry, 16)?.cast_signed(),
            (true, _) => signed_at(entry, 8, 4)?,
            (false, Class::Absolute(width) | Class::Relative(width)) if width > 0 => {
                signed_at(&model.sections.get(target)?.data, offset, width)?
            }
            (false, _) => 0,
        };
        Some(Reloc { offset, kind, symbol, addend, in_place: !explicit })
    }

    /// Writes the object with the bytes, relocations, alignments and symbols of `model`.
    pub(crate) fn write(&self, old: &Model<'_>, new: &Model<'_>) -> Result<Vec<u8>, ImageError> {
        let mut pieces: Vec<Piece> = vec![Piece { offset: 0, len: if self.wide { 64 } else { 52 }, section: None }];
        pieces.extend((0..self.headers.len()).skip(1).map(|index| {
            let header = &self.headers[index];
            let len = if header.kind == SHT_NOBITS || header.kind == 0 { 0 } else { header.size };
            Piece { offset: header.offset, len, section: Some(index) }
        }));
        let table_len = self.entry_size * self.headers.len() as u64;
        pieces.push(Piece { offset: self.table, len: table_len, section: Some(usize::MAX) });
        pieces.sort_by_key(|piece| (piece.offset, piece.len));
        let mut headers = self.headers.clone();
        for (index, header) in headers.iter_mut().enumerate() {
            header.align = if new.sections[index].align == old.sections[index].align {
                header.align
            } else {
                new.sections[index].align
            };
        }
        let mut out = Vec::with_capacity(self.data.len() + self.data.len() / 8);
        let mut end = 0_u64;
        let mut table = self.table;
        for piece in &pieces {
            if piece.len > 0 && piece.offset < end {
                return Err(ImageError::unsupported("sections overlap in the file"));
            }
            let gap = range(self.data, end, piece.offset.saturating_sub(end)).unwrap_or_default();
            let moved = out.len() as u64 != end;
            if !moved {
                out.extend_from_slice(gap);
            } else if piece.len > 0 {
                let unit = self.unit(piece, &headers);
                out.resize(usize::try_from(round_up(out.len() as u64, unit)).unwrap_or(out.len()), 0);
            }
            let at = out.len() as u64;
            end = end.max(piece.offset.saturating_add(piece.len));
            match piece.section {
                None => out.extend_from_slice(range(self.data, 0, piece.len).ok_or_else(|| cut("the ELF header"))?),
                Some(usize::MAX) => {
                    table = at;
                    out.resize(out.len() + usize::try_from(table_len).unwrap_or(0), 0);
                }
                Some(index) => {
                    // What has no bytes in the file may state any place.
                    let empty = piece.len == 0 && (moved || piece.offset > self.data.len() as u64);
                    let bytes = self.new_bytes(index, old, new)?;
                    headers[index].offset = if empty && moved {
                        at
                    } else if piece.len == 0 {
                        piece.offset
                    } else {
                        at
                    };
                    if headers[index].kind != SHT_NOBITS && headers[index].kind != 0 {
                        headers[index].size = bytes.len() as u64;
                    }
                    out.extend_from_slice(&bytes);
                }
            }
        }
        if out.len() as u64 == end {
            out.extend_from_slice(
                range(self.data, end, (self.data.len() as u64).saturating_sub(end)).unwrap_or_default(),
            );
        }
        self.write_headers(&mut out, table, &headers)?;
        Ok(out)
    }

    /// What the place of a piece in the file is a multiple of, where it was so before.
    fn unit(&self, piece: &Piece, headers: &[Header]) -> u64 {
        let unit = match piece.section {
            Some(usize::MAX) => 8,
            Some(index) => headers[index].align,
            None => 1,
        };
        let unit = if unit.is_power_of_two() { unit.min(4096) } else { 1 };
        if piece.offset.is_multiple_of(unit) { unit } else { 1 }
    }

    fn new_bytes(&self, index: usize, old: &Model<'_>, new: &Model<'_>) -> Result<Vec<u8>, ImageError> {
        let header = &self.headers[index];
        if Some(index) == self.symbols {
            return self.symbol_bytes(header, old, new);
        }
        if let Some(target) = self.holders.iter().position(|holder| *holder == Some(index)) {
            return self.reloc_bytes(header, &old.sections[target].relocs, &new.sections[target].relocs);
        }
        Ok(new.sections[index].data.to_vec())
    }

    fn symbol_bytes(&self, header: &Header, old: &Model<'_>, new: &Model<'_>) -> Result<Vec<u8>, ImageError> {
        let mut bytes = self.bytes(header)?.to_vec();
        let (entry, value_at, size_at, width) = if self.wide { (24, 8, 16, 8) } else { (16, 4, 8, 4) };
        for ((at, before), after) in (0..).step_by(entry).zip(&old.symbols).zip(&new.symbols) {
            let done = (before.value == after.value || put(&mut bytes, at + value_at, width, after.value))
                && (before.size == after.size || put(&mut bytes, at + size_at, width, after.size));
            if !done {
                return Err(cut("the symbol table"));
            }
        }
        Ok(bytes)
    }

    fn reloc_bytes(&self, header: &Header, old: &[Reloc], new: &[Reloc]) -> Result<Vec<u8>, ImageError> {
        let bytes = self.bytes(header)?;
        if old == new {
            return Ok(bytes.to_vec());
        }
        let explicit = header.kind == elf::SHT_RELA.0;
        let size = reloc_size(self.wide, explicit);
        let mut out = Vec::with_capacity(new.len() * size);
        for reloc in new {
            let wide = |value: u64| value.to_le_bytes();
            let symbol = reloc.symbol as u64;
            if self.wide {
                out.extend(wide(reloc.offset));
                out.extend(wide(symbol << 32 | u64::from(reloc.kind)));
            } else {
                let info = symbol << 8 | u64::from(reloc.kind);
                out.extend(wide(reloc.offset).iter().take(4));
                out.extend(wide(info).iter().take(4));
            }
            if explicit {
                out.extend(wide(reloc.addend.cast_unsigned()).iter().take(if self.wide { 8 } else { 4 }));
            }
        }
        Ok(out)
    }

    fn write_headers(&self, out: &mut [u8], table: u64, headers: &[Header]) -> Result<(), ImageError> {
        if self.table == 0 {
            return Ok(());
        }
        let old = range(self.data, self.table, self.entry_size * headers.len() as u64).unwrap_or_default();
        let new = usize::try_from(table).ok().and_then(|at| out.get_mut(at..)?.get_mut(..old.len()));
        new.ok_or_else(|| cut("the table of sections"))?.copy_from_slice(old);
        let width = if self.wide { 8 } else { 4 };
        let (offset_at, size_at, align_at) = if self.wide { (24, 32, 48) } else { (16, 20, 32) };
        let mut fits = put(out, if self.wide { 40 } else { 32 }, width, table);
        for (index, (before, after)) in (0..).zip(self.headers.iter().zip(headers)) {
            let at = table + index * self.entry_size;
            fits &= before.offset == after.offset || put(out, at + offset_at, width, after.offset);
            fits &= before.size == after.size || put(out, at + size_at, width, after.size);
            fits &= before.align == after.align || put(out, at + align_at, width, after.align);
        }
        if fits { Ok(()) } else { Err(cut("the table of sections")) }
    }
}

/// A stretch of the file: the header, a section, or (`usize::MAX`) the table of sections.
#[derive(Clone, Copy, Debug)]
struct Piece {
    offset: u64,
    len: u64,
    section: Option<usize>,
}

const fn reloc_size(wide: bool, explicit: bool) -> usize {
    match (wide, explicit) {
        (true, true) => 24,
        (true, false) => 16,
        (false, true) => 12,
        (false, false) => 8,
    }
}

fn read_header(data: &[u8], wide: bool, at: u64) -> Option<Header> {
    let word = |offset| u32_at(data, at.checked_add(offset)?);
    let long = |narrow, wider| if wide { u64_at(data, at.checked_add(wider)?) } else { word(narrow).map(u64::from) };
    Some(Header {
        name: word(0)?,
        kind: word(4)?,
        flags: long(8, 8)?,
        offset: long(16, 24)?,
        size: long(20, 32)?,
        link: word(if wide { 40 } else { 24 })?,
        info: word(if wide { 44 } else { 28 })?,
        align: long(32, 48)?,
    })
}

/// A name in a table of names.
fn text(names: &[u8], at: u32) -> &[u8] {
    let rest = usize::try_from(at).ok().and_then(|at| names.get(at..)).unwrap_or_default();
    // Longer ones are cut, so that many that share their end do not cost a search each.
    let rest = &rest[..rest.len().min(1 << 14)];
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    &rest[..end]
}

/// Mapping symbols of AAELF64: `$x`, `$d`, also with a suffix after a dot.
fn is_mark(name: &[u8]) -> bool {
    let rest = name.strip_prefix(b"$x").or_else(|| name.strip_prefix(b"$d"));
    rest.is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'.'))
}
