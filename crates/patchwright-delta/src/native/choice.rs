//! Which coding each segment gets.

use std::io;

use super::body::{self, Kind, Part, Shape};
use super::code::narrow;
use super::coder::Encoder;
use super::options::Profile;
use super::packed;
use super::segment::Known;
use super::streams;
use super::walk::{PURPOSES, Spending, Spent, Tables, Walk};

/// How many decoded pages of the old file a segment keeps while it is coded.
const SLOTS: usize = 128;

/// Codes the segment that starts at `start` and consists of `new`.
pub(super) fn segment(
    profile: Profile,
    shape: &Shape,
    known: &Known<'_>,
    start: u32,
    new: &[u8],
) -> io::Result<(Part<Vec<u8>>, Spending)> {
    let covers = body::covers_of(known.covers, start, narrow(new.len()));
    let (part, spent) = match profile {
        Profile::Small => {
            let mut bytes = new.to_vec();
            let walk = Walk::new(Encoder::new(), known.images, known.matches, Tables { log: shape.table_log }, SLOTS);
            let (engine, spent) = walk.run(&mut bytes, start, &covers);
            (Part { kind: Kind::Mixed, bytes: engine.finish() }, spent)
        }
        Profile::Fast | Profile::Quick => {
            let (bytes, spent) = streams::encode((known.images, known.pages), start, &covers, new)?;
            (Part { kind: Kind::Streams, bytes }, vec![spent])
        }
    };
    let covered: u64 = covers.iter().map(|cover| cover.len).sum();
    if covered > new.len() as u64 / 2 || part.bytes.len() < new.len() / 10 {
        return Ok((part, spent));
    }
    // Little of it is foretold: something that looks further back may do better.
    let (from, len) = near(shape, start);
    let mut others =
        vec![Part { kind: Kind::Zstd, bytes: packed::create::zstd_near(new, known.images.old, from, len)? }];
    if profile == Profile::Small {
        others.push(Part { kind: Kind::Lzma, bytes: packed::create::lzma(new)? });
    }
    let least =
        others.into_iter().min_by_key(|part| part.bytes.len()).filter(|other| other.bytes.len() < part.bytes.len());
    Ok(match least {
        None => (part, spent),
        Some(other) => {
            let mut spent = [0; PURPOSES];
            spent[Spent::Literals as usize] = other.bytes.len() as u64 * 8 * 256;
            (other, vec![spent])
        }
    })
}

/// How far on each side of a segment's place old bytes are looked at.
const NEAR: u32 = 4 << 20;

/// The stretch of the old file that the segment at `start` may come from: at its place, were both files of one length.
fn near(shape: &Shape, start: u32) -> (u32, u32) {
    let place = u64::from(start) * u64::from(shape.old_len) / u64::from(shape.new_len.max(1));
    let place = u32::try_from(place).unwrap_or(u32::MAX);
    let from = place.saturating_sub(NEAR);
    let end = place.saturating_add(shape.segment_len).saturating_add(NEAR).min(shape.old_len);
    (from, end.saturating_sub(from))
}
