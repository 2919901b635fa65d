//! The hot part of a patch, and the record that a patched process holds.
//!
//! Specification: `docs/formats/hot.md`. The part is what a running process of one old build gets: new code and data,
//! one *body* of four stretches, and how it is tied to the program. The [`registry`] is what stands beside the body in
//! the process, so that a later call knows what an earlier one did.
//!
//! Addresses of the program are *stated*: as it was linked. The process adds where it was loaded.

pub mod journal;
pub mod registry;

use crate::error::FormatError;
use crate::wire::{Reader, put_string, put_varint};

const STRUCTURE: &str = "hot part";
/// Of parts whose references are relocations that the linker kept: they do not say so.
const VERSION: u8 = 1;
/// Of parts that say where their references are from.
const VERSION_WITH_REFERENCES: u8 = 2;
const MACHINE_X86_64: u8 = 1;
/// What every stretch of the body begins at a multiple of.
pub const PAGE: u64 = 4096;
/// Longest body: near enough that everything in it reaches everything else.
pub const MAX_BODY: u64 = 256 << 20;
/// Longest build identity that is believed; linkers make 16 or 20 bytes.
pub const MAX_BUILD_ID: usize = 64;

/// How the builder knew what code and data refer to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum References {
    /// Relocations that the linker kept (`--emit-relocs`).
    #[default]
    Kept,
    /// The relocations of the objects that were linked.
    Objects,
    /// Instructions and the loader's relocations were read, where these leave no doubt.
    Decoded,
}

impl References {
    /// A short name, as reports spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Objects => "objects",
            Self::Decoded => "decoded",
        }
    }
}

/// New code and data for running processes of one build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HotPart {
    /// The build whose processes it is for.
    pub old_build: Vec<u8>,
    /// The build that they behave like afterwards.
    pub new_build: Vec<u8>,
    /// How the builder knew what code and data refer to, of the build where it knew least.
    pub references: References,
    /// The new code and data.
    pub body: Body,
    /// The closed set: what is switched together, by stated address, new functions last.
    pub functions: Vec<HotFunction>,
    /// What depends on where the program and the body are, by place in the body.
    pub relocations: Vec<HotRelocation>,
    /// Symbols that the old build does not use, each with a slot of eight bytes in the body's data.
    pub imports: Vec<HotImport>,
    /// Offset in the body of unwind data (`.eh_frame`) that must be known to the process before the switch.
    pub unwind: Option<u64>,
}

/// Code, constants and variables; each begins on a page of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Executable.
    pub text: Vec<u8>,
    /// Read only.
    pub rodata: Vec<u8>,
    /// Writable.
    pub data: Vec<u8>,
    /// Zeros after `data`.
    pub bss_bytes: u64,
}

impl Body {
    /// Where constants begin.
    pub fn rodata_at(&self) -> u64 {
        (self.text.len() as u64).next_multiple_of(PAGE)
    }

    /// Where variables begin.
    pub fn data_at(&self) -> u64 {
        self.rodata_at() + (self.rodata.len() as u64).next_multiple_of(PAGE)
    }

    /// Length in memory, whole pages.
    pub fn len_bytes(&self) -> u64 {
        self.data_at() + (self.data.len() as u64).saturating_add(self.bss_bytes).next_multiple_of(PAGE)
    }

    /// Whether `[at, at + len)` lies in one stretch that has bytes.
    fn holds(&self, at: u64, len: u64) -> bool {
        let stretches =
            [(0, self.text.len()), (self.rodata_at(), self.rodata.len()), (self.data_at(), self.data.len())];
        let end = at.saturating_add(len);
        stretches.iter().any(|(start, size)| *start <= at && end <= start + *size as u64)
    }

    fn check(&self, reader: &Reader<'_>) -> Result<(), FormatError> {
        let total = [self.text.len(), self.rodata.len(), self.data.len()].iter().map(|len| *len as u64).sum::<u64>();
        if total.saturating_add(self.bss_bytes) > MAX_BODY {
            return Err(reader.malformed("the body is longer than 256 MiB"));
        }
        Ok(())
    }
}

