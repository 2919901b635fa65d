//! Old bytes and new bytes to a body.

use std::io;

use rayon::prelude::*;

use crate::cover::Cover;
use crate::create::CreateError;
use crate::create::matching;

use super::body::{self, Part, Shape};
use super::choice;
use super::code::{index, narrow, relocated};
use super::coder::Encoder;
use super::head::{self, Head, MAX_COVERS};
use super::image::{Layout, Machine};
use super::literals::OldIndex;
use super::map::AddressMap;
use super::options::{Options, Profile};
use super::packed;
use super::pages::Pages;
use super::predict::Images;
use super::search::{self, Side};
use super::segment::Known;
use super::tables;
use super::walk::{PURPOSES, Spending, Spent};

/// What a body consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The number of covers.
    pub cover_count: u64,
    /// Bytes of the new file that no cover makes.
    pub literal_bytes: u64,
    /// The length of the head, with the layout of the new image and all covers.
    pub head_len: u64,
    /// Bits spent in 1/256, for what is in no section of the new file and for each section in turn: on groups that are
    /// as foretold, on bytes, references and words that are not, and on literals.
    pub spent: Vec<[u64; PURPOSES]>,
    /// The length of the body in bytes.
    pub body_len: u64,
}

/// Makes a body that turns `old` into `new`, on the current rayon thread pool.
///
/// Both are seen with their ignored and retained bytes as zeros: nothing here knows of ranges. The same files give the
/// same body on every machine and with any number of threads.
///
/// # Errors
///
/// Files of 2 GiB and more have no body of this format; what `out` says.
pub fn create(old: &[u8], new: &[u8], options: &Options, out: &mut dyn io::Write) -> Result<Stats, CreateError> {
    if i32::try_from(old.len()).is_err() || i32::try_from(new.len()).is_err() {
        return Err(CreateError::Index("a file exceeds 2 GiB"));
    }
    if new.is_empty() {
        // Nothing to make, nothing to know.
        let shape = Shape::choose(narrow(old.len()), 0, 0, false, 0);
        let body_len = body::write(&shape, &[], &[], out).map_err(CreateError::Write)?;
        return Ok(Stats { body_len, ..Stats::default() });
    }
    let (old_layout, new_layout) = (Layout::of(old), Layout::of(new));
    let image = old_layout.machine == new_layout.machine;
    let (old_layout, new_layout) = if image { (old_layout, new_layout) } else { (Layout::raw(), Layout::raw()) };
    let pairs = head::pair(&old_layout, &new_layout);
    let relocated_old = relocated(old, &old_layout);
    let sides = (Side { bytes: old, layout: &old_layout }, Side { bytes: new, layout: &new_layout });
    let covers = search::covers(sides, &pairs, options.profile)?;
    let map = AddressMap::new(&old_layout, &new_layout, &pairs, &covers);
    let extra = tables::made_anew(old, &old_layout, &new_layout, &pairs, &map);
    let covers = search::at_most(MAX_COVERS, cover_with_extra(old, new, &new_layout, &extra.bytes, covers)?);
    let mut head = Head { new_layout, pairs, covers };
    // What is made anew may only depend on covers that are kept.
    let map = AddressMap::new(&old_layout, &head.new_layout, &head.pairs, &head.covers);
    let extra = tables::made_anew(old, &old_layout, &head.new_layout, &head.pairs, &map);
    let sources = narrow(old.len() + extra.bytes.len());
    head.covers.retain(|cover| cover.old_end() <= u64::from(sources));
    let mut engine = Encoder::new();
    head::code(&mut engine, &mut head, &old_layout, sources, narrow(new.len())).map_err(CreateError::Index)?;
    let mut head_bytes = engine.finish();
    let covered: u64 = head.covers.iter().map(|cover| cover.len).sum();
    let literal_bytes = new.len() as u64 - covered;
    let mut shape =
        Shape::choose(narrow(old.len()), narrow(extra.bytes.len()), narrow(new.len()), image, literal_bytes);
    shape.old_index &= options.profile == Profile::Small;
    let map = AddressMap::new(&old_layout, &head.new_layout, &head.pairs, &head.covers);
    let images = Images {
        old,
        extra: &extra,
        old_layout: &old_layout,
        new_layout: &head.new_layout,
        relocated: &relocated_old,
        map: &map,
    };
    let matches = OldIndex::new(old, shape.old_index);
    let pages = Pages::new(old, &old_layout, &relocated_old);
    let known = Known { images: &images, pages: &pages, covers: &head.covers, matches: &matches };
    let parts: Vec<(Part<Vec<u8>>, Spending)> = body::segments(narrow(new.len()), shape.segment_len)
        .into_par_iter()
        .map(|(start, len)| {
            choice::segment(options.profile, &shape, &known, start, &new[index(start)..index(start + len)])
        })
        .collect::<io::Result<_>>()
        .map_err(CreateError::Compress)?;
    let mut stats = Stats {
        cover_count: head.covers.len() as u64,
        literal_bytes,
        head_len: head_bytes.len() as u64,
        spent: vec![[0; PURPOSES]; head.new_layout.sections.len() + 1],
        body_len: 0,
    };
    for (_, spent) in &parts {
        for (sums, parts) in stats.spent.iter_mut().zip(spent) {
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        }
    }
    let parts: Vec<Part<Vec<u8>>> = parts.into_iter().map(|(part, _)| part).collect();
    if !parts.iter().any(|part| part.kind.needs_head()) {
        // Then there is none, and nothing is known of the old file.
        shape = Shape { extra_len: 0, image: false, old_index: false, ..shape };
        head_bytes.clear();
        (stats.cover_count, stats.head_len, stats.literal_bytes) = (0, 0, new.len() as u64);
    }
    let mut written = Vec::new();
    body::write(&shape, &head_bytes, &parts, &mut written).map_err(CreateError::Write)?;
    if let Some(smaller) =
        packed::create::smaller(old, new, image && old_layout.machine != Machine::Other, written.len())
            .map_err(CreateError::Compress)?
    {
        // Nothing is foretold then, and nothing covered.
        let mut spent = [0; PURPOSES];
        spent[Spent::Literals as usize] = smaller.len() as u64 * 8 * 256;
        stats = Stats { literal_bytes: new.len() as u64, spent: vec![spent], ..Stats::default() };
        written = smaller;
    }
    stats.body_len = written.len() as u64;
    out.write_all(&written).map_err(CreateError::Write)?;
    Ok(stats)
}

/// Covers the tables of the new file with those made anew.
fn cover_with_extra(
    old: &[u8],
    new: &[u8],
    new_layout: &Layout,
    extra: &[u8],
    covers: Vec<Cover>,
) -> Result<Vec<Cover>, CreateError> {
    if extra.is_empty() {
        return Ok(covers);
    }
    let mut covers = covers;
    for (start, len) in tables::places(new, new_layout) {
        let Some(table) = new.get(index(start)..index(start.saturating_add(len))) else { continue };
        let moved = matching::covers(extra, table)?.into_iter().map(|cover| Cover {
            old_offset: cover.old_offset + old.len() as u64,
            new_offset: cover.new_offset + u64::from(start),
            ..cover
        });
        let before = body::covers_of(&covers, 0, start);
        let after = body::covers_of(&covers, start + len, narrow(new.len()) - start - len);
        covers = before.into_iter().chain(moved).chain(after).collect();
    }
    Ok(covers)
}
