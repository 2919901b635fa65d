//! Symbols of other modules, as the loader would find them: the first module in its order that defines the name in the
//! version asked for.
//!
//! A symbol that a resolver chooses (IFUNC) is not resolved again, since no code of the process is run for it: some
//! module has a slot that the loader has bound already.

use object::elf::{R_X86_64_GLOB_DAT, R_X86_64_IRELATIVE, R_X86_64_JUMP_SLOT, STT_GNU_IFUNC, STT_TLS};

use crate::module::{Dynamic, Module, word};
use crate::target::Target;

const SYMBOL: u64 = 24;
const MAX_SYMBOLS: u64 = 1 << 22;
const MAX_NAME: usize = 4096;

/// The dynamic symbols of one module.
struct Table {
    module: usize,
    dynamic: Dynamic,
    symbols: Vec<u8>,
    strings: Vec<u8>,
    versions: Vec<u8>,
    /// By index, names of versions that it defines.
    defined: Vec<(u64, Vec<u8>)>,
}

/// Finds symbols in the modules of a process.
pub(crate) struct Symbols<'a> {
    target: &'a dyn Target,
    modules: &'a [Module],
    tables: Vec<Table>,
}

impl<'a> Symbols<'a> {
    pub(crate) fn new(target: &'a dyn Target, modules: &'a [Module]) -> Self {
        let mut tables: Vec<Table> =
            (0..modules.len()).filter_map(|index| table(target, index, modules[index].dynamic?)).collect();
        let order = load_order(target, modules);
        tables.sort_by_key(|table| order.iter().position(|index| *index == table.module).unwrap_or(usize::MAX));
        Self { target, modules, tables }
    }

    /// The address of a symbol.
    pub(crate) fn find(&self, name: &str, version: &str) -> Option<u64> {
        for table in &self.tables {
            for (index, symbol) in table.symbols.chunks_exact(24).enumerate().skip(1) {
                let section = word::<2>(symbol, 6);
                let kind = symbol[4] & 0xf;
                if section == 0 || kind == STT_TLS.0 || !table.is_named(symbol, name.as_bytes()) {
                    continue;
                }
                if !table.has_version(index, version.as_bytes()) {
                    continue;
                }
                if kind == STT_GNU_IFUNC.0 {
                    return self.bound(name, table.module, word::<8>(symbol, 8));
                }
                return Some(self.modules[table.module].bias.wrapping_add(word::<8>(symbol, 8)));
            }
        }
        None
    }

    /// Whether a module calls one of these functions in another.
    pub(crate) fn is_any_wanted(&self, names: &[&str]) -> bool {
        self.tables.iter().any(|table| {
            let mut wanted = table.symbols.chunks_exact(24).skip(1).filter(|symbol| word::<2>(symbol, 6) == 0);
            wanted.any(|symbol| names.iter().any(|name| table.is_named(symbol, name.as_bytes())))
        })
    }

    /// What some module's slot for this name holds, if that leads into the module that defines it; or what a slot of the
    /// definer holds that the same resolver, by its stated address, has filled.
    fn bound(&self, name: &str, definer: usize, resolver: u64) -> Option<u64> {
        let code = &self.modules[definer].code;
        for table in &self.tables {
            let bias = self.modules[table.module].bias;
            for (address, len) in [table.dynamic.relocations, table.dynamic.stub_relocations] {
                let relocations = read(self.target, address, len.min(64 << 20));
                for relocation in relocations.chunks_exact(24) {
                    let kind = word::<4>(relocation, 8);
                    let index = word::<4>(relocation, 12);
                    if kind == u64::from(R_X86_64_IRELATIVE.0)
                        && table.module == definer
                        && word::<8>(relocation, 16) == resolver
                    {
                        let slot = read(self.target, bias.wrapping_add(word::<8>(relocation, 0)), 8);
                        let value = word::<8>(&slot, 0);
                        if code.iter().any(|(start, end)| (*start..*end).contains(&value)) {
                            return Some(value);
                        }
                    }
                    if kind != u64::from(R_X86_64_GLOB_DAT.0) && kind != u64::from(R_X86_64_JUMP_SLOT.0) {
                        continue;
                    }
                    let at = usize::try_from(index * SYMBOL).ok()?;
                    let Some(symbol) = table.symbols.get(at..at + 24) else { continue };
                    if !table.is_named(symbol, name.as_bytes()) {
                        continue;
                    }
                    let slot = read(self.target, bias.wrapping_add(word::<8>(relocation, 0)), 8);
                    let value = word::<8>(&slot, 0);
                    if code.iter().any(|(start, end)| (*start..*end).contains(&value)) {
                        return Some(value);
                    }
                }
            }
        }
        None
    }
}