/// A function of the closed set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotFunction {
    /// Its name in the symbol table.
    pub name: String,
    /// Why it is in the set, for people.
    pub why: String,
    /// What it replaces; nothing if it is new.
    pub old: Option<OldCode>,
    /// Offset in the body and length of the new code; nothing if only the old code has such a part.
    pub new: Option<(u64, u64)>,
    /// Where the redirect goes; nothing for new functions and for parts that are entered by their owner alone.
    pub site: Option<Site>,
}

/// Code of the old build that no thread may be in at the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldCode {
    /// Stated address.
    pub address: u64,
    /// Length in bytes.
    pub size: u64,
    /// BLAKE3 of its bytes.
    pub hash: [u8; 32],
}

/// How a redirect is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `jmp rel32` over the first five bytes.
    Entry,
    /// `jmp rel8` over the first two, to a `jmp rel32` in the five bytes of filler before.
    Pad,
}

/// Where a redirect is written, and what must stand there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Stated address of the first byte that is written.
    pub address: u64,
    /// How it is written.
    pub form: Form,
    /// The bytes that it replaces: five, or seven with the filler.
    pub expected: Vec<u8>,
}

impl Form {
    /// Bytes written.
    pub const fn len_bytes(self) -> usize {
        match self {
            Self::Entry => 5,
            Self::Pad => 7,
        }
    }
}

/// What is added to what at a place of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotRelocation {
    /// Offset in the body.
    pub at: u64,
    /// What is stored.
    pub kind: RelocationKind,
    /// What the addend counts from.
    pub base: Base,
    /// A stated address, or an offset in the body; with what the instruction adds.
    pub addend: i64,
}

/// What a relocation stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelocationKind {
    /// Four bytes: the distance from the place.
    Relative32,
    /// Four bytes: the address, zero-extended when used.
    Absolute32,
    /// Four bytes: the address, sign-extended when used.
    Signed32,
    /// Eight bytes: the address.
    Absolute64,
}

impl RelocationKind {
    /// Bytes stored.
    pub const fn len_bytes(self) -> u64 {
        match self {
            Self::Absolute64 => 8,
            _ => 4,
        }
    }
}

/// What the addend of a relocation counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The program as it was linked.
    Program,
    /// The start of the body.
    Body,
}

/// A symbol of another module of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotImport {
    /// Its name.
    pub name: String,
    /// Its version; empty without one.
    pub version: String,
    /// Offset in the body of the slot that gets its address.
    pub slot: u64,
}

