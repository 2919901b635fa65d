//! Symbol tables of both formats, and the exports of PE.

use object::read::{ExportTarget, File, NameOrOrdinal, Object as _, ObjectSymbol as _};
use object::{SymbolFlags, SymbolKind, elf};

use super::{Found, Source, cut};
use crate::code::Isa;
use crate::image::{Format, Image, Kind, Machine, Mark};

pub(super) fn read(file: &File<'_>, image: &mut Image<'_>, found: &mut Found) {
    let mut source_file: Option<String> = None;
    let mut hashes = Vec::new();
    let (mut marks, mut thumb) = (Vec::new(), Vec::new());
    let tables = [(Source::Symbols, file.symbols()), (Source::DynamicSymbols, file.dynamic_symbols())];
    for (source, table) in tables {
        for symbol in table {
            // To find where a name ends is work as well.
            if found.room == 0 {
                break;
            }
            let name = symbol.name().unwrap_or_default();
            found.room = found.room.saturating_sub(name.len());
            if symbol.kind() == SymbolKind::File {
                source_file = Some(cut(name));
            }
            if symbol.is_undefined() || name.is_empty() {
                continue;
            }
            let base = match image.kind {
                Kind::Object => {
                    symbol.section_index().and_then(|index| image.section_by_index(index.0)).map(|s| s.address)
                }
                _ => Some(0),
            };
            let Some(address) = base.map(|base| base.wrapping_add(symbol.address())) else { continue };
            if let Some(mark) = mapping(image.machine, name) {
                marks.push((address, mark));
                continue;
            }
            match symbol.kind() {
                SymbolKind::Text => {}
                // Assemblers do not always say that their functions are some. Of an image this may be what the linker
                // made, such as lists of constructors.
                SymbolKind::Data
                    if image.format == Format::Pe
                        && image.kind == Kind::Object
                        && symbol.is_global()
                        && image.section_of(address).is_some() => {}
                SymbolKind::Data if symbol.size() > 0 && image.section_of(address).is_some() => {
                    image.data_symbols.push((address, address.saturating_add(symbol.size())));
                    continue;
                }
                SymbolKind::Unknown | SymbolKind::Label if image.section_of(address).is_some() => {
                    if !found.labels.contains_key(&address)
                        && let Some(name) = found.text(name.as_bytes())
                    {
                        found.labels.insert(address, name);
                    }
                    continue;
                }
                _ => continue,
            }
            image.has_symbol_table |= source == Source::Symbols;
            if name.starts_with("__cfi_") {
                hashes.push(address);
                continue;
            }
            // COFF has names of sections among the symbols of functions.
            if image.format == Format::Pe && name.starts_with('.') {
                continue;
            }
            let is_arm = image.machine == Machine::Arm;
            let is_thumb = is_arm && (address & 1 != 0 || image.format == Format::Pe);
            let address = if is_arm { address & !1 } else { address };
            if is_arm {
                thumb.push((address, Mark::Code(if is_thumb { Isa::Thumb } else { Isa::A32 })));
            }
            let size = if image.format == Format::Elf { symbol.size() } else { 0 };
            let kind = image.kind;
            if let Some(function) = found.note(image, address, size, source) {
                let seen = source == Source::DynamicSymbols || kind == Kind::Object && symbol.is_global();
                function.exported |= seen;
                function.resolver |= is_resolver(symbol.flags());
                // ELF names the file of local symbols only.
                if image.format == Format::Pe || symbol.is_local() {
                    function.file.clone_from(&source_file);
                }
                found.name(address, source, name.as_bytes());
            }
        }
        source_file = None;
    }
    image.hashes = hashes;
    // Functions tell where code begins if there are no mapping symbols, but not where data do.
    if marks.is_empty() {
        marks = thumb;
    }
    marks.sort_unstable();
    image.marks = marks;
}

fn is_resolver<S, T>(flags: SymbolFlags<S, T>) -> bool {
    matches!(flags, SymbolFlags::Elf { st_info, .. } if st_info.st_type() == elf::STT_GNU_IFUNC)
}

/// `$a`, `$t`, `$x` and `$d`, possibly with a suffix.
fn mapping(machine: Machine, name: &str) -> Option<Mark> {
    let letter = name.strip_prefix('$')?;
    let (letter, rest) = letter.split_at_checked(1)?;
    if !(rest.is_empty() || rest.starts_with('.')) {
        return None;
    }
    match (machine, letter) {
        (Machine::Arm, "a") => Some(Mark::Code(Isa::A32)),
        (Machine::Arm, "t") => Some(Mark::Code(Isa::Thumb)),
        (Machine::Aarch64, "x") => Some(Mark::Code(Isa::A64)),
        (Machine::Arm | Machine::Aarch64, "d") => Some(Mark::Data),
        _ => None,
    }
}

/// What others can link to by name or number; forwarders and data are none of it.
pub(super) fn exports(file: &File<'_>, image: &Image<'_>, found: &mut Found) {
    if image.format == Format::Elf || image.kind == Kind::Object {
        return;
    }
    for export in file.exports().into_iter().flatten().flatten() {
        if found.room == 0 {
            break;
        }
        let ExportTarget::Address { address: at } = export.target() else { continue };
        let at = if image.machine == Machine::Arm { at & !1 } else { at };
        if let Some(function) = found.note(image, at, 0, Source::Exports) {
            function.exported = true;
            if let NameOrOrdinal::Name(name) = export.name() {
                found.name(at, Source::Exports, name);
            }
        }
    }
}
