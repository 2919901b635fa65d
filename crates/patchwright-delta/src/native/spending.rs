//! What the bytes of a body went to, for people who ask why a patch is large.
//!
//! The coder knows what each bit costs, in fractions of a bit. Here they become whole bytes that sum up to the length
//! of the body: every sum is rounded so that what is handed out so far is never further than half a byte off.

use super::create::Stats;
use super::image::Layout;
use super::walk::PURPOSES;

/// What the bytes of a body went to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// What is for the whole file: the list of covers and of the sections of the new image.
    pub head_bytes: u64,
    /// What is for each section of the new file, in the order of their file offsets; what is in no section comes first.
    pub sections: Vec<SectionSpending>,
    /// What no bit of the coder stands for: lengths, and segments that are coded otherwise.
    pub other_bytes: u64,
}

/// What was spent on one section of the new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectionSpending {
    /// Its first byte in the new file; zero for what is in no section.
    pub offset: u64,
    /// Its length in the new file; zero for what is in no section.
    pub len: u64,
    /// Bytes of the body by [`PURPOSE_NAMES`].
    pub bytes: [u64; PURPOSES],
}

/// What bytes are spent on.
pub const PURPOSE_NAMES: [&str; PURPOSES] = ["groups", "flags", "bytes", "references", "words", "literals"];

/// What a bit is in the coder's account, and eight of them.
const UNITS_PER_BYTE: u64 = 256 * 8;

/// Sums up what was spent on the body that makes `new`.
pub(crate) fn spending(new: &[u8], stats: &Stats) -> Spending {
    let layout = Layout::of(new);
    let known = layout.sections.iter().map(|section| match section.file_len {
        0 => (0, 0),
        len => (u64::from(section.offset), u64::from(len)),
    });
    let places = std::iter::once((0, 0)).chain(known);
    let mut left = stats.body_len.saturating_sub(stats.head_len);
    let (mut units, mut given) = (0u64, 0u64);
    let mut sections = Vec::new();
    for ((offset, len), spent) in places.zip(&stats.spent) {
        let bytes = spent.map(|spent| {
            units = units.saturating_add(spent);
            let due = (units / UNITS_PER_BYTE).saturating_sub(given).min(left);
            given += due;
            left -= due;
            due
        });
        sections.push(SectionSpending { offset, len, bytes });
    }
    sections.retain(|section| section.bytes.iter().any(|bytes| *bytes > 0));
    Spending { head_bytes: stats.head_len.min(stats.body_len), sections, other_bytes: left }
}

impl Spending {
    /// All of it: the length of the body.
    pub fn total(&self) -> u64 {
        let sections = self.sections.iter().flat_map(|section| section.bytes);
        sections.fold(self.head_bytes.saturating_add(self.other_bytes), u64::saturating_add)
    }
}
