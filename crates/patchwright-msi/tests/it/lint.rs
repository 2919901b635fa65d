//! What the installer will not like about a patch: one change to a sound one for each sort of it.

use std::io::{Cursor, Read, Write};

use cfb::CompoundFile;
use patchwright_msi::database::{Summary, Table, Value};
use patchwright_msi::msp::overview::overview;
use patchwright_msi::msp::{
    Cabinet, Contents, Metadata, Msp, PatchSummary, Sequence, metadata_table, sequence_table, write,
};
use patchwright_msi::transform::{Definition, RowChange, TableChange, Transform};

use crate::fixture::cabinet;
use crate::product::{bookkeeping, pair, product, summary, table};
use crate::text;

/// The parts of a patch that nothing is wrong with.
struct Parts {
    summary: PatchSummary,
    sequence: Vec<Sequence>,
    metadata: Vec<(&'static str, &'static str)>,
    main: Transform,
    second: Transform,
    cabinet: Vec<u8>,
    cabinet_name: &'static str,
}

impl Parts {
    fn sound() -> Self {
        let mut tables = bookkeeping();
        tables.deltas[0].size = 11;
        let (old, mut new) = (product("1.0.0"), product("1.1.0"));
        // What is in `Binary` makes the installer go through everything.
        new.tables.retain(|table| table.name != "Binary");
        let ([main, second], _) = pair(&old, &new, &tables);
        Self {
            summary: PatchSummary { replaces: Vec::new(), ..summary() },
            sequence: vec![Sequence { family: "App".to_owned(), ..Sequence::default() }],
            metadata: vec![("AllowRemoval", "1"), ("OptimizedInstallMode", "1")],
            main,
            second,
            cabinet: cabinet(&[("app.exe", b"PA19 header"), ("help.txt", b"help"), ("new.dll", b"dll")]),
            cabinet_name: "PCW_CAB_App",
        }
    }

    fn write(self) -> Vec<u8> {
        let metadata: Vec<Metadata> = self
            .metadata
            .iter()
            .map(|(property, value)| Metadata {
                company: None,
                property: (*property).to_owned(),
                value: Some((*value).to_owned()),
            })
            .collect();
        let tables: Vec<Table> =
            [sequence_table(&self.sequence), metadata_table(&metadata)].into_iter().flatten().collect();
        let named = [("OldToNew", self.main), ("#OldToNew", self.second)];
        let listed = |name: &str| self.summary.transforms.iter().any(|other| other == name);
        let transforms = named
            .into_iter()
            .filter(|(name, _)| listed(name))
            .map(|(name, transform)| (name.to_owned(), transform))
            .collect();
        let mut content = self.cabinet.as_slice();
        let cabinets = vec![Cabinet {
            name: self.cabinet_name.to_owned(),
            len_bytes: content.len() as u64,
            content: &mut content,
        }];
        let contents = Contents { summary: self.summary.clone(), code_page: 0, tables, transforms, cabinets };
        write(contents, Cursor::new(Vec::new())).unwrap().into_inner()
    }

    /// The row of the second transform's table whose key begins so.
    fn row(&mut self, name: &str, at: usize) -> &mut RowChange {
        &mut self.second.tables.iter_mut().find(|table| table.name == name).unwrap().rows[at]
    }

    fn set(&mut self, name: &str, at: usize, column: usize, value: Value) {
        match self.row(name, at) {
            RowChange::Insert(values) => values[column] = value,
            RowChange::Update { cells, .. } => cells.iter_mut().find(|(at, _)| *at == column).unwrap().1 = value,
            RowChange::Delete { .. } => panic!("a row that goes has no values"),
        }
    }

    /// Makes the first transform add a row to a table that it adds.
    fn adds_to(&mut self, name: &str, columns: &str, row: &[&str]) {
        let made = table(name, columns, &[row]);
        let rows = made.rows.into_iter().map(RowChange::Insert).collect();
        self.main.tables.push(TableChange {
            name: name.to_owned(),
            columns: made.columns,
            definition: Definition::Added,
            rows,
        });
        self.main.tables.sort_by(|one, other| one.name.cmp(&other.name));
    }
}

fn codes(bytes: Vec<u8>) -> Vec<&'static str> {
    let mut msp = Msp::open(Cursor::new(bytes)).unwrap();
    overview(&mut msp, None).lints.iter().map(|lint| lint.code).collect()
}

#[test]
fn a_sound_patch_is_liked() {
    assert_eq!(codes(Parts::sound().write()), Vec::<&str>::new());
}

