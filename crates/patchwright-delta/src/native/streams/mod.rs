//! A segment as byte streams: what the old file and the map foretell, with the exceptions listed.
//!
//! Made for speed. Covers are copied, then the references in their code are pointed to where their targets went, in one
//! pass over each page. Data are left alone but for the blocks that say otherwise; in those, each word has a tag that
//! tells how it follows from the old one. What is still wrong then is corrected in runs of bytes. Nothing is done for
//! bytes that stay as they are.
//!
//! The walk is written once. A [`Reader`] tells it what the streams say; a [`Writer`] knows the new bytes, tells it what
//! to do, and notes that down.

mod read;
mod words;
#[cfg(feature = "create")]
mod write;

use crate::cover::Cover;

use super::code::{PAGE, index, narrow};
use super::pages::{Pages, Slots};
use super::predict::Images;
use super::span::Span;
#[cfg(feature = "create")]
use super::walk::{PURPOSES, Spent};
use words::{Words, word};

use read::Reader;
#[cfg(feature = "create")]
use write::Writer;

/// The streams of a segment, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    /// Bytes that no cover makes.
    Literals,
    /// How many references are as foretold before one that is not.
    TargetGaps,
    /// By how much that one's target differs: four bytes, highest first.
    Targets,
    /// Blocks of data without tags, with tags, without, by turns: how many.
    Blocks,
    /// A tag for each word of a block that has them.
    Tags,
    /// A tag for each four bytes at an odd place that may be an address.
    OddTags,
    /// What is added to words of which nothing is known: four bytes, highest first.
    Differences,
    /// How many covered bytes stay as they are before a run that does not.
    Gaps,
    /// The length of that run, less one.
    Runs,
    /// What is added to runs of one byte; then of two, of three, and what stands in longer ones.
    Corrections1,
    Corrections2,
    Corrections3,
    Corrections4,
}

impl Stream {
    const COUNT: usize = 13;

    /// The streams of corrections, by the length of their runs less one.
    const CORRECTIONS: [Self; 4] = [Self::Corrections1, Self::Corrections2, Self::Corrections3, Self::Corrections4];

    /// What its bytes are spent on.
    #[cfg(feature = "create")]
    fn spent(number: usize) -> Spent {
        match number {
            0 => Spent::Literals,
            1 | 2 => Spent::Targets,
            3..=6 => Spent::Words,
            7 | 8 => Spent::Flags,
            _ => Spent::Bytes,
        }
    }

    fn corrections(run_less_one: u64) -> Self {
        Self::CORRECTIONS[usize::try_from(run_less_one).unwrap_or(usize::MAX).min(3)]
    }
}

/// How long all streams of a segment of so many bytes may be together, decoded: a bound on memory.
fn room(len: usize) -> usize {
    2 * len + 64
}

/// Data are looked at in blocks of so many bytes, which start at multiples of it in the old file.
const BLOCK: u32 = 256;

/// How many targets are remembered.
const LEARNED: usize = 1 << 14;

/// What the walk asks at each step.
trait Voice {
    /// Puts the literals `from..to` of the segment into place.
    fn literals(&mut self, made: &mut [u8], from: usize, to: usize);

    /// The real target of the reference at `at`, unless it is the one foretold. `goal` tells which one four bytes mean.
    fn target(&mut self, at: usize, foretold: Foretold, goal: impl FnOnce(u32) -> Option<u32>) -> Option<u32>;

    /// Whether the next block of data has tags. `worth` tells whether it should, from the new bytes of the segment.
    fn block(&mut self, worth: impl FnOnce(&[u8]) -> bool) -> bool;

    /// How the word at `at` follows from the old one; `value` tells what each tag makes of it. `recent` is likely.
    fn tag(&mut self, at: usize, recent: u8, value: impl Fn(u8) -> Option<u32>) -> u8;

    /// Whether the four bytes at `at` are the address `value`.
    fn odd(&mut self, at: usize, value: u32) -> bool;

    /// What is added to the word at `at`, which was `old`.
    fn difference(&mut self, at: usize, old: u32) -> u32;

    /// Corrects what is wrong in `from..to` of the segment, which is covered.
    fn fix(&mut self, made: &mut [u8], from: usize, to: usize);

    /// Whether going on makes no sense.
    fn failed(&self) -> bool;
}

/// What is foretold of a reference.
#[derive(Clone, Copy, Debug)]
struct Foretold {
    word: u32,
    target: u32,
}

