//! Any bytes as a database: what is read is written and read back the same, and every check of a .pcp takes it.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use patchwright_msi::check::{Options, check, check_all};
use patchwright_msi::database::Database;
use patchwright_msi::image::Images;
use patchwright_msi::pcp::Pcp;

fuzz_target!(|input: &[u8]| {
    let Ok(mut database) = Database::read(Cursor::new(input)) else { return };
    let pcp = Pcp::read(&database);
    let findings = check(&pcp);
    assert_eq!(
        check_all(&pcp, &Images::default(), Options::default()),
        findings,
        "nothing is said of images that nobody opened"
    );
    // What cannot be written says why; the rest comes back.
    let Ok(bytes) = database.write() else { return };
    let mut again = Database::read(Cursor::new(bytes)).expect("written by ourselves");
    database.others.clear();
    database.sort();
    again.sort();
    assert_eq!(again, database);
});