#[test]
fn each_fault_is_told() {
    type Change = fn(&mut Parts);
    let rows: [(Change, &[&str]); 21] = [
        (|parts| parts.sequence.clear(), &["no-sequence"]),
        (|parts| parts.summary.replaces.push(crate::product::UPGRADE.to_owned()), &["obsoletion-ignored"]),
        (|parts| parts.metadata[0].1 = "0", &["not-removable"]),
        (|parts| parts.metadata.truncate(1), &["not-optimised"]),
        (|parts| parts.adds_to("TypeLib", "*LibID:s38 *Language:i2", &["x", "1"]), &["not-removable"]),
        (|parts| parts.adds_to("UIText", "*Key:s72 Text:L255", &["x", "y"]), &["not-optimised"]),
        (|parts| parts.adds_to("Verb", "*Extension_:s255", &["x"]), &["not-removable", "not-optimised"]),
        (|parts| parts.summary.product_codes = vec![crate::product::UPGRADE.to_owned()], &["unlisted-product"]),
        (|parts| parts.summary.patch_code = "none".to_owned(), &["summary-information"]),
        (|parts| parts.main.summary = Summary::default(), &["transform-summary", "transform-summary"]),
        (
            |parts| parts.summary.transforms.truncate(1),
            &[
                "half-a-pair",
                "no-patch-package",
                "no-media",
                "unused-cabinet",
                "unknown-member",
                "unknown-member",
                "unknown-member",
            ],
        ),
        (|parts| parts.set("Media", 0, 5, Value::Null), &["no-source"]),
        (|parts| parts.set("Media", 0, 0, Value::Int(32_000)), &["disk-id"]),
        (
            |parts| parts.cabinet_name = "PCW_CAB_B",
            &[
                "no-cabinet",
                "unused-cabinet",
                "file-not-in-cabinet",
                "file-not-in-cabinet",
                "file-not-in-cabinet",
                "unknown-member",
                "unknown-member",
                "unknown-member",
            ],
        ),
        (
            |parts| parts.cabinet.truncate(40),
            &["unreadable-cabinet", "file-not-in-cabinet", "file-not-in-cabinet", "file-not-in-cabinet"],
        ),
        (
            |parts| parts.cabinet = cabinet(&[("app.exe", b"PA19 header"), ("help.txt", b"help")]),
            &["file-not-in-cabinet"],
        ),
        (|parts| parts.set("File", 0, 7, Value::Int(1004)), &["file-without-disk", "unknown-member"]),
        (|parts| parts.set("Patch", 0, 2, Value::Int(12)), &["delta-size"]),
        (|parts| parts.set("Patch", 0, 4, Value::Null), &["no-header"]),
        (|parts| parts.set("Patch", 0, 0, text("help.txt")), &["file-twice", "delta-size", "unknown-member"]),
        (
            |parts| {
                parts.main.tables.push(TableChange {
                    definition: Definition::Kept,
                    ..parts
                        .main
                        .tables
                        .iter()
                        .find(|table| table.name == "Property")
                        .map(|table| TableChange { name: "Yours".to_owned(), ..table.clone() })
                        .unwrap()
                })
            },
            &["unknown-table", "not-optimised"],
        ),
    ];
    for (at, (change, expect)) in rows.into_iter().enumerate() {
        let mut parts = Parts::sound();
        change(&mut parts);
        assert_eq!(codes(parts.write()), expect, "row {at}");
    }
}

/// What our own writer refuses to write, others may.
#[test]
fn faults_that_we_do_not_write_are_told() {
    let whole = Parts::sound().write();
    let stream = |bytes: &[u8], name: &str| {
        let mut content = Vec::new();
        CompoundFile::open(Cursor::new(bytes)).unwrap().open_stream(name).unwrap().read_to_end(&mut content).unwrap();
        content
    };
    let with = |name: &str, content: &[u8]| {
        let mut file = CompoundFile::open(Cursor::new(whole.clone())).unwrap();
        let mut stream = file.create_stream(name).unwrap();
        stream.write_all(content).unwrap();
        stream.flush().unwrap();
        drop(stream);
        file.flush().unwrap();
        file.into_inner().into_inner()
    };
    // `MsiPatchSequence`, two letters to a character, after the mark of a table.
    let packed: String = "MsiPatchSequence"
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            let number = |letter: u8| match letter {
                b'0'..=b'9' => letter - b'0',
                b'A'..=b'Z' => letter - b'A' + 10,
                _ => letter - b'a' + 36,
            };
            char::from_u32(0x3800 + u32::from(number(pair[0])) + 64 * u32::from(number(pair[1]))).unwrap()
        })
        .collect();
    assert_eq!(codes(with(&format!("/\u{4840}{packed}"), b"")), ["empty-sequence"]);
    let mut fewer = Parts::sound();
    fewer.summary.transforms = vec!["OldToNew".to_owned()];
    let summary = stream(&fewer.write(), "/\u{5}SummaryInformation");
    assert_eq!(codes(with("/\u{5}SummaryInformation", &summary)), ["unlisted-transform"]);
    let pool = "/OldToNew/\u{4840}\u{3f3f}\u{4577}\u{446c}\u{3e6a}\u{44b2}\u{482f}";
    assert!(!stream(&whole, pool).is_empty());
    assert_eq!(codes(with(pool, b"odd")), ["unreadable-transform"]);

    // A signature is nothing to dislike, and no cabinet.
    let mut msp = Msp::open(Cursor::new(with("/\u{5}DigitalSignature", b"signed"))).unwrap();
    let told = overview(&mut msp, None);
    assert_eq!((told.lints, told.signature), (Vec::new(), vec![("\u{5}DigitalSignature".to_owned(), 6)]));
    let mut msp = Msp::open(Cursor::new(with("/other", b"neither table nor cabinet"))).unwrap();
    assert_eq!(overview(&mut msp, None).other_streams, [("other".to_owned(), 25)]);
}
