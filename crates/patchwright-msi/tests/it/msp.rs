//! Patches: written, read back, and refused where they are none.

use std::io::{Cursor, Read};

use patchwright_msi::database::{Database, Summary};
use patchwright_msi::msp::{Cabinet, Contents, Msp, PatchSummary, write};
use patchwright_msi::transform::info::{TransformInfo, Validation};
use patchwright_msi::transform::{ErrorConditions, Known, Transform, apply};

use crate::product::{bookkeeping, pair, patch, product, summary};

#[test]
fn what_is_written_is_read_back() {
    let cabinet: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let bytes = patch(&cabinet);
    assert_eq!(bytes, patch(&cabinet), "the same parts give the same bytes");
    let mut msp = Msp::open(Cursor::new(&bytes)).unwrap();
    assert_eq!(msp.summary().unwrap(), summary());
    assert_eq!(msp.transforms(), ["#OldToNew", "OldToNew"]);
    assert_eq!(msp.sequence().unwrap()[0].sequence.as_deref(), Some("1.1.0.0"));
    assert_eq!(msp.metadata().unwrap().len(), 3);
    assert_eq!(
        msp.parts().iter().map(|part| (part.name.as_str(), part.len_bytes)).collect::<Vec<_>>(),
        [("PCW_CAB_App", 100_000)]
    );
    let mut read = Vec::new();
    msp.stream("PCW_CAB_App").unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, cabinet);

    // Both transforms, one after the other, make the database that the patch leads to.
    let (old, new) = (product("1.0.0"), product("1.1.0"));
    let (transforms, mut patched) = pair(&old, &new, &bookkeeping());
    let mut database = old;
    for (name, expect) in ["OldToNew", "#OldToNew"].iter().zip(&transforms) {
        let transform = msp.transform(name, Known::Database(&database)).unwrap();
        assert_eq!(&transform, expect);
        // Whoever has no database reads the same, since all tables are those of the documentation.
        assert_eq!(&msp.transform(name, Known::Standard).unwrap(), expect);
        database = apply(&transform, &database, ErrorConditions::NONE).unwrap();
    }
    database.sort();
    patched.sort();
    assert_eq!(database.tables, patched.tables);
}

/// Storages get the time of the day from the container; none must be left.
#[test]
fn no_time_is_in_a_patch() {
    let bytes = patch(b"cabinet");
    let container = cfb::CompoundFile::open_strict(Cursor::new(&bytes)).unwrap();
    assert_eq!(container.version(), cfb::Version::V3);
    let none = std::time::SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(11_644_473_600);
    let mut classes = Vec::new();
    for entry in container.walk() {
        assert_eq!((entry.created(), entry.modified()), (none, none), "{:?}", entry.path());
        if !entry.is_stream() {
            classes.push((entry.name().to_owned(), entry.clsid().to_string()));
        }
    }
    classes.sort();
    let class = |name: &str, number: &str| (name.to_owned(), format!("000c10{number}-0000-0000-c000-000000000046"));
    assert_eq!(classes, [class("#OldToNew", "82"), class("OldToNew", "82"), class("Root Entry", "86")]);
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    let contents = |summary: PatchSummary, names: &[&str]| Contents {
        summary,
        code_page: 0,
        tables: Vec::new(),
        transforms: names.iter().map(|name| ((*name).to_owned(), Transform::default())).collect(),
        cabinets: Vec::new(),
    };
    let told = |contents: Contents<'_>| write(contents, Cursor::new(Vec::new())).unwrap_err().to_string();
    assert_eq!(
        told(contents(summary(), &["OldToNew", "Other", "a/b"])),
        "transform Other: the summary information does not list it\n\
         transform a/b: the summary information does not list it\n\
         transform a/b: no storage can be called so\n\
         transform #OldToNew: the summary information lists it, and it is not there"
    );
    let listed = |names: &[&str]| PatchSummary {
        transforms: names.iter().map(|name| (*name).to_owned()).collect(),
        ..summary()
    };
    let twice = ["aToB", "AToB"];
    assert!(told(contents(listed(&twice), &twice)).contains("storage AToB: there are two of this name"));
    for (len_bytes, content) in [(3, &b"four"[..]), (5, b"four")] {
        let mut content = content;
        let cabinets = vec![Cabinet { name: "PCW_CAB_A".to_owned(), len_bytes, content: &mut content }];
        let contents = Contents { cabinets, ..contents(listed(&["AToB"]), &["AToB"]) };
        assert!(told(contents).contains("stream PCW_CAB_A: its"), "{len_bytes}");
    }
    let mut contents = contents(listed(&["AToB"]), &["AToB"]);
    contents.tables = vec![crate::product::table("MsiPatchSequence", "*PatchFamily:s0", &[])];
    assert!(
        told(contents).contains("table MsiPatchSequence: Windows Installer refuses a patch whose table has no rows")
    );
}

