//! Words of data in blocks with tags: how they follow from the old ones.

use super::super::code::{Reference, index, low, narrow};
use super::super::image::Origin;
use super::super::predict::Images;
use super::super::span::Span;
use super::{LEARNED, Part, Targets, Voice, place};

/// The word is as it was.
pub(super) const SAME: u8 = 0;

/// The first of the tags for differences to a word before, and how many words before.
const FIRST_STRIDE: u8 = 6;
const STRIDES: [u32; 4] = [1, 2, 3, 6];

/// What was last added to a word near in value, and to any word of the section.
const LIKE_NEAR: u8 = 10;
const LIKE_LAST: u8 = 11;

/// What is added is told.
pub(super) const TOLD: u8 = 12;

/// The number of tags.
pub(super) const TAGS: u8 = 13;

/// How near values are whose differences are alike: those that share all but so many bits.
const NEAR_BITS: u32 = 12;

/// Sections of the old file beyond this many share what they learned.
const SECTIONS: usize = 64;

/// The four bytes at a place, zeros beyond the end.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    u32::from_le_bytes(found.copied().unwrap_or_default())
}

/// What is known where a block is looked at.
pub(super) struct View<'a> {
    pub(super) images: &'a Images<'a>,
    pub(super) targets: &'a Targets<'a>,
    /// The section of the block in the old file and in the new one.
    pub(super) stretches: (&'a Span, &'a Span),
    /// Where the segment starts in the new file.
    pub(super) start: u32,
}

impl View<'_> {
    /// The old word at a place, or one of the tables that follow the old file.
    fn old(&self, at: u32) -> u32 {
        match index(at).checked_sub(self.images.old.len()) {
            None => word(self.images.old, index(at)),
            Some(beyond) => word(&self.images.extra.bytes, beyond),
        }
    }

    /// How many bytes after a place the first word starts.
    fn skip(&self, at: u32) -> u32 {
        match index(at).checked_sub(self.images.old.len()) {
            None => at.wrapping_neg() % 4,
            Some(beyond) => {
                let from = narrow(self.images.extra.words_from);
                let beyond = narrow(beyond);
                if beyond < from { from - beyond } else { (from.wrapping_sub(beyond)) % 4 }
            }
        }
    }
}

/// What was added to words before.
pub(super) struct Words {
    /// By a hash of the section and the high bits of the old value.
    near: Vec<u32>,
    /// The last that was not zero, by section.
    last: [u32; SECTIONS],
    /// The last tag of each place in a record of six words.
    recent: [u8; 6],
}

/// A word that is looked at: its place in the old file and in the segment, how far its cover reaches back, its old value.
#[derive(Clone, Copy)]
struct Place {
    old: u32,
    at: usize,
    since: u32,
    was: u32,
}

impl Words {
    pub(super) fn new() -> Self {
        Self { near: vec![0; LEARNED], last: [0; SECTIONS], recent: [SAME; 6] }
    }

    /// Makes the words of a block. `references` are those that may lie in it, in order.
    pub(super) fn block(
        &mut self,
        voice: &mut impl Voice,
        view: &View<'_>,
        made: &mut [u8],
        block: Part,
        references: impl Iterator<Item = Reference>,
    ) {
        let base = view.images.old_layout.base;
        let memory_end = view.images.old_layout.memory_end();
        let in_old = index(block.old) < view.images.old.len();
        let odd = in_old && base != 0;
        let mut references = references.map(|reference| reference.at).peekable();
        let mut here = block.old;
        let mut aligned = block.old.saturating_add(view.skip(block.old));
        while here.saturating_add(4) <= block.end {
            while references.next_if(|at| at.saturating_add(4) <= here).is_some() {}
            if let Some(at) = references.peek().filter(|at| **at < here.saturating_add(4)) {
                // What a reference made stays.
                if *at > here && here < aligned {
                    here += 1;
                } else {
                    here = at.saturating_add(4);
                }
                while aligned < here {
                    aligned += 4;
                }
                continue;
            }
            let skip = here - block.old;
            let place = Place { old: here, at: block.at + index(skip), since: block.since + skip, was: view.old(here) };
            let mut step = 1;
            if here == aligned {
                aligned += 4;
                if place.was != 0 {
                    let phase = index(self.phase(view, here));
                    let recent = self.recent[phase];
                    let tag = voice.tag(place.at, recent, |tag| self.value(view, made, place, tag));
                    if tag != TOLD {
                        self.recent[phase] = tag;
                    }
                    let value = match tag {
                        TOLD => place.was.wrapping_add(voice.difference(place.at, place.was)),
                        tag => self.value(view, made, place, tag).unwrap_or(place.was),
                    };
                    made[place.at..place.at + 4].copy_from_slice(&value.to_le_bytes());
                    self.settle(view, here, place.was, value);
                    step = if tag == SAME { 1 } else { 4 };
                }
            } else if odd && (0x1000..memory_end).contains(&place.was) {
                let value = view.targets.find(place.was);
                if value != place.was && voice.odd(place.at, value) {
                    made[place.at..place.at + 4].copy_from_slice(&value.to_le_bytes());
                    step = 4;
                }
            }
            here = if odd { here + step } else { here.saturating_add(step).max(aligned) };
            while aligned < here {
                aligned += 4;
            }
        }
    }

