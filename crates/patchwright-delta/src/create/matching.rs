//! Matching of two views of the same lengths as the files they stand for.

use rayon::prelude::*;

use crate::cover::Cover;

use super::covers::{self, Costs};
use super::sampled::SampleIndex;
use super::suffixes::SuffixIndex;
use super::{CreateError, PIECE};

/// Finds covers by a suffix array of the old view.
pub(crate) fn covers(old: &[u8], new: &[u8]) -> Result<Vec<Cover>, CreateError> {
    let index = SuffixIndex::new(old, Costs::STREAMS)?;
    let all = in_pieces(new, |piece| index.covers(piece));
    drop(index);
    covers::refine(&old, new, 0, all, &Costs::STREAMS).map_err(CreateError::OldRead)
}

/// Finds covers by an index of samples of the old view: less, and much faster.
pub(crate) fn quick_covers(old: &[u8], new: &[u8]) -> Result<Vec<Cover>, CreateError> {
    let index = SampleIndex::new(old, Costs::SAMPLES);
    let all = in_pieces(new, |piece| index.covers(piece));
    drop(index);
    covers::refine(&old, new, 0, all, &Costs::SAMPLES).map_err(CreateError::OldRead)
}

/// Finds the covers of all pieces in parallel. Pieces are of one size, whatever the number of threads.
fn in_pieces(new: &[u8], find: impl Fn(&[u8]) -> Vec<Cover> + Sync + Send) -> Vec<Cover> {
    let pieces: Vec<Vec<Cover>> = new.par_chunks(PIECE).map(find).collect();
    let mut all = Vec::with_capacity(pieces.iter().map(Vec::len).sum());
    for (number, piece) in pieces.into_iter().enumerate() {
        let from = (number * PIECE) as u64;
        all.extend(piece.into_iter().map(|cover| Cover { new_offset: cover.new_offset + from, ..cover }));
    }
    all
}

/// Puts what `others` know of the gaps between `found` into them.
pub(crate) fn fill_gaps(
    old: &[u8],
    new: &[u8],
    found: Vec<Cover>,
    others: &[Cover],
) -> Result<Vec<Cover>, CreateError> {
    let mut all = Vec::with_capacity(found.len());
    let mut rest = others;
    let mut end = 0;
    let last = Cover { old_offset: 0, new_offset: new.len() as u64, len: 0 };
    for cover in found.into_iter().chain([last]) {
        while let Some(other) = rest.first() {
            let from = other.new_offset.max(end);
            let to = other.new_end().min(cover.new_offset);
            if from < to {
                all.push(Cover {
                    old_offset: other.old_offset + (from - other.new_offset),
                    new_offset: from,
                    len: to - from,
                });
            }
            if other.new_end() > cover.new_offset {
                break;
            }
            rest = &rest[1..];
        }
        end = cover.new_end();
        all.push(cover);
    }
    all.pop();
    covers::refine(&old, new, 0, all, &Costs::STREAMS).map_err(CreateError::OldRead)
}