#[test]
fn what_is_no_patch_is_refused() {
    let transform = pair(&product("1.0.0"), &product("1.1.0"), &bookkeeping()).0[0].write().unwrap();
    for (bytes, expect) in [
        (
            product("1.0.0").write().unwrap(),
            "class of the file: it is that of an installer or another database, not that of a patch",
        ),
        (transform, "class of the file: it is that of a transform, not that of a patch"),
        (b"no compound file at all".to_vec(), "not a Windows Installer database"),
    ] {
        let error = Msp::open(Cursor::new(bytes)).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
    let told = PatchSummary::read(&Summary::default()).unwrap_err().to_string();
    assert_eq!(told.lines().count(), 3, "{told}");
}

/// Which transforms of a patch apply to which product.
#[test]
fn a_transform_says_which_products_it_is_for() {
    let info = |flags, change: fn(&mut Database)| {
        let (old, new) = (product("1.0.5.1"), product("1.1.0"));
        let made = TransformInfo::of(&old, &new, Validation(flags), ErrorConditions::OF_PATCHES).unwrap();
        let read = TransformInfo::read(&made.summary(&new.summary)).unwrap();
        assert_eq!(
            (&read.base.code, &read.base.version, &read.validation),
            (&made.base.code, &made.base.version, &made.validation)
        );
        let mut own = product("1.0.5.9");
        change(&mut own);
        let own = patchwright_msi::transform::info::Product::of(&own).unwrap();
        read.mismatches(&own).iter().map(|mismatch| mismatch.what).collect::<Vec<_>>().join(", ")
    };
    fn set(database: &mut Database, name: &str, value: &str) {
        let table = database.tables.iter_mut().find(|table| table.name == "Property").unwrap();
        table.rows.iter_mut().find(|row| row[0].to_string() == name).unwrap()[1] = crate::text(value);
    }
    let version = |version: &'static str| -> fn(&mut Database) {
        match version {
            "1.0.4" => |database| set(database, "ProductVersion", "1.0.4"),
            "1.0.6" => |database| set(database, "ProductVersion", "1.0.6"),
            "1.9.0" => |database| set(database, "ProductVersion", "1.9"),
            _ => |_| (),
        }
    };
    for (flags, change, expect) in [
        (0x0922, version(""), ""),
        // The fourth field counts for nothing.
        (0x0120, version("1.0.4"), "version"),
        (0x0110, version("1.0.4"), ""),
        (0x0108, version("1.9.0"), ""),
        (0x0110, version("1.9.0"), "version"),
        // What is compared is the product with the base: less, less or equal, greater or equal, greater.
        (0x0060, version("1.0.4"), ""),
        (0x0060, version(""), "version"),
        (0x00a0, version(""), ""),
        (0x00a0, version("1.0.6"), "version"),
        (0x0220, version(""), ""),
        (0x0220, version("1.0.4"), "version"),
        (0x0420, version("1.0.6"), ""),
        (0x0420, version(""), "version"),
        (0x0000, |database: &mut Database| set(database, "ProductCode", crate::product::UPGRADE), ""),
        (0x0002, |database: &mut Database| set(database, "ProductCode", crate::product::UPGRADE), "product code"),
        (
            0x0802,
            |database: &mut Database| {
                set(database, "ProductCode", crate::product::UPGRADE);
                set(database, "UpgradeCode", crate::product::PRODUCT);
            },
            "product code, upgrade code",
        ),
    ] as [(u16, fn(&mut Database), &str); 16]
    {
        assert_eq!(info(flags, change), expect, "{flags:#06x}");
    }
}

/// Cut short anywhere, or with any byte changed, a patch is read or refused.
#[test]
fn damage_is_an_error() {
    let whole = patch(&[7; 300]);
    let read = |bytes: &[u8]| -> patchwright_msi::Result<()> {
        let mut msp = Msp::open(Cursor::new(bytes))?;
        let _ = (msp.summary(), msp.sequence(), msp.metadata());
        for name in msp.transforms().to_vec() {
            let _ = msp.transform(&name, Known::Standard)?;
        }
        for part in msp.parts().to_vec() {
            let mut read = Vec::new();
            let _ = msp.stream(&part.name)?.take(part.len_bytes).read_to_end(&mut read);
        }
        Ok(())
    };
    assert!(read(&whole).is_ok());
    for len in (0..whole.len()).step_by(211) {
        if let Err(error) = read(&whole[..len]) {
            assert!(!error.structure.is_empty(), "{len}");
        }
    }
    for at in (0..whole.len()).step_by(5) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x41;
        if let Err(error) = read(&damaged) {
            assert!(!error.structure.is_empty(), "byte {at}");
        }
    }
}

/// A stream that claims to be longer than the file is refused before anything is read of it.
#[test]
fn lengths_are_believed_against_the_file_only() {
    let whole = patch(&[7; 5000]);
    // The entry of the directory that has the stream of the cabinet: its name in 64 bytes, its length at byte 120.
    let packed: Vec<u8> = {
        let container = cfb::CompoundFile::open(Cursor::new(&whole)).unwrap();
        let entry = container.read_root_storage().find(|entry| entry.len() == 5000).unwrap();
        entry.name().encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let at = whole.windows(packed.len()).position(|found| found == packed).unwrap();
    let open = |len: u32| {
        let mut claims = whole.clone();
        claims[at + 120..at + 124].copy_from_slice(&len.to_le_bytes());
        Msp::open(Cursor::new(claims)).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(open(5000), Ok(()));
    for len in [20_000, 0x7000_0000] {
        let told = open(len).unwrap_err();
        assert!(told.contains("its streams have") || told.contains("compound file"), "{told}");
    }
}
