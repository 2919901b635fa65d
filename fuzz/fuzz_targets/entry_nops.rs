//! Any file as an object that an assembler left: mending keeps its length, finds nothing the second time, and who made it can
//! be asked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_image::{merge_entry_nops, producer};

fuzz_target!(|input: &[u8]| {
    producer(input);
    let Ok(once) = merge_entry_nops(input) else { return };
    assert_eq!(once.object.len(), input.len());
    let changed = once.merged + once.aligned + once.references > 0;
    assert!(changed || once.object == input, "changed, but said not to be");
    // Sections that overlap each other or the headers may have more to mend, but that must end as well.
    let _ = merge_entry_nops(&once.object);
});
