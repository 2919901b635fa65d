//! Which coding each segment gets.

use std::io;

use super::body::{self, Kind, Part, Shape};
use super::code::narrow;
use super::coder::Encoder;
use super::options::Profile;
use super::segment::Known;
use super::streams;
use super::walk::{Spending, Tables, Walk};

/// Codes the segment that starts at `start` and consists of `new`.
pub(super) fn segment(
    profile: Profile,
    shape: &Shape,
    known: &Known<'_>,
    start: u32,
    new: &[u8],
) -> io::Result<(Part<Vec<u8>>, Spending)> {
    let covers = body::covers_of(known.covers, start, narrow(new.len()));
    match profile {
        Profile::Small => {
            let mut bytes = new.to_vec();
            let walk = Walk::new(Encoder::new(), known.images, known.matches, Tables { log: shape.table_log });
            let (engine, spent) = walk.run(&mut bytes, start, &covers);
            Ok((Part { kind: Kind::Mixed, bytes: engine.finish() }, spent))
        }
        Profile::Fast | Profile::Quick => {
            let (bytes, spent) = streams::encode((known.images, known.pages), start, &covers, new)?;
            Ok((Part { kind: Kind::Streams, bytes }, vec![spent]))
        }
    }
}