impl HotPart {
    /// Writes the blob.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = match self.references {
            References::Kept => vec![VERSION, MACHINE_X86_64],
            References::Objects => vec![VERSION_WITH_REFERENCES, MACHINE_X86_64, 1],
            References::Decoded => vec![VERSION_WITH_REFERENCES, MACHINE_X86_64, 2],
        };
        put_string(&mut out, &self.old_build);
        put_string(&mut out, &self.new_build);
        for stretch in [&self.body.text, &self.body.rodata, &self.body.data] {
            put_string(&mut out, stretch);
        }
        put_varint(&mut out, self.body.bss_bytes);
        put_varint(&mut out, self.functions.len() as u64);
        self.functions.iter().for_each(|function| put_function(&mut out, function));
        put_varint(&mut out, self.relocations.len() as u64);
        for relocation in &self.relocations {
            put_varint(&mut out, relocation.at);
            out.push(kind_number(relocation.kind) | if relocation.base == Base::Body { BASE_BODY } else { 0 });
            out.extend_from_slice(&relocation.addend.to_le_bytes());
        }
        put_varint(&mut out, self.imports.len() as u64);
        for import in &self.imports {
            put_string(&mut out, import.name.as_bytes());
            put_string(&mut out, import.version.as_bytes());
            put_varint(&mut out, import.slot);
        }
        put_option(&mut out, self.unwind);
        out
    }

    /// Reads the blob. Every place that it names lies in what it is a place of.
    pub fn decode(blob: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(STRUCTURE, blob);
        let version = reader.u8()?;
        if version != VERSION && version != VERSION_WITH_REFERENCES {
            return Err(reader.unsupported(format!("version {version}")));
        }
        let machine = reader.u8()?;
        if machine != MACHINE_X86_64 {
            return Err(reader.unsupported(format!("machine {machine}")));
        }
        let references = if version == VERSION { References::Kept } else { references(&mut reader)? };
        let (old_build, new_build) = (build(&mut reader)?, build(&mut reader)?);
        let mut part = Self { references, old_build, new_build, ..Self::default() };
        part.body.text = reader.string("length of the code")?.to_vec();
        part.body.rodata = reader.string("length of the constants")?.to_vec();
        part.body.data = reader.string("length of the variables")?.to_vec();
        part.body.bss_bytes = reader.varint_to("length of the zeros", MAX_BODY)?;
        part.body.check(&reader)?;
        let count = reader.count("functions", 3)?;
        part.functions = (0..count).map(|_| function(&mut reader, &part.body)).collect::<Result<_, _>>()?;
        let count = reader.count("relocations", 10)?;
        part.relocations = (0..count).map(|_| relocation(&mut reader, &part.body)).collect::<Result<_, _>>()?;
        if part.relocations.windows(2).any(|pair| pair[0].at + pair[0].kind.len_bytes() > pair[1].at) {
            return Err(reader.malformed("relocations overlap or are not sorted"));
        }
        let count = reader.count("imports", 3)?;
        part.imports = (0..count).map(|_| import(&mut reader, &part.body)).collect::<Result<_, _>>()?;
        part.unwind = option(&mut reader)?;
        if part.unwind.is_some_and(|at| !part.body.holds(at, 4)) {
            return Err(reader.malformed("the unwind data lie outside the body"));
        }
        if part.unwind.is_some() && part.body.text.last() != Some(&BREAKPOINT) {
            return Err(reader.malformed("no breakpoint ends the code"));
        }
        part.check_sites(&reader)?;
        reader.finish()?;
        Ok(part)
    }

    /// Redirects must not touch one another.
    fn check_sites(&self, reader: &Reader<'_>) -> Result<(), FormatError> {
        let mut sites: Vec<_> = self
            .functions
            .iter()
            .filter_map(|function| function.site.as_ref())
            .map(|site| (site.address, site.expected.len() as u64))
            .collect();
        sites.sort_unstable();
        if sites.windows(2).any(|pair| pair[0].0 + pair[0].1 > pair[1].0) {
            return Err(reader.malformed("two redirects overlap"));
        }
        Ok(())
    }
}

/// `int3`, which ends the code where calls come back to it.
pub const BREAKPOINT: u8 = 0xcc;
const BASE_BODY: u8 = 0x80;
const HAS_OLD: u8 = 1;
const HAS_NEW: u8 = 2;
const HAS_SITE: u8 = 4;
const SITE_IN_PAD: u8 = 8;

const fn kind_number(kind: RelocationKind) -> u8 {
    match kind {
        RelocationKind::Relative32 => 1,
        RelocationKind::Absolute32 => 2,
        RelocationKind::Signed32 => 3,
        RelocationKind::Absolute64 => 4,
    }
}

fn put_option(out: &mut Vec<u8>, value: Option<u64>) {
    out.push(u8::from(value.is_some()));
    value.into_iter().for_each(|value| put_varint(out, value));
}

fn option(reader: &mut Reader<'_>) -> Result<Option<u64>, FormatError> {
    match reader.u8()? {
        0 => Ok(None),
        1 => reader.varint().map(Some),
        other => Err(reader.malformed(format!("{other} says neither yes nor no"))),
    }
}

fn put_function(out: &mut Vec<u8>, function: &HotFunction) {
    put_string(out, function.name.as_bytes());
    put_string(out, function.why.as_bytes());
    let flag = |present: bool, flag| if present { flag } else { 0 };
    let in_pad = function.site.as_ref().is_some_and(|site| site.form == Form::Pad);
    out.push(
        flag(function.old.is_some(), HAS_OLD)
            | flag(function.new.is_some(), HAS_NEW)
            | flag(function.site.is_some(), HAS_SITE)
            | flag(in_pad, SITE_IN_PAD),
    );
    if let Some(old) = &function.old {
        put_varint(out, old.address);
        put_varint(out, old.size);
        out.extend_from_slice(&old.hash);
    }
    if let Some((offset, size)) = function.new {
        put_varint(out, offset);
        put_varint(out, size);
    }
    if let Some(site) = &function.site {
        put_varint(out, site.address);
        out.extend_from_slice(&site.expected);
    }
}

