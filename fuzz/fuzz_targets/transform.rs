//! Any transform on any database: what is read is followed or refused, and what can be written is read back the same.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use patchwright_fuzz::split;
use patchwright_msi::database::Database;
use patchwright_msi::transform::info::{Product, TransformInfo};
use patchwright_msi::transform::{ErrorConditions, Known, Rules, Transform, apply, diff};

fuzz_target!(|input: &[u8]| {
    let (base, transform) = split(input);
    let base = Database::read(Cursor::new(base)).unwrap_or_default();
    for known in [Known::Standard, Known::Database(&base)] {
        let Ok(read) = Transform::read(Cursor::new(transform), known) else { continue };
        if let (Ok(info), Ok(product)) = (TransformInfo::read(&read.summary), Product::of(&base)) {
            let _ = info.mismatches(&product);
        }
        if read.undecoded.is_empty()
            && let Ok(bytes) = read.write()
        {
            let again = Transform::read(Cursor::new(bytes), known).expect("what was written can be read");
            assert!(again.tables == read.tables && again.code_page == read.code_page);
        }
        let _ = apply(&read, &base, ErrorConditions::NONE);
        let Ok(result) = apply(&read, &base, ErrorConditions(ErrorConditions::ALL)) else { continue };
        // What it made is made again by what differs.
        if let Ok(made) = diff(&base, &result, &Rules::default())
            && made.suppressed.is_empty()
        {
            let mut again = apply(&made.transform, &base, ErrorConditions::OF_PATCHES).expect("it was made for this");
            let mut result = result;
            again.sort();
            result.sort();
            assert!(again.tables == result.tables);
        }
    }
});
