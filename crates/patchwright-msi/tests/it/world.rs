//! Installers and their files in memory: what a `.pcp` of the tests names.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::sync::{Arc, Mutex};

use patchwright_msi::database::{Database, Property, Summary};
use patchwright_msi::idt::import;
use patchwright_msi::image::{Content, External, Image, Images, Opened, Options, Store, Unlocated};
use patchwright_msi::pcp::Pcp;

/// A folder in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folder {
    /// Files by path, names with `/` between them.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Streams of the installer.
    pub(crate) streams: BTreeMap<String, Vec<u8>>,
    pub(crate) scratch: Arc<Mutex<BTreeMap<usize, Vec<u8>>>>,
}

struct Scratch {
    to: Arc<Mutex<BTreeMap<usize, Vec<u8>>>>,
    number: usize,
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.lock().unwrap().get_mut(&self.number).unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn content(bytes: Option<&Vec<u8>>) -> io::Result<Box<dyn Content>> {
    Ok(Box::new(Cursor::new(bytes.ok_or(io::ErrorKind::NotFound)?.clone())))
}

impl Store for Folder {
    fn list(&self, folder: &[String]) -> io::Result<Vec<String>> {
        let prefix: String = folder.iter().map(|name| format!("{name}/")).collect();
        let below = self.files.keys().filter_map(|path| path.strip_prefix(&prefix));
        let mut names: Vec<String> = below.filter_map(|rest| rest.split('/').next()).map(str::to_owned).collect();
        names.dedup();
        Ok(names)
    }

    fn open(&self, path: &[String]) -> io::Result<Box<dyn Content>> {
        content(self.files.get(&path.join("/")))
    }

    fn stream(&self, name: &str) -> io::Result<Box<dyn Content>> {
        content(self.streams.get(name))
    }

    fn create(&self, number: usize) -> io::Result<Box<dyn Write>> {
        assert!(self.scratch.lock().unwrap().insert(number, Vec::new()).is_none(), "each number once");
        Ok(Box::new(Scratch { to: Arc::clone(&self.scratch), number }))
    }

    fn scratch(&self, number: usize) -> io::Result<Box<dyn Content>> {
        content(self.scratch.lock().unwrap().get(&number))
    }
}

pub(crate) const PRODUCT: &str = "{11111111-2222-3333-4444-555555555555}";
pub(crate) const UPGRADE: &str = "{AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE}";

/// An installer of three files: `app` and `lib` in the program's folder, `help` in one below it.
pub(crate) fn installer(version: &str, package_code: &str) -> Database {
    let tables = [
        format!(
            "Property\tValue\ns72\tl0\nProperty\tProperty\nManufacturer\tExample\nProductCode\t{PRODUCT}\n\
             ProductLanguage\t1033\nProductName\tNote Pad\nProductVersion\t{version}\nUpgradeCode\t{UPGRADE}\n"
        ),
        "Directory\tDirectory_Parent\tDefaultDir\ns72\tS72\tl255\nDirectory\tDirectory\nTARGETDIR\t\tSourceDir\n\
         Programs\tTARGETDIR\t.:PROGRA~1|Programs\nNotePad\tPrograms\tNOTEPA~1|Note Pad\nHelp\tNotePad\thelp:HLP|Help Files\n"
            .to_owned(),
        "Component\tComponentId\tDirectory_\tAttributes\tCondition\tKeyPath\ns72\tS38\ts72\ti2\tS255\tS72\n\
         Component\tComponent\nMain\t{00000000-0000-0000-0000-000000000001}\tNotePad\t0\t\tapp\n\
         Docs\t{00000000-0000-0000-0000-000000000002}\tHelp\t0\t\thelp\n"
            .to_owned(),
        "File\tComponent_\tFileName\tFileSize\tVersion\tLanguage\tAttributes\tSequence\ns72\ts72\tl255\ti4\tS72\tS20\tI2\ti4\n\
         File\tFile\napp\tMain\tAPPLIC~1.EXE|Application.exe\t8\t\t\t\t1\n\
         help\tDocs\thelp.txt\t5\t\t\t\t3\nlib\tMain\tlib.dll\t4\t\t\t\t2\n"
            .to_owned(),
        "DiskId\tLastSequence\tDiskPrompt\tCabinet\tVolumeLabel\tSource\ni2\ti4\tL64\tS255\tS32\tS72\nMedia\tDiskId\n\
         1\t3\t\t\t\t\n"
            .to_owned(),
        "File_\tOptions\tHashPart1\tHashPart2\tHashPart3\tHashPart4\ns72\ti2\ti4\ti4\ti4\ti4\nMsiFileHash\tFile_\n".to_owned(),
    ];
    let files: Vec<(&str, &[u8])> = tables.iter().map(|text| ("x.idt", text.as_bytes())).collect();
    let mut database = import(files, |_, _| unreachable!()).unwrap();
    let text = |text: &str| Property::Text(text.to_owned());
    let properties = [
        (1, Property::I2(1252)),
        (7, text("x64;1033")),
        (9, text(package_code)),
        (14, Property::I4(200)),
        (15, Property::I4(0)),
    ];
    database.summary = Summary { properties: properties.into() };
    database
}

/// The files of [`installer`], each with its content.
pub(crate) fn folder(app: &str) -> Folder {
    let files = [
        ("Programs/Note Pad/Application.exe", app),
        ("Programs/Note Pad/Help Files/help.txt", "help!"),
        ("Programs/Note Pad/lib.dll", "lib."),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    Folder { files: files.into(), ..Folder::default() }
}

/// A `.pcp` and all that it names, by path.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) pcp: Database,
    pub(crate) installers: BTreeMap<&'static str, (Database, Folder)>,
    pub(crate) others: BTreeMap<&'static str, Vec<u8>>,
}

impl World {
    /// A `.pcp` from one image to another, without a fault.
    pub(crate) fn sound() -> Self {
        let old = installer("1.0.0", "{00000000-0000-0000-0000-0000000000A1}");
        let new = installer("1.1.0", "{00000000-0000-0000-0000-0000000000A2}");
        let installers = [("1.0/app.msi", (old, folder("old app."))), ("1.1/app.msi", (new, folder("new app.")))];
        Self { pcp: crate::sound(), installers: installers.into(), others: BTreeMap::new() }
    }

