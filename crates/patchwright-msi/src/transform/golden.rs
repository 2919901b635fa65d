//! Transforms byte by byte, from the rules in `docs/formats/transform.md`.
//!
//! Each stream is spelled in words of two bytes. The texts of a transform are numbered from 1 in the order of their characters.

use std::io::Cursor;

use super::{Definition, ErrorConditions, Known, RowChange, Rules, Transform, apply, diff};
use crate::container::{Container, encoded};
use crate::database::{Column, ColumnKind, Database, Table, Value};

fn column(name: &str, kind: ColumnKind, key: bool, nullable: bool) -> Column {
    Column { name: name.to_owned(), kind, nullable, key, localizable: false }
}

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

fn table(name: &str, columns: &[Column], rows: &[&[Value]]) -> Table {
    Table { name: name.to_owned(), columns: columns.to_vec(), rows: rows.iter().map(|row| row.to_vec()).collect() }
}

fn database(tables: Vec<Table>) -> Database {
    Database { tables, ..Database::default() }
}

/// A number of a small file table; a picture beside it.
fn old() -> Database {
    let files = [
        column("Name", ColumnKind::Text(72), true, false),
        column("Size", ColumnKind::Int32, false, false),
        column("Order", ColumnKind::Int16, false, true),
    ];
    let pictures = [column("Id", ColumnKind::Int16, true, false), column("Data", ColumnKind::Binary, false, true)];
    database(vec![
        table(
            "Files",
            &files,
            &[
                &[text("a"), Value::Int(1000), Value::Int(1)],
                &[text("b"), Value::Int(2000), Value::Int(2)],
                &[text("c"), Value::Int(3000), Value::Null],
            ],
        ),
        table("Pictures", &pictures, &[&[Value::Int(1), Value::Binary(vec![1])]]),
    ])
}

