//! The search itself: words of memory, and the stacks of threads by what the C library keeps at their ends.

use std::time::Instant;

use crate::module::word;
use crate::stack::Zone;
use crate::target::{Mapping, Target};

use super::Unknown;

/// Read at once.
const CHUNK: usize = 1 << 20;
/// More words than this are not told apart.
const MAX_WORDS: usize = 1 << 16;
/// How far before the end of a stack's memory the C library keeps what it knows of the thread.
const END_OF_STACK: u64 = 32 << 10;
/// Its length, or more.
const RECORD: usize = 0x900;
/// In glibc's record: the thread's number, zero once it has ended; and what pointers are mangled with.
const NUMBER: usize = 0x2d0;
const GUARD: u64 = 0x30;

/// The stack of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stack {
    pub(super) range: (u64, u64),
    /// The thread has ended; the library keeps the memory for another.
    pub(super) dead: bool,
}

/// A word that leads into a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) at: u64,
    pub(super) to: u64,
    pub(super) zone: usize,
    pub(super) mangled: bool,
}

#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) words: Vec<Word>,
    pub(super) stacks: Vec<Stack>,
    pub(super) read_bytes: u64,
}

/// What the C library on x86-64 mangled: exclusive-or with the guard, then rotated left by 17.
pub(super) fn demangled(value: u64, guard: u64) -> u64 {
    value.rotate_right(17) ^ guard
}

/// Looks at every word of stretches of memory that the program has touched.
pub(super) fn scan(
    target: &dyn Target,
    stretches: &[(u64, u64)],
    zones: &[Zone],
    guard: Option<u64>,
    until: Option<Instant>,
) -> Result<Found, Unknown> {
    let mut found = Found::default();
    let lowest = zones.iter().map(|zone| zone.range.start).min().unwrap_or(0);
    let span = zones.iter().map(|zone| zone.range.end).max().unwrap_or(0).wrapping_sub(lowest);
    let mut hit = |at: u64, to: u64, mangled: bool| {
        // The entry of a function is an address that programs keep; nobody returns to it.
        let inside = |zone: &Zone| zone.range.contains(&to) && zone.range.start != to;
        if let Some(zone) = zones.iter().position(inside) {
            found.words.push(Word { at, to, zone, mangled });
        }
        found.words.len() <= MAX_WORDS
    };
    let mut ends = Vec::new();
    let mut read_bytes = 0;
    let mut buffer = vec![0; CHUNK];
    for (start, end) in stretches.iter().flat_map(|(start, end)| target.touched(*start, *end)) {
        let mut at = start.next_multiple_of(8);
        while at < end {
            if until.is_some_and(|until| Instant::now() > until) {
                return Err(Unknown::Late(read_bytes));
            }
            let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let got = target.read(at, &mut buffer[..want]).unwrap_or(0);
            let mut address = at;
            for bytes in buffer[..got].as_chunks().0 {
                let value = u64::from_le_bytes(*bytes);
                if value.wrapping_sub(lowest) < span && !hit(address, value, false) {
                    return Err(Unknown::Many);
                }
                if let Some(guard) = guard
                    && demangled(value, guard).wrapping_sub(lowest) < span
                    && !hit(address, demangled(value, guard), true)
                {
                    return Err(Unknown::Many);
                }
                // What the library keeps of a thread begins with its own address.
                if value == address && ends.len() < MAX_WORDS {
                    ends.push(address);
                }
                address += 8;
            }
            read_bytes += got as u64;
            // Memory that cannot be read holds no stack.
            at = if got == 0 { (at + 1).next_multiple_of(4096) } else { (at + got as u64).next_multiple_of(8) };
        }
    }
    found.stacks = ends.into_iter().filter_map(|address| stack_of(target, address)).collect();
    found.read_bytes = read_bytes;
    Ok(found)
}

/// The stack of a thread of which the library's record begins here: it holds its own address, and somewhere start and length
/// of the memory that both are in.
fn stack_of(target: &dyn Target, address: u64) -> Option<Stack> {
    let mut record = [0; RECORD];
    let got = target.read(address, &mut record).ok()?;
    let record = record.get(..got)?;
    if word::<8>(record, 0) != address {
        return None;
    }
    let words: Vec<u64> = record.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    let range = words.windows(2).skip(4).find_map(|pair| {
        let (start, end) = (pair[0], pair[0].checked_add(pair[1])?);
        let fits = start % 4096 == 0 && end % 4096 == 0 && start < address && address < end;
        (fits && end - address <= END_OF_STACK).then_some((start, end))
    })?;
    let glibc = word::<8>(record, 16) == address;
    Some(Stack { range, dead: glibc && word::<4>(record, NUMBER) == 0 })
}

/// The stack of a thread that takes a whole mapping, as most do.
pub(super) fn stack_at_end_of(target: &dyn Target, mapping: &Mapping) -> Option<Stack> {
    let anonymous = mapping.private && mapping.protection.write && mapping.file == (0, 0) && mapping.name.is_empty();
    let len = (mapping.end - mapping.start).min(END_OF_STACK);
    if !anonymous || len < 4096 {
        return None;
    }
    let start = mapping.end - len;
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    let got = target.read(start, &mut bytes).ok()?;
    let addresses = (start..mapping.end).step_by(8);
    let own = bytes[..got].as_chunks().0.iter().zip(addresses).filter(|(bytes, at)| u64::from_le_bytes(**bytes) == *at);
    own.filter_map(|(_, at)| stack_of(target, at)).next()
}

/// What glibc mangles saved pointers with: the same in every thread, in the record of each.
pub(super) fn guard(target: &dyn Target, mappings: &[Mapping]) -> Option<u64> {
    let memory = mappings.iter().filter(|mapping| {
        mapping.private && mapping.protection.read && mapping.protection.write && mapping.file == (0, 0)
    });
    let mut buffer = vec![0; CHUNK];
    // That of the first thread is near the libraries, above most other memory.
    for mapping in memory.rev().filter(|mapping| mapping.name != "[stack]") {
        for (start, end) in target.touched(mapping.start, mapping.end) {
            let mut at = start;
            while at < end {
                let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
                let got = target.read(at, &mut buffer[..want]).unwrap_or(0);
                let mut address = at;
                for bytes in buffer[..got].as_chunks().0 {
                    if u64::from_le_bytes(*bytes) == address
                        && let Some(guard) = guard_at(target, address)
                    {
                        return Some(guard);
                    }
                    address += 8;
                }
                at = if got == 0 { (at + 1).next_multiple_of(4096) } else { (at + got as u64).next_multiple_of(8) };
            }
        }
    }
    None
}

fn guard_at(target: &dyn Target, address: u64) -> Option<u64> {
    let mut record = [0; NUMBER + 4];
    target.read_exact(address, &mut record).ok()?;
    let own = |at: usize| word::<8>(&record, at) == address;
    let guard = word::<8>(&record, usize::try_from(GUARD).ok()?);
    // A list of one element looks alike, but has no number of a thread far behind it.
    (own(0) && own(16) && guard != 0 && (1..1 << 22).contains(&word::<4>(&record, NUMBER))).then_some(guard)
}
