//! Where the bytes of a section go when room is made before functions.
//!
//! Before a function at `at` come `pad` bytes of filler and `island` bytes of new first instructions. What speaks of
//! `at` may mean one of three places, and [`Use`] says which.

/// What is made before one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Insert {
    /// The old entry, as an offset in the section.
    pub(crate) at: u64,
    /// Filler.
    pub(crate) pad: Vec<u8>,
    /// Instructions that do nothing and lead into the old code.
    pub(crate) island: Vec<u8>,
}

impl Insert {
    pub(crate) fn len(&self) -> u64 {
        (self.pad.len() + self.island.len()) as u64
    }
}

/// Which of the places that an old entry becomes is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Where the function is called: the island.
    Entry,
    /// Where its old code begins.
    Body,
    /// Where what stood before it ends: before the pad.
    End,
}

/// All that is inserted into one section, by offset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edits {
    inserts: Vec<Insert>,
    /// Bytes inserted up to and with each of them.
    sums: Vec<u64>,
}

impl Edits {
    /// `inserts` in any order, at most one per place.
    pub(crate) fn new(mut inserts: Vec<Insert>) -> Self {
        inserts.sort_by_key(|insert| insert.at);
        let sums = inserts.iter().scan(0, |sum, insert| {
            *sum += insert.len();
            Some(*sum)
        });
        Self { sums: sums.collect(), inserts }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inserts.is_empty()
    }

    /// The insert at an old entry.
    pub(crate) fn at(&self, at: u64) -> Option<&Insert> {
        let index = self.inserts.binary_search_by_key(&at, |insert| insert.at).ok()?;
        self.inserts.get(index)
    }

    /// Whether everything from the first insert on moves by the same distance.
    pub(crate) fn is_uniform(&self) -> bool {
        matches!(self.inserts.as_slice(), [] | [Insert { at: 0, .. }])
    }

    /// Where an offset goes.
    pub(crate) fn map(&self, offset: u64, meant: Use) -> u64 {
        let after = self.inserts.partition_point(|insert| insert.at <= offset);
        let Some((last, sum)) = after.checked_sub(1).and_then(|at| self.inserts.get(at).zip(self.sums.get(at))) else {
            return offset;
        };
        let back = match meant {
            _ if last.at != offset => 0,
            Use::Body => 0,
            Use::Entry => last.island.len() as u64,
            Use::End => last.len(),
        };
        offset.saturating_add(*sum - back)
    }

    /// Where an offset goes that a sum stated, which may point outside of the section.
    pub(crate) fn map_signed(&self, offset: i64, meant: Use) -> i64 {
        match u64::try_from(offset) {
            Ok(offset) => self.map(offset, meant).cast_signed(),
            // Before the section: what is meant there moves with its first byte, as long as only sums are computed.
            Err(_) if self.is_uniform() => offset.saturating_add_unsigned(self.map(0, Use::Body)),
            Err(_) => offset,
        }
    }

    /// The bytes of the section with all inserts.
    pub(crate) fn apply(&self, data: &[u8]) -> Vec<u8> {
        let added = self.sums.last().copied().unwrap_or(0);
        let mut out = Vec::with_capacity(data.len().saturating_add(usize::try_from(added).unwrap_or(0)));
        let mut done = 0;
        for insert in &self.inserts {
            let at = usize::try_from(insert.at).unwrap_or(data.len()).clamp(done, data.len());
            out.extend_from_slice(&data[done..at]);
            out.extend_from_slice(&insert.pad);
            out.extend_from_slice(&insert.island);
            done = at;
        }
        out.extend_from_slice(&data[done..]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_entry_becomes_three_places() {
        let insert = |at| Insert { at, pad: vec![0xcc; 14], island: vec![0x66, 0x90] };
        let edits = Edits::new(vec![insert(16), insert(0)]);
        for (offset, meant, expect) in [
            (0, Use::End, 0),
            (0, Use::Entry, 14),
            (0, Use::Body, 16),
            (1, Use::Entry, 17),
            (15, Use::End, 31),
            (16, Use::End, 32),
            (16, Use::Entry, 46),
            (16, Use::Body, 48),
            (20, Use::Body, 52),
        ] {
            assert_eq!(edits.map(offset, meant), expect, "{offset} {meant:?}");
        }
        assert!(!edits.is_uniform());
        let bytes = edits.apply(&[7; 20]);
        assert_eq!(bytes.len(), 52);
        assert_eq!((bytes[13], bytes[14], bytes[16], bytes[47], bytes[48]), (0xcc, 0x66, 7, 0x90, 7));
    }
}
