//! Where in the source an address is, if the program has line tables.

use gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use object::read::{File, Object as _, ObjectSection as _};

use crate::module::Module;
use crate::target::Target;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// `file:line` of an address in a module. `None` if its file is another one by now, or has no line tables that can
/// be read.
pub(crate) fn place(target: &dyn Target, modules: &[Module], address: u64) -> Option<String> {
    let module = modules.iter().find(|module| (module.range.0..module.range.1).contains(&address))?;
    let bytes = target.file(module.first.as_ref()?).ok()?;
    let file = File::parse(bytes.as_slice()).ok()?;
    if file.build_id().ok().flatten().unwrap_or_default() != module.build {
        return None;
    }
    line(&file, address.wrapping_sub(module.bias))
}

fn line(file: &File<'_>, address: u64) -> Option<String> {
    let section = |id: SectionId| -> Result<Slice<'_>, gimli::Error> {
        let data = file.section_by_name(id.name()).and_then(|section| section.data().ok()).unwrap_or_default();
        Ok(EndianSlice::new(data, LittleEndian))
    };
    let dwarf = Dwarf::load(section).ok()?;
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        let Ok(unit) = dwarf.unit(header) else { continue };
        let Some(program) = unit.line_program.clone() else { continue };
        let mut rows = program.rows();
        // The file and line of the row before, which holds until this one.
        let mut before: Option<(u64, u64, u64)> = None;
        // Code that the linker left out begins at zero.
        let mut left_out = false;
        while let Ok(Some((header, row))) = rows.next_row() {
            if let Some((start, file, line)) = before
                && !left_out
                && (start..row.address()).contains(&address)
            {
                let path = header.file(file)?.path_name();
                let path = dwarf.attr_string(&unit, path).ok()?;
                let path = String::from_utf8_lossy(path.slice()).into_owned();
                let name = path.rsplit('/').next().unwrap_or_default().to_owned();
                return (line > 0).then(|| format!("{name}:{line}"));
            }
            if before.is_none() {
                left_out = row.address() == 0;
            }
            let line = row.line().map_or(0, |line| line.get());
            before = (!row.end_sequence()).then(|| (row.address(), row.file_index(), line));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_knows_its_own_lines() {
        use object::read::ObjectSymbol as _;
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let file = File::parse(bytes.as_slice()).unwrap();
        let own = |symbol: &object::read::Symbol<'_, '_>| {
            symbol.name().is_ok_and(|name| name.contains("source") && name.contains("known")) && symbol.size() > 0
        };
        let address = file.symbols().find(own).unwrap().address();
        assert_eq!(line(&file, address), Some(format!("source.rs:{}", known())));
        assert_eq!(line(&file, 1), None);
    }

    #[inline(never)]
    fn known() -> u32 {
        std::hint::black_box(line!()) - 1
    }
}
