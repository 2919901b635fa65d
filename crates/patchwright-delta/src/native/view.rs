//! How files are looked at while they are matched: references stand for what they refer to.
//!
//! In the first round all references look alike; in later ones those whose target is known to be the same on both
//! sides do, and no others. Views are for the search alone: a patch does not depend on how it was found.

use rayon::prelude::*;

use super::code::{PAGE, Page, Reference, index, low, narrow, word_at};
use super::image::Layout;
use super::model::scatter;

/// The references of a whole file, those in code and those that look like addresses in data.
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
    Found { references: parts.concat() }
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

fn narrow_high(base: u64) -> u32 {
    u32::try_from(base >> 32).expect("half of it")
}

/// The file with every reference replaced by what `label` says of its target; AArch64 instructions keep their operation.
pub(super) fn labelled(bytes: &[u8], found: &Found, label: &(dyn Fn(u32) -> u32 + Sync)) -> Vec<u8> {
    let mut view = bytes.to_vec();
    for reference in &found.references {
        let Some(was) = word_at(bytes, reference.at) else { continue };
        let label = label(reference.target);
        let word = match reference.form {
            super::code::Form::Relative { .. } | super::code::Form::Absolute => label,
            form => super::arm64::point(form, was, scatter(label, 1), scatter(label, 2)),
        };
        view[index(reference.at)..index(reference.at) + 4].copy_from_slice(&word.to_le_bytes());
    }
    view
}