fn references(reader: &mut Reader<'_>) -> Result<References, FormatError> {
    match reader.u8()? {
        1 => Ok(References::Objects),
        2 => Ok(References::Decoded),
        other => Err(reader.unsupported(format!("references of kind {other}"))),
    }
}

fn build(reader: &mut Reader<'_>) -> Result<Vec<u8>, FormatError> {
    let build = reader.string("length of the build identity")?;
    if build.is_empty() || build.len() > MAX_BUILD_ID {
        return Err(reader.malformed(format!("a build identity of {} bytes", build.len())));
    }
    Ok(build.to_vec())
}

fn text(reader: &mut Reader<'_>, what: &'static str) -> Result<String, FormatError> {
    let bytes = reader.string(what)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| reader.malformed(format!("{what}: not UTF-8")))
}

fn function(reader: &mut Reader<'_>, body: &Body) -> Result<HotFunction, FormatError> {
    let (name, why) = (text(reader, "length of a name")?, text(reader, "length of a reason")?);
    let flags = reader.u8()?;
    let has = |flag| flags & flag != 0;
    if flags >= 2 * SITE_IN_PAD || has(SITE_IN_PAD) && !has(HAS_SITE) {
        return Err(reader.unsupported(format!("flags {flags:#x} of a function")));
    }
    let mut function = HotFunction { name, why, old: None, new: None, site: None };
    if has(HAS_OLD) {
        let (address, size, hash) = (reader.varint()?, reader.varint()?, reader.array()?);
        if size > MAX_BODY || address.checked_add(size).is_none_or(|end| end > i64::MAX.cast_unsigned()) {
            return Err(reader.malformed("an old function ends beyond the address space"));
        }
        function.old = Some(OldCode { address, size, hash });
    }
    if has(HAS_NEW) {
        let (offset, size) = (reader.varint()?, reader.varint()?);
        if offset.checked_add(size).is_none_or(|end| end > body.text.len() as u64) {
            return Err(reader.malformed("a new function lies outside the code"));
        }
        function.new = Some((offset, size));
    }
    if has(HAS_SITE) {
        let (Some(old), Some(_)) = (&function.old, function.new) else {
            return Err(reader.malformed("a redirect leads from nowhere or to nowhere"));
        };
        let form = if has(SITE_IN_PAD) { Form::Pad } else { Form::Entry };
        let address = reader.varint()?;
        let (start, end) = (old.address.saturating_sub(5), old.address + old.size.max(16));
        if address < start || address.checked_add(form.len_bytes() as u64).is_none_or(|last| last > end) {
            return Err(reader.malformed("a redirect lies outside its function"));
        }
        function.site = Some(Site { address, form, expected: reader.bytes(form.len_bytes())?.to_vec() });
    }
    Ok(function)
}

fn relocation(reader: &mut Reader<'_>, body: &Body) -> Result<HotRelocation, FormatError> {
    let at = reader.varint()?;
    let byte = reader.u8()?;
    let kind = match byte & !BASE_BODY {
        1 => RelocationKind::Relative32,
        2 => RelocationKind::Absolute32,
        3 => RelocationKind::Signed32,
        4 => RelocationKind::Absolute64,
        other => return Err(reader.unsupported(format!("relocation {other}"))),
    };
    let base = if byte & BASE_BODY == 0 { Base::Program } else { Base::Body };
    if !body.holds(at, kind.len_bytes()) {
        return Err(reader.malformed("a relocation lies outside the body"));
    }
    Ok(HotRelocation { at, kind, base, addend: i64::from_le_bytes(reader.array()?) })
}