    pub(crate) fn installer(&mut self, path: &str) -> &mut Database {
        &mut self.installers.get_mut(path).unwrap().0
    }

    pub(crate) fn folder(&mut self, path: &str) -> &mut Folder {
        &mut self.installers.get_mut(path).unwrap().1
    }

    /// Opens everything, as a verb does with files.
    pub(crate) fn open(&self) -> (Pcp, Images) {
        let pcp = Pcp::read(&self.pcp);
        let options = Options { trust_msi: pcp.property("TrustMsi") == Some("1") };
        let missing = |path: &str| match path {
            _ if path.starts_with("C:") => Unlocated::Unmapped(path.to_owned()),
            _ if path.starts_with('%') => Unlocated::Unset("ROOT".to_owned()),
            _ if self.others.contains_key(path) => {
                Unlocated::NotADatabase { path: path.to_owned(), why: "no compound file".to_owned() }
            }
            _ => Unlocated::Missing(path.to_owned()),
        };
        let find = |path: &str| self.installers.get(path).ok_or_else(|| missing(path));
        let open = |path: &str| {
            let (database, folder) = find(path)?;
            // The scratch files are each one's own.
            let folder = Folder { scratch: Arc::default(), ..folder.clone() };
            Ok(Opened::open(Image::read(database.clone()), Box::new(folder), options))
        };
        let mut images = Images::default();
        for row in &pcp.upgraded {
            images.upgraded.insert(row.upgraded.clone(), open(&row.msi_path));
            if let Some(path) = &row.patch_msi_path {
                let database = find(path).map(|(database, _)| database.clone());
                images.patch_databases.insert(row.upgraded.clone(), database);
            }
        }
        for row in &pcp.targets {
            images.targets.insert(row.target.clone(), open(&row.msi_path));
        }
        for row in &pcp.external_files {
            let external = self.others.get(row.file_path.as_str()).cloned().map(|bytes| External {
                len: bytes.len() as u64,
                open: Box::new(move || Ok(Box::new(Cursor::new(bytes.clone())))),
            });
            images.external.insert(row.file_path.clone(), external.ok_or_else(|| missing(&row.file_path)));
        }
        (pcp, images)
    }
}
