//! Where the files of an image are, how they are found, and what comes out of cabinets.

use std::io::Read;

use patchwright_msi::database::Property;
use patchwright_msi::image::{Facts, FaultKind, Hash, Image, Opened, Options, Place, Store};

use crate::cabinets::{Cabinet, Compression, File, Rest, sample, set};
use crate::check::{Add, Change, Remove, Set, change};
use crate::world::{Folder, folder, installer};

const CODE: &str = "{00000000-0000-0000-0000-0000000000A1}";

fn image(word_count: i32, changes: &[Change]) -> Image {
    let mut database = installer("1.0.0", CODE);
    database.summary.properties.insert(15, Property::I4(word_count));
    change(&mut database, changes);
    Image::read(database)
}

fn open(image: Image, folder: Folder) -> Opened {
    Opened::open(image, Box::new(folder), Options::default())
}

fn read(opened: &Opened, key: &str) -> Result<Vec<u8>, FaultKind> {
    let mut bytes = Vec::new();
    opened.content(key)?.read_to_end(&mut bytes).unwrap();
    Ok(bytes)
}

fn faults(opened: &Opened) -> Vec<String> {
    opened.faults().map(|(file, fault)| format!("{}: {fault}", file.key)).collect()
}

#[test]
fn tables_say_where_files_are() {
    let image = image(0, &[]);
    let Ok(Place::Folder(path)) = &image.file("help").unwrap().place else { panic!("in a folder") };
    let long: Vec<&str> = path.iter().map(|name| name.long.as_str()).collect();
    assert_eq!(long, ["Programs", "Note Pad", "Help Files"]);
    assert_eq!(path[0].short.as_deref(), Some("PROGRA~1"));
    let product = &image.product;
    assert_eq!((product.version.as_deref(), product.language.as_deref()), (Some("1.0.0"), Some("1033")));
    assert_eq!((product.package_code.as_deref(), product.template.as_deref()), (Some(CODE), Some("x64;1033")));
    assert_eq!((image.last_sequence(), image.last_disk_id()), (3, 1));
}

#[test]
fn the_word_count_and_the_row_say_whether_a_file_is_in_a_cabinet() {
    for (word_count, attributes, compressed) in [
        (0, 0, false),
        (2, 0, true),
        (2, 0x2000, false),
        (0, 0x4000, true),
        (2, 0x6000, false),
        (4, 0, false),
        (6, 0, false),
        (6, 0x4000, false),
    ] {
        let image = image(word_count, &[Set("File", "lib", "Attributes", &*attributes.to_string().leak())]);
        let place = &image.file("lib").unwrap().place;
        assert_eq!(*place == Err(FaultKind::NoCabinet(2)), compressed, "{word_count}, {attributes:#x}: {place:?}");
    }
}

/// The first medium by number that reaches to a file has it, also where a later one ends before it.
#[test]
fn media_are_found_by_sequence() {
    let media: Vec<Change> = [["2", "10"], ["3", "5"], ["4", "20"]]
        .map(|[disk, last]| Add("Media", Box::leak(Box::new([disk, last, "", &*format!("{disk}.cab").leak()]))))
        .into();
    for (sequence, disk) in
        [("-1", Some(1)), ("3", Some(1)), ("4", Some(2)), ("10", Some(2)), ("11", Some(4)), ("21", None)]
    {
        let image = image(0, &[media.clone(), vec![Set("File", "lib", "Sequence", sequence)]].concat());
        assert_eq!(image.file("lib").unwrap().disk_id, disk, "{sequence}");
    }
}

