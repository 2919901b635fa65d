//! References of a program by the objects that it was linked from.
//!
//! A linker lays sections of objects out, resolves their relocations, and forgets them. Here they are found again: a
//! section is where one of its symbols is, or where a reference to it leads, if the program has its bytes there, up to
//! fields that relocations change. `read` reads objects, `verify` tells whether bytes are those of a section.
//!
//! What is not found has the references that could be inferred without objects; where there are none, its functions are
//! [`Program::unresolved`]. A function that an object has under its name, but with other bytes, is an objection: the
//! objects are not those of the program.

mod read;
mod verify;

use std::collections::{BTreeMap, BTreeSet};

use object::elf;
use patchwright_formats::hot::References;

use self::read::{Content, Object, Section};
use super::program::{Kept, Loaded, Program};
use super::{Case, HotObjection};
use crate::error::ImageError;

/// An object or an archive of objects.
#[derive(Clone, Debug)]
pub struct ObjectFile {
    /// What reports call it.
    pub name: String,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// So many functions that differ are named.
const MOST: usize = 20;

/// A section: number of its object, number in it.
type Id = (usize, usize);

/// What is known of where sections went.
struct Links<'p, 'o, 'data> {
    program: &'p Program<'data>,
    objects: &'o [Object<'o>],
    /// Addresses of a name, each with the source file of a local one.
    names: BTreeMap<&'p str, Vec<(Option<&'p str>, u64)>>,
    /// Addresses of sections that are found.
    found: BTreeMap<Id, u64>,
    /// Sections that cannot be at an address, and the offset at which they differ.
    differ: BTreeMap<Id, u64>,
}

impl Program<'_> {
    /// Takes the references from the objects that the program was linked from.
    pub(super) fn link(&mut self, files: &[ObjectFile]) -> Result<Vec<HotObjection>, ImageError> {
        let objects = read::objects(files)?;
        let mut links = Links::new(self, &objects);
        links.find();
        if links.found.is_empty() {
            let reason = "no section of the objects is in the program: they are another build's, or of a link-time \
                          optimisation, which leaves no code in objects";
            return Err(ImageError::unsupported(reason));
        }
        let (objections, kept) = (links.objections(), links.kept());
        let (covered, blind) = (links.covered(), links.blind());
        let known = |address: u64| holds(&covered, address) && !blind.contains(&address);
        if self.fixed {
            for (index, func) in self.functions.iter().enumerate().filter(|(_, func)| !known(func.address)) {
                let why = if blind.contains(&func.address) {
                    "it refers to a section of its object that is not found in the program"
                } else {
                    "no object of the folder has its code"
                };
                self.unresolved.insert(index, why);
            }
            self.covered = Some(covered);
        } else {
            // What objects say is complete; what was inferred of the same code may be less.
            let functions = &self.functions;
            self.unresolved.retain(|index, _| functions.get(*index).is_none_or(|func| !known(func.address)));
        }
        let exact =
            kept.values().filter(|kept| matches!(kept.kind, elf::R_X86_64_64 | elf::R_X86_64_32 | elf::R_X86_64_32S));
        self.anchors.extend(exact.map(|kept| kept.target).collect::<Vec<_>>());
        self.kept.extend(kept);
        self.references = References::Objects;
        Ok(objections)
    }
}

/// Whether one of the stretches, which do not overlap, holds an address.
pub(super) fn holds(stretches: &BTreeSet<(u64, u64)>, address: u64) -> bool {
    stretches.range(..=(address, u64::MAX)).next_back().is_some_and(|(_, end)| address < *end)
}

