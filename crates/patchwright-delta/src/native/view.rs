//! How files are looked at while they are matched: references stand for what they refer to.
//!
//! In the first round all references look alike; in later ones those whose target is known to be the same on both
//! sides do, and no others. Views are for the search alone: a patch does not depend on how it was found.

use rayon::prelude::*;

use crate::cover::Cover;

use super::code::{PAGE, Page, Reference, index, low, narrow, word_at};
use super::image::{Layout, Section};
use super::map::AddressMap;
use super::mix::scatter;

/// The references of a whole file, those in code and those that look like addresses in data.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) references: Vec<Reference>,
}

/// Finds all references of a file.
pub(super) fn references(bytes: &[u8], layout: &Layout, relocated: &[u32]) -> Found {
    let pages = narrow(bytes.len()).div_ceil(PAGE);
    let parts: Vec<Vec<Reference>> = (0..pages)
        .into_par_iter()
        .map(|number| {
            let page = Page::decode(bytes, layout, relocated, number);
            with_words(bytes, layout, page, number)
        })
        .collect();
    let mut references = Vec::with_capacity(parts.iter().map(Vec::len).sum());
    // Each part goes as soon as it is copied: together they are as large as a file.
    parts.into_iter().for_each(|part| references.extend(part));
    Found { references }
}

/// Adds the words of data that hold an address of the image.
fn with_words(bytes: &[u8], layout: &Layout, page: Page, number: u32) -> Vec<Reference> {
    let Page { steps, mut references } = page;
    if layout.sections.is_empty() {
        return references;
    }
    let known = references.len();
    let start = number * PAGE;
    let base_low = low(layout.base);
    let (lowest, end) = (0x1000, layout.memory_end());
    let wide = layout.machine != super::image::Machine::X86;
    let high = narrow_high(layout.base);
    for at in (start..start + narrow(steps.len())).step_by(if wide { 8 } else { 4 }) {
        if steps[index(at - start)] != 0 {
            continue;
        }
        let Some(word) = word_at(bytes, at) else { continue };
        if wide && word_at(bytes, at + 4) != Some(high) {
            continue;
        }
        let target = word.wrapping_sub(base_low);
        if !(lowest..end).contains(&target) {
            continue;
        }
        let next = references[..known].partition_point(|reference| reference.at.saturating_add(4) <= at);
        if references[..known].get(next).is_none_or(|reference| reference.at >= at + 4) {
            references.push(Reference { at, form: super::code::Form::Absolute, target });
        }
    }
    references.sort_unstable_by_key(|reference| reference.at);
    references
}

/// What the words of a section that hold addresses count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// The base of the image.
    Base,
    /// Themselves.
    Here,
    /// The start of their section.
    Section,
    /// The start of the code.
    Text,
}

impl Holds {
    const ALL: [Self; 4] = [Self::Base, Self::Here, Self::Section, Self::Text];

    fn target(self, word: u32, section: &Section, at: u32, text: u32) -> u32 {
        match self {
            Self::Base => word,
            Self::Here => section.address.wrapping_add(at - section.offset).wrapping_add(word),
            Self::Section => section.address.wrapping_add(word),
            Self::Text => text.wrapping_add(word),
        }
    }
}

/// Finds out, for each section of the old image, how most of its changed words follow from the map.
pub(super) fn holds(
    (old, old_layout): (&[u8], &Layout),
    (new, new_layout): (&[u8], &Layout),
    map: &AddressMap,
    covers: &[Cover],
) -> Vec<Option<Holds>> {
    let mut hits = vec![[0u32; 4]; old_layout.sections.len()];
    let mut changed = vec![0u32; old_layout.sections.len()];
    let texts = (old_layout.text(), new_layout.text());
    let end = old_layout.memory_end();
    for cover in covers {
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let (old_start, new_start, len) = (narrow(cover.old_offset), narrow(cover.new_offset), narrow(cover.len));
        let mut done = old_start.next_multiple_of(4) - old_start;
        while done.saturating_add(4) <= len {
            let (at, there) = (old_start + done, new_start + done);
            done += 4;
            let (Some(was), Some(is)) = (word_at(old, at), word_at(new, there)) else { break };
            if was == is || was == 0 {
                continue;
            }
            let (Some(number), Some(section)) = (old_layout.number_at(at), new_layout.section_at(there)) else {
                continue;
            };
            let old_section = &old_layout.sections[number];
            if old_section.code {
                continue;
            }
            changed[number] += 1;
            for (hit, way) in hits[number].iter_mut().zip(Holds::ALL) {
                let target = way.target(was, old_section, at, texts.0);
                let (found, covered) = map.find(target);
                *hit += u32::from(target < end && covered && way.target(is, section, there, texts.1) == found);
            }
        }
    }
    let best = |(hits, changed): (&[u32; 4], &u32)| {
        let (count, way) = hits.iter().zip(Holds::ALL).max_by_key(|(count, _)| **count)?;
        (*count >= 16 && *count >= changed / 8).then_some(way)
    };
    hits.iter().zip(&changed).map(best).collect()
}

