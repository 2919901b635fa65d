//! Any patch of Windows Installer: all of it is told, alone and against a product, or it is refused.

#![no_main]

use std::io::{Cursor, Read};

use libfuzzer_sys::fuzz_target;
use patchwright_msi::database::Database;
use patchwright_msi::msp::Msp;
use patchwright_msi::msp::overview::overview;

const BASE: &[u8] = include_bytes!("../../testdata/msp/app-1.0.msi");

fuzz_target!(|input: &[u8]| {
    let base = Database::read(Cursor::new(BASE)).expect("it is ours");
    let Ok(mut msp) = Msp::open(Cursor::new(input)) else { return };
    let told = overview(&mut msp, Some(&base));
    for cabinet in &told.cabinets {
        let mut read = Vec::new();
        if let Ok(stream) = msp.stream(&cabinet.name) {
            // What a stream claims to have, the file has.
            let _ = stream.take(cabinet.len_bytes + 1).read_to_end(&mut read);
            assert!(read.len() <= input.len());
        }
    }
});
