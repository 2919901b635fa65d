//! An image with its contents: each file found, those in cabinets unpacked, all compared with what the tables state.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use super::{
    Cabinet, Content, Facts, FaultKind, FileVersion, Hash, Image, ImageFile, Name, Place, Store, file_version,
};
use crate::cabinet::{Entry, Exchange, unpack};
use crate::error::{MsiError, MsiErrorKind, Result};

/// How an image is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// `TrustMsi`: what the tables state is believed, no content is looked at before it is read.
    pub trust_msi: bool,
}

/// An image and its contents.
pub struct Opened {
    /// The image.
    pub image: Image,
    store: Box<dyn Store>,
    /// For each file of the image, where it was found or what is wrong with it.
    found: Vec<Result<Found, FaultKind>>,
    trust_msi: bool,
    /// Facts that were asked for, by the place of the file: reading them takes a while.
    facts: Mutex<BTreeMap<usize, Facts>>,
}

/// Where a content is.
#[derive(Clone, Debug)]
enum Found {
    /// In a folder, by the names that the folder lists.
    Path(Vec<String>),
    /// In a scratch file.
    Scratch(usize),
    /// Nobody looked for it yet.
    Unknown,
}

impl Opened {
    /// Looks for every file of an image; what is in cabinets is unpacked into the store's scratch files.
    ///
    /// A file that is in a cabinet is unpacked only if its length there is `FileSize`, so that no more comes out than the
    /// installer states.
    pub fn open(image: Image, store: Box<dyn Store>, options: Options) -> Self {
        let mut folders = Folders { store: &*store, image: &image, listed: BTreeMap::new() };
        let found = image.files.iter().map(|file| match &file.place {
            Err(fault) => Err(fault.clone()),
            // Where it lies is found when it is read.
            Ok(Place::Folder(_)) if options.trust_msi => Ok(Found::Unknown),
            Ok(Place::Folder(_)) => folders.find(file).map(Found::Path),
            Ok(Place::Cabinet(cabinet)) => Err(FaultKind::NotInCabinet(cabinet.clone())),
        });
        let mut found: Vec<_> = found.collect();
        unpack_all(&image, &*store, &mut folders, &mut found);
        let mut opened = Self { image, store, found, trust_msi: options.trust_msi, facts: Mutex::default() };
        if !options.trust_msi {
            opened.compare();
        }
        opened
    }

    /// What is wrong with each file, by key; a file that cannot be read stands here once.
    pub fn faults(&self) -> impl Iterator<Item = (&ImageFile, &FaultKind)> {
        self.image.files.iter().zip(&self.found).filter_map(|(file, found)| Some((file, found.as_ref().err()?)))
    }

    /// Opens the content of a file; every reader is independent of the others.
    pub fn content(&self, key: &str) -> Result<Box<dyn Content>, FaultKind> {
        self.content_at(self.place(key)?)
    }

    fn place(&self, key: &str) -> Result<usize, FaultKind> {
        let at = self.image.files.binary_search_by(|file| file.key.as_str().cmp(key));
        at.map_err(|_| FaultKind::BadRow(format!("there is no file {key}")))
    }

    fn content_at(&self, at: usize) -> Result<Box<dyn Content>, FaultKind> {
        let (Some(file), Some(found)) = (self.image.files.get(at), self.found.get(at)) else {
            return Err(FaultKind::BadRow(format!("there is no file {at}")));
        };
        let (path, opened) = match found.as_ref().map_err(Clone::clone)? {
            Found::Scratch(number) => (file.key.clone(), self.store.scratch(*number)),
            Found::Path(path) => (path.join("/"), self.store.open(path)),
            Found::Unknown => {
                let mut folders = Folders { store: &*self.store, image: &self.image, listed: BTreeMap::new() };
                let path = folders.find(file)?;
                (path.join("/"), self.store.open(&path))
            }
        };
        opened.map_err(|error| FaultKind::Unreadable { path, why: error.to_string() })
    }

    /// Whether what the tables state is believed.
    pub fn trusts_msi(&self) -> bool {
        self.trust_msi
    }

    /// The length of a file: of its content, or with `TrustMsi` what the tables state.
    pub fn len(&self, key: &str) -> Result<u64, FaultKind> {
        let at = self.place(key)?;
        match self.image.files.get(at) {
            Some(file) if self.trust_msi => Ok(file.size),
            _ => self.content_at(at)?.seek(SeekFrom::End(0)).map_err(|error| unreadable(key, &error)),
        }
    }

    /// The version of a file: of its content, or with `TrustMsi` what the tables state.
    pub fn version(&self, key: &str) -> Result<Option<FileVersion>, FaultKind> {
        let at = self.place(key)?;
        match self.image.files.get(at) {
            Some(file) if self.trust_msi => Ok(stated_version(file)),
            _ => file_version(&mut *self.content_at(at)?).map_err(|error| unreadable(key, &error)),
        }
    }

