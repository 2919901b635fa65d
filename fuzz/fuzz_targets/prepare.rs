//! Any file: preparing it ends in bounded memory, and what comes out loads where the input did, with nothing left to do.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_image::{Image, Outcome, PrepareOptions, is_archive, prepare, prepare_archive};

fuzz_target!(|input: &[u8]| {
    let [pad, data @ ..] = input else { return };
    let options = PrepareOptions { min_pad: (*pad < 120).then_some(usize::from(*pad)) };
    if is_archive(data) {
        if let Ok(prepared) = prepare_archive(data, &options) {
            let again = prepare_archive(&prepared.bytes, &options).expect("it was an archive and is one");
            assert_eq!(again.members.len(), prepared.members.len());
        }
        return;
    }
    let Ok(prepared) = prepare(data, &options) else { return };
    // A function costs a symbol of 16 bytes at least and gets a page at most.
    assert!(prepared.bytes.len() <= data.len() * 300 + 4096, "{} bytes of {}", prepared.bytes.len(), data.len());
    if let Ok(image) = Image::read(data) {
        let new = Image::read(&prepared.bytes).expect("it loaded before");
        assert_eq!((new.format(), new.machine(), new.kind()), (image.format(), image.machine(), image.kind()));
    }
    let again = prepare(&prepared.bytes, &options).expect("it could be prepared before");
    assert!(!again.functions.iter().any(|function| function.outcome == Outcome::Prepared), "something was left to do");
});
