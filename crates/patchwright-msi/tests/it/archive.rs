//! Text archives: exact bytes, the way there and back, and what is refused.

use std::io;

use patchwright_msi::Result;
use patchwright_msi::database::Database;
use patchwright_msi::idt::{Archive, export, import};

use crate::{sound, varied};

fn import_all(archives: &[Archive]) -> Result<Database> {
    let files: Vec<(String, &[u8])> =
        archives.iter().map(|archive| (format!("{}.idt", archive.name), archive.text.as_slice())).collect();
    import(files.iter().map(|(name, bytes)| (name.as_str(), *bytes)), |table, name| {
        let archive = archives.iter().find(|archive| archive.name == table);
        let stream = archive.and_then(|archive| archive.streams.iter().find(|(file, _)| file == name));
        stream.map(|(_, bytes)| bytes.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    })
}

#[test]
fn there_and_back_is_exact() {
    for database in [varied(), sound()] {
        let archives = export(&database).unwrap();
        let again = import_all(&archives).unwrap();
        assert_eq!(again, database);
        assert_eq!(export(&again).unwrap(), archives);
    }
}

#[test]
fn archives_are_what_msidb_writes() {
    let archives = export(&varied()).unwrap();
    let text = |name: &str| archives.iter().find(|archive| archive.name == name).unwrap().text.clone();
    assert_eq!(text("_ForceCodepage"), b"\r\n\r\n1252\t_ForceCodepage\r\n");
    assert_eq!(text("Empty"), b"Name\r\ns72\r\nEmpty\tName\r\n");
    let kinds = text("Kinds");
    let expect = b"Name\tNumber\tShort\tText\tData\r\ns72\ti4\tI2\tL0\tV0\r\n1252\tKinds\tName\tNumber\r\n\
        a\t-2\t-32767\ttab\x10line\x11\x19nul\x15\t\r\n\
        a\t2147483647\t\t\ta.2147483647.ibd\r\n\
        b\t0\t32767\tGr\xfc\xdfe \x80\tb.0.ibd\r\n";
    assert_eq!(kinds[..expect.len()], expect[..], "{}", String::from_utf8_lossy(&kinds[..expect.len()]));
    assert_eq!(
        text("_SummaryInformation"),
        b"PropertyId\tValue\r\ni2\tl255\r\n1252\t_SummaryInformation\tPropertyId\r\n1\t1252\r\n2\tGr\xfc\xdfe\r\n\
          9\t{5406B219-A1AC-4BC4-8695-72292C8195AC}\r\n12\t2020/01/02 00:53:20\r\n15\t-1\r\n"
    );
}

#[test]
fn archives_that_cannot_be_are_named() {
    for (bytes, expect) in [
        (&b""[..], "T.idt, line 3: the bytes end inside it"),
        (b"A\r\ns72", "T.idt, line 3: the bytes end inside it"),
        (b"A\ns72\n\n", "line 3: no name of a table"),
        (b"A\ns72\n99999\tT\tA\n", "code page 99999 is not supported"),
        (b"A\tB\ns72\nT\tA\n", "line 2: 1 types for 2 columns"),
        (b"A\nx72\nT\tA\n", "line 2: there is no type x72"),
        (b"A\ns72\nT\tB\n", "line 3: the key B is no column"),
        (b"A\ns72\nT\tA\na\tb\n", "line 4: 2 values for 1 columns"),
        (b"A\ni2\nT\tA\n1\n32768\n", "line 5: column A: \"32768\" is no number"),
        (b"A\ni2\nT\tA\n-\n", "line 4: column A"),
        (b"A\tB\ni2\tv0\nT\tA\n1\t../b\n", "no name of a file"),
        (b"A\tB\ni2\tv0\nT\tA\n1\tb\n", "line 4: column B: the file \"b\""),
        (b"A\ns72\n932\tT\tA\n\x81\n", "line 4: bytes that its code page does not have"),
        (
            b"PropertyId\tValue\ni2\tl255\n_SummaryInformation\tPropertyId\n12\ttoday\n",
            "property 12 cannot be \"today\"",
        ),
    ] {
        let error = import([("T.idt", bytes)], |_, _| Err(io::ErrorKind::NotFound.into())).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
    let twice = [("T.idt", &b"A\ns72\nT\tA\n"[..]), ("U.idt", b"A\ns72\nT\tA\n")];
    let error = import(twice, |_, _| unreachable!()).unwrap_err().to_string();
    assert!(error.contains("a second archive of the table T"), "{error}");
}
