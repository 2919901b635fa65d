//! What applying takes beside the old file and the segments that are being made: bounded, and told before it is taken.
//!
//! Everything that segments share (covers, map, relocations, index) is as long as the body and the old file say. What is
//! left of the bound goes to the threads: tables as large as the body states, and pages of the old file, decoded.

use std::num::NonZero;

use crate::ApplyError;
use crate::cover::Cover;

use super::body::{self, Kind, Shape};
use super::code::{PAGE, Reference};
use super::head::{Head, MAX_COVERS};
use super::map::AddressMap;
use super::{literals, map, pages, tables};

/// The most that mixed segments and what they share take, beside the old file and the segments themselves.
pub const MIXED_MEMORY: u64 = 64 << 20;

/// The fewest decoded pages that a thread works with, and the most that are of use.
pub(super) const MIN_SLOTS: usize = 16;
const MAX_SLOTS: usize = 256;

/// What a decoded page takes at most: a step for each byte, and a reference in each word.
const PAGE_MEMORY: u64 = PAGE as u64 + (PAGE as u64 / 4) * size_of::<Reference>() as u64;

/// What a thread takes whatever its tables: weights, scores, what was learned, its covers' first steps.
const FIXED: u64 = 2 << 20;

/// What the tables of a mixed segment take: rows of 64 bytes for literals, bytes and targets, slots for flags.
fn tables_of(shape: &Shape) -> u64 {
    let rows = (1 << shape.table_log) + (1 << (shape.table_log - 1)) + (1 << (shape.table_log - 2));
    rows * 64 + (4 << (shape.table_log + 2).min(18)) + FIXED
}

fn index_of(shape: &Shape) -> u64 {
    if shape.old_index { 4 << literals::index_log(u64::from(shape.old_len)) } else { 0 }
}

/// What all segments of a body share.
pub(super) fn shared(head: &Head, map: &AddressMap, relocated: usize, shape: &Shape) -> u64 {
    let covers = head.covers.capacity() * size_of::<Cover>();
    (covers + map.memory() + relocated * size_of::<u32>()) as u64 + u64::from(shape.extra_len) + index_of(shape)
}

/// How many of `threads` may work at a time, and with how many decoded pages each.
pub(super) fn share(
    shape: &Shape,
    shared: u64,
    threads: NonZero<usize>,
) -> Result<(NonZero<usize>, usize), ApplyError> {
    let tables = tables_of(shape);
    let least = tables + MIN_SLOTS as u64 * PAGE_MEMORY;
    let left = MIXED_MEMORY.saturating_sub(shared);
    let fit = usize::try_from(left / least).unwrap_or(usize::MAX).min(threads.get());
    let Some(threads) = NonZero::new(fit) else {
        return Err(ApplyError::TooLarge { structure: "header", offset: 0, need: shared + least, limit: MIXED_MEMORY });
    };
    let each = left / threads.get() as u64 - tables;
    let slots = usize::try_from(each / PAGE_MEMORY).unwrap_or(MAX_SLOTS).clamp(MIN_SLOTS, MAX_SLOTS);
    Ok((threads, slots))
}

/// The most bytes that applying a body takes with so many threads, beside the old file; it may take fewer.
///
/// From the header alone, before anything is decoded: the segments that are made at a time; for mixed ones tables of at
/// most [`MIXED_MEMORY`], for those in streams these streams and the references of the old file; for a packed body the
/// last 64 MiB of what it made.
///
/// # Errors
///
/// The body's header breaks a rule.
pub fn stated_memory(body: &[u8], threads: NonZero<usize>) -> Result<u64, ApplyError> {
    if let Some(packed) = super::packed::Packed::read(body) {
        return Ok(u64::from(packed?.new_len).min(64 << 20) + (1 << 20));
    }
    let parts = body::read(body)?;
    let shape = &parts.shape;
    let segments = (threads.get() as u64).min(parts.parts.len() as u64);
    let out = u64::from(shape.segment_len.min(shape.new_len));
    if !parts.need_head() {
        return Ok(segments * out);
    }
    // A cover makes a byte at least, and gives two steps at most.
    let covers = u64::from(shape.new_len).min(MAX_COVERS as u64);
    let covers = covers * (size_of::<Cover>() + 2 * map::STEP_LEN) as u64 + 4 * map::MAX_PAGES as u64;
    let relocated = (u64::from(shape.old_len) / 2).min(tables::MAX_ENTRIES as u64) * 4;
    let mut shared = covers + relocated + u64::from(shape.extra_len) + index_of(shape);
    let mut each = 0;
    if parts.any(Kind::Mixed) {
        each = tables_of(shape) + MAX_SLOTS as u64 * PAGE_MEMORY;
        each = each.min(MIXED_MEMORY.saturating_sub(shared) / segments.max(1));
    }
    if parts.any(Kind::Streams) {
        // A segment's streams have at most twice its length.
        each = each.max(2 * out + FIXED);
        shared += pages::MEMORY;
    }
    Ok(segments * (out + each) + shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(table_log: u32) -> Shape {
        Shape {
            old_len: 60 << 20,
            extra_len: 1 << 20,
            new_len: 60 << 20,
            segment_len: 15 << 20,
            table_log,
            image: true,
            old_index: true,
        }
    }

    #[test]
    fn threads_and_pages_are_as_many_as_fit() {
        let threads = NonZero::new(8).unwrap();
        for (table_log, shared, expected) in
            [(10, 0, Some((8, 94))), (17, 8 << 20, Some((3, 26))), (17, 24 << 20, Some((2, 48))), (17, 60 << 20, None)]
        {
            let found = share(&shape(table_log), shared, threads).ok().map(|(threads, slots)| (threads.get(), slots));
            assert_eq!(found, expected, "{table_log} {shared}");
            if let Some((threads, slots)) = found {
                let each = tables_of(&shape(table_log)) + slots as u64 * PAGE_MEMORY;
                assert!(shared + threads as u64 * each <= MIXED_MEMORY);
            }
        }
    }
}
