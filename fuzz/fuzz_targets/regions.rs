//! Any ranges: what the rules let pass lies inside the files, and the view with blanks is what it should be.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_formats::{Blanked, ByteRange, ReadAt, Regions, RetainRange, region};

/// Lengths and ranges from bytes: small numbers mostly, and now and then one of 64 bits.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        if *first < 0xF0 {
            return Some(u64::from(*first));
        }
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }
}

fuzz_target!(|input: &[u8]| {
    let mut numbers = Numbers(input);
    let (Some(old_len), Some(new_len)) = (numbers.next(), numbers.next()) else { return };
    let mut regions = Regions::default();
    while let Some(kind) = numbers.next() {
        let (Some(offset), Some(len)) = (numbers.next(), numbers.next()) else { break };
        if kind % 2 == 0 {
            regions.ignore.push(ByteRange::new(offset, len));
        } else {
            let Some(new_offset) = numbers.next() else { break };
            regions.retain.push(RetainRange { old_offset: offset, len, new_offset });
        }
    }
    regions.sort();
    let objections = region::check(&[(old_len, &regions)], new_len);
    objections.iter().for_each(|objection| assert!(!objection.to_string().is_empty()));
    for (blanks, len, all) in [
        (
            regions.old_blanks(),
            old_len,
            regions.ignore.iter().copied().chain(regions.retain.iter().map(|r| r.old())).collect(),
        ),
        (regions.new_blanks(), new_len, regions.retain.iter().map(|r| r.new_side()).collect::<Vec<_>>()),
    ] {
        let apart =
            |pair: &[ByteRange]| pair[0].offset.checked_add(pair[0].len).is_some_and(|end| end < pair[1].offset);
        assert!(blanks.windows(2).all(apart), "sorted, and joined where they touch: {blanks:?}");
        if !objections.is_empty() {
            continue;
        }
        assert!(blanks.iter().all(|range| range.end().is_some_and(|end| end <= len)), "{blanks:?} of {len}");
        if len <= 256 {
            check_view(usize::try_from(len).expect("at most 256"), &all);
        }
    }
});

fn check_view(len: usize, ranges: &[ByteRange]) {
    let data = vec![0xEE; len];
    let mut expect = data.clone();
    for range in ranges {
        let (offset, len) = (range.offset as usize, range.len as usize);
        expect[offset..offset + len].fill(0);
    }
    let view = Blanked::new(&data, ranges.iter().copied());
    for (offset, step) in [(0, len), (len / 3, len / 2), (len, 0)] {
        let mut read = vec![0; step];
        view.read_exact_at(&mut read, offset as u64).expect("inside the file");
        assert_eq!(read, expect[offset..offset + step]);
    }
}
