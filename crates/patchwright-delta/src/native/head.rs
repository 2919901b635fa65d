//! The head of a body: what the new image looks like and which stretches of it come from where.
//!
//! Written once for both directions, like the walk. Everything is a difference to what is likely: a section to the old
//! one it comes from, a cover to where the last one would go on.

use crate::cover::Cover;

use super::coder::Engine;
use super::image::{Layout, MAX_SECTIONS, Origin, Section};
use super::model::Numbers;

/// The most covers of a body: what a reader keeps for each is bounded, so is the number.
pub(super) const MAX_COVERS: usize = 1 << 19;

/// Differences of offsets are below 2^32 either way, hence below 2^34 as zigzags.
const MASK: u64 = (1 << 40) - 1;

/// The kinds of numbers, each with statistics of its own.
#[derive(Clone, Copy)]
enum Kind {
    Count,
    Pair,
    Offset,
    Length,
    Address,
    Memory,
    Covers,
    Literals,
    Cover,
    Seek,
}

const KINDS: usize = 16;

/// The head of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) new_layout: Layout,
    /// For each section of the new image the number of the old one that became it.
    pub(super) pairs: Vec<Option<usize>>,
    /// In order, inside both files, apart from each other.
    pub(super) covers: Vec<Cover>,
}

/// Codes a head. A decoder gets what `head` holds replaced; an encoder keeps it.
///
/// Errors are those of hostile bodies only, and say which rule is broken.
pub(super) fn code<E: Engine>(
    engine: &mut E,
    head: &mut Head,
    old_layout: &Layout,
    old_len: u32,
    new_len: u32,
) -> Result<(), &'static str> {
    let mut coder = Coder { engine, numbers: Numbers::new(KINDS) };
    coder.layout(head, old_layout)?;
    coder.covers(&mut head.covers, old_len, new_len)
}

struct Coder<'e, E> {
    engine: &'e mut E,
    numbers: Numbers,
}

impl<E: Engine> Coder<'_, E> {
    fn number(&mut self, kind: Kind, value: u64) -> u64 {
        self.numbers.code(self.engine, kind as usize, [0, 0], value)
    }

    /// A number of 32 bits as a difference to what is expected.
    fn near(&mut self, kind: Kind, value: u32, expected: u32) -> Result<u32, &'static str> {
        let zigzag = crate::format::zigzag(i64::from(value.wrapping_sub(expected).cast_signed()));
        let zigzag = self.number(kind, zigzag);
        let difference = i32::try_from(crate::format::unzigzag(zigzag)).map_err(|_| "a number exceeds 32 bits")?;
        Ok(expected.wrapping_add(difference.cast_unsigned()))
    }

    fn layout(&mut self, head: &mut Head, old: &Layout) -> Result<(), &'static str> {
        let count = self.number(Kind::Count, head.new_layout.sections.len() as u64);
        let count = usize::try_from(count).ok().filter(|count| *count <= MAX_SECTIONS).ok_or("too many sections")?;
        // Which base the new image has is told by its low half: the halves above are not used.
        let base = u32::try_from(head.new_layout.base & u64::from(u32::MAX)).unwrap_or(0);
        let old_base = u32::try_from(old.base & u64::from(u32::MAX)).unwrap_or(0);
        let base = u64::from(self.near(Kind::Address, base, old_base)?);
        let mut made = Layout {
            machine: old.machine,
            base: old.base & !u64::from(u32::MAX) | base,
            sections: Vec::new(),
            relocations: None,
            functions: None,
        };
        let mut pairs = Vec::new();
        let (mut next, mut file_shift, mut shift) = (0usize, 0u32, 0u32);
        for number in 0..count {
            let section = head.new_layout.sections.get(number).copied().unwrap_or_default();
            let pair = head.pairs.get(number).copied().flatten();
            // One more than the distance from the section after the last pair; zero for none.
            let wanted = pair.map_or(0, |pair| 1 + distance(pair, next));
            let told = self.number(Kind::Pair, wanted);
            let pair = told.checked_sub(1).and_then(|distance| at_distance(next, distance));
            let was = match pair {
                Some(pair) => *old.sections.get(pair).ok_or("a section comes from none")?,
                None => Section::default(),
            };
            next = pair.map_or(next, |pair| pair + 1);
            let offset = self.near(Kind::Offset, section.offset, was.offset.wrapping_add(file_shift))?;
            let file_len = self.near(Kind::Length, section.file_len, was.file_len)?;
            let address = self.near(Kind::Address, section.address, was.address.wrapping_add(shift))?;
            let expected = was.memory_len.wrapping_add(file_len.wrapping_sub(was.file_len));
            let memory_len = self.near(Kind::Memory, section.memory_len, expected)?;
            file_shift = offset.wrapping_sub(was.offset);
            shift = address.wrapping_sub(was.address);
            made.sections.push(Section { offset, file_len, address, memory_len, code: was.code, origin: Origin::Text });
            pairs.push(pair);
        }
        let ordered = made.sections.windows(2).all(|two| {
            two[1].file_len == 0
                || (two[0].file_len > 0
                    && two[0].offset.checked_add(two[0].file_len).is_some_and(|end| end <= two[1].offset))
        });
        if !ordered {
            return Err("its sections are out of order");
        }
        // What is not told follows from where a section comes from.
        for (section, pair) in made.sections.iter_mut().zip(&pairs) {
            let was = pair.and_then(|pair| old.sections.get(pair)).map_or(Origin::Text, |was| was.origin);
            let became = |number: usize| pairs.iter().position(|pair| *pair == Some(number));
            section.origin = match was {
                Origin::Text => Origin::Text,
                Origin::Bytes(number) => became(number).map_or(Origin::Text, Origin::Bytes),
                Origin::Records(number) => became(number).map_or(Origin::Text, Origin::Records),
            };
        }
        head.new_layout = made;
        head.pairs = pairs;
        Ok(())
    }

    fn covers(&mut self, covers: &mut Vec<Cover>, old_len: u32, new_len: u32) -> Result<(), &'static str> {
        let count = self.number(Kind::Covers, covers.len() as u64);
        let count = usize::try_from(count).ok().filter(|count| *count <= MAX_COVERS).ok_or("too many covers")?;
        let (mut old_end, mut new_end) = (0u64, 0u64);
        // How long the numbers of the last cover were.
        let mut last = [0, 0];
        for number in 0..count {
            let cover = covers.get(number).copied().unwrap_or(Cover { old_offset: 0, new_offset: 0, len: 0 });
            let bits = |value: u64| 64 - value.leading_zeros();
            let literals = cover.new_offset.wrapping_sub(new_end) & MASK;
            let literals = self.numbers.code(self.engine, Kind::Literals as usize, last, literals);
            let len = self.numbers.code(self.engine, Kind::Cover as usize, [bits(literals), last[1]], cover.len);
            let expected = old_end.saturating_add(literals);
            let seek = crate::format::zigzag(cover.old_offset.wrapping_sub(expected).cast_signed()) & MASK;
            let seek =
                self.numbers.code(self.engine, Kind::Seek as usize, [bits(literals), last[0] << 8 | bits(len)], seek);
            last = [bits(seek), bits(len)];
            let old_offset = expected.checked_add_signed(crate::format::unzigzag(seek));
            let old_offset = old_offset.ok_or("a cover starts before the old file")?;
            let made = Cover { old_offset, new_offset: new_end.saturating_add(literals), len };
            if len == 0 {
                return Err("a cover is empty");
            }
            if made.old_end() > u64::from(old_len) || made.new_end() > u64::from(new_len) {
                return Err("a cover lies outside the files");
            }
            (old_end, new_end) = (made.old_end(), made.new_end());
            if !E::WRITES {
                covers.push(made);
            }
            if self.engine.exhausted() {
                return Err("the body ends inside its head");
            }
        }
        Ok(())
    }
}