impl<'p, 'o, 'data> Links<'p, 'o, 'data> {
    fn new(program: &'p Program<'data>, objects: &'o [Object<'o>]) -> Self {
        let mut names: BTreeMap<&str, Vec<(Option<&str>, u64)>> = BTreeMap::new();
        let functions = program.functions.iter().map(|func| (&func.names, &func.file, func.address));
        let data = program.data.iter().map(|datum| (&datum.names, &datum.file, datum.address));
        for (list, file, address) in functions.chain(data) {
            for name in list {
                names.entry(name).or_default().push((file.as_deref(), address));
            }
        }
        Self { program, objects, names, found: BTreeMap::new(), differ: BTreeMap::new() }
    }

    fn section(&self, id: Id) -> Option<&'o Section<'o>> {
        self.objects.get(id.0)?.sections.get(id.1)
    }

    /// Finds sections by their symbols, then those that these refer to.
    fn find(&mut self) {
        let mut fresh = Vec::new();
        for (number, object) in self.objects.iter().enumerate() {
            for index in 0..object.sections.len() {
                let id = (number, index);
                let candidates = self.candidates(object, index);
                // Without bytes nothing tells candidates apart.
                let sure = candidates.len() == 1 || object.sections[index].content != Content::Zeros;
                if let Some(base) = candidates.iter().copied().find(|base| sure && self.fits(id, *base)) {
                    self.found.insert(id, base);
                    fresh.push(id);
                }
            }
        }
        while let Some(id) = fresh.pop() {
            for (target, base) in self.led_to(id) {
                if !self.found.contains_key(&target) && self.fits(target, base) {
                    self.found.insert(target, base);
                    fresh.push(target);
                }
            }
        }
    }

    /// Where a section may be, by its symbols.
    fn candidates(&self, object: &Object<'o>, index: usize) -> BTreeSet<u64> {
        let mut all: Option<BTreeSet<u64>> = None;
        for symbol in object.symbols.iter().filter(|symbol| symbol.section == Some(index) && symbol.named) {
            let known = self.names.get(symbol.name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let own: Vec<u64> = known
                .iter()
                .filter(|(file, _)| !symbol.local || *file == object.file.as_deref())
                .map(|(_, address)| address.wrapping_sub(symbol.value))
                .collect();
            // A name that the program does not have was left out, or never written down.
            if own.is_empty() {
                continue;
            }
            let own: BTreeSet<u64> = own.into_iter().collect();
            all = Some(match all {
                Some(others) => others.intersection(&own).copied().collect(),
                None => own,
            });
        }
        all.unwrap_or_default()
    }

    /// Whether a section can be at an address; remembers where it differs.
    fn fits(&mut self, id: Id, base: u64) -> bool {
        let Some(section) = self.section(id) else { return false };
        let inside = self.program.section_at(base).is_some_and(|holder| {
            holder.executable == section.executable && section.size <= holder.size - (base - holder.address)
        });
        if !inside {
            return section.size == 0;
        }
        match verify::differs(section, self.program.bytes(base, section.size)) {
            None => true,
            Some(at) => {
                self.differ.insert(id, at);
                false
            }
        }
    }

    /// Sections without a name of their own that a section refers to, and where they must be for that.
    fn led_to(&self, id: Id) -> Vec<(Id, u64)> {
        let (Some(section), Some(base)) = (self.section(id), self.found.get(&id)) else { return Vec::new() };
        let mut led = Vec::new();
        for relocation in &section.relocations {
            let Some(symbol) = self.objects.get(id.0).and_then(|object| object.symbols.get(relocation.symbol)) else {
                continue;
            };
            let Some(target) = symbol.section else { continue };
            let merged = self.section((id.0, target)).is_none_or(|section| section.merged);
            if merged || self.found.contains_key(&(id.0, target)) {
                continue;
            }
            let at = base + relocation.at;
            if let Some(address) = self.stored(relocation.kind, at) {
                let start = address.wrapping_add_signed(relocation.addend.wrapping_neg()).wrapping_sub(symbol.value);
                led.push(((id.0, target), start));
            }
        }
        led
    }

    /// The sum of symbol and addend that the linker wrote at `at`, where it shows.
    fn stored(&self, kind: elf::RelocationType, at: u64) -> Option<u64> {
        let four = || self.program.bytes(at, 4).first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        match kind {
            elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => Some(at.wrapping_add_signed(i64::from(four()?.cast_signed()))),
            elf::R_X86_64_32 => Some(u64::from(four()?)),
            elf::R_X86_64_32S => Some(i64::from(four()?.cast_signed()).cast_unsigned()),
            elf::R_X86_64_64 => match self.program.loaded.get(&at) {
                Some(Loaded::Relative(target)) => Some(*target),
                Some(_) => None,
                None if self.program.fixed => Some(self.program.word(at)),
                None => None,
            },
            _ => None,
        }
    }

    /// Functions that objects have with other bytes under the same name, and nobody has with the program's.
    fn objections(&self) -> Vec<HotObjection> {
        let covered = self.covered();
        let mut objections = Vec::new();
        for (id, at) in &self.differ {
            let Some(object) = self.objects.get(id.0) else { continue };
            if self.found.contains_key(id) {
                continue;
            }
            let inside = object.symbols.iter().filter(|symbol| {
                symbol.section == Some(id.1)
                    && symbol.named
                    && (symbol.value..symbol.value.saturating_add(symbol.size.max(1))).contains(at)
            });
            for symbol in inside {
                let known = self.names.get(symbol.name.as_str()).map(Vec::as_slice).unwrap_or_default();
                let elsewhere = known.iter().all(|(_, address)| holds(&covered, *address));
                if !elsewhere {
                    let reason = format!(
                        "the program has other bytes than {} at +{:#x} of it: the objects are not those it was linked from",
                        object.name,
                        at - symbol.value
                    );
                    objections.push(HotObjection { subject: symbol.name.clone(), case: Case::Unreadable, reason });
                }
            }
        }
        objections.sort_by(|one, other| (&one.subject, &one.reason).cmp(&(&other.subject, &other.reason)));
        objections.dedup();
        let more = objections.len().saturating_sub(MOST);
        objections.truncate(MOST);
        if let Some(last) = objections.last_mut().filter(|_| more > 0) {
            last.reason += &format!("; {more} more differ");
        }
        objections
    }

    /// Stretches of memory whose objects are known.
    fn covered(&self) -> BTreeSet<(u64, u64)> {
        let sections = self.found.iter().filter_map(|(id, base)| Some((*base, base + self.section(*id)?.size)));
        sections.filter(|(start, end)| start < end).collect()
    }

    /// Addresses of functions that refer to sections which should be in the program, and are not found.
    fn blind(&self) -> BTreeSet<u64> {
        let mut blind = BTreeSet::new();
        for (id, base) in &self.found {
            let (Some(section), Some(object)) = (self.section(*id), self.objects.get(id.0)) else { continue };
            for relocation in section.relocations.iter().filter(|_| section.executable) {
                let target = object.symbols.get(relocation.symbol).and_then(|symbol| symbol.section);
                let lost = target.is_some_and(|target| {
                    // One of several alike, of which the linker took another object's, has a name.
                    let named = object.symbols.iter().any(|symbol| symbol.section == Some(target) && symbol.named);
                    let found = self.found.contains_key(&(id.0, target));
                    !found && !named && self.section((id.0, target)).is_some_and(|section| !section.merged)
                });
                if lost {
                    let function = self.program.function_at(base + relocation.at);
                    blind.extend(function.and_then(|index| Some(self.program.functions.get(index)?.address)));
                }
            }
        }
        blind
    }

    /// The relocations of everything that is found.
    fn kept(&self) -> BTreeMap<u64, Kept> {
        let mut kept = BTreeMap::new();
        for (id, base) in &self.found {
            let (Some(section), Some(object)) = (self.section(*id), self.objects.get(id.0)) else { continue };
            for relocation in &section.relocations {
                let symbol = object.symbols.get(relocation.symbol);
                let value = symbol.and_then(|symbol| self.value(id.0, symbol));
                let at = base + relocation.at;
                let stored = self.stored(relocation.kind, at);
                let sum = value.map(|value| value.wrapping_add_signed(relocation.addend));
                kept.insert(
                    at,
                    Kept {
                        kind: relocation.kind,
                        symbol: symbol.and_then(|symbol| self.datum(id.0, symbol, relocation.addend, relocation.kind)),
                        target: stored.or(sum).unwrap_or(relocation.addend.cast_unsigned()),
                        undefined: value.is_none() && symbol.is_some_and(|symbol| symbol.section.is_none()),
                    },
                );
            }
        }
        kept
    }

    /// The address of a symbol of an object in the program.
    fn value(&self, object: usize, symbol: &read::Symbol) -> Option<u64> {
        match symbol.section {
            Some(section) if self.found.contains_key(&(object, section)) => {
                self.found.get(&(object, section)).map(|base| base + symbol.value)
            }
            Some(_) if symbol.local => None,
            _ => match self.names.get(symbol.name.as_str())?.as_slice() {
                [(_, address)] => Some(*address),
                many => many.iter().find(|(file, _)| file.is_none()).map(|(_, address)| *address),
            },
        }
    }

    /// The address of the variable that a relocation means, by the symbol that it names, or by the only one of the
    /// section that it names.
    fn datum(&self, object: usize, symbol: &read::Symbol, addend: i64, kind: elf::RelocationType) -> Option<u64> {
        let value = self.value(object, symbol)?;
        if symbol.named {
            return Some(value);
        }
        let section = symbol.section?;
        // In an instruction the addend lacks what lies between the field and the end of the instruction.
        let least = if kind == elf::R_X86_64_PC32 { addend.checked_add(4)? } else { addend };
        let data = self.objects.get(object)?.symbols.iter();
        let mut data = data.filter(|datum| datum.section == Some(section) && datum.named && datum.size > 0);
        let (first, second) = (data.next()?, data.next());
        let near = least <= i64::try_from(first.size).ok()? && least >= -8;
        (second.is_none() && near && first.value == 0).then_some(value)
    }
}