/// Decodes a segment whose first byte is byte `start` of the new file. `covers` lie in it, in order.
pub(super) fn decode(
    part: &[u8],
    (images, pages): (&Images<'_>, &Pages<'_>),
    start: u32,
    covers: &[Cover],
    out: &mut [u8],
) -> Result<(), &'static str> {
    let mut reader = Reader::open(part, out.len())?;
    Walk::new(images, pages, start).run(&mut reader, out, covers);
    reader.finish()
}

/// Codes a segment, whose bytes are `new`, with Zstandard at `level`; tells besides what its bits, in 1/256, were spent
/// on. Nothing if the streams would be longer than they may be, as when most of the covered bytes differ.
#[cfg(feature = "create")]
pub(super) fn encode(
    (images, pages): (&Images<'_>, &Pages<'_>),
    start: u32,
    covers: &[Cover],
    new: &[u8],
    level: i32,
) -> std::io::Result<Option<(Vec<u8>, [u64; PURPOSES])>> {
    let mut writer = Writer::new(new);
    let mut made = vec![0; new.len()];
    Walk::new(images, pages, start).run(&mut writer, &mut made, covers);
    debug_assert!(made == new, "the walk makes what it was told");
    writer.finish(level)
}

/// The state of a walk over a segment.
struct Walk<'a> {
    images: &'a Images<'a>,
    start: u32,
    pages: &'a Pages<'a>,
    slots: Slots,
    targets: Targets<'a>,
    words: Words,
}

/// Where targets went.
struct Targets<'a> {
    images: &'a Images<'a>,
    /// Those that the map gets wrong, by a hash of the old target.
    learned: Vec<(u32, u32)>,
}

impl Targets<'_> {
    fn find(&self, target: u32) -> u32 {
        let (of, found) = self.learned[place(target)];
        // Address zero is no target: an empty entry is for none.
        if of == target && of != 0 { found } else { self.images.map.find(target).0 }
    }

    fn learn(&mut self, target: u32, found: u32) {
        self.learned[place(target)] = (target, found);
    }
}

fn place(target: u32) -> usize {
    index(super::mix::scatter(target, 3)) % LEARNED
}

/// A stretch of a cover that is in one section on both sides, and in one page or one block.
#[derive(Clone, Copy)]
struct Part {
    /// Where it is in the old file, and where it ends there.
    old: u32,
    end: u32,
    /// Where it goes in the segment.
    at: usize,
    /// How many bytes the cover made before it.
    since: u32,
}

impl<'a> Walk<'a> {
    fn new(images: &'a Images<'a>, pages: &'a Pages<'a>, start: u32) -> Self {
        Self {
            images,
            start,
            pages,
            slots: Slots::new(),
            targets: Targets { images, learned: vec![(0, 0); LEARNED] },
            words: Words::new(),
        }
    }

    /// Walks the segment. Ends early, with what is made so far, when a reader fails.
    fn run(&mut self, voice: &mut impl Voice, made: &mut [u8], covers: &[Cover]) {
        let narrow = |offset: u64| u32::try_from(offset).unwrap_or(u32::MAX);
        let mut done = 0;
        for cover in covers {
            let at = index(narrow(cover.new_offset) - self.start);
            voice.literals(made, done, at);
            done = at + index(narrow(cover.len));
            self.cover(voice, made, at, (narrow(cover.old_offset), narrow(cover.old_end())));
            if voice.failed() {
                return;
            }
        }
        let end = made.len();
        voice.literals(made, done, end);
    }