/// Names are found as Windows finds them: long or short, in any case, but never one for another.
#[test]
fn names_are_found_as_windows_finds_them() {
    let path = "Programs/Note Pad/Application.exe";
    for (name, word_count, expect) in [
        (path, 0, None),
        ("programs/NOTE PAD/application.EXE", 0, None),
        ("PROGRA~1/NOTEPA~1/APPLIC~1.EXE", 1, None),
        ("PROGRA~1/NOTEPA~1/APPLIC~1.EXE", 0, None),
        (path, 1, None),
        ("Programs/Note Pad/Applications.exe", 0, Some("app: Programs/Note Pad/Application.exe is missing")),
    ] {
        let files = [(name.to_owned(), b"old app.".to_vec())];
        let opened = open(image(word_count, &[]), Folder { files: files.into(), ..Folder::default() });
        match expect {
            None => assert_eq!(read(&opened, "app").unwrap(), b"old app.", "{name}"),
            Some(fault) => assert_eq!(faults(&opened)[0], fault),
        }
    }
    let mut several = folder("old app.");
    several.files.insert("Programs/Note Pad/application.EXE".to_owned(), b"other".to_vec());
    assert_eq!(read(&open(image(0, &[]), several.clone()), "app").unwrap(), b"old app.", "spelled the same");
    several.files.remove(path);
    several.files.insert("Programs/Note Pad/APPLICATION.exe".to_owned(), b"another".to_vec());
    let opened = open(image(0, &[]), several);
    assert_eq!(faults(&opened), ["app: APPLICATION.exe and application.EXE differ in case alone"]);
}

/// A name of a table cannot lead out of the image, however it is spelled.
#[test]
fn names_do_not_lead_out() {
    for name in ["..", "../..", "/etc", "a/b", "C:", "nul", "x|..", "..|x", ".."] {
        for (table, row, column) in [("File", "lib", "FileName"), ("Directory", "NotePad", "DefaultDir")] {
            let name: &'static str = name.to_owned().leak();
            let image = image(0, &[Set(table, row, column, name)]);
            let place = &image.file("lib").unwrap().place;
            assert!(matches!(place, Err(FaultKind::BadName(_))), "{name}: {place:?}");
        }
    }
    let image = image(2, &[Set("Media", "1", "Cabinet", "../x.cab")]);
    assert_eq!(image.file("lib").unwrap().place, Err(FaultKind::BadName("../x.cab".to_owned())));
}

/// An image whose files are in a cabinet that stands beside it, or in it.
fn packed(cabinets: &[(&str, Vec<u8>)], name: &'static str, changes: Vec<Change>) -> Opened {
    let mut folder = Folder::default();
    for (name, bytes) in cabinets {
        match name.strip_prefix('#') {
            Some(stream) => folder.streams.insert(stream.to_owned(), bytes.clone()),
            None => folder.files.insert((*name).to_owned(), bytes.clone()),
        };
    }
    let changes: Vec<Change> = [Set("Media", "1", "Cabinet", name)].into_iter().chain(changes).collect();
    open(image(2, &changes), folder)
}