fn import(reader: &mut Reader<'_>, body: &Body) -> Result<HotImport, FormatError> {
    let (name, version) = (text(reader, "length of a name")?, text(reader, "length of a version")?);
    let slot = reader.varint()?;
    if slot < body.data_at() || !body.holds(slot, 8) {
        return Err(reader.malformed("the slot of an import lies outside the variables"));
    }
    Ok(HotImport { name, version, slot })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A part with everything in it.
    pub(crate) fn sample() -> HotPart {
        let old = |address, size| Some(OldCode { address, size, hash: [3; 32] });
        let function =
            |name: &str, old, new, site| HotFunction { name: name.into(), why: "why".into(), old, new, site };
        let entry = Site { address: 0x1004, form: Form::Entry, expected: vec![1, 2, 3, 4, 5] };
        let pad = Site { address: 0x1ffb, form: Form::Pad, expected: vec![0x90; 7] };
        HotPart {
            old_build: vec![1; 20],
            new_build: vec![2; 20],
            references: References::Kept,
            body: Body { text: vec![0xcc; 64], rodata: vec![5; 5000], data: vec![0; 24], bss_bytes: 100 },
            functions: vec![
                function("f", old(0x1000, 32), Some((0, 32)), Some(entry)),
                function("g", old(0x2000, 2), Some((32, 16)), Some(pad)),
                function("g.cold", old(0x3000, 9), None, None),
                function("h", None, Some((48, 16)), None),
            ],
            relocations: vec![
                HotRelocation { at: 1, kind: RelocationKind::Relative32, base: Base::Program, addend: -4 },
                HotRelocation { at: 4096, kind: RelocationKind::Absolute64, base: Base::Body, addend: 48 },
            ],
            imports: vec![HotImport { name: "puts".into(), version: "GLIBC_2.2.5".into(), slot: 4096 * 3 + 8 }],
            unwind: Some(4096),
        }
    }

    #[test]
    fn parts_round_trip_and_prefixes_are_refused() {
        for (references, version) in [(References::Kept, 1), (References::Objects, 2), (References::Decoded, 2)] {
            let part = HotPart { references, ..sample() };
            let blob = part.encode();
            assert_eq!(blob[0], version);
            assert_eq!(HotPart::decode(&blob).unwrap(), part);
            for len in 0..blob.len() {
                assert!(HotPart::decode(&blob[..len]).is_err(), "prefix of {len} bytes");
            }
            assert!(HotPart::decode(&[blob.as_slice(), &[0]].concat()).is_err());
        }
        let mut unknown = HotPart { references: References::Decoded, ..sample() }.encode();
        unknown[2] = 3;
        assert!(HotPart::decode(&unknown).unwrap_err().to_string().contains("references of kind 3"));
    }

    #[test]
    fn places_outside_are_refused() {
        type Damage = fn(&mut HotPart);
        let cases: [(Damage, &str); 10] = [
            (|part| part.old_build.clear(), "a build identity of 0 bytes"),
            (|part| part.functions[0].new = Some((60, 5)), "a new function lies outside the code"),
            (|part| part.functions[0].new = Some((u64::MAX, 5)), "a new function lies outside the code"),
            (|part| part.functions[0].old.as_mut().unwrap().address = u64::MAX, "beyond the address space"),
            (|part| part.functions[0].site.as_mut().unwrap().address = 0x1100, "a redirect lies outside its function"),
            (|part| part.functions[0].new = None, "a redirect leads from nowhere or to nowhere"),
            (|part| part.relocations[0].at = 61, "a relocation lies outside the body"),
            (|part| part.relocations[1].at = 4, "overlap or are not sorted"),
            (|part| part.imports[0].slot = 4096, "the slot of an import lies outside the variables"),
            (|part| part.unwind = Some(64), "the unwind data lie outside the body"),
        ];
        for (damage, expect) in cases {
            let mut part = sample();
            damage(&mut part);
            let error = HotPart::decode(&part.encode()).unwrap_err().to_string();
            assert!(error.contains(expect), "{error} lacks {expect}");
        }
    }

    #[test]
    fn redirects_must_not_touch() {
        let mut part = sample();
        let mut twin = part.functions[0].clone();
        twin.old.as_mut().unwrap().address = 0x1003;
        twin.site.as_mut().unwrap().address = 0x1008;
        part.functions.push(twin);
        let error = HotPart::decode(&part.encode()).unwrap_err().to_string();
        assert!(error.contains("two redirects overlap"), "{error}");
    }

    #[test]
    fn stretches_begin_on_pages() {
        let body = sample().body;
        assert_eq!((body.rodata_at(), body.data_at(), body.len_bytes()), (4096, 3 * 4096, 4 * 4096));
        assert_eq!(Body::default().len_bytes(), 0);
    }
}
