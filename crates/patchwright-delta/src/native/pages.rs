//! The references of the old image, decoded once and kept for all segments as far as there is room.
//!
//! Covers jump about in programs whose functions were put in another order, and a page is dear to decode. A page is
//! decoded when it is first asked for, by whichever thread asks; what is found does not depend on that. When there is no
//! more room, each segment keeps what it decodes for itself in a few slots.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::code::{Form, PAGE, Page, Reference, index};
use super::image::Layout;

/// How many references are kept for all, of eight bytes each.
const ROOM: usize = 2 << 20;

/// What they take in memory at most.
pub(super) const MEMORY: u64 = (ROOM * size_of::<Packed>()) as u64;

/// How many pages a segment keeps for itself. A page has at most some 4096 references.
const SLOTS: usize = 64;

/// A reference in half the room: where it is in its page and its form, and its target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed {
    place: u16,
    form: u8,
    target: u32,
}

impl Packed {
    fn new(reference: &Reference) -> Self {
        let form = match reference.form {
            Form::Absolute => 16,
            Form::Branch => 17,
            Form::Adr => 18,
            Form::Adrp => 19,
            Form::Literal => 20,
            Form::Low { shift } => 24 | shift & 7,
            Form::Relative { after } => after & 15,
        };
        let place = u16::try_from(reference.at % PAGE).expect("pages are shorter");
        Self { place, form, target: reference.target }
    }

    /// The reference, in the page that starts at `page`.
    #[inline]
    pub(super) fn unpack(self, page: u32) -> Reference {
        let form = match self.form {
            16 => Form::Absolute,
            17 => Form::Branch,
            18 => Form::Adr,
            19 => Form::Adrp,
            20 => Form::Literal,
            low @ 24.. => Form::Low { shift: low & 7 },
            after => Form::Relative { after },
        };
        Reference { at: page + u32::from(self.place), form, target: self.target }
    }
}

/// The pages of an old file.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    bytes: &'a [u8],
    layout: &'a Layout,
    relocated: &'a [u32],
    kept: Vec<OnceLock<Box<[Packed]>>>,
    room: AtomicUsize,
}

/// The pages that a segment keeps for itself.
#[derive(Debug)]
pub(super) struct Slots(Vec<Option<(u32, Box<[Packed]>)>>);

impl Slots {
    pub(super) fn new() -> Self {
        let mut slots = Vec::new();
        slots.resize_with(SLOTS, || None);
        Self(slots)
    }
}

impl<'a> Pages<'a> {
    pub(super) fn new(bytes: &'a [u8], layout: &'a Layout, relocated: &'a [u32]) -> Self {
        let mut kept = Vec::new();
        if !layout.sections.is_empty() {
            kept.resize_with(bytes.len().div_ceil(index(PAGE)), OnceLock::new);
        }
        Self { bytes, layout, relocated, kept, room: AtomicUsize::new(ROOM) }
    }

    /// The references of the page that holds byte `offset` of the old file: those from `offset` less `before` on, in order.
    pub(super) fn from<'s>(
        &'s self,
        slots: &'s mut Slots,
        offset: u32,
        before: u32,
    ) -> impl Iterator<Item = Reference> + use<'s> {
        let start = offset - offset % PAGE;
        let page = self.page(slots, offset / PAGE);
        let wanted = (offset - start).saturating_sub(before);
        let first = page.partition_point(|packed| u32::from(packed.place) < wanted);
        page[first..].iter().map(move |packed| packed.unpack(start))
    }

    fn page<'s>(&'s self, slots: &'s mut Slots, number: u32) -> &'s [Packed] {
        // A raw file has no references.
        let Some(kept) = self.kept.get(index(number)) else { return &[] };
        if let Some(page) = kept.get() {
            return page;
        }
        let slot = &mut slots.0[index(number) % SLOTS];
        if slot.as_ref().is_none_or(|(held, _)| *held != number) {
            let page = Page::decode(self.bytes, self.layout, self.relocated, number);
            let packed: Box<[Packed]> = page.references.iter().map(Packed::new).collect();
            // Who comes too late gives back what it took.
            let take = |room: usize| room.checked_sub(packed.len());
            if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                let len = packed.len();
                if kept.set(packed).is_err() {
                    self.room.fetch_add(len, Ordering::Relaxed);
                }
                return kept.get().map_or(&[], |page| page);
            }
            *slot = Some((number, packed));
        }
        slot.as_ref().map_or(&[], |(_, page)| page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_the_same_packed() {
        let forms = (0..12).map(|after| Form::Relative { after });
        let lows = (0..5).map(|shift| Form::Low { shift });
        let others = [Form::Absolute, Form::Branch, Form::Adr, Form::Adrp, Form::Literal];
        for (form, at) in forms.chain(lows).chain(others).zip(5 * PAGE..) {
            let reference = Reference { at, form, target: 0x1234_5678 ^ at };
            assert_eq!(Packed::new(&reference).unpack(5 * PAGE), reference);
        }
    }
}