    /// The facts of a file: of its content, or with `TrustMsi` what the tables state.
    pub fn facts(&self, key: &str) -> Result<Facts, FaultKind> {
        let at = self.place(key)?;
        if self.trust_msi
            && let Some(facts) = self.image.files.get(at).and_then(stated)
        {
            return Ok(facts);
        }
        let known = |facts: &Mutex<BTreeMap<usize, Facts>>| {
            facts.lock().unwrap_or_else(PoisonError::into_inner).get(&at).cloned()
        };
        if let Some(facts) = known(&self.facts) {
            return Ok(facts);
        }
        let facts = Facts::of(&mut *self.content_at(at)?).map_err(|error| unreadable(key, &error))?;
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).insert(at, facts.clone());
        Ok(facts)
    }

    /// Compares lengths and hashes with the tables.
    fn compare(&mut self) {
        for at in 0..self.found.len() {
            if self.found[at].is_ok()
                && let Err(fault) = self.compared(at)
            {
                self.found[at] = Err(fault);
            }
        }
    }

    fn compared(&self, at: usize) -> Result<(), FaultKind> {
        let mut content = self.content_at(at)?;
        let file = &self.image.files[at];
        let unreadable = |error: io::Error| unreadable(&file.key, &error);
        // In a folder the file counts, not what the tables say of it: PATCHWIZ refreshes them too.
        if matches!(self.found[at], Ok(Found::Path(_))) {
            return Ok(());
        }
        let actual = content.seek(SeekFrom::End(0)).map_err(unreadable)?;
        if actual != file.size {
            return Err(FaultKind::Size { stated: file.size, actual });
        }
        let Some(stated) = file.hash else { return Ok(()) };
        let actual = Facts::of(&mut *content).map_err(unreadable)?.hash;
        if actual == stated { Ok(()) } else { Err(FaultKind::Hash { stated, actual }) }
    }
}

fn unreadable(key: &str, error: &io::Error) -> FaultKind {
    FaultKind::Unreadable { path: key.to_owned(), why: error.to_string() }
}

/// What the tables state of a file, if that is all of it.
fn stated(file: &ImageFile) -> Option<Facts> {
    // A versioned file has no row of MsiFileHash: nothing tells whether two of a version are equal.
    file.hash.map(|hash| Facts { size: file.size, hash, version: stated_version(file) })
}

fn stated_version(file: &ImageFile) -> Option<FileVersion> {
    let languages = file.language.iter().flat_map(|text| text.split(',')).filter_map(|text| text.trim().parse().ok());
    let numbers = FileVersion::numbers_of(file.version.as_deref()?)?;
    Some(FileVersion { numbers, languages: languages.collect() })
}

/// Looks up names as Windows does, in folders that tell case apart.
struct Folders<'a> {
    store: &'a dyn Store,
    image: &'a Image,
    /// What each folder has.
    listed: BTreeMap<Vec<String>, Result<Listing, String>>,
}

/// The names of a folder, by their small letters.
type Listing = BTreeMap<String, Vec<String>>;

impl Folders<'_> {
    fn find(&mut self, file: &ImageFile) -> Result<Vec<String>, FaultKind> {
        let folders = match &file.place {
            Ok(Place::Folder(folders)) => folders.as_slice(),
            Ok(Place::Cabinet(_)) => &[],
            Err(fault) => return Err(fault.clone()),
        };
        let name = file.name.as_ref().ok_or_else(|| FaultKind::BadName(file.key.clone()))?;
        let shown: Vec<&str> = folders.iter().chain([name]).map(|name| name.long.as_str()).collect();
        let mut path = Vec::new();
        for name in folders.iter().chain([name]) {
            let next = self.entry(&path, name)?.ok_or_else(|| FaultKind::Missing(shown.join("/")))?;
            path.push(next);
        }
        Ok(path)
    }

    /// The entry of a folder that a name means: spelled the same, else the only one that differs in case.
    fn entry(&mut self, folder: &[String], name: &Name) -> Result<Option<String>, FaultKind> {
        let short_first = self.image.product.layout.has_short_names();
        let listing = self.listing(folder)?;
        for form in name.forms(short_first) {
            match listing.get(&form.to_lowercase()).map(Vec::as_slice) {
                None | Some([]) => {}
                Some([only]) => return Ok(Some(only.clone())),
                Some(several) => {
                    return match several.iter().find(|entry| *entry == form) {
                        Some(entry) => Ok(Some(entry.clone())),
                        None => Err(FaultKind::Ambiguous(several.to_vec())),
                    };
                }
            }
        }
        Ok(None)
    }

    fn listing(&mut self, folder: &[String]) -> Result<&Listing, FaultKind> {
        let listed = self.listed.entry(folder.to_vec()).or_insert_with(|| {
            let mut listing = Listing::new();
            let mut names = self.store.list(folder).map_err(|error| error.to_string())?;
            names.sort();
            for name in names {
                listing.entry(name.to_lowercase()).or_default().push(name);
            }
            Ok(listing)
        });
        match listed {
            Ok(listing) => Ok(listing),
            Err(why) => {
                let path = if folder.is_empty() { "the image's folder".to_owned() } else { folder.join("/") };
                Err(FaultKind::Unreadable { path, why: why.clone() })
            }
        }
    }
}

