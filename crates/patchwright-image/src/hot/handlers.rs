//! Tables of exception handlers (language specific data areas), read for the types that they name.
//!
//! The layout is that of GCC's and LLVM's unwinders: where landing pads count from, the list of call sites, the actions,
//! and, counted backwards from a base, references to type information.

use object::elf;

use super::program::Program;

const OMIT: u8 = 0xff;
/// More call sites or types than this are not believed.
const MOST: usize = 1 << 16;

struct Cursor<'data> {
    bytes: &'data [u8],
    at: usize,
}

impl Cursor<'_> {
    fn u8(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..63).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let mut value = 0_i64;
        for shift in (0..63).step_by(7) {
            let byte = self.u8()?;
            value |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let sign = if byte & 0x40 != 0 { -1_i64 << (shift + 7) } else { 0 };
                return Some(value | sign);
            }
        }
        None
    }

    /// Steps over one value of an encoding.
    fn skip(&mut self, encoding: u8) -> Option<()> {
        match encoding & 0x0f {
            0x01 => self.unsigned().map(|_| ()),
            0x09 => self.signed().map(|_| ()),
            other => {
                self.at = self.at.checked_add(width(other)?)?;
                (self.at <= self.bytes.len()).then_some(())
            }
        }
    }
}

fn width(encoding: u8) -> Option<usize> {
    match encoding & 0x0f {
        0x00 | 0x04 | 0x0c => Some(8),
        0x02 | 0x0a => Some(2),
        0x03 | 0x0b => Some(4),
        _ => None,
    }
}

/// The fields of a table at `address` that refer to types, with the relocation that made each; up to what cannot be
/// read.
pub(super) fn types(program: &Program<'_>, address: u64) -> Vec<(u64, elf::RelocationType)> {
    let Some(section) = program.section_at(address) else { return Vec::new() };
    let bytes = program.bytes(address, section.address + section.size - address);
    read(bytes).into_iter().flatten().map(|(at, kind)| (address + at as u64, kind)).collect()
}

fn read(bytes: &[u8]) -> Option<Vec<(usize, elf::RelocationType)>> {
    let mut head = Cursor { bytes, at: 0 };
    match head.u8()? {
        OMIT => {}
        encoding => head.skip(encoding)?,
    }
    let encoding = head.u8()?;
    if encoding == OMIT {
        return Some(Vec::new());
    }
    let distance = usize::try_from(head.unsigned()?).ok()?;
    let base = head.at.checked_add(distance)?;
    let most = most(&mut head, bytes, base)?;
    let kind = match encoding & 0x7f {
        0x1b => elf::R_X86_64_PC32,
        // Addresses are the loader's business, if they are not four bytes of a program at a fixed place.
        _ => return Some(Vec::new()),
    };
    let fields = (1..=most).map_while(|index| base.checked_sub(4 * index));
    // Zero catches everything: it refers to nothing.
    Some(fields.filter(|at| bytes.get(*at..at + 4).is_some_and(|field| field != [0; 4])).map(|at| (at, kind)).collect())
}

/// The highest number of a type that an action names.
fn most(head: &mut Cursor<'_>, bytes: &[u8], base: usize) -> Option<usize> {
    let site_encoding = head.u8()?;
    let len = usize::try_from(head.unsigned()?).ok()?;
    let actions = head.at.checked_add(len)?;
    let sites = bytes.get(..actions)?;
    let mut site = Cursor { bytes: sites, at: head.at };
    let mut most = 0;
    let mut left = MOST;
    while site.at < actions {
        for _ in 0..3 {
            site.skip(site_encoding)?;
        }
        let Some(mut at) =
            usize::try_from(site.unsigned()?).ok()?.checked_sub(1).and_then(|at| actions.checked_add(at))
        else {
            continue;
        };
        loop {
            left = left.checked_sub(1)?;
            let mut action = Cursor { bytes, at };
            let filter = action.signed()?;
            let next_at = action.at;
            let next = action.signed()?;
            match usize::try_from(filter) {
                Ok(number) => most = most.max(number),
                Err(_) => most = most.max(listed(bytes, base, filter)?),
            }
            if next == 0 {
                break;
            }
            at = next_at.checked_add_signed(isize::try_from(next).ok()?)?;
        }
    }
    (most <= MOST).then_some(most)
}

/// The highest number in a list of types that a function may throw.
fn listed(bytes: &[u8], base: usize, filter: i64) -> Option<usize> {
    let back = usize::try_from(filter.checked_neg()?).ok()?;
    let mut list = Cursor { bytes, at: base.checked_add(back.checked_sub(1)?)? };
    let mut most = 0;
    for _ in 0..MOST {
        match usize::try_from(list.unsigned()?).ok()? {
            0 => return Some(most),
            number => most = most.max(number),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expect: Option<&[usize]>) {
        let found = read(bytes).map(|fields| fields.iter().map(|(at, _)| *at).collect::<Vec<_>>());
        assert_eq!(found.as_deref(), expect, "{bytes:x?}");
    }

    #[test]
    fn types_are_counted_by_the_actions_that_name_them() {
        // One call site without action, types omitted.
        check(&[0xff, 0xff, 0x01, 4, 0, 1, 0, 0], Some(&[]));
        // Action 1: type 2, then type 1. Two types before the base.
        let two = [0xff, 0x9b, 18, 0x01, 4, 0, 1, 2, 1, 2, 1, 1, 0, 1, 1, 1, 1, 2, 2, 2, 2];
        check(&two, Some(&[17, 13]));
        // The first catches everything.
        let all = [0xff, 0x9b, 12, 0x01, 4, 0, 1, 2, 1, 1, 0, 0, 0, 0, 0, 9];
        check(&all, Some(&[]));
        // A filter that lists type 1 after the base.
        let filter = [0xff, 0x9b, 12, 0x01, 4, 0, 1, 2, 1, 0x7f, 0, 5, 5, 5, 5, 1, 0];
        check(&filter, Some(&[11]));
        // An action that follows itself for ever.
        check(&[0xff, 0x9b, 12, 0x01, 4, 0, 1, 2, 1, 1, 0x7f, 0, 0, 0, 0, 9], None);
    }

    #[test]
    fn damaged_tables_are_refused_or_read() {
        let two = [0xff, 0x9b, 18, 0x01, 4, 0, 1, 2, 1, 2, 1, 1, 0, 1, 1, 1, 1, 2, 2, 2, 2];
        for len in 0..two.len() {
            read(&two[..len]);
        }
        for at in 0..two.len() {
            for value in 0..=255 {
                let mut damaged = two;
                damaged[at] = value;
                read(&damaged);
            }
        }
    }
}
