//! One segment of the new file from its part of the body: what its decoder is given, and which decoder that is.

use crate::ApplyError;
use crate::cover::Cover;
use crate::format::malformed;

use super::body::{Kind, Part, Shape};
use super::coder::Decoder;
use super::literals::OldIndex;
use super::pages::Pages;
use super::predict::Images;
use super::walk::{Tables, Walk};

/// What the segments of a body have in common.
#[derive(Clone, Copy)]
pub(super) struct Common<'a> {
    pub(super) shape: &'a Shape,
    /// The old file, for kinds that look at its bytes alone.
    pub(super) old: &'a [u8],
    /// What the head says: `None` in bodies of which no segment needs it.
    pub(super) known: Option<Known<'a>>,
    /// How many decoded pages of the old file each mixed segment may keep.
    pub(super) slots: usize,
}

/// What segments that are foretold have in common.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// Both layouts, the map, and the tables made anew.
    pub(super) images: &'a Images<'a>,
    /// The references of the old image.
    pub(super) pages: &'a Pages<'a>,
    /// All covers of the body, in the order of the new file.
    pub(super) covers: &'a [Cover],
    /// Places of the old file that literals are copied from.
    pub(super) matches: &'a OldIndex<'a>,
}

/// One segment, not yet made.
#[derive(Clone, Copy)]
pub(super) struct Segment<'a> {
    /// Which one it is, for those who ask what is wrong with it.
    pub(super) number: u64,
    /// Where it starts in the new file.
    pub(super) start: u32,
    pub(super) part: Part<&'a [u8]>,
}

impl Segment<'_> {
    /// Makes the segment in `out`, which is as long as it is and holds zeros.
    ///
    /// A part must be used up: bytes that nobody asks for are an error, and so are too few.
    pub(super) fn make(&self, common: &Common<'_>, out: &mut [u8]) -> Result<(), ApplyError> {
        let bad = |what| malformed("segment", self.number, what);
        match (self.part.kind, common.known) {
            (Kind::Mixed, Some(known)) => self.mixed(common, &known, out).map_err(bad),
            (Kind::Streams, Some(known)) => {
                let covers = super::body::covers_of(known.covers, self.start, super::code::narrow(out.len()));
                super::streams::decode(self.part.bytes, (known.images, known.pages), self.start, &covers, out)
                    .map_err(bad)
            }
            (Kind::Mixed | Kind::Streams, None) => Err(bad("it needs a head")),
            (Kind::Lzma, _) => super::packed::unpack_lzma(self.part.bytes, out).map_err(bad),
            (Kind::Zstd, _) => super::packed::unpack_zstd_near(self.part.bytes, common.old, out).map_err(bad),
        }
    }

    fn mixed(&self, common: &Common<'_>, known: &Known<'_>, out: &mut [u8]) -> Result<(), &'static str> {
        let covers = super::body::covers_of(known.covers, self.start, super::code::narrow(out.len()));
        let tables = Tables { log: common.shape.table_log };
        let walk = Walk::new(Decoder::new(self.part.bytes), known.images, known.matches, tables, common.slots);
        let (engine, _) = walk.run(out, self.start, &covers);
        if engine.used_up() { Ok(()) } else { Err("its length is not that of what it says") }
    }
}
