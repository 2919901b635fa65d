//! Which object a piece of an image came from: the map that the linker writes.
//!
//! Symbols cannot tell: two objects may have functions of the same name, and libraries are searched. Four spellings are
//! read: of GNU ld and gold, of lld for ELF, of lld for COFF, and Microsoft's, which lld-link writes as well.

use std::collections::BTreeMap;

/// Pieces of an image by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkMap {
    /// From the start of a piece to its end and its object; where sizes are not told, to the next start.
    pieces: BTreeMap<u64, (Option<u64>, String)>,
    /// Symbols with their addresses, of Microsoft's map alone: its images have no symbol table.
    symbols: Vec<(u64, String)>,
}

impl LinkMap {
    /// Reads a map. What is no line of a piece is passed over, as maps hold much else.
    pub(crate) fn read(text: &str, image_base: u64) -> Self {
        let mut map = Self::default();
        let header = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let columns: Vec<&str> = header.split_whitespace().collect();
        match columns.as_slice() {
            ["VMA", "LMA", "Size", "Align", ..] => text.lines().for_each(|line| map.lld(line, 4, 0)),
            ["Address", "Size", "Align", ..] => text.lines().for_each(|line| map.lld(line, 3, image_base)),
            _ if text.contains("Publics by Value") => text.lines().for_each(|line| map.microsoft(line)),
            _ => {
                // Sections that were dropped stand before this heading.
                let headings = ["\nLinker script and memory map", "\nMemory map"];
                let kept = headings.iter().find_map(|heading| text.split_once(heading)).map_or(text, |(_, kept)| kept);
                kept.lines().for_each(|line| map.gnu(line));
            }
        }
        map
    }

    /// The object that the code at an address came from, as the linker spells it.
    pub(crate) fn object_at(&self, address: u64) -> Option<&str> {
        let (_, (end, object)) = self.pieces.range(..=address).next_back()?;
        end.is_none_or(|end| address < end).then_some(object.as_str())
    }

    /// Symbols of code and data, as Microsoft's map tells them.
    pub(crate) fn symbols(&self) -> &[(u64, String)] {
        &self.symbols
    }

    fn piece(&mut self, start: u64, size: Option<u64>, object: &str) {
        if start == 0 || size == Some(0) || object.is_empty() {
            return;
        }
        let end = size.map(|size| start.saturating_add(size));
        self.pieces.insert(start, (end, object.to_owned()));
    }

    /// ` .text.f  0x1000  0x20 a.o`, the name perhaps on a line of its own.
    fn gnu(&mut self, line: &str) {
        if !line.starts_with(' ') || line.trim_start().starts_with('*') {
            return;
        }
        let mut rest = line.trim_start();
        if !rest.starts_with("0x") {
            let Some((_, more)) = rest.split_once(char::is_whitespace) else { return };
            rest = more.trim_start();
        }
        let Some((start, rest)) = rest.split_once(char::is_whitespace) else { return };
        let Some((size, object)) = rest.trim_start().split_once(char::is_whitespace) else { return };
        if let (Some(start), Some(size)) = (prefixed_hex(start), prefixed_hex(size)) {
            self.piece(start, Some(size), object.trim());
        }
    }

    /// `1800 1800 c 16         a.o:(.text.f)`
    fn lld(&mut self, line: &str, columns: usize, base: u64) {
        let mut rest = line.trim_start();
        let mut numbers = Vec::with_capacity(columns);
        for _ in 0..columns {
            let Some((number, more)) = rest.split_once(char::is_whitespace) else { return };
            let Ok(number) = u64::from_str_radix(number, 16) else { return };
            numbers.push(number);
            rest = more.trim_start();
        }
        let (Some(start), Some(size)) = (numbers.first(), numbers.get(columns - 2)) else { return };
        if let Some((object, _)) = rest.rsplit_once(":(") {
            self.piece(base.saturating_add(*start), Some(*size), object);
        }
    }

