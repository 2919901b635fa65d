//! Where in a file something is: in which section, and how far that goes.

use super::image::{Layout, Section};

/// A stretch of a file that is in one section, or between two.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
    /// The number of the section, from one.
    pub(super) number: usize,
    pub(super) section: Option<Section>,
}

impl Span {
    pub(super) fn around(layout: &Layout, offset: u32) -> Self {
        let after = layout.sections.partition_point(|s| s.file_len > 0 && s.offset <= offset);
        let before = after.checked_sub(1).map(|number| (number, layout.sections[number]));
        let next = layout.sections.get(after).filter(|s| s.file_len > 0).map_or(u32::MAX, |s| s.offset);
        match before {
            Some((number, section)) if offset < section.file_end() => Self {
                start: section.offset,
                end: section.file_end().min(next),
                number: number + 1,
                section: Some(section),
            },
            Some((_, section)) => Self { start: section.file_end(), end: next, number: 0, section: None },
            None => Self { start: 0, end: next, number: 0, section: None },
        }
    }

    pub(super) fn holds(&self, offset: u32) -> bool {
        (self.start..self.end).contains(&offset)
    }

    pub(super) fn address(&self, offset: u32) -> Option<u32> {
        self.section.map(|section| section.address.wrapping_add(offset.wrapping_sub(section.offset)))
    }
}
