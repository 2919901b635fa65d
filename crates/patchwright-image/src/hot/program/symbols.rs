//! Functions, data and thread variables by the symbol table.

use std::collections::BTreeMap;

use object::elf;
use object::read::elf::Sym as _;

use super::{Datum, Elf, Func, LE, Program};
use crate::error::ImageError;

impl<'data> Program<'data> {
    pub(super) fn read_symbols(&mut self, file: &Elf<'data>) -> Result<(), ImageError> {
        let table = file.elf_symbol_table();
        let mut functions: BTreeMap<u64, Func> = BTreeMap::new();
        let mut data: BTreeMap<u64, Datum> = BTreeMap::new();
        let mut thread_data: BTreeMap<u64, Datum> = BTreeMap::new();
        let mut source = None;
        for symbol in table.symbols() {
            let name = String::from_utf8_lossy(symbol.name(LE, table.strings()).unwrap_or_default()).into_owned();
            let kind = symbol.st_type();
            if kind == elf::STT_FILE {
                source = Some(name).filter(|name| !name.is_empty());
                continue;
            }
            let undefined = symbol.st_shndx(LE) == elf::SHN_UNDEF || symbol.st_shndx(LE) == elf::SHN_ABS;
            if undefined || name.is_empty() || kind == elf::STT_SECTION {
                continue;
            }
            let (address, size) = (symbol.st_value(LE), symbol.st_size(LE));
            let local = symbol.st_bind() == elf::STB_LOCAL;
            let own = source.clone().filter(|_| local);
            let code = self.section_at(address).is_some_and(|section| section.executable);
            match kind {
                elf::STT_FUNC | elf::STT_GNU_IFUNC if code => {
                    let func = functions.entry(address).or_insert_with(|| Func {
                        address,
                        size,
                        names: Vec::new(),
                        file: own.clone(),
                        indirect: false,
                    });
                    func.size = func.size.max(size);
                    func.indirect |= kind == elf::STT_GNU_IFUNC;
                    func.names.push(name);
                }
                elf::STT_TLS => note(&mut thread_data, address, size, name, own, true),
                elf::STT_OBJECT | elf::STT_COMMON if !code => {
                    // A mark of the linker's, such as the end of a list, is no variable, whatever its type says.
                    note(&mut data, address, size, name, own, size > 0);
                }
                elf::STT_NOTYPE if !code && !name.starts_with(".L") => note(&mut data, address, size, name, own, false),
                _ => {}
            }
        }
        self.functions = functions.into_values().collect();
        self.data = data.into_values().collect();
        self.thread_data = thread_data.into_values().collect();
        for func in &mut self.functions {
            func.names.sort();
        }
        for datum in self.data.iter_mut().chain(&mut self.thread_data) {
            datum.names.sort();
        }
        self.end_functions();
        self.end_data();
        self.anchors
            .extend(self.data.iter().flat_map(|datum| [datum.address, datum.address.saturating_add(datum.size)]));
        Ok(())
    }

    /// No datum reaches beyond its section, whatever its symbol says; one in no section is none.
    fn end_data(&mut self) {
        let mut data = std::mem::take(&mut self.data);
        data.retain_mut(|datum| {
            let limit = self.section_at(datum.address).map(|section| section.address + section.size);
            // A mark of an end stands behind its section.
            let end = limit.or_else(|| self.section_at(datum.address.checked_sub(1)?).map(|_| datum.address));
            datum.size = datum.size.min(end.map_or(0, |end| end - datum.address));
            end.is_some()
        });
        self.data = data;
        let block = self.thread_block;
        self.thread_data.retain(|datum| datum.address <= block);
        for datum in &mut self.thread_data {
            datum.size = datum.size.min(block - datum.address);
        }
    }

    /// A function without a length reaches to the next, and none reaches beyond its section.
    fn end_functions(&mut self) {
        let starts: Vec<u64> = self.functions.iter().map(|func| func.address).collect();
        let ends: Vec<u64> = starts
            .iter()
            .map(|start| self.section_at(*start).map_or(*start, |section| section.address + section.size))
            .collect();
        for (index, func) in self.functions.iter_mut().enumerate() {
            let limit = ends.get(index).copied().unwrap_or(func.address);
            let next = starts.get(index + 1).copied().unwrap_or(limit).min(limit);
            if func.size == 0 {
                func.size = next - func.address;
            }
            func.size = func.size.min(limit - func.address);
        }
    }
}

fn note(data: &mut BTreeMap<u64, Datum>, address: u64, size: u64, name: String, file: Option<String>, typed: bool) {
    let datum =
        data.entry(address).or_insert_with(|| Datum { address, size: 0, names: Vec::new(), file: None, typed: false });
    // A label that happens to stand where a variable begins does not share its identity.
    if typed && !datum.typed {
        datum.names.clear();
        datum.file = None;
    } else if !typed && datum.typed {
        return;
    }
    datum.typed |= typed;
    datum.size = datum.size.max(size);
    datum.file = datum.file.take().or(file);
    datum.names.push(name);
}