    /// ` 0001:00000010  add  0000000140001010 f i  a.obj`
    fn microsoft(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some(place), Some(name), Some(address)) = (words.next(), words.next(), words.next()) else { return };
        let is_place = place.split_once(':').is_some_and(|(section, _)| section.len() == 4);
        let object: Vec<&str> = words.skip_while(|word| matches!(*word, "f" | "i")).collect();
        if let (true, Ok(address)) = (is_place, u64::from_str_radix(address, 16)) {
            self.piece(address, None, &object.join(" "));
            // Labels inside functions, which stay in the symbol tables of objects.
            let is_label = ["Ltmp", "$LN", ".L", "LBB"].iter().any(|start| name.starts_with(start));
            if !is_label {
                self.symbols.push((address, name.to_owned()));
            }
        }
    }
}

fn prefixed_hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BFD: &str = "\
Discarded input sections

 .text.gone     0x0000000000000000       0x17 /tmp/x.o

Linker script and memory map

.text           0x0000000000001050      0x1a9
 *(.text.unlikely .text.*_unlikely .text.unlikely.*)
 .text.unlikely.cold
                0x0000000000001050       0x17 /tmp/a.o
                0x0000000000001056                cold
 *fill*         0x0000000000001067        0x9
 .text          0x00000000000011f9        0x0 /usr/lib/crtn.o
 .text          0x0000000000001070       0x22 my libs/lib.a(b c.o)
";
    const GOLD: &str = "\
Archive member included because of file (symbol)

Memory map

.text           0x0000000000000640      0x1a9
 .text.startup.main
                0x0000000000000660       0x51 /tmp/a.o
                0x0000000000000666                main
 ** fill        0x00000000000006e2        0xe
";
    const LLD: &str = "             VMA              LMA     Size Align Out     In      Symbol
            1710             1710      19d    16 .text
            1800             1800        c    16         /tmp/a-57.o:(.text.add)
            1806             1806        6     1                 add
";
    const LLDMAP: &str = "Address  Size     Align Out     In      Symbol
00001000 0000007a  4096 .text
00001010 0000000c    16         w.exe.lto.obj:(.text)
00001016 00000000     0                 add
";
    const MICROSOFT: &str = " w

 Preferred load address is 0000000140000000

 Start         Length     Name                   Class
 0001:00000008 000000c0H .text                   CODE

  Address         Publics by Value              Rva+Base               Lib:Object

 0001:00000010       add                        0000000140001010 f   w.obj
 0001:00000030       ?g@@YAXXZ                  0000000140001030 f i util:g.obj

 entry point at         0001:00000090
";

    #[test]
    fn every_linkers_map_tells_the_object() {
        for (text, address, expect) in [
            (BFD, 0x1050, Some("/tmp/a.o")),
            (BFD, 0x1066, Some("/tmp/a.o")),
            (BFD, 0x1067, None),
            (BFD, 0x1071, Some("my libs/lib.a(b c.o)")),
            (BFD, 0x5, None),
            (GOLD, 0x666, Some("/tmp/a.o")),
            (GOLD, 0x6e2, None),
            (LLD, 0x1806, Some("/tmp/a-57.o")),
            (LLD, 0x1710, None),
            (LLDMAP, 0x1_4000_1016, Some("w.exe.lto.obj")),
            (MICROSOFT, 0x1_4000_1010, Some("w.obj")),
            (MICROSOFT, 0x1_4000_1020, Some("w.obj")),
            (MICROSOFT, 0x1_4000_1030, Some("util:g.obj")),
            ("", 0x1000, None),
            ("no map at all\n 0x 0x x\n", 0x1000, None),
        ] {
            let map = LinkMap::read(text, 0x1_4000_0000);
            assert_eq!(map.object_at(address), expect, "{address:x} of {text}");
        }
        let symbols = LinkMap::read(MICROSOFT, 0).symbols;
        assert_eq!(symbols, [(0x1_4000_1010, "add".to_owned()), (0x1_4000_1030, "?g@@YAXXZ".to_owned())]);
    }
}
