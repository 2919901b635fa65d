//! Any old and new file, any options and ranges: what is made applies and makes the new file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_formats::lzx::Level;
use patchwright_formats::pa19::{CreateOptions, IfNew, LzxMode, OldInput, Outcome, Profile, apply, create};
use patchwright_formats::{ByteRange, Regions, RetainRange};
use patchwright_fuzz::split;

fuzz_target!(|input: &[u8]| {
    let [choice, ignore_at, retain_from, retain_to, files @ ..] = input else { return };
    let (old, new) = split(files);
    let bit = |bit: u8| choice & (1 << bit) != 0;
    let mut regions = Regions::default();
    if bit(0) {
        regions.ignore.push(ByteRange::new((*ignore_at).into(), 8));
    }
    if bit(1) {
        regions.retain.push(RetainRange { old_offset: (*retain_from).into(), len: 8, new_offset: (*retain_to).into() });
    }
    let options = CreateOptions {
        profile: if bit(2) { Profile::Native } else { Profile::Raw },
        mode: if bit(3) { LzxMode::B } else { LzxMode::Best },
        ext: if bit(4) { 0x300 } else { 0 },
        file_time: bit(5).then_some(1),
        level: Level::Fast,
        ..CreateOptions::default()
    };
    let Ok(made) = create(&[OldInput { bytes: old, regions: &regions }], new, &options) else {
        let old_end = old.len() as u64;
        let outside = regions.ignore.iter().any(|range| range.offset + range.len > old_end)
            || regions
                .retain
                .iter()
                .any(|range| range.old_offset + range.len > old_end || range.new_offset + range.len > new.len() as u64);
        assert!(outside, "these files and ranges can be patched");
        return;
    };
    let applied = apply(&made.patch, old, IfNew::Copy).expect("what was made applies");
    let mut expect = new.to_vec();
    for range in &regions.retain {
        let from = if matches!(applied.outcome, Outcome::New(_)) { range.new_offset } else { range.old_offset };
        let (from, to, len) = (from as usize, range.new_offset as usize, range.len as usize);
        expect[to..to + len].copy_from_slice(&old[from..from + len]);
    }
    assert!(applied.new == expect, "other bytes");
});