/// Unpacks every cabinet that a file is in, each set once.
fn unpack_all(image: &Image, store: &dyn Store, folders: &mut Folders<'_>, found: &mut [Result<Found, FaultKind>]) {
    let place = |file: &ImageFile| match &file.place {
        Ok(Place::Cabinet(cabinet)) => Some(cabinet.clone()),
        _ => None,
    };
    let cabinets: BTreeSet<Cabinet> = image.files.iter().filter_map(place).collect();
    let mut done = BTreeSet::new();
    for cabinet in cabinets {
        let (name, embedded) = match &cabinet {
            Cabinet::Embedded(name) => (name, true),
            Cabinet::Beside(name) => (name, false),
        };
        if done.contains(&(name.to_lowercase(), embedded)) {
            continue;
        }
        let mut exchange = Unpacking { image, store, folders, found, embedded, begun: BTreeSet::new() };
        let unpacked = unpack(name, &mut exchange);
        let begun = exchange.begun;
        match unpacked {
            Ok(set) => done.extend(set.into_iter().map(|name| (name.to_lowercase(), embedded))),
            Err(error) => {
                let fault = cabinet_fault(&cabinet, &error);
                // What was begun may be in part; which files are whole is not worth knowing.
                for (at, (file, found)) in image.files.iter().zip(found.iter_mut()).enumerate() {
                    let is_lost =
                        matches!(found, Err(FaultKind::NotInCabinet(_))) && place(file).as_ref() == Some(&cabinet);
                    if is_lost || begun.contains(&at) {
                        *found = Err(fault.clone());
                    }
                }
            }
        }
    }
}

fn cabinet_fault(cabinet: &Cabinet, error: &MsiError) -> FaultKind {
    match &error.kind {
        MsiErrorKind::Io(cause) if cause.kind() == io::ErrorKind::NotFound => {
            FaultKind::Missing(error.structure.clone())
        }
        MsiErrorKind::Io(cause) => FaultKind::Unreadable { path: error.structure.clone(), why: cause.to_string() },
        _ => FaultKind::BadCabinet { cabinet: cabinet.clone(), why: error.to_string() },
    }
}

/// The files of an image on their way out of cabinets.
struct Unpacking<'a, 'f> {
    image: &'a Image,
    store: &'a dyn Store,
    folders: &'a mut Folders<'f>,
    found: &'a mut [Result<Found, FaultKind>],
    embedded: bool,
    /// Files that are expected to come.
    begun: BTreeSet<usize>,
}

impl Exchange for Unpacking<'_, '_> {
    fn open(&mut self, name: &str) -> Result<Box<dyn Content>> {
        let structure = || format!("cabinet {name}");
        let failed = |error: io::Error| MsiError::new(structure(), MsiErrorKind::Io(error));
        if self.embedded {
            return self.store.stream(name).map_err(failed);
        }
        let named = Name::parse(name).ok_or_else(|| MsiError::malformed(structure(), "it cannot be called so"))?;
        let entry = self.folders.entry(&[], &named);
        let entry = entry.map_err(|fault| MsiError::malformed(structure(), fault.to_string()))?;
        let entry = entry.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        self.store.open(&[entry]).map_err(failed)
    }

    fn wants(&mut self, entry: Entry<'_>) -> Option<usize> {
        let files = &self.image.files;
        let at = files.binary_search_by(|file| file.key.as_str().cmp(entry.name)).ok()?;
        let found = self.found.get_mut(at)?;
        // Once is enough, and only for a file that is in a cabinet.
        if !matches!(found, Err(FaultKind::NotInCabinet(_))) {
            return None;
        }
        let stated = files.get(at)?.size;
        if stated == u64::from(entry.len) {
            *found = Ok(Found::Scratch(at));
            self.begun.insert(at);
            return Some(at);
        }
        *found = Err(FaultKind::Size { stated, actual: u64::from(entry.len) });
        None
    }

    fn create(&mut self, number: usize) -> Result<Box<dyn Write>> {
        self.store.create(number).map_err(|error| MsiError::new("scratch file", MsiErrorKind::Io(error)))
    }

    fn same(&mut self, number: usize, other: usize) {
        if let Some(found) = self.found.get_mut(number) {
            *found = Ok(Found::Scratch(other));
        }
    }
}

/// A hash as it is shown: sixteen bytes in hexadecimal.
impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().flat_map(|part| part.to_le_bytes()).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
