//! The exception directory of x64 images (`.pdata`): where functions with unwind data begin and end.
//!
//! Leaf functions are absent. Entries whose unwind data are chained, or point to another entry, are parts of functions.

/// `UNW_FLAG_CHAININFO`, in the flags above the version of `UNWIND_INFO`.
const CHAINED: u8 = 4;

/// One `RUNTIME_FUNCTION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuntimeFunction {
    /// RVA of the first byte.
    pub(crate) begin: u32,
    /// RVA after the last.
    pub(crate) end: u32,
    /// Whether it is a part of a function.
    pub(crate) part: bool,
}

/// Reads the directory; `unwind_flags` gives the first byte of the unwind data at an RVA.
pub(crate) fn read(directory: &[u8], unwind_flags: impl Fn(u32) -> Option<u8>) -> Vec<RuntimeFunction> {
    let (entries, _) = directory.as_chunks::<12>();
    entries
        .iter()
        .map(|entry| {
            let [begin, end, unwind] = [0, 4, 8].map(|at| word(entry, at));
            let chained = unwind & 1 != 0 || unwind_flags(unwind).is_some_and(|first| first >> 3 & CHAINED != 0);
            RuntimeFunction { begin, end, part: chained }
        })
        .filter(|entry| entry.begin < entry.end)
        .collect()
}

fn word(entry: &[u8; 12], at: usize) -> u32 {
    entry.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

#[test]
fn parts_are_told_from_functions() {
    let words = [0x1000_u32, 0x1010, 0x2000, 0x1010, 0x1020, 0x2004, 0x1020, 0x1030, 0x2001, 0x1040, 0x1040, 0x2000];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).chain([1, 2]).collect();
    let found = read(&bytes, |at| Some(if at == 0x2004 { 0x21 } else { 0x01 }));
    let told: Vec<_> = found.iter().map(|entry| (entry.begin, entry.end, entry.part)).collect();
    assert_eq!(told, [(0x1000, 0x1010, false), (0x1010, 0x1020, true), (0x1020, 0x1030, true)]);
}
