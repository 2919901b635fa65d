//! The translation of x86 call targets, from relative to absolute before compression and back after it.
//!
//! Calls of one function from many places then look alike. What follows an `E8` byte is translated whether it is a call
//! or not, so both directions must walk the same way: a translated target is skipped, and chunks are walked one by one.

use super::CHUNK_LEN;

/// Files are translated up to here.
const END: usize = 0x4000_0000;
/// An `E8` so close to the end of its chunk, or closer, is left alone.
const TAIL: usize = 10;

/// Makes targets relative again in a file that a stream with translation has made.
pub(super) fn undo(file: &mut [u8], size: i32) {
    walk(file, undone(size));
}

/// The same for one chunk, which begins at `start`.
pub(super) fn undo_chunk(chunk: &mut [u8], start: u64, size: i32) {
    if let Ok(start) = usize::try_from(start)
        && start < END
    {
        walk_chunk(chunk, start, &undone(size));
    }
}

fn undone(size: i32) -> impl Fn(i32, i32) -> i32 {
    move |at, target| {
        if target >= size || target < -at {
            target
        } else if target >= 0 {
            target - at
        } else {
            target.wrapping_add(size)
        }
    }
}

/// Makes targets absolute, for a stream that states `size`.
pub(super) fn apply(file: &mut [u8], size: i32) {
    walk(file, |at, target| {
        if target >= size || target < -at {
            target
        } else if i64::from(target) < i64::from(size) - i64::from(at) {
            target.wrapping_add(at)
        } else {
            target.wrapping_sub(size)
        }
    });
}

/// Calls `translate` with the place and the target of every `E8` that both directions see.
fn walk(file: &mut [u8], translate: impl Fn(i32, i32) -> i32) {
    let end = file.len().min(END);
    for (index, chunk) in file[..end].chunks_mut(CHUNK_LEN).enumerate() {
        walk_chunk(chunk, index * CHUNK_LEN, &translate);
    }
}

fn walk_chunk(chunk: &mut [u8], start: usize, translate: &impl Fn(i32, i32) -> i32) {
    let end = chunk.len().saturating_sub(TAIL);
    let mut i = 0;
    while let Some(skip) = chunk.get(i..end).and_then(|rest| rest.iter().position(|byte| *byte == 0xE8)) {
        i += skip;
        let at = i32::try_from(start + i).expect("below END");
        let target = &mut chunk[i + 1..i + 5];
        let value = i32::from_le_bytes((&*target).try_into().expect("four bytes"));
        target.copy_from_slice(&translate(at, value).to_le_bytes());
        i += 5;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(at: usize, target: i32) -> Vec<u8> {
        let mut file = vec![0x90; at + 40];
        file[at] = 0xE8;
        file[at + 1..at + 5].copy_from_slice(&target.to_le_bytes());
        file
    }

    fn target_at(file: &[u8], at: usize) -> i32 {
        i32::from_le_bytes(file[at + 1..at + 5].try_into().unwrap())
    }

    #[test]
    fn targets_become_absolute() {
        // Place, target, translated target; the file is said to be of 1000 bytes.
        for (at, relative, absolute) in
            [(0, 5, 5), (100, 5, 105), (100, -100, 0), (100, -101, -101), (100, 900, -100), (100, 1000, 1000)]
        {
            let mut file = call(at, relative);
            apply(&mut file, 1000);
            assert_eq!(target_at(&file, at), absolute, "{relative} at {at}");
            undo(&mut file, 1000);
            assert_eq!(target_at(&file, at), relative, "{relative} at {at}");
        }
    }

    #[test]
    fn the_last_ten_bytes_of_a_chunk_are_left_alone() {
        let mut file = vec![0xE8; CHUNK_LEN + 11];
        apply(&mut file, 0x7FFF_FFFF);
        let changed: Vec<usize> = (0..file.len()).filter(|i| file[*i] != 0xE8).collect();
        assert!(
            changed.iter().all(|i| *i < CHUNK_LEN - 5 || (CHUNK_LEN + 1..CHUNK_LEN + 5).contains(i)),
            "{changed:?}"
        );
        let mut short = vec![0xE8; 10];
        apply(&mut short, 0x7FFF_FFFF);
        assert_eq!(short, [0xE8; 10]);
    }
}
