//! What the new file holds where it resembles the old one, foretold from the old file and the address map.
//!
//! A cover is taken apart into units: a reference in code, a word of data that may be an address in one of several
//! ways, or a single byte. Each has a prediction. What came true is learned at once, on both sides: which ways of
//! holding an address are right in which places, and where targets went that the map gets wrong.

mod words;

use super::code::{Pages, Reference, index, word_at};
use super::image::Layout;
use super::map::AddressMap;
use super::span::Span;
use super::tables::Anew;

/// The number of ways in which a word may follow from the old one.
pub(super) const WAYS: usize = 12;

/// The ways that are differences to a word before, and how many words before.
const STRIDES: [usize; 4] = [1, 2, 3, 6];

/// The first of the ways that are differences.
const FIRST_STRIDE: usize = 6;

/// The ways that hold an address.
const ADDRESSES: u16 = 0b11_1110;

/// The situations of a way in a section: sixteen for aligned words, sixteen for others.
const CONTEXTS: usize = 32;

/// Places in a record of one, two, three or six words.
const PHASES: usize = 6;

/// The way that adds what was last added to a word near in value.
const LIKE_NEAR: usize = 10;

/// The way that adds what was last added to any word of the section, if anything was.
const LIKE_LAST: usize = 11;

/// The ways that are differences to a word before.
const TABLES: u16 = 0b11_1100_0000;

/// How near values are whose differences are alike: those that share all but so many bits.
const NEAR_BITS: u32 = 12;

/// How many words back is remembered.
const HISTORY: usize = 8;

/// Sections of the old file beyond this many share their statistics.
const SECTIONS: usize = 64;

/// What the files of a patch look like, the same on both sides.
#[derive(Debug)]
pub(super) struct Images<'a> {
    pub(super) old: &'a [u8],
    /// What follows the old file: tables made anew from the map.
    pub(super) extra: &'a Anew,
    pub(super) old_layout: &'a Layout,
    pub(super) new_layout: &'a Layout,
    pub(super) relocated: &'a [u32],
    pub(super) map: &'a AddressMap,
}

/// A piece of a cover with what is foretold of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Byte {
        /// Where it is in the old file.
        old: u32,
        byte: u8,
        /// Its distance from the start of its instruction, plus one; zero in data.
        step: u8,
    },
    Reference {
        reference: Reference,
        /// The four bytes foretold.
        word: u32,
        /// The address foretold.
        target: u32,
        trust: Trust,
        step: u8,
    },
    Word {
        old: u32,
        choices: Choices,
    },
}

/// Why a target is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It lies between covers.
    Near,
    /// It lies in a cover.
    Covered,
    /// It was found there before.
    Learned,
}

/// The values a word may have, best first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choices {
    /// The value of each way.
    values: [u32; WAYS],
    /// Which ways apply: a bit for each.
    apply: u16,
    pub(super) best: u32,
    /// Another value, if the ways disagree.
    pub(super) second: Option<u32>,
    /// The way that gives the best value.
    pub(super) way: usize,
    /// How sure of it, below 16.
    pub(super) grade: u32,
    /// Which word of a record it is, were its section a table of them.
    pub(super) phase: u32,
    /// The context of each way's score.
    context: [u16; WAYS],
}

impl Unit {
    pub(super) fn len(&self) -> u32 {
        match self {
            Self::Byte { .. } => 1,
            Self::Reference { .. } | Self::Word { .. } => 4,
        }
    }

    /// The bytes foretold; of a single byte only the first counts.
    pub(super) fn foretold(&self) -> [u8; 4] {
        match self {
            Self::Byte { byte, .. } => [*byte, 0, 0, 0],
            Self::Reference { word, .. } => word.to_le_bytes(),
            Self::Word { choices, .. } => choices.best.to_le_bytes(),
        }
    }
}

/// The state of one segment's predictions.
pub(super) struct Predictor<'a> {
    images: &'a Images<'a>,
    /// The first address after the old image.
    memory_end: u32,
    pages: Pages<'a>,
    /// Old targets and where they were found, by a hash of the target.
    learned: Vec<Option<(u32, u32)>>,
    scores: Vec<u16>,
    /// Which ways were right for the last words, latest first.
    right: [u16; HISTORY],
    /// Whether the last words at odd places were addresses, latest in the lowest bit.
    packed: u16,
    /// Which word of a record is at hand, were its section a table of them.
    phase: u32,
    /// What was added to the last word, by a hash of its section and high bits.
    differences: Vec<u32>,
    /// What was added to the last word of each section that changed.
    last_difference: [u32; SECTIONS],
    /// The section of the old file that was last in use, its number and its bounds.
    old_section: Span,
    new_section: Span,
}

/// How many targets are remembered.
const LEARNED: usize = 1 << 14;

/// Scores at the start: a word stays as it is until shown otherwise.
const FIRST_SCORES: [u16; WAYS] =
    [0x9000, 0x8800, 0x8400, 0x8400, 0x8000, 0x8000, 0x7800, 0x7800, 0x7800, 0x7800, 0x8000, 0x7000];

/// How fast scores follow.
const SCORE_RATE: u32 = 3;

impl<'a> Predictor<'a> {
    pub(super) fn new(images: &'a Images<'a>, slots: usize) -> Self {
        let scores = FIRST_SCORES.iter().flat_map(|score| vec![*score; SECTIONS * PHASES * CONTEXTS]).collect();
        Self {
            images,
            memory_end: images.old_layout.memory_end(),
            pages: Pages::new(images.old, images.old_layout, images.relocated, slots),
            learned: vec![None; LEARNED],
            scores,
            right: [0; HISTORY],
            packed: 0,
            phase: 0,
            differences: vec![0; LEARNED],
            last_difference: [0; SECTIONS],
            old_section: Span::default(),
            new_section: Span::default(),
        }
    }

