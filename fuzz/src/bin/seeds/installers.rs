//! Databases of Windows Installer, patches of them, and transforms.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use patchwright_fuzz::join;
use patchwright_msi::database::{Database, Value};
use patchwright_msi::idt::{export, import};
use patchwright_msi::msp::Msp;
use patchwright_msi::pcp;
use patchwright_msi::transform::{ErrorConditions, Known, Rules, apply, diff};

use crate::write;

pub(crate) fn write_all(root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    installers(root)?;
    installer(root)
}

/// Databases, as they are and as text, with a cabinet.
fn installers(root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    const TABLES: [&str; 6] = [
        "Property\tValue\ns72\tl0\nProperty\tProperty\nProductCode\t{11111111-2222-3333-4444-555555555555}\n\
         ProductName\tPad\nProductVersion\t1.0.0\n",
        "Directory\tDirectory_Parent\tDefaultDir\ns72\tS72\tl255\nDirectory\tDirectory\nT\t\tSourceDir\nB\tT\t.:BIN~1|bin\n",
        "Component\tDirectory_\ns72\ts72\nComponent\tComponent\nM\tB\n",
        "File\tComponent_\tFileName\tFileSize\tAttributes\tSequence\ns72\ts72\tl255\ti4\tI2\ti4\nFile\tFile\n\
         app\tM\tAPP~1|app.exe\t14\t16384\t1\nhelp\tM\thelp.txt\t5\t\t2\n",
        "DiskId\tLastSequence\tCabinet\ni2\ti4\tS255\nMedia\tDiskId\n1\t2\t#data.cab\n",
        "File_\tHashPart1\tHashPart2\tHashPart3\tHashPart4\ns72\ti4\ti4\ti4\ti4\nMsiFileHash\tFile_\nhelp\t1\t2\t3\t4\n",
    ];
    // \[MS-CAB\]: one file, one folder of MSZIP.
    const CABINET: &[u8] = b"MSCF\0\0\0\0\x61\0\0\0\0\0\0\0\x2c\0\0\0\0\0\0\0\x03\x01\x01\0\x01\0\0\0\x34\x12\0\0\
        \x42\0\0\0\x01\0\x01\0\x0e\0\0\0\0\0\0\0\0\0\x6c\x22\xe7\x59\x01\0app\0\
        \0\0\0\0\x16\0\x0e\0CK\xf3H\xcd\xc9\xc9\xd7Q(\xcf/\xcaIQ\xe4\x02\x00$\xf2\x04\x94";
    let archives = TABLES.map(|text| ("x.idt", text.as_bytes()));
    let installer = import(archives, |_, _| Err(std::io::ErrorKind::NotFound.into()))?;
    let image = pcp::Image { path: "app.msi", database: &installer };
    let pairs = [pcp::Pair { old: image, new: image }];
    let patch_guid = "{5406B219-A1AC-4BC4-8695-72292C8195AC}";
    let (made, _) =
        pcp::new(&pcp::New { pairs: &pairs, patch_guid, patch_path: "app.msp", metadata: &Default::default() })?;
    write(root, "msi_database", "installer", &installer.write()?)?;
    write(root, "msi_database", "pcp", &made.write()?)?;
    // Old and new image have the same key, with other contents.
    let files = [0, 1, 10, 1, 1, 20, 0, 0, 30, 1, 0, 31, 0, 2, 40];
    write(root, "msp_plan", "pcp", &join(&made.write()?, &files))?;
    let texts: Vec<Vec<u8>> = export(&made)?.into_iter().map(|archive| archive.text).collect();
    write(root, "msp_plan", "text", &join(&texts.join(&0), &files))?;
    write(root, "msi_image", "database", &join(&installer.write()?, CABINET))?;
    write(root, "msi_image", "text", &join(TABLES.join("\0").as_bytes(), CABINET))?;
    let loose = TABLES.join("\0").replace("16384", "");
    write(root, "msi_image", "loose", &join(loose.as_bytes(), b"Hello, world!\n"))?;
    for (number, archive) in export(&made)?.iter().enumerate() {
        write(root, "msi_idt", &format!("{number:02}-{}", archive.name), &join(&archive.text, b""))?;
    }
    let stream = b"A\tB\ns72\tV0\n1252\tT\tA\nx\t\x10y.ibd\n";
    write(root, "msi_idt", "stream", &join(stream, b"\n\n1252\t_ForceCodepage\n"))?;
    Ok(())
}

/// The patch of `testdata`, its transforms with the databases that they are for, and one of every sort of change.
fn installer(root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/msp");
    let patch = fs::read(testdata.join("app.msp"))?;
    let old = fs::read(testdata.join("app-1.0.msi"))?;
    let mut msp = Msp::open(Cursor::new(patch.clone()))?;
    write(root, "msp", "app", &patch)?;
    let mut database = Database::read(Cursor::new(&old))?;
    for (name, seed) in [("OldToNew", "main"), ("#OldToNew", "second")] {
        let transform = msp.transform(name, Known::Database(&database))?;
        write(root, "transform", seed, &join(&database.write()?, &transform.write()?))?;
        database = apply(&transform, &database, ErrorConditions::OF_PATCHES)?;
        write(root, "transform", &format!("{seed}-alone"), &join(&[], &transform.write()?))?;
    }
    // Tables come, go and grow; rows come, go and change; texts are not ASCII.
    let mut new = database.clone();
    new.code_page = 1252;
    new.tables.retain(|table| table.name != "Binary");
    for table in &mut new.tables {
        if let Some(row) = table.rows.first_mut()
            && let Some(value) = row.last_mut()
        {
            *value = match value {
                Value::Int(number) => Value::Int(*number + 1),
                _ => Value::Str("Gr\u{fc}\u{df}e".to_owned()),
            };
        }
    }
    let made = diff(&database, &new, &Rules::default());
    let changes = made.map_err(|objections| objections.to_string())?.transform.write()?;
    Ok(write(root, "transform", "changes", &join(&database.write()?, &changes))?)
}