/// Adds the words of data sections that hold addresses as `holds` says.
pub(super) fn add_words(bytes: &[u8], layout: &Layout, holds: &[Option<Holds>], found: &mut Found) {
    let (end, text) = (layout.memory_end(), layout.text());
    let known = found.references.len();
    for (section, holds) in layout.sections.iter().zip(holds) {
        let Some(holds) = holds else { continue };
        for at in (section.offset.next_multiple_of(4)..section.file_end().saturating_sub(3)).step_by(4) {
            let Some(word) = word_at(bytes, at) else { break };
            let target = holds.target(word, section, at, text);
            let small = matches!(holds, Holds::Here) && word < 0x1000;
            if small || word == 0 || !(0x1000..end).contains(&target) {
                continue;
            }
            let next = found.references[..known].partition_point(|other| other.at.saturating_add(4) <= at);
            if next == known || found.references[next].at >= at + 4 {
                found.references.push(Reference { at, form: super::code::Form::Absolute, target });
            }
        }
    }
    found.references.sort_unstable_by_key(|reference| reference.at);
}

fn narrow_high(base: u64) -> u32 {
    u32::try_from(base >> 32).expect("half of it")
}

/// How many words before is the one that a word of a table is compared with: records of one, two, three and six words.
const RECORD: usize = 6;

/// Replaces words of data that may be addresses of any kind by their difference to the word a record before, so that
/// tables of them look alike after everything moved.
pub(super) fn as_differences(bytes: &[u8], layout: &Layout, found: &Found, view: &mut [u8]) {
    let end = layout.memory_end();
    for section in layout.sections.iter().filter(|section| !section.code && section.file_len > 0) {
        let (from, to) = (index(section.offset.next_multiple_of(4)), index(section.file_end()));
        let Some(words) = bytes.get(from..to) else { continue };
        let base = low(layout.base);
        let (words, _) = words.as_chunks::<4>();
        let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let plausible = |place: usize, word: u32| {
            let inside = |target: u32| (0x1000..end).contains(&target);
            let here = section.address.wrapping_add(narrow(place * 4));
            inside(word)
                || inside(word.wrapping_sub(base))
                || (word >> 31 == 1 && (inside(here.wrapping_add(word)) || inside(section.address.wrapping_add(word))))
        };
        for place in RECORD..words.len() {
            let (word, before) = (words[place], words[place - RECORD]);
            if plausible(place, word) && plausible(place - RECORD, before) {
                let at = from + place * 4;
                view[at..at + 4].copy_from_slice(&word.wrapping_sub(before).to_le_bytes());
            }
        }
    }
    for reference in &found.references {
        let at = index(reference.at);
        if layout.section_at(reference.at).is_none_or(|section| section.code) {
            continue;
        }
        view[at..at + 4].fill(0);
    }
}

/// Replaces every reference in `view`, a copy of the file, by what `label` says of its target; AArch64 instructions keep
/// their operation.
pub(super) fn label(view: &mut [u8], found: &Found, label: &dyn Fn(u32) -> u32) {
    for reference in &found.references {
        let Some(was) = word_at(view, reference.at) else { continue };
        let label = label(reference.target);
        let word = match reference.form {
            super::code::Form::Relative { .. } | super::code::Form::Absolute => label,
            form => super::arm64::point(form, was, scatter(label, 1), scatter(label, 2)),
        };
        view[index(reference.at)..index(reference.at) + 4].copy_from_slice(&word.to_le_bytes());
    }
}
