//! Other people's tools as judges: of the cabinets that the tests read, and of version resources.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{Cursor, Read, Write};
use std::process::{Command, Stdio};

use patchwright_msi::image::{Facts, FileVersion, file_version};

use crate::cabinets::{Cabinet, Compression, Rest, sample, set};

/// Says that a test cannot run here, where `xtask test` can see it.
fn skip(group: &str, reason: &str) {
    eprintln!("skipped: {group}: {reason}");
    if let Some(path) = env::var_os("PATCHWRIGHT_SKIPS") {
        let mut skips = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(skips, "skipped: {group}: {reason}").unwrap();
    }
}

fn has(name: &str) -> bool {
    Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// What the tests of images read are cabinets for cabextract and for the `cab` crate too, with the same content.
#[test]
fn cabinets_of_the_tests_are_cabinets() {
    let (app, lib) = (sample(100_000, 3), sample(39_993, 5));
    let files = [("app", app.as_slice()), ("lib", &lib), ("help", b"help!")];
    let folder = tempfile::tempdir().unwrap();
    let judge = has("cabextract");
    if !judge {
        skip("cabextract", "cabextract is needed");
    }
    for compression in [Compression::Stored, Compression::Mszip, Compression::Lzx(17)] {
        let bytes = Cabinet { reserve: [5, 3, 0], ..Cabinet::of(&files, compression) }.bytes();
        let mut cabinet = cab::Cabinet::new(Cursor::new(&bytes)).unwrap();
        for (name, content) in files {
            let mut made = Vec::new();
            cabinet.read_file(name).unwrap().read_to_end(&mut made).unwrap();
            assert!(made == content, "{compression:?}: {name}");
        }
        if judge {
            fs::write(folder.path().join("x.cab"), &bytes).unwrap();
            let ran = Command::new("cabextract").args(["-q", "x.cab"]).current_dir(folder.path()).output().unwrap();
            assert!(ran.status.success(), "{compression:?}: {ran:?}");
            for (name, content) in files {
                assert!(fs::read(folder.path().join(name)).unwrap() == content, "{compression:?}: {name}");
                fs::remove_file(folder.path().join(name)).unwrap();
            }
            for (name, bytes) in set(&files, compression, Rest::OwnFolder) {
                fs::write(folder.path().join(name), bytes).unwrap();
            }
            let ran = Command::new("cabextract").args(["-q", "one.cab"]).current_dir(folder.path()).output().unwrap();
            assert!(ran.status.success(), "{compression:?}: {ran:?}");
            for (name, content) in files {
                assert!(fs::read(folder.path().join(name)).unwrap() == content, "{compression:?}: {name}");
            }
        }
    }
}

/// The version and languages that a resource compiler puts into a library.
#[test]
fn versions_are_those_of_the_resource() {
    let (windres, gcc) = ("x86_64-w64-mingw32-windres", "x86_64-w64-mingw32-gcc");
    if !has(windres) || !has(gcc) {
        skip("mingw", "x86_64-w64-mingw32-gcc and windres are needed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let resource = "1 VERSIONINFO\nFILEVERSION 1,2,300,65535\nPRODUCTVERSION 9,9,9,9\nBEGIN\n\
        BLOCK \"StringFileInfo\"\nBEGIN\nBLOCK \"040904b0\"\nBEGIN\nVALUE \"FileVersion\", \"odd\"\nEND\nEND\n\
        BLOCK \"VarFileInfo\"\nBEGIN\nVALUE \"Translation\", 0x409, 1200, 0x407, 1252\nEND\nEND\n";
    fs::write(folder.path().join("x.rc"), resource).unwrap();
    fs::write(folder.path().join("x.c"), "int one(void) { return 1; }\n").unwrap();
    for (command, args) in [
        (windres, vec!["x.rc", "-O", "coff", "-o", "x.o"]),
        (gcc, vec!["-shared", "-nostdlib", "-o", "with.dll", "x.c", "x.o"]),
        (gcc, vec!["-shared", "-nostdlib", "-o", "without.dll", "x.c"]),
    ] {
        let ran = Command::new(command).args(&args).current_dir(folder.path()).output().unwrap();
        assert!(ran.status.success(), "{args:?}: {ran:?}");
    }
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let with = read("with.dll");
    let facts = Facts::of(&mut Cursor::new(&with)).unwrap();
    assert_eq!(facts.version, Some(FileVersion { numbers: [1, 2, 300, 65535], languages: vec![0x409, 0x407] }));
    assert_eq!(facts.version_text().as_deref(), Some("1.2.300.65535"));
    assert_eq!(facts.language_text().as_deref(), Some("1033,1031"));
    assert_eq!(facts.size, with.len() as u64);
    assert_eq!(file_version(&mut Cursor::new(read("without.dll"))).unwrap(), None);
    // Cut or changed anywhere, it has a version or none.
    for len in (0..with.len()).step_by(7) {
        file_version(&mut Cursor::new(&with[..len])).unwrap();
    }
    for at in 0..with.len() {
        let mut damaged = with.clone();
        damaged[at] ^= 0xff;
        file_version(&mut Cursor::new(damaged)).unwrap();
    }
}
