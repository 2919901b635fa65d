//! Which pages of a process's memory there are: most of what is mapped was never touched.

use std::fs::File;
use std::os::unix::fs::FileExt;

const PAGE: u64 = 4096;
/// In an entry of `pagemap`: the page is in memory, or was moved to the disk.
const THERE: u64 = 1 << 63 | 1 << 62;
/// Entries that are read at once.
const ENTRIES: u64 = 1 << 15;

/// The stretches of whole pages between two addresses that are there; all, if the kernel does not tell.
pub(super) fn touched(pid: i32, start: u64, end: u64) -> Vec<(u64, u64)> {
    match File::open(format!("/proc/{pid}/pagemap")) {
        Ok(map) => stretches(&map, start, end).unwrap_or_else(|_| vec![(start, end)]),
        Err(_) => vec![(start, end)],
    }
}

fn stretches(map: &File, start: u64, end: u64) -> std::io::Result<Vec<(u64, u64)>> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    let (mut page, last) = (start / PAGE, end.div_ceil(PAGE));
    while page < last {
        let count = (last - page).min(ENTRIES);
        let mut entries = vec![0; usize::try_from(count * 8).unwrap_or(0)];
        map.read_exact_at(&mut entries, page * 8)?;
        for entry in entries.as_chunks().0 {
            let at = (page * PAGE).max(start);
            let after = ((page + 1) * PAGE).min(end);
            if u64::from_le_bytes(*entry) & THERE != 0 {
                match found.last_mut() {
                    Some((_, open)) if *open == at => *open = after,
                    _ => found.push((at, after)),
                }
            }
            page += 1;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_were_touched_are_told_from_those_that_were_not() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let pages = 64;
        // Fresh from the kernel, and too large to come from elsewhere; two pages of it are written.
        let mut memory: Vec<u8> = Vec::with_capacity(64 << 20);
        let begin = (memory.as_ptr().addr() as u64).next_multiple_of(PAGE) + PAGE;
        let room = begin - memory.as_ptr().addr() as u64;
        memory.spare_capacity_mut()[usize::try_from(room + 5 * PAGE).unwrap()].write(1);
        memory.spare_capacity_mut()[usize::try_from(room + 6 * PAGE).unwrap()].write(1);
        let found = touched(pid, begin, begin + pages * PAGE);
        let inside = |page: u64| found.iter().any(|(start, end)| (*start..*end).contains(&(begin + page * PAGE)));
        assert!(inside(5) && inside(6), "{found:x?} of {begin:x}");
        // Where huge pages are always used, all of it is there.
        if found != [(begin, begin + pages * PAGE)] {
            assert_eq!(found, [(begin + 5 * PAGE, begin + 7 * PAGE)]);
        }
        assert_eq!(touched(pid, begin, begin), []);
        assert_eq!(touched(0, 4096, 8192), [(4096, 8192)]);
    }
}