/// Contents of the three files.
fn contents() -> [(&'static str, Vec<u8>); 3] {
    [("app", sample(100_000, 3)), ("lib", sample(39_993, 5)), ("help", b"help!".to_vec())]
}

fn sizes() -> Vec<Change> {
    vec![Set("File", "app", "FileSize", "100000"), Set("File", "lib", "FileSize", "39993")]
}

fn listed<'a>(contents: &'a [(&'static str, Vec<u8>); 3]) -> Vec<(&'static str, &'a [u8])> {
    contents.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect()
}

#[test]
fn files_come_out_of_cabinets() {
    let contents = contents();
    for compression in [Compression::Stored, Compression::Mszip, Compression::Lzx(17)] {
        for (reserve, name) in [([0, 0, 0], "#data"), ([5, 3, 2], "Data.cab")] {
            let cabinet = Cabinet { reserve, ..Cabinet::of(&listed(&contents), compression) };
            let opened = packed(&[(name, cabinet.bytes())], name, sizes());
            assert_eq!(faults(&opened), Vec::<String>::new(), "{compression:?}");
            for (key, bytes) in &contents {
                assert!(read(&opened, key).unwrap() == *bytes, "{compression:?}: {key}");
            }
        }
    }
    // The writer of the `cab` crate, with several folders.
    let mut builder = cab::CabinetBuilder::new();
    builder.add_folder(cab::CompressionType::MsZip).add_file("help");
    let last = builder.add_folder(cab::CompressionType::None);
    last.add_file("app");
    last.add_file("lib");
    let mut writer = builder.build(std::io::Cursor::new(Vec::new())).unwrap();
    while let Some(mut file) = writer.next_file().unwrap() {
        let bytes = &contents.iter().find(|(key, _)| *key == file.file_name()).unwrap().1;
        std::io::Write::write_all(&mut file, bytes).unwrap();
    }
    let opened = packed(&[("#data", writer.finish().unwrap().into_inner())], "#data", sizes());
    for (key, bytes) in &contents {
        assert!(read(&opened, key).unwrap() == *bytes, "{key}");
    }
}

/// A folder over three cabinets, cut in the middle of blocks; `app` runs through all of them.
#[test]
fn files_come_out_of_cabinets_that_continue_each_other() {
    let contents = contents();
    let media =
        || [vec![Set("Media", "1", "LastSequence", "1"), Add("Media", &["2", "3", "", "three.cab"])], sizes()].concat();
    for compression in [Compression::Stored, Compression::Mszip, Compression::Lzx(17)] {
        for rest in [Rest::SameFolder, Rest::SameFolderFromPrevious, Rest::OwnFolder] {
            let cabinets = set(&listed(&contents), compression, rest);
            let opened = packed(&cabinets, "one.cab", media());
            assert_eq!(faults(&opened), Vec::<String>::new(), "{compression:?}, {rest:?}");
            for (key, bytes) in &contents {
                assert!(read(&opened, key).unwrap() == *bytes, "{compression:?}, {rest:?}: {key}");
            }
            // Without the one in the middle.
            let opened = packed(&[cabinets[0].clone(), cabinets[2].clone()], "one.cab", media());
            let expect = ["app", "help", "lib"].map(|key| format!("{key}: cabinet two.cab is missing"));
            assert_eq!(faults(&opened), expect);
        }
    }
}

/// Equal files may lie in a cabinet once.
#[test]
fn files_may_share_their_bytes() {
    let bytes = sample(50_000, 3);
    let mut cabinet = Cabinet::of(&[("app", &bytes), ("help", b"help!")], Compression::Mszip);
    cabinet.files.push(File { name: "lib", ..cabinet.files[0].clone() });
    let sizes = vec![Set("File", "app", "FileSize", "50000"), Set("File", "lib", "FileSize", "50000")];
    let opened = packed(&[("#data", cabinet.bytes())], "#data", sizes);
    assert_eq!(faults(&opened), Vec::<String>::new());
    assert!(read(&opened, "lib").unwrap() == bytes && read(&opened, "app").unwrap() == bytes);
}

/// Thousands of files in one block, some of them empty.
#[test]
fn many_small_files_come_out() {
    let names: Vec<&'static str> = (0..3000).map(|number| &*format!("f{number:04}").leak()).collect();
    let content = |name: &str| if name.ends_with('7') { Vec::new() } else { name.as_bytes().to_vec() };
    let contents: Vec<Vec<u8>> = names.iter().map(|name| content(name)).collect();
    let files: Vec<(&'static str, &[u8])> = names.iter().copied().zip(contents.iter().map(Vec::as_slice)).collect();
    let rows = names.iter().map(|name| {
        let size = if name.ends_with('7') { "0" } else { "5" };
        Add("File", Box::leak(Box::new([*name, "Main", *name, size, "", "", "", "1"])))
    });
    let known = [Remove("File", "app"), Remove("File", "lib"), Remove("File", "help")];
    let opened = packed(
        &[("#data", Cabinet::of(&files, Compression::Mszip).bytes())],
        "#data",
        known.into_iter().chain(rows).collect(),
    );
    assert_eq!(faults(&opened), Vec::<String>::new());
    for name in names {
        assert_eq!(read(&opened, name).unwrap(), content(name));
    }
}

#[test]
fn what_comes_out_is_what_the_tables_state() {
    let contents = contents();
    let cabinet = |compression| Cabinet::of(&listed(&contents), compression);
    let bytes = cabinet(Compression::Mszip).bytes();
    let hash = |parts: [&'static str; 4]| {
        Add("MsiFileHash", Box::leak(Box::new(["help", "0", parts[0], parts[1], parts[2], parts[3]])))
    };
    let with = |change: Change| [sizes(), vec![change]].concat();
    let mut without_help = cabinet(Compression::Stored);
    without_help.files.pop();
    let mut quantum = cabinet(Compression::Stored);
    quantum.folders[0].compression = 2;
    let mut sum = bytes.clone();
    *sum.last_mut().unwrap() ^= 1;
    let loop_ = Cabinet { next: Some("data.cab"), ..cabinet(Compression::Stored) }.bytes();
    for (name, bytes, changes, expect) in [
        (
            "#data",
            bytes.clone(),
            with(hash(["-1", "2", "3", "4"])),
            vec!["help: the content is not the one that MsiFileHash has the hash of"],
        ),
        ("#data", bytes.clone(), with(Set("File", "help", "FileSize", "6")), vec!["help: 5 bytes; FileSize says 6"]),
        ("#data", without_help.bytes(), sizes(), vec!["help: it is not in the cabinet #data"]),
        (
            "data.cab",
            bytes[..bytes.len() - 1].to_vec(),
            sizes(),
            vec!["app: cabinet data.cab: the bytes end inside it"; 1],
        ),
        ("data.cab", sum, sizes(), vec!["app: cabinet data.cab: a block with another checksum than it states"]),
        (
            "data.cab",
            quantum.bytes(),
            sizes(),
            vec!["app: cabinet data.cab: Quantum compression is not supported by this version"],
        ),
        ("data.cab", b"no cabinet".to_vec(), sizes(), vec!["app: cabinet data.cab: the bytes end inside it"]),
        ("data.cab", vec![0; 100], sizes(), vec!["app: cabinet data.cab: it does not begin as a cabinet does"]),
        ("data.cab", loop_, sizes(), vec!["app: cabinet data.cab: the cabinets before and after it have no end"]),
    ] {
        let opened = packed(&[(name, bytes)], name, changes);
        let found = faults(&opened);
        assert_eq!(found[..expect.len()], expect, "{found:?}");
    }
    let opened = packed(&[], "#data", vec![]);
    assert_eq!(faults(&opened)[0], "app: cabinet data is missing");
}

/// Cut anywhere, or with any byte changed, a cabinet gives files or faults; it never fails otherwise.
#[test]
fn damaged_cabinets_are_faults() {
    let small = [("app", &b"old app."[..]), ("lib", b"lib."), ("help", b"help!")];
    for compression in [Compression::Stored, Compression::Mszip, Compression::Lzx(17)] {
        let whole = Cabinet::of(&small, compression).bytes();
        for len in 0..whole.len() {
            let opened = packed(&[("#data", whole[..len].to_vec())], "#data", vec![]);
            assert_eq!(faults(&opened).len(), 3, "{compression:?}: {len}");
        }
        for at in 0..whole.len() {
            for mask in [1, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= mask;
                faults(&packed(&[("#data", damaged)], "#data", vec![]));
            }
        }
    }
}

#[test]
fn facts_are_those_of_the_content() {
    let opened = open(image(0, &[]), folder("old app."));
    let facts = opened.facts("help").unwrap();
    assert_eq!(facts.hash.to_string(), "eac29409efdc871088a8864d8f346c05");
    assert_eq!((facts.size, facts.version), (5, None));
    let store: &dyn Store = &folder("x");
    assert_eq!(store.list(&[]).unwrap(), ["Programs"]);
    let empty = Facts::of(&mut std::io::Cursor::new(Vec::new())).unwrap();
    assert_eq!(
        empty.hash,
        Hash::from_md5([
            0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04, 0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42, 0x7e
        ])
    );
    assert_eq!(empty.hash.0[0], i32::from_le_bytes([0xd4, 0x1d, 0x8c, 0xd9]));
}
