//! The unwinder of a program that is linked statically: no loader knows its symbols, but its file does, if it was not
//! stripped.

use object::read::{File, Object as _, ObjectSymbol as _, SymbolKind};

use crate::module::Module;
use crate::target::Target;

/// The function that makes unwind data known.
const REGISTER: &str = "__register_frame_info";
/// The file of libgcc in which the lock is taken that it needs.
const SOURCE: &str = "unwind-dw2-fde-dip.c";
/// Functions of it that others call.
const OUTWARD: [&str; 3] = ["_Unwind_Find_FDE", "__register_frame", "__deregister_frame"];

/// Where unwind data are made known in a static program, and the code in which a thread may hold the lock for it: start and
/// end of each stretch.
pub(crate) fn in_static_program(target: &dyn Target, modules: &[Module]) -> Option<(u64, Vec<(u64, u64)>)> {
    let mut programs = modules.iter().filter(|module| module.name != "[vdso]");
    let (program, None) = (programs.next()?, programs.next()) else { return None };
    let bytes = target.file(program.first.as_ref()?).ok()?;
    let file = File::parse(bytes.as_slice()).ok()?;
    if program.build.is_empty() || file.build_id().ok()?? != program.build {
        return None;
    }
    find(&file, program.bias)
}

fn find(file: &File<'_>, bias: u64) -> Option<(u64, Vec<(u64, u64)>)> {
    let mut function = None;
    let mut not_in = Vec::new();
    let mut inside = false;
    for symbol in file.symbols() {
        let name = symbol.name().unwrap_or_default();
        match symbol.kind() {
            SymbolKind::File => inside = name == SOURCE,
            SymbolKind::Text if symbol.is_definition() => {
                let start = bias.wrapping_add(symbol.address());
                if name == REGISTER {
                    function = Some(start);
                }
                let outward = symbol.is_global() && OUTWARD.iter().any(|outward| name.starts_with(outward));
                if outward || symbol.is_local() && inside {
                    not_in.push((start, start.checked_add(symbol.size())?));
                }
            }
            _ => {}
        }
    }
    Some((function?, not_in))
}
