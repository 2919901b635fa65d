//! A byte of knowledge for every byte of the image.

use std::ops::Range;

use crate::pa19::pe32::{Directory, MEM_EXECUTE, Pe32, directory};

/// No operand of an instruction.
pub(in crate::pa19) const NO_CODE: u8 = 1;
/// Structured data, in which no pointer is ever inferred.
pub(in crate::pa19) const NO_POINTER: u8 = 2;
/// Both.
pub(in crate::pa19) const STRUCTURE: u8 = NO_CODE | NO_POINTER;

/// What the bytes of an image can be.
pub(in crate::pa19) struct Hints(Vec<u8>);

impl Hints {
    /// What headers, sections and directories say. `force` also takes directories that no section maps, at offset 0.
    pub(in crate::pa19) fn mark(image: &[u8], pe: &Pe32, force: bool) -> Self {
        let mut hints = Self(vec![0; image.len()]);
        hints.mark_data(pe);
        hints.set(0, pe.size_of_headers as usize, STRUCTURE);
        for index in 0..directory::COUNT {
            let Directory { rva, size } = pe.directory(image, index);
            let start = pe.offset(rva);
            if rva != 0 && size != 0 && (start.is_some() || force) {
                hints.set(start.unwrap_or(0), size as usize, STRUCTURE);
            }
        }
        hints
    }

    /// Marks all sections without code. Bytes that are in several of them are marked once.
    fn mark_data(&mut self, pe: &Pe32) {
        let data = pe.sections.iter().filter(|section| section.characteristics & MEM_EXECUTE == 0);
        let mut ranges: Vec<Range<usize>> = data.map(|section| section.raw(self.0.len())).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        let mut marked = 0;
        for range in ranges {
            let start = range.start.max(marked);
            marked = range.end.max(marked);
            self.0[start..marked].fill(NO_CODE);
        }
    }

    /// Overwrites what is known of `[start, start + len)`, as far as it lies in the file.
    pub(in crate::pa19) fn set(&mut self, start: usize, len: usize, hint: u8) {
        let range = self.clipped(start, len);
        self.0[range].fill(hint);
    }

    /// Adds to what is known of `[start, start + len)`, as far as it lies in the file.
    pub(in crate::pa19) fn add(&mut self, start: usize, len: usize, hint: u8) {
        let range = self.clipped(start, len);
        for byte in &mut self.0[range] {
            *byte |= hint;
        }
    }

    /// Whether none of `[start, start + len)` has any bit of `hint`; bytes outside the file have all bits.
    pub(in crate::pa19) fn clear(&self, start: usize, len: usize, hint: u8) -> bool {
        start
            .checked_add(len)
            .and_then(|end| self.0.get(start..end))
            .is_some_and(|bytes| bytes.iter().all(|byte| byte & hint == 0))
    }

    fn clipped(&self, start: usize, len: usize) -> Range<usize> {
        let start = start.min(self.0.len());
        start..start.saturating_add(len).min(self.0.len())
    }
}
