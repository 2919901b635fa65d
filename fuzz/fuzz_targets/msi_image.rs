//! Any database as an installer, any bytes as its cabinets and files: every path stays in its folder, no more comes out of a
//! cabinet than the tables state, and every file is found or has a fault.

#![no_main]

use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::sync::{Arc, Mutex};

use libfuzzer_sys::fuzz_target;
use patchwright_fuzz::split;
use patchwright_msi::database::Database;
use patchwright_msi::idt::import;
use patchwright_msi::image::{Content, Image, Opened, Options, Store};

/// A folder in which every name that an image can ask for leads to the same bytes.
struct Folder {
    bytes: Vec<u8>,
    names: Vec<String>,
    scratch: Arc<Mutex<BTreeMap<usize, Vec<u8>>>>,
}

struct Scratch(Arc<Mutex<BTreeMap<usize, Vec<u8>>>>, usize);

impl Write for Scratch {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let mut files = self.0.lock().expect("one thread");
        let file = files.get_mut(&self.1).expect("made before");
        if file.len() + piece.len() > 1 << 22 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Folder {
    fn content(&self) -> io::Result<Box<dyn Content>> {
        Ok(Box::new(Cursor::new(self.bytes.clone())))
    }
}

fn check(path: &[String]) {
    for name in path {
        assert!(!name.is_empty() && !name.contains(['/', '\\', '\0', ':']) && name != "." && name != "..", "{path:?}");
    }
}

impl Store for Folder {
    fn list(&self, folder: &[String]) -> io::Result<Vec<String>> {
        check(folder);
        Ok(if folder.len() < 8 { self.names.clone() } else { Vec::new() })
    }

    fn open(&self, path: &[String]) -> io::Result<Box<dyn Content>> {
        check(path);
        self.content()
    }

    fn stream(&self, _: &str) -> io::Result<Box<dyn Content>> {
        self.content()
    }

    fn create(&self, number: usize) -> io::Result<Box<dyn Write>> {
        assert!(self.scratch.lock().expect("one thread").insert(number, Vec::new()).is_none(), "each number once");
        Ok(Box::new(Scratch(Arc::clone(&self.scratch), number)))
    }

    fn scratch(&self, number: usize) -> io::Result<Box<dyn Content>> {
        let files = self.scratch.lock().expect("one thread");
        Ok(Box::new(Cursor::new(files.get(&number).ok_or(io::ErrorKind::NotFound)?.clone())))
    }
}

/// A database, or text archives with NUL bytes between them, which a fuzzer can write.
fn database(bytes: &[u8]) -> Option<Database> {
    if let Ok(database) = Database::read(Cursor::new(bytes)) {
        return Some(database);
    }
    let archives = bytes.split(|byte| *byte == 0).map(|bytes| ("x.idt", bytes));
    import(archives, |_, _| Err(io::ErrorKind::NotFound.into())).ok()
}

fuzz_target!(|input: &[u8]| {
    let (tables, bytes) = split(input);
    let Some(database) = database(tables) else { return };
    let image = Image::read(database);
    // Names that the tables have, as a folder that was made of them would.
    let names = image.files.iter().filter_map(|file| Some(file.name.as_ref()?.long.clone()));
    let names: Vec<String> = names.chain(["bin".to_owned(), "data.cab".to_owned()]).take(64).collect();
    let store = Folder { bytes: bytes.to_vec(), names, scratch: Arc::default() };
    let scratch = Arc::clone(&store.scratch);
    let opened = Opened::open(image, Box::new(store), Options::default());
    let sizes: Vec<u64> = opened.image.files.iter().map(|file| file.size).collect();
    for (number, file) in scratch.lock().expect("one thread").iter() {
        assert!(file.len() as u64 <= sizes[*number], "more than FileSize");
    }
    let faulty: Vec<&str> = opened.faults().map(|(file, _)| file.key.as_str()).collect();
    for file in opened.image.files.iter().take(16) {
        assert!(faulty.contains(&file.key.as_str()) || opened.facts(&file.key).is_ok(), "{}", file.key);
    }
});
