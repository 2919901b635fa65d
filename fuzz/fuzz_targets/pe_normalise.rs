//! Any file: normalisation ends, keeps the length, and has nothing left to do the second time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_formats::pa19::{Change, Coff, Pa19Error, normalise};

fuzz_target!(|input: &[u8]| {
    let [low, high, image @ ..] = input else { return };
    // All option bits of normalisation.
    let options = (u32::from(*low) << 16) & 0x0027_0000;
    let coff = Coff { base: u32::from(*high) << 20, time: u32::from(*low) };
    let mut once = image.to_vec();
    let done = normalise(&mut once, options, coff, []);
    assert_eq!(once.len(), image.len());
    match done {
        Ok(Change::Unmodified) => assert!(once == image, "changed, but said not to be"),
        Ok(Change::Modified) => {
            // Fixups may point anywhere, also at what was looked at before; then a second time may differ, but must end.
            let _: Result<Change, Pa19Error> = normalise(&mut once, options, coff, []);
        }
        Err(_) => assert!(once == image, "changed, but failed"),
    }
});