    fn cover(&mut self, voice: &mut impl Voice, made: &mut [u8], at: usize, (from, end): (u32, u32)) {
        let old = self.images.old;
        let old_len = narrow(old.len());
        let (mut old_stretch, mut new_stretch) = (Span::default(), Span::default());
        // What comes from the old file, and what from the tables that follow it.
        let border = old_len.clamp(from, end);
        let (first, second) = (index(border - from), index(end - border));
        let beyond = index(border - old_len.min(border));
        let sources = [old.get(index(from)..index(border)), self.images.extra.bytes.get(beyond..beyond + second)];
        let (in_old, in_extra) = made[at..at + first + second].split_at_mut(first);
        for (made, source) in [in_old, in_extra].into_iter().zip(sources) {
            // Covers were checked against both; what is not there would stay zero.
            let source = source.unwrap_or_default();
            let len = made.len().min(source.len());
            made[..len].copy_from_slice(&source[..len]);
        }
        let mut here = from;
        while here < border {
            let new = self.start + narrow(at) + (here - from);
            if !old_stretch.holds(here) {
                old_stretch = Span::around(self.images.old_layout, here);
            }
            if !new_stretch.holds(new) {
                new_stretch = Span::around(self.images.new_layout, new);
            }
            let page_end = (here / PAGE + 1).saturating_mul(PAGE);
            let left_new = new_stretch.end - new;
            let stop = border.min(page_end).min(old_stretch.end).min(here.saturating_add(left_new));
            let part = Part { old: here, end: stop, at: at + index(here - from), since: here - from };
            self.references(voice, made, part, &new_stretch);
            if old_stretch.section.is_some_and(|section| section.code) {
                voice.fix(made, part.at, part.at + index(stop - here));
            } else {
                self.data(voice, made, part, (&old_stretch, &new_stretch));
            }
            if voice.failed() {
                return;
            }
            here = stop;
        }
        self.tables(voice, made, Part { old: border, end, at: at + first, since: border - from });
    }

    /// Points the references of a part to where their targets went.
    fn references(&mut self, voice: &mut impl Voice, made: &mut [u8], part: Part, new: &Span) {
        let base = self.images.new_layout.code_base();
        for reference in self.pages.from(&mut self.slots, part.old, 0) {
            if reference.at.saturating_add(4) > part.end {
                break;
            }
            let at = part.at + index(reference.at - part.old);
            let Some(address) = new.address(self.start + narrow(at)) else { break };
            let was = word(made, at);
            let target = self.targets.find(reference.target);
            let foretold = Foretold { word: reference.form.point(was, target, address, base), target };
            let goal = |actual| reference.form.goal(actual, foretold.word, target, address, base);
            let made_word = match voice.target(at, foretold, goal) {
                Some(found) => {
                    self.targets.learn(reference.target, found);
                    reference.form.point(was, found, address, base)
                }
                None => foretold.word,
            };
            made[at..at + 4].copy_from_slice(&made_word.to_le_bytes());
        }
    }

    /// Goes over a part with data, block by block.
    fn data(&mut self, voice: &mut impl Voice, made: &mut [u8], part: Part, stretches: (&Span, &Span)) {
        let mut here = part.old;
        while here < part.end {
            let stop = part.end.min((here / BLOCK + 1).saturating_mul(BLOCK));
            let skip = here - part.old;
            let block = Part { old: here, end: stop, at: part.at + index(skip), since: part.since + skip };
            let images = self.images;
            let view = words::View { images, targets: &self.targets, stretches, start: self.start };
            let tagged = voice.block(|actual| self.words.worth(&view, actual, block));
            if tagged {
                let references = self.pages.from(&mut self.slots, here, 3);
                self.words.block(voice, &view, made, block, references);
            }
            voice.fix(made, block.at, block.at + index(stop - here));
            here = stop;
        }
    }

    /// Goes over a part that comes from tables made anew.
    fn tables(&mut self, voice: &mut impl Voice, made: &mut [u8], part: Part) {
        let old_len = narrow(self.images.old.len());
        let mut here = part.old;
        while here < part.end && !voice.failed() {
            let beyond = here - old_len;
            let stop = part.end.min(old_len.saturating_add((beyond / BLOCK + 1).saturating_mul(BLOCK)));
            let skip = here - part.old;
            let block = Part { old: here, end: stop, at: part.at + index(skip), since: part.since + skip };
            let none = Span::default();
            let view = words::View {
                images: self.images,
                targets: &self.targets,
                stretches: (&none, &none),
                start: self.start,
            };
            if voice.block(|actual| self.words.worth(&view, actual, block)) {
                self.words.block(voice, &view, made, block, std::iter::empty());
            }
            voice.fix(made, block.at, block.at + index(stop - here));
            here = stop;
        }
    }
}

/// Adds two numbers of as many bytes, lowest first; what exceeds the last byte is lost.
fn add(to: &mut [u8], what: &[u8]) {
    let mut carry = false;
    for (to, what) in to.iter_mut().zip(what) {
        let (first, one) = to.overflowing_add(*what);
        let (second, two) = first.overflowing_add(u8::from(carry));
        (*to, carry) = (second, one || two);
    }
}