    /// Foretells what stands at `new`, which lies in a cover that has it from `old` and goes on for `left` bytes.
    /// `before` holds the new bytes so far, back to the start of the segment; `since` is how many of them the cover made.
    pub(super) fn foretell(&mut self, old: u32, new: u32, left: u32, before: &[u8], since: u32) -> Unit {
        let images = self.images;
        if let Some(beyond) = index(old).checked_sub(images.old.len()) {
            return self.made_anew(old, beyond, left, before, since);
        }
        if !self.old_section.holds(old) {
            self.old_section = Span::around(images.old_layout, old);
        }
        if !self.new_section.holds(new) {
            self.new_section = Span::around(images.new_layout, new);
        }
        self.phase = (old - self.old_section.start) / 4 % 6;
        let within = old % super::code::PAGE;
        let page = self.pages.page(old);
        let step = page.steps.get(index(within)).copied().unwrap_or(0);
        let byte = images.old.get(index(old)).copied().unwrap_or(0);
        let number = page.references.partition_point(|reference| reference.at < old);
        if left >= 4
            && index(old) + 4 <= images.old.len()
            && let Some(reference) = page.references.get(number).filter(|reference| reference.at == old)
        {
            let reference = *reference;
            return self.reference(reference, new, step);
        }
        // A relocated word must not be cut by a word that starts before it; code holds no words.
        if step == 0 && old.is_multiple_of(4) && left >= 4 {
            let free = page.references.get(number).is_none_or(|next| next.at >= old.saturating_add(4));
            if let Some(word) = word_at(images.old, old).filter(|word| *word != 0 && free) {
                let choices = self.word(old, new, word, before, since);
                if choices.apply & ADDRESSES != 0 || self.right[0] & TABLES != 0 {
                    return Unit::Word { old, choices };
                }
            }
        }
        if step == 0
            && left >= 4
            && !old.is_multiple_of(4)
            && let Some(choices) = self.packed_word(old)
        {
            let free = self.pages.page(old).references.get(number).is_none_or(|next| next.at >= old.saturating_add(4));
            if free {
                return Unit::Word { old, choices };
            }
        }
        Unit::Byte { old, byte, step }
    }

    /// How many bytes from `old` on, at most `most`, are units of one byte that are in an instruction and refer to
    /// nothing: so many calls of [`Predictor::foretell`] can be done without. Also their steps in their instructions.
    pub(super) fn plain(&mut self, old: u32, most: u32) -> &[u8] {
        if index(old) >= self.images.old.len() {
            return &[];
        }
        let page = self.pages.page(old);
        let within = index(old % super::code::PAGE);
        let next = page.references.partition_point(|reference| reference.at < old);
        let free = page.references.get(next).map_or(most, |reference| (reference.at - old).min(most));
        let steps = page.steps.get(within..).unwrap_or_default();
        let steps = &steps[..steps.len().min(index(free))];
        let len = steps.iter().position(|step| *step == 0).unwrap_or(steps.len());
        &steps[..len]
    }

    /// The number of the section of the new file that holds a place, counted from one; zero between sections.
    pub(super) fn new_section(&mut self, new: u32) -> usize {
        if !self.new_section.holds(new) {
            self.new_section = Span::around(self.images.new_layout, new);
        }
        self.new_section.number
    }

    /// Whether the section that [`Predictor::new_section`] found last is one of code.
    pub(super) fn new_is_code(&self) -> bool {
        self.new_section.section.is_some_and(|section| section.code)
    }

    fn reference(&self, reference: Reference, new: u32, step: u8) -> Unit {
        let images = self.images;
        let (target, trust) = self.resolve(reference.target);
        let was = word_at(images.old, reference.at).unwrap_or(0);
        let word = match self.new_section.address(new) {
            Some(address) => reference.form.point(was, target, address, images.new_layout.code_base()),
            None => was,
        };
        Unit::Reference { reference, word, target, trust, step }
    }

    /// Where a target went.
    fn resolve(&self, target: u32) -> (u32, Trust) {
        if let Some((_, found)) = self.learned[place(target)].filter(|(of, _)| *of == target) {
            return (found, Trust::Learned);
        }
        let (found, covered) = self.images.map.find(target);
        (found, if covered { Trust::Covered } else { Trust::Near })
    }

    /// Learns what a unit really holds. `new` is where it stands.
    pub(super) fn settle(&mut self, unit: &Unit, new: u32, actual: [u8; 4]) {
        let actual = u32::from_le_bytes(actual);
        match unit {
            Unit::Byte { .. } => {}
            Unit::Reference { reference, word, target, .. } => {
                if actual != *word
                    && let Some(address) = self.new_section.address(new)
                    && let Some(found) =
                        reference.form.goal(actual, *word, *target, address, self.images.new_layout.code_base())
                {
                    self.learn(reference.target, found);
                }
            }
            Unit::Word { choices, .. } => self.settle_word(choices, actual),
        }
    }

    fn learn(&mut self, target: u32, found: u32) {
        let (mapped, _) = self.images.map.find(target);
        self.learned[place(target)] = (mapped != found).then_some((target, found));
    }
}

fn place(target: u32) -> usize {
    super::mix::scatter(target, 3) as usize % LEARNED
}
