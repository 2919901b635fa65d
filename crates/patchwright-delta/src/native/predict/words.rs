//! Words of data: the ways in which one may follow from the old one, and which of them to believe.

use super::super::code::{index, low, narrow, word_at};
use super::super::image::{Layout, Origin};
use super::super::tables::Anew;
use super::{
    CONTEXTS, Choices, FIRST_STRIDE, LIKE_LAST, LIKE_NEAR, NEAR_BITS, PHASES, Predictor, SCORE_RATE, SECTIONS, STRIDES,
    Span, Unit, WAYS, place,
};

impl Predictor<'_> {
    /// A distance from the base of the image that stands at an odd place, as in the packed unwind tables of PE files.
    pub(super) fn packed_word(&self, old: u32) -> Option<Choices> {
        let images = self.images;
        if images.old_layout.base == 0 {
            return None;
        }
        let word = word_at(images.old, old)?;
        if !(0x1000..self.memory_end).contains(&word) {
            return None;
        }
        let (target, _) = self.resolve(word);
        let mut values = [word; WAYS];
        values[2] = target;
        let mut context = [0; WAYS];
        context[0] = 16 | self.packed;
        context[2] = 16 | self.packed;
        let scores = [0, 2].map(|way| self.scores[self.score(way, context[way])]);
        let way = if scores[1] > scores[0] { 2 } else { 0 };
        let second = (target != word).then_some(values[2 - way]);
        Some(Choices {
            values,
            apply: 0b101,
            best: values[way],
            second,
            way,
            grade: u32::from(scores[way / 2] >> 12),
            phase: self.phase,
            context,
        })
    }

    pub(super) fn word(&self, old: u32, new: u32, word: u32, before: &[u8], since: u32) -> Choices {
        let images = self.images;
        let (old_layout, new_layout) = (images.old_layout, images.new_layout);
        let end = self.memory_end;
        let mut values = [word; WAYS];
        let mut apply = 1u16;
        let mut consider = |way: usize, target: u32, value: &dyn Fn(u32) -> u32| {
            if target < end && target >= 64 {
                values[way] = value(self.resolve(target).0);
                apply |= 1 << way;
            }
        };
        let (old_base, new_base) = (low(old_layout.base), low(new_layout.base));
        consider(1, word.wrapping_sub(old_base), &|target| target.wrapping_add(new_base));
        if old_base != 0 {
            consider(2, word, &|target| target);
        }
        if let (Some(here), Some(there)) = (self.old_section.address(old), self.new_section.address(new)) {
            consider(3, here.wrapping_add(word), &|target| target.wrapping_sub(there));
        }
        if let (Some(here), Some(there)) = (self.old_section.section, self.new_section.section) {
            consider(4, here.address.wrapping_add(word), &|target| target.wrapping_sub(there.address));
        }
        if let (Some(here), Some(there)) = (self.old_section.section, self.new_section.section) {
            let (from, scale) = old_layout.origin(here.origin);
            let (to, new_scale) = new_layout.origin(there.origin);
            if from != 0 && scale == new_scale {
                let target = from.wrapping_add(word.wrapping_mul(scale));
                if scale > 1 && word >= 1 << 24 {
                    // No number of a record.
                } else if here.origin == Origin::Text {
                    consider(5, target, &|target| target.wrapping_sub(to));
                } else if word < here_len(old_layout, here.origin) / scale {
                    values[5] = self.resolve(target).0.wrapping_sub(to) / scale;
                    apply |= 1 << 5;
                }
            }
        }
        self.add_table_ways((images.old, index(old)), word, before, since, &mut values, &mut apply);
        self.choose(values, apply)
    }

    /// Foretells what comes from a table that was made anew: its words are as good as the map.
    pub(super) fn made_anew(&mut self, old: u32, beyond: usize, left: u32, before: &[u8], since: u32) -> Unit {
        let Anew { bytes, words_from } = self.images.extra;
        let byte = bytes.get(beyond).copied().unwrap_or(0);
        let aligned = beyond.checked_sub(*words_from).filter(|within| within.is_multiple_of(4) && left >= 4);
        let Some((within, word)) = aligned.zip(word_at(bytes, narrow(beyond))) else {
            return Unit::Byte { old, byte, step: 0 };
        };
        self.old_section = Span { start: old, end: old, number: SECTIONS - 1, section: None };
        self.phase = narrow(within / 4 % PHASES);
        let mut values = [word; WAYS];
        let mut apply = 1;
        self.add_table_ways((bytes, beyond), word, before, since, &mut values, &mut apply);
        Unit::Word { old, choices: self.choose(values, apply) }
    }

    /// Adds the ways that follow from words before, which stand before place `at` of `source` and at the end of `before`.
    fn add_table_ways(
        &self,
        (source, at): (&[u8], usize),
        word: u32,
        before: &[u8],
        since: u32,
        values: &mut [u32; WAYS],
        apply: &mut u16,
    ) {
        let word_before = |bytes: &[u8], at: usize, back: usize| {
            Some(u32::from_le_bytes(*bytes.get(at.checked_sub(back)?..)?.first_chunk()?))
        };
        for (number, stride) in STRIDES.into_iter().enumerate() {
            let back = stride * 4;
            if index(since) < back {
                continue;
            }
            let earlier = word_before(source, at, back);
            let made = word_before(before, before.len(), back);
            if let (Some(earlier), Some(made)) = (earlier, made)
                && earlier != made
            {
                values[FIRST_STRIDE + number] = word.wrapping_add(made.wrapping_sub(earlier));
                *apply |= 1 << (FIRST_STRIDE + number);
            }
        }
        let near = self.differences[self.near(word)];
        if near != 0 {
            values[LIKE_NEAR] = word.wrapping_add(near);
            *apply |= 1 << LIKE_NEAR;
        }
        let last = self.last_difference[self.old_section.number.min(SECTIONS - 1)];
        if last != 0 {
            values[LIKE_LAST] = word.wrapping_add(last);
            *apply |= 1 << LIKE_LAST;
        }
    }

    /// Where the difference of words near in value to this one is kept.
    fn near(&self, word: u32) -> usize {
        let section = narrow(self.old_section.number);
        place(word >> NEAR_BITS ^ (section << 24 | self.phase << 21))
    }

    /// Ranks the ways that apply by how often they were right in a situation like this.
    fn choose(&self, values: [u32; WAYS], apply: u16) -> Choices {
        let mut context = [0u16; WAYS];
        let (mut best, mut second) = ((0u16, 0usize), None::<(u16, usize)>);
        for way in 0..WAYS {
            let hit = |back: usize| self.right[back - 1] >> way & 1;
            context[way] = hit(1) | hit(2) << 1 | hit(3) << 2 | hit(6) << 3;
            if apply >> way & 1 == 0 {
                continue;
            }
            let score = self.scores[self.score(way, context[way])];
            if way == 0 {
                best = (score, 0);
            } else if score > best.0 {
                if values[way] != values[best.1] {
                    second = Some(best);
                }
                best = (score, way);
            } else if values[way] != values[best.1] && second.is_none_or(|(other, _)| score > other) {
                second = Some((score, way));
            }
        }
        let second = second.map(|(_, way)| values[way]).filter(|value| *value != values[best.1]);
        let grade = u32::from(best.0 >> 12);
        Choices { values, apply, best: values[best.1], second, way: best.1, grade, phase: self.phase, context }
    }

    fn score(&self, way: usize, context: u16) -> usize {
        let section = self.old_section.number.min(SECTIONS - 1);
        ((way * SECTIONS + section) * PHASES + index(self.phase)) * CONTEXTS + usize::from(context)
    }

    pub(super) fn settle_word(&mut self, choices: &Choices, actual: u32) {
        let packed = choices.context[0] & 16 != 0;
        let mut right = 0;
        let mut differ = false;
        for way in 0..WAYS {
            if choices.apply >> way & 1 == 1 {
                right |= u16::from(choices.values[way] == actual) << way;
                differ |= choices.values[way] != choices.best;
            }
        }
        if differ {
            for way in (0..WAYS).filter(|way| choices.apply >> way & 1 == 1) {
                let at = self.score(way, choices.context[way]);
                let score = &mut self.scores[at];
                let goal = if right >> way & 1 == 1 { u16::MAX } else { 0 };
                let moved = (i32::from(goal) - i32::from(*score)) >> SCORE_RATE;
                *score = u16::try_from(i32::from(*score) + moved).unwrap_or(0);
            }
        }
        if packed {
            if differ {
                self.packed = (self.packed << 1 | u16::from(right & 4 != 0)) & 15;
            }
            return;
        }
        let difference = actual.wrapping_sub(choices.values[0]);
        let near = self.near(choices.values[0]);
        self.differences[near] = difference;
        if difference != 0 {
            self.last_difference[self.old_section.number.min(SECTIONS - 1)] = difference;
        }
        self.right.rotate_right(1);
        self.right[0] = right;
    }
}

/// The length of the section that words count from.
fn here_len(layout: &Layout, origin: Origin) -> u32 {
    match origin {
        Origin::Text => 0,
        Origin::Bytes(number) | Origin::Records(number) => {
            layout.sections.get(number).map_or(0, |section| section.memory_len)
        }
    }
}