    /// Whether tags pay in a block, whose new bytes are in `actual`.
    pub(super) fn worth(&self, view: &View<'_>, actual: &[u8], block: Part) -> bool {
        let mut here = block.old.saturating_add(view.skip(block.old));
        let in_old = index(block.old) < view.images.old.len();
        let mut found = 0;
        while here.saturating_add(4) <= block.end {
            let skip = here - block.old;
            let (at, was) = (block.at + index(skip), view.old(here));
            let is = word(actual, at);
            if was != is && was != 0 {
                let place = Place { old: here, at, since: block.since + skip, was };
                if (1..TOLD).any(|tag| self.value(view, actual, place, tag) == Some(is)) {
                    found += 1;
                }
            }
            here += 4;
        }
        if found >= 1 {
            return true;
        }
        if !in_old || view.images.old_layout.base == 0 {
            return false;
        }
        let memory_end = view.images.old_layout.memory_end();
        (block.old..block.end.saturating_sub(3)).any(|here| {
            let was = view.old(here);
            let at = block.at + index(here - block.old);
            (0x1000..memory_end).contains(&was) && word(actual, at) != was && word(actual, at) == view.targets.find(was)
        })
    }

    fn phase(&self, view: &View<'_>, old: u32) -> u32 {
        old.wrapping_sub(view.stretches.0.start) / 4 % 6
    }

    /// What a tag makes of a word; nothing if it says nothing here.
    fn value(&self, view: &View<'_>, made: &[u8], place: Place, tag: u8) -> Option<u32> {
        let Place { old, at, since, was } = place;
        let (old_layout, new_layout) = (view.images.old_layout, view.images.new_layout);
        let (before, after) = view.stretches;
        match tag {
            SAME => Some(was),
            1 => {
                let target = was.wrapping_sub(low(old_layout.base));
                Some(view.targets.find(target).wrapping_add(low(new_layout.base)))
            }
            2 => Some(view.targets.find(was)),
            3 => {
                let (here, there) = (before.address(old)?, after.address(view.start + narrow(at))?);
                Some(view.targets.find(here.wrapping_add(was)).wrapping_sub(there))
            }
            4 => {
                let (here, there) = (before.section?.address, after.section?.address);
                Some(view.targets.find(here.wrapping_add(was)).wrapping_sub(there))
            }
            5 => {
                let (here, there) = (before.section?.origin, after.section?.origin);
                let (from, scale) = old_layout.origin(here);
                let (to, new_scale) = new_layout.origin(there);
                if from == 0 || scale != new_scale || (scale > 1 && was >= 1 << 24) {
                    return None;
                }
                let found = view.targets.find(from.wrapping_add(was.wrapping_mul(scale))).wrapping_sub(to);
                Some(if here == Origin::Text { found } else { found / scale })
            }
            LIKE_NEAR => Some(was.wrapping_add(self.near[self.near(view, old, was)])),
            LIKE_LAST => Some(was.wrapping_add(self.last[view.stretches.0.number.min(SECTIONS - 1)])),
            TOLD => None,
            _ => {
                let stride = *STRIDES.get(usize::from(tag.checked_sub(FIRST_STRIDE)?))? * 4;
                if since < stride {
                    return None;
                }
                let made = word(made, at.checked_sub(index(stride))?);
                Some(was.wrapping_add(made.wrapping_sub(view.old(old - stride))))
            }
        }
    }

    /// Where the difference of words near in value to this one is kept.
    fn near(&self, view: &View<'_>, old: u32, was: u32) -> usize {
        let section = narrow(view.stretches.0.number);
        place(was >> NEAR_BITS ^ (section << 24 | self.phase(view, old) << 21))
    }

    fn settle(&mut self, view: &View<'_>, old: u32, was: u32, is: u32) {
        let difference = is.wrapping_sub(was);
        let near = self.near(view, old, was);
        self.near[near] = difference;
        if difference != 0 {
            self.last[view.stretches.0.number.min(SECTIONS - 1)] = difference;
        }
    }
}
