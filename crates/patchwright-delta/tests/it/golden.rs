//! Bodies of every version that was ever final: they apply for ever, to the same bytes.
//!
//! Each folder of `testdata/delta` holds `old`, `body` and `new`. What is there is never made anew: a change of format
//! gets bodies of its own. With `PATCHWRIGHT_BLESS` set, folders that are missing are made.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::{env, fs};

use patchwright_delta::native::{self, Options, Profile};

use crate::images::{KINDS, Kind, Program};
use crate::inputs::noise;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/delta")
}

/// The files of each folder, as they are made where they are missing.
fn cases() -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let mut cases: Vec<_> = KINDS
        .iter()
        .map(|kind| {
            let program = Program::new(41, 90);
            let new = program.clone().with_longer_function(30, 24).with_longer_function(61, 9);
            let mut new = new.image(*kind);
            // Some instructions and data that nothing foretells.
            let len = new.len();
            for at in (len / 3..len / 2).step_by(331) {
                new[at] ^= 0x15;
            }
            (format!("v2-{}", name(*kind)), program.image(*kind), new)
        })
        .collect();
    // So many new bytes that they look for their like in the old file.
    let program = Program::new(43, 30);
    let grown = program.clone().with_longer_function(10, 5000).image(Kind::PeX64);
    cases.push(("v2-pe-x64-grown".to_owned(), program.image(Kind::PeX64), grown));
    cases.push(("v2-empty".to_owned(), noise(4, 100), Vec::new()));
    cases
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::ElfX64 => "elf-x64",
        Kind::ElfArm64 => "elf-arm64",
        Kind::PeX86 => "pe-x86",
        Kind::PeX64 => "pe-x64",
    }
}

#[test]
fn bodies_of_every_version_apply_for_ever() {
    if env::var_os("PATCHWRIGHT_BLESS").is_some() {
        for (name, old, new) in cases() {
            let folder = folder().join(name);
            if !folder.exists() {
                let mut body = Vec::new();
                let options = Options { profile: Profile::Small, ..Options::default() };
                native::create(&old, &new, &options, &mut body).unwrap();
                fs::create_dir_all(&folder).unwrap();
                for (file, bytes) in [("old", &old), ("new", &new), ("body", &body)] {
                    fs::write(folder.join(file), bytes).unwrap();
                }
            }
        }
    }
    let mut folders: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(folders.len() >= 6, "{folders:?}");
    for path in folders {
        let read = |file: &str| fs::read(path.join(file)).unwrap();
        let (old, body, new) = (read("old"), read("body"), read("new"));
        for threads in [1, 2] {
            let mut made = Vec::new();
            let threads = NonZero::new(threads).unwrap();
            native::apply(&old, &body, new.len() as u64, threads, &mut made, &mut |_| ()).unwrap();
            assert!(made == new, "{}", path.display());
        }
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("v2-")) {
            assert_eq!(body[0], native::VERSION, "{}", path.display());
        }
    }
}
