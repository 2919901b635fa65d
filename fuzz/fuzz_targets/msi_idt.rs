//! Any bytes as two text archives: what is read is written and read back the same, and streams stay in their folder.

#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use patchwright_fuzz::split;
use patchwright_msi::idt::{export, import};

fuzz_target!(|input: &[u8]| {
    let (one, two) = split(input);
    let stream = |table: &str, name: &str| {
        assert!(!name.contains(['/', '\\', '\0']) && name != "..", "{table}: {name}");
        if name.len() % 2 == 0 { Ok(name.as_bytes().to_vec()) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    let Ok(database) = import([("one.idt", one), ("two.idt", two)], stream) else { return };
    let Ok(archives) = export(&database) else { return };
    let files: Vec<(&str, &[u8])> = archives.iter().map(|archive| ("x.idt", archive.text.as_slice())).collect();
    let again = import(files, |table, name| {
        let archive = archives.iter().find(|archive| archive.name == table).expect("one of those");
        let stream = archive.streams.iter().find(|(stream, _)| stream == name).expect("one of its streams");
        Ok(stream.1.clone())
    });
    let again = again.expect("written by ourselves");
    assert_eq!(export(&again).expect("once more"), archives);
});
