//! Bodies of version 2 as [`create`](super::create()) makes them.

use std::io;

use patchwright_formats::ReadAt;

use crate::native;
use crate::versions::whole;

use super::{CreateError, CreateOptions, CreateStats, Method, Phase, Progress, SizeTraded};

/// What the search takes at most for each byte of both files, these bytes included.
const MEMORY_PER_BYTE: u64 = 6;

/// What it takes besides: the tables of the coder.
const FIXED_MEMORY: u64 = 64 << 20;

/// Why these files get no body of version 2.
pub(super) fn size_traded(old_len: u64, new_len: u64, options: &CreateOptions) -> Option<SizeTraded> {
    if i32::try_from(old_len).is_err() || i32::try_from(new_len).is_err() {
        return Some(SizeTraded::TooLong);
    }
    let need = (old_len + new_len) * MEMORY_PER_BYTE + FIXED_MEMORY;
    let allowed = options.max_memory_bytes;
    (need > allowed).then_some(SizeTraded::Memory { need, allowed })
}

pub(super) fn create(
    old: &dyn ReadAt,
    new: &dyn ReadAt,
    options: &CreateOptions,
    progress: &(dyn Fn(Progress) + Sync),
    out: &mut dyn io::Write,
) -> Result<CreateStats, CreateError> {
    let (old_len, new_len) = (old.len_bytes(), new.len_bytes());
    progress(Progress { phase: Phase::Index, done: 0, total: old_len });
    let old = whole(old).map_err(CreateError::OldRead)?;
    let new = whole(new).map_err(CreateError::NewRead)?;
    progress(Progress { phase: Phase::Index, done: old_len, total: old_len });
    let chosen = native::Options { profile: options.profile, max_memory_bytes: options.max_memory_bytes };
    let made = native::create(&old, &new, &chosen, out)?;
    for phase in [Phase::Match, Phase::Compress] {
        progress(Progress { phase, done: new_len, total: new_len });
    }
    Ok(CreateStats {
        method: Method::Prediction,
        size_traded: None,
        segment_count: 0,
        cover_count: made.cover_count,
        unchanged_bytes: 0,
        corrected_bytes: 0,
        literal_bytes: made.literal_bytes,
        streams: Vec::new(),
        spending: Some(native::spending(&new, &made)),
        body_len: made.body_len,
    })
}