/// `a` grows, `b` goes, `c` gets a number and a value in a new column, `d` comes; a picture comes; so does a table.
fn new() -> Database {
    let mut new = old();
    let files = &mut new.tables[0];
    files.columns.push(column("Note", ColumnKind::Text(0), false, true));
    files.rows = vec![
        vec![text("a"), Value::Int(1002), Value::Int(1), Value::Null],
        vec![text("c"), Value::Int(3000), Value::Int(3), text("last")],
        vec![text("d"), Value::Int(-1), Value::Null, Value::Null],
    ];
    new.tables[1].rows.push(vec![Value::Int(2), Value::Binary(b"two".to_vec())]);
    let extra = [column("Key", ColumnKind::Text(38), true, false), column("Number", ColumnKind::Int16, false, false)];
    new.tables.insert(0, table("Extra", &extra, &[&[text("a"), Value::Int(5)]]));
    new
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The streams of a transform but for its summary information, by name.
fn streams(transform: &Transform) -> Vec<(String, Vec<u8>)> {
    let streams = transform.streams().unwrap().into_iter().skip(1);
    streams.map(|stream| (stream.name, stream.bytes)).collect()
}

#[test]
fn every_sort_of_change() {
    let transform = diff(&old(), &new(), &Rules::default()).unwrap().transform;
    let [extra, files, key, note, number, a, b, c, d, last] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    let (strings, lengths) = (
        "ExtraFilesKeyNoteNumberabcdlast",
        [(5, 3), (5, 1), (3, 1), (4, 1), (6, 1), (1, 2), (1, 1), (1, 1), (1, 1), (4, 1)],
    );
    // The header: code page 0, numbers of two bytes. Then length and uses of each text.
    let pool = [0, 0].into_iter().chain(lengths.into_iter().flat_map(|(len, uses)| [len, uses])).collect::<Vec<u16>>();
    let expect = [
        // A row with one column: the name of the new table.
        ("_Tables", words(&[0x0101, extra])),
        (
            "_Columns",
            words(&[
                // Rows with four columns: table, no number, name, type less 0x8000 (s38 and key; i2). Columns are counted.
                0x0401, extra, 0, key, 0xad26, 0x0401, extra, 0, number, 0x8502,
                // A new column of an old table has its number: 4. Its type is S0.
                0x0401, files, 0x8004, note, 0x9d00,
            ]),
        ),
        // A row with two columns. Numbers of two bytes are stored with 0x8000 added.
        ("Extra", words(&[0x0201, a, 0x8005])),
        (
            "Files",
            words(&[
                // Bit 1: the second column changes. The key, then a number of four bytes whose highest bit is turned: 1002.
                0x0002, a, 1002, 0x8000, // Nothing changes: the row with this key goes.
                0x0000, b, // Bits 2 and 3.
                0x000c, c, 0x8003, last, // A row with four columns; -1; two without a value.
                0x0401, d, 0xffff, 0x7fff, 0, 0,
            ]),
        ),
        // 1 stands for a stream, which is called by the table and the key.
        ("Pictures", words(&[0x0201, 0x8002, 1])),
        ("_StringPool", words(&pool)),
        ("_StringData", strings.as_bytes().to_vec()),
        ("Pictures.2", b"two".to_vec()),
    ];
    let expect: Vec<(String, Vec<u8>)> = expect.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    assert_eq!(streams(&transform), expect);
    assert_eq!(apply(&transform, &old(), ErrorConditions::NONE).unwrap().tables, new().tables);
}

/// The name of the stream of a cell is packed like that of any stream, and has no mark of a table.
#[test]
fn names_in_the_container() {
    let transform = diff(&old(), &new(), &Rules::default()).unwrap().transform;
    let raw: Vec<Vec<u16>> =
        transform.streams().unwrap().iter().map(|stream| stream.raw.encode_utf16().collect()).collect();
    assert_eq!(raw[1], [0x4840, 0x3f7f, 0x4164, 0x422f, 0x4836]);
    let [p_i, c_t, u_r, e_s, dot_2] = [
        0x3800 + 25 + 64 * 44,
        0x3800 + 38 + 64 * 55,
        0x3800 + 56 + 64 * 53,
        0x3800 + 40 + 64 * 54,
        0x3800 + 62 + 64 * 2,
    ];
    assert_eq!(raw.last().unwrap()[..], [p_i, c_t, u_r, e_s, dot_2]);
}

/// A table that goes: its row in `_Tables` and those of its columns go, its rows are not mentioned.
#[test]
fn a_table_goes() {
    let mut without = old();
    without.tables.remove(1);
    let transform = diff(&old(), &without, &Rules::default()).unwrap().transform;
    assert_eq!(
        streams(&transform)[..2],
        [("_Tables".to_owned(), words(&[0, 1])), ("_Columns".to_owned(), words(&[0, 1, 0x8001, 0, 1, 0x8002])),]
    );
    assert_eq!(transform.tables[0].definition, Definition::Dropped);
    assert_eq!(apply(&transform, &old(), ErrorConditions::NONE).unwrap().tables, without.tables);
}

/// A word has sixteen bits: where a column after the sixteenth changes, or a first one that is no key, the row is given whole.
#[test]
fn rows_that_no_word_describes() {
    for (count, keys_from, at, whole) in [(17, 0, 15, false), (17, 0, 16, true), (3, 1, 0, true), (3, 1, 2, false)] {
        let columns: Vec<Column> =
            (0..count).map(|at| column(&format!("C{at}"), ColumnKind::Int16, at == keys_from, true)).collect();
        let row: Vec<Value> = (1..=count).map(Value::Int).collect();
        let mut changed = row.clone();
        changed[at] = Value::Int(100);
        let (old, new) =
            (database(vec![table("T", &columns, &[&row])]), database(vec![table("T", &columns, &[&changed])]));
        let transform = diff(&old, &new, &Rules::default()).unwrap().transform;
        let expect = if whole {
            RowChange::Insert(changed)
        } else {
            RowChange::Update { key: vec![Value::Int(keys_from + 1)], cells: vec![(at, Value::Int(100))] }
        };
        assert_eq!(transform.tables[0].rows, [expect]);
        let word = if whole { u16::try_from(count).unwrap() << 8 | 1 } else { 1 << at };
        assert_eq!(streams(&transform)[0].1[..2], word.to_le_bytes());
        assert_eq!(apply(&transform, &old, ErrorConditions::OF_PATCHES).unwrap().tables, new.tables);
    }
}

/// Beyond 65,535 texts their numbers take three bytes, and the header says so, whatever the database has.
#[test]
fn many_texts() {
    let columns = [column("K", ColumnKind::Text(0), true, false)];
    let rows: Vec<Vec<Value>> = (0..0x1_0000).map(|number| vec![text(&format!("{number:05x}"))]).collect();
    let new = Table { name: "T".to_owned(), columns: columns.to_vec(), rows };
    let old = database(vec![Table { rows: Vec::new(), ..new.clone() }]);
    let transform = diff(&old, &database(vec![new]), &Rules::default()).unwrap().transform;
    let streams = streams(&transform);
    assert_eq!(streams[0].1[..10], [0x01, 0x01, 0x01, 0x00, 0x00, 0x01, 0x01, 0x02, 0x00, 0x00]);
    assert_eq!(streams[1].1[..4], [0, 0, 0, 0x80]);
}

/// A transform made by hand: texts in the order of their numbers, an empty one being a number that is free, and streams in
/// words. Names that begin with `+` are those of cells.
fn read(texts: &[&str], streams: &[(&str, &[u16])], base: &Database) -> crate::Result<Transform> {
    let mut pool = vec![0; 4];
    let mut data = String::new();
    for text in texts {
        match u16::try_from(text.len()) {
            Ok(0) => pool.extend([0; 4]),
            // Uses that nobody counted are tolerated.
            Ok(len) => pool.extend([len.to_le_bytes(), [9, 0]].concat()),
            Err(_) => {
                pool.extend([0, 0, 1, 0]);
                pool.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
            }
        }
        data.push_str(text);
    }
    let file = Cursor::new(Vec::new());
    let mut container = Container::create(file, cfb::Version::V3, crate::container::TRANSFORM).unwrap();
    let mut put = |name: &str, bytes: &[u8]| {
        let (name, table) = name.strip_prefix('+').map_or((name, true), |name| (name, false));
        container.put(None, name, &encoded(name, table).unwrap(), bytes).unwrap();
    };
    put("_StringPool", &pool);
    put("_StringData", data.as_bytes());
    streams.iter().for_each(|(name, stream)| put(name, &words(stream)));
    Transform::read(container.finish().unwrap(), Known::Database(base))
}

/// What others write and we do not: columns of several tables among each other, keys that are not at the front of a list of
/// rows sorted otherwise, numbers of texts that are free, long texts, rows that are cut short, keys named in the word.
#[test]
fn what_others_write_is_read() {
    let long = "long ".repeat(14_000);
    // 1 Files, 2 Note, 3 free, 4 Extra, 5 Key, 6 Number, 7 long, 8 b, 9 a
    let texts = ["Files", "Note", "", "Extra", "Key", "Number", &long, "b", "a"];
    let streams: [(&str, &[u16]); 4] = [
        ("_Tables", &[0x0101, 4]),
        ("_Columns", &[0x0401, 4, 0, 5, 0xad26, 0x0401, 1, 0x8004, 2, 0x9d00, 0x0401, 4, 0, 6, 0x8502]),
        ("Extra", &[0x0101, 8, 0x0201, 9, 0x8000]),
        // The key's own bit cannot be set; that of the column after the last change is.
        ("Files", &[0x0008, 8, 7, 0x0000, 9]),
    ];
    let transform = read(&texts, &streams, &old()).unwrap();
    assert_eq!(transform.undecoded, []);
    let [extra, files] = &transform.tables[..] else { panic!("{transform:?}") };
    assert_eq!((extra.definition, files.definition), (Definition::Added, Definition::Widened(3)));
    assert_eq!(extra.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["Key", "Number"]);
    let a = || vec![text("a")];
    assert_eq!(extra.rows, [RowChange::Insert(vec![text("a"), Value::Int(0)]), RowChange::Insert(vec![text("b")])]);
    assert_eq!(
        files.rows,
        [RowChange::Delete { key: a() }, RowChange::Update { key: vec![text("b")], cells: vec![(3, text(&long))] },]
    );
    let result = apply(&transform, &old(), ErrorConditions::NONE).unwrap();
    assert_eq!(result.table("Extra").unwrap().rows[1], [text("b"), Value::Null]);
    assert_eq!(result.table("Files").unwrap().rows[0][3], text(&long));
}

#[test]
fn what_cannot_be_is_told_with_its_place() {
    let texts = ["Files", "a", "Note", "Pictures", "b"];
    let row: [u16; 5] = [0x0301, 2, 0, 0x8000, 0];
    type Row<'a> = (&'a [(&'a str, &'a [u16])], &'a str);
    let rows: [Row<'_>; 21] = [
        (&[("Files", &[0x0002])], "table Files, offset 0x2: the bytes end inside it"),
        (&[("Files", &[0x0002, 2, 1])], "table Files, offset 0x4: the bytes end inside it"),
        (&[("Files", &[0x0401, 2, 0, 0x8000, 0, 0])], "table Files, offset 0x0: a row of 4 columns in a table of 3"),
        (
            &[("Files", &[row[0], row[1], row[2], row[3], row[4], 0xff01])],
            "table Files, offset 0xa: a row of 255 columns in a table of 3",
        ),
        (&[("Files", &[0x0001])], "table Files, offset 0x0: a row of 0 columns in a table of 3"),
        (&[("Files", &[0x0008, 2, 0])], "table Files, offset 0x0: the word 0x0008 names a column after the 3"),
        (&[("Files", &[0x8002, 2, 0, 0])], "table Files, offset 0x0: the word 0x8002 names a column after the 3"),
        (&[("Files", &[0x0000, 6])], "table Files, offset 0x2: column Name: there is no text 6"),
        (&[("Files", &[0x0000, 2, 0x0000, 2])], "table Files: two rows have the key a"),
        (&[("Pictures", &[0x0201, 0x8002, 1])], "table Pictures: the stream Pictures.2 is missing"),
        (&[("_Tables", &[0x0101, 0])], "table _Tables: a row without a name"),
        (&[("_Tables", &[0x0002, 2])], "table _Tables, offset 0x0: the word 0x0002 names a column after the 1"),
        (&[("_Tables", &[0x0101, 3])], "table Note: a new table without columns"),
        (&[("_Columns", &[0x0401, 1, 0x8004, 3, 0])], "table _Columns, table Files: column Note has no type"),
        (&[("_Columns", &[0x0401, 1, 0x8004, 3, 0x8103])], "table _Columns, table Files: column Note has the type"),
        (
            &[("_Columns", &[0x0401, 1, 0x8005, 3, 0x8502])],
            "table _Columns, table Files: column Note is not the one after 3",
        ),
        (&[("_Columns", &[0x0401, 1, 0x7fff, 3, 0x8502])], "table _Columns, table Files: the number -1 of a column"),
        (
            &[("_Columns", &[0x0401, 1, 0x8004, 3, 0x8502, 0x0401, 1, 0x8005, 3, 0x8502])],
            "table _Columns, table Files: two columns are called Note",
        ),
        (
            &[("_Columns", &[0x0000, 1, 0x8003])],
            "table _Columns, table Files: a column that goes from a table that stays is not supported",
        ),
        (
            &[("_Columns", &[0x0008, 1, 0x8003, 0x8502])],
            "table _Columns, table Files: a column that changes its type is not supported",
        ),
        (&[("_Tables", &[0x0101, 3]), ("_Columns", &[0x0401, 3, 0, 2, 0x8502])], "table Note: no column is the key"),
    ];
    for (streams, expect) in rows {
        let told = read(&texts, streams, &old()).unwrap_err().to_string();
        assert!(told.starts_with(expect), "{told}\n{expect}");
    }
}

/// A small file whose rows would fill the memory with copies of one text.
#[test]
fn texts_are_not_copied_without_limit() {
    let long = "x".repeat(1 << 20);
    let rows: Vec<u16> = (1..200).flat_map(|number| [0x0201, 0x8000 + number, 1]).collect();
    let columns = [column("K", ColumnKind::Int16, true, false), column("T", ColumnKind::Text(0), false, true)];
    let base = database(vec![table("T", &columns, &[])]);
    assert!(read(&[&long], &[("T", &rows[..3 * 60])], &base).is_ok());
    let told = read(&[&long], &[("T", &rows)], &base).unwrap_err().to_string();
    assert!(told.contains("or its copies are too many"), "{told}");
}