/// How far a section's number is from the one expected, as an unsigned number.
fn distance(pair: usize, next: usize) -> u64 {
    let signed = |n: usize| i64::try_from(n).expect("at most a thousand sections");
    crate::format::zigzag(signed(pair) - signed(next))
}

fn at_distance(next: usize, distance: u64) -> Option<usize> {
    next.checked_add_signed(isize::try_from(crate::format::unzigzag(distance)).ok()?)
}

/// Pairs the sections of two images that belong together: in order, those of the same kind.
#[cfg(feature = "create")]
pub(super) fn pair(old: &Layout, new: &Layout) -> Vec<Option<usize>> {
    let alike = |a: &Section, b: &Section| (a.code, a.file_len == 0) == (b.code, b.file_len == 0);
    if old.sections.len() == new.sections.len() && old.sections.iter().zip(&new.sections).all(|(a, b)| alike(a, b)) {
        return (0..old.sections.len()).map(Some).collect();
    }
    // The longest common subsequence, in which sections are worth more the nearer their lengths are.
    let worth = |a: &Section, b: &Section| {
        if !alike(a, b) {
            return 0u64;
        }
        let (less, more) = (a.memory_len.min(b.memory_len), a.memory_len.max(b.memory_len));
        1 + u64::from(less) * 16 / u64::from(more.max(1))
    };
    let (rows, columns) = (old.sections.len(), new.sections.len());
    let mut best = vec![vec![0u64; columns + 1]; rows + 1];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let both = best[row + 1][column + 1] + worth(&old.sections[row], &new.sections[column]);
            best[row][column] = both.max(best[row + 1][column]).max(best[row][column + 1]);
        }
    }
    let mut pairs = vec![None; columns];
    let (mut row, mut column) = (0, 0);
    while row < rows && column < columns {
        let value = worth(&old.sections[row], &new.sections[column]);
        if value > 0 && best[row][column] == best[row + 1][column + 1] + value {
            pairs[column] = Some(row);
            (row, column) = (row + 1, column + 1);
        } else if best[row][column] == best[row + 1][column] {
            row += 1;
        } else {
            column += 1;
        }
    }
    pairs
}