impl Table {
    fn is_named(&self, symbol: &[u8], name: &[u8]) -> bool {
        let at = usize::try_from(word::<4>(symbol, 0)).unwrap_or(usize::MAX);
        let rest = self.strings.get(at..).unwrap_or_default();
        name.len() < MAX_NAME && rest.starts_with(name) && rest.get(name.len()) == Some(&0)
    }

    /// Whether a defined symbol answers to a version; one without versions answers to all.
    fn has_version(&self, index: usize, wanted: &[u8]) -> bool {
        if self.versions.is_empty() || self.defined.is_empty() {
            return true;
        }
        let number = word::<2>(&self.versions, 2 * index);
        let hidden = number & 0x8000 != 0;
        if wanted.is_empty() {
            return !hidden;
        }
        self.defined.iter().any(|(defined, name)| *defined == number & 0x7fff && name == wanted)
    }
}

fn read(target: &dyn Target, address: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let got = target.read(address, &mut bytes).unwrap_or(0);
    bytes.truncate(got);
    bytes
}

/// The string table stands behind the symbols in what linkers make; so its address says how many there are.
fn table(target: &dyn Target, module: usize, dynamic: Dynamic) -> Option<Table> {
    let count = dynamic.strings.checked_sub(dynamic.symbols)? / SYMBOL;
    if count == 0 || count > MAX_SYMBOLS {
        return None;
    }
    let symbols = read(target, dynamic.symbols, count * SYMBOL);
    let farthest = symbols.chunks_exact(24).map(|symbol| word::<4>(symbol, 0)).max()?;
    let strings = read(target, dynamic.strings, farthest + MAX_NAME as u64);
    let versions = if dynamic.versions == 0 { Vec::new() } else { read(target, dynamic.versions, count * 2) };
    let defined = defined_versions(target, dynamic.defined_versions, &strings);
    Some(Table { module, dynamic, symbols, strings, versions, defined })
}

/// `Elf64_Verdef`: version, flags, index, count, hash, offset of the first name, offset of the next.
fn defined_versions(target: &dyn Target, mut address: u64, strings: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while address != 0 && found.len() < 4096 {
        let entry = read(target, address, 20);
        let name = read(target, address.wrapping_add(word::<4>(&entry, 12)), 8);
        let at = usize::try_from(word::<4>(&name, 0)).unwrap_or(usize::MAX);
        let text = strings.get(at..).unwrap_or_default();
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        found.push((word::<2>(&entry, 4), text.to_vec()));
        match word::<4>(&entry, 16) {
            0 => break,
            next => address = address.wrapping_add(next),
        }
    }
    found
}

/// Modules in the order of the loader's list; `r_debug`: version, first `link_map`: bias, name, dynamic, next.
fn load_order(target: &dyn Target, modules: &[Module]) -> Vec<usize> {
    let debug =
        modules.iter().filter_map(|module| module.dynamic).map(|dynamic| dynamic.debug).find(|debug| *debug != 0);
    let Some(debug) = debug else { return Vec::new() };
    let mut order = Vec::new();
    let mut link = word::<8>(&read(target, debug + 8, 8), 0);
    while link != 0 && order.len() < 4096 {
        let entry = read(target, link, 32);
        let bias = word::<8>(&entry, 0);
        order.extend(modules.iter().position(|module| module.bias == bias && module.dynamic.is_some()));
        link = word::<8>(&entry, 24);
    }
    order
}
