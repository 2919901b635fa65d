//! A disk in memory that loses power.
//!
//! What a power cut leaves, as journaling file systems have it and POSIX allows:
//!
//! - of a file's content and attributes: what was there at the last [`Disk::sync_file`]; or what was there last; or
//!   the first part of it; or as many bytes that mean nothing;
//! - of the names: each change (create, rename, exchange, link, unlink, mkdir, rmdir) happens entirely or not at
//!   all, also when it touches two folders; changes to one folder happen in order; folders know nothing of one
//!   another. [`Disk::sync_folder`] makes the changes to one folder durable, with all they depend on. With
//!   [`Order::Global`], the changes to all folders happen in the order in which they were made.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::{self, SeekFrom};
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard};

use patchwright_formats::ReadAt;
use patchwright_formats::undo::Attributes;
use rustix::io::Errno;

use crate::disk::{Disk, Extended, FileKind, Lock, Output, Stat};

type Inode = u64;
type Names = BTreeMap<Inode, BTreeMap<OsString, Inode>>;

const ROOT: Inode = 1;
/// What a name takes of a limited disk.
const NAME_COST: u64 = 32;

/// What the file system can do and how it keeps order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) exchange: bool,
    pub(super) hard_links: bool,
}

impl Features {
    pub(super) const ALL: [Self; 3] = [
        Self { exchange: true, hard_links: true },
        Self { exchange: false, hard_links: true },
        Self { exchange: false, hard_links: false },
    ];
}

/// In which order changes of names reach the platter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As they were made.
    Global,
    /// In each folder as they were made; folders independently.
    PerFolder,
}

/// What a file, folder or link is, besides its names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Body {
    content: Arc<Vec<u8>>,
    attributes: Attributes,
}

#[derive(Clone, Debug)]
struct Node {
    kind: FileKind,
    now: Body,
    /// What is on the platter; nothing was written when it equals the default.
    safe: Body,
    changed: i64,
}

/// One change of names: in which folder, which name, what it means from then on.
type Change = Vec<(Inode, OsString, Option<Inode>)>;

#[derive(Clone, Debug)]
struct State {
    features: Features,
    nodes: BTreeMap<Inode, Node>,
    names: Names,
    /// The names on the platter.
    safe_names: Names,
    pending: Vec<Change>,
    locked: BTreeSet<Inode>,
    clock: i64,
    capacity: u64,
    /// Whether the disk says how much is free.
    tells_free: bool,
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub(super) struct MemoryDisk {
    state: Arc<Mutex<State>>,
    history: Arc<Mutex<Option<Vec<State>>>>,
}

impl MemoryDisk {
    pub(super) fn new(features: Features) -> Self {
        let attributes = Attributes { mode: Some(0o755), owner: Some((0, 0)), ..Attributes::default() };
        let body = Body { content: Arc::default(), attributes };
        let root = Node { kind: FileKind::Folder, now: body.clone(), safe: body, changed: 0 };
        Self::from(State {
            features,
            nodes: BTreeMap::from([(ROOT, root)]),
            names: BTreeMap::from([(ROOT, BTreeMap::new())]),
            safe_names: BTreeMap::from([(ROOT, BTreeMap::new())]),
            pending: Vec::new(),
            locked: BTreeSet::new(),
            clock: 1_000_000_000,
            capacity: u64::MAX,
            tells_free: true,
        })
    }

    fn from(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)), history: Arc::default() }
    }

    /// A disk of its own with the same content.
    pub(super) fn copy(&self) -> Self {
        let mut state = self.state.lock().unwrap().clone();
        state.locked.clear();
        Self::from(state)
    }

    /// Puts everything on the platter.
    pub(super) fn settle(&self) {
        let mut state = self.state.lock().unwrap();
        state.pending.clear();
        state.safe_names = state.names.clone();
        for node in state.nodes.values_mut() {
            node.safe = node.now.clone();
        }
    }

    /// Leaves room for so many bytes more, names included.
    pub(super) fn limit(&self, free: u64, tells_free: bool) {
        let mut state = self.state.lock().unwrap();
        state.capacity = state.used() + free;
        state.tells_free = tells_free;
    }

    /// Bytes taken, names included.
    pub(super) fn used(&self) -> u64 {
        self.state.lock().unwrap().used()
    }

    /// From now on, every state of the disk is kept.
    pub(super) fn record(&self) {
        *self.history.lock().unwrap() = Some(Vec::new());
    }

    /// The states since [`MemoryDisk::record`], one before each call that changes something, and the present one.
    pub(super) fn recorded(&self) -> Vec<Self> {
        let mut states = self.history.lock().unwrap().take().unwrap_or_default();
        states.push(self.state.lock().unwrap().clone());
        states.into_iter().map(Self::from).collect()
    }

    /// The disk as it is found when power comes back. Each seed is another fate of what was not synced.
    pub(super) fn power_cut(&self, order: Order, seed: u64) -> Self {
        let mut state = self.state.lock().unwrap().clone();
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678_9ABC_DEF1);
        let kept = state.kept(order, &mut random);
        for (change, kept) in std::mem::take(&mut state.pending).into_iter().zip(kept) {
            if kept {
                apply_change(&mut state.safe_names, change);
            }
        }
        state.names = state.safe_names.clone();
        for node in state.nodes.values_mut() {
            node.lose_power(&mut random);
        }
        state.locked.clear();
        Self::from(state)
    }

    /// Every path with what stands there, our own folder included.
    pub(super) fn paths(&self) -> Vec<String> {
        fn walk(state: &State, folder: Inode, prefix: &str, out: &mut Vec<String>) {
            for (name, inode) in &state.names[&folder] {
                let path = format!("{prefix}{}", name.to_str().unwrap());
                out.push(path.clone());
                if state.nodes[inode].kind == FileKind::Folder {
                    walk(state, *inode, &format!("{path}/"), out);
                }
            }
        }
        let mut out = Vec::new();
        walk(&self.state.lock().unwrap(), ROOT, "", &mut out);
        out
    }

    pub(super) fn read(&self, path: &str) -> Vec<u8> {
        let state = self.state.lock().unwrap();
        let inode = state.find(Path::new(path)).unwrap().unwrap_or_else(|| panic!("{path} is gone"));
        state.nodes[&inode].now.content.to_vec()
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8], attributes: &Attributes) {
        let path = Path::new(path);
        io::Write::write_all(&mut self.create(path).unwrap(), bytes).unwrap();
        self.set_attributes(path, attributes, Extended::Exactly).unwrap();
    }

    fn look(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap();
        if let Some(history) = &mut *self.history.lock().unwrap() {
            history.push(state.clone());
        }
        state.clock += 1;
        state
    }
}

fn apply_change(names: &mut Names, change: Change) {
    for (folder, name, inode) in change {
        let folder = names.entry(folder).or_default();
        match inode {
            Some(inode) => folder.insert(name, inode),
            None => folder.remove(&name),
        };
        if let Some(inode) = inode {
            names.entry(inode).or_default();
        }
    }
}

impl Node {
    fn lose_power(&mut self, random: &mut Random) {
        if self.now == self.safe {
            return;
        }
        let content = match random.below(5) {
            _ if self.kind != FileKind::File || self.now.content == self.safe.content => self.now.content.clone(),
            0 => self.safe.content.clone(),
            1 => self.now.content.clone(),
            2 => Arc::new(self.now.content[..random.up_to(self.now.content.len())].to_vec()),
            3 => Arc::new(vec![0; self.now.content.len()]),
            _ => Arc::new(self.now.content.iter().map(|byte| byte ^ 0xA5).collect()),
        };
        let mut attributes =
            if random.below(2) == 0 { self.safe.attributes.clone() } else { self.now.attributes.clone() };
        if attributes.mode.is_none() && self.kind != FileKind::Link {
            attributes.mode = Some(if self.kind == FileKind::File { 0o600 } else { 0o700 });
        }
        self.now = Body { content, attributes };
        self.safe = self.now.clone();
    }
}

impl State {
    fn used(&self) -> u64 {
        let named: BTreeSet<Inode> = self.names.values().flat_map(|folder| folder.values().copied()).collect();
        let content: u64 = named.iter().map(|inode| self.nodes[inode].now.content.len() as u64).sum();
        content + self.names.values().map(|folder| folder.len() as u64 * NAME_COST).sum::<u64>()
    }

    fn need(&self, bytes: u64) -> io::Result<()> {
        if self.capacity.saturating_sub(self.used()) < bytes { Err(Errno::NOSPC.into()) } else { Ok(()) }
    }

    /// Which pending changes survive a power cut.
    fn kept(&self, order: Order, random: &mut Random) -> Vec<bool> {
        let keep_one_in = random.below(6);
        let prefix = random.up_to(self.pending.len());
        let mut torn = BTreeSet::new();
        let mut kept = Vec::new();
        for (index, change) in self.pending.iter().enumerate() {
            let lucky = match order {
                Order::Global => index < prefix,
                Order::PerFolder => match keep_one_in {
                    0 => true,
                    1 => false,
                    n => random.below(n) != 0,
                },
            };
            let keep = lucky && change.iter().all(|(folder, ..)| !torn.contains(folder));
            if !keep {
                torn.extend(change.iter().map(|(folder, ..)| *folder));
            }
            kept.push(keep);
        }
        kept
    }

    fn sync_names(&mut self, folder: Inode) {
        let mut folders = BTreeSet::from([folder]);
        let mut durable = vec![false; self.pending.len()];
        for (index, change) in self.pending.iter().enumerate().rev() {
            if change.iter().any(|(folder, ..)| folders.contains(folder)) {
                durable[index] = true;
                folders.extend(change.iter().map(|(folder, ..)| *folder));
            }
        }
        for (change, durable) in std::mem::take(&mut self.pending).into_iter().zip(durable) {
            if durable {
                apply_change(&mut self.safe_names, change);
            } else {
                self.pending.push(change);
            }
        }
    }

    fn rename_names(&mut self, change: Change) {
        for (_, _, inode) in &change {
            if let Some(inode) = inode {
                self.nodes.get_mut(inode).unwrap().changed = self.clock;
            }
        }
        apply_change(&mut self.names, change.clone());
        self.pending.push(change);
    }

    fn folder(&self, path: &Path) -> io::Result<Inode> {
        let mut at = ROOT;
        for component in path.components() {
            let Component::Normal(name) = component else { return Err(io::ErrorKind::InvalidInput.into()) };
            at = *self.names[&at].get(name).ok_or(io::ErrorKind::NotFound)?;
            if self.nodes[&at].kind != FileKind::Folder {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        Ok(at)
    }

    fn parent<'p>(&self, path: &'p Path) -> io::Result<(Inode, &'p OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.folder(path.parent().unwrap_or(Path::new("")))?, name))
    }

    fn find(&self, path: &Path) -> io::Result<Option<Inode>> {
        if path.as_os_str().is_empty() {
            return Ok(Some(ROOT));
        }
        match self.parent(path) {
            Ok((folder, name)) => Ok(self.names[&folder].get(name).copied()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn node(&self, path: &Path) -> io::Result<(Inode, &Node)> {
        let inode = self.find(path)?.ok_or(io::ErrorKind::NotFound)?;
        Ok((inode, &self.nodes[&inode]))
    }

    fn file(&self, path: &Path) -> io::Result<(Inode, &Node)> {
        let (inode, node) = self.node(path)?;
        match node.kind {
            FileKind::File => Ok((inode, node)),
            FileKind::Folder => Err(io::ErrorKind::IsADirectory.into()),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn add_node(&mut self, path: &Path, kind: FileKind, content: Vec<u8>, mode: Option<u32>) -> io::Result<Inode> {
        let (folder, name) = self.parent(path)?;
        if self.names[&folder].contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.need(NAME_COST)?;
        let inode = 1 + *self.nodes.last_key_value().unwrap().0;
        let attributes =
            Attributes { modified: Some((self.clock, 0)), owner: Some((0, 0)), mode, ..Attributes::default() };
        let now = Body { content: Arc::new(content), attributes };
        let safe = Body::default();
        self.nodes.insert(inode, Node { kind, now, safe, changed: self.clock });
        self.names.insert(inode, BTreeMap::new());
        self.rename_names(vec![(folder, name.to_owned(), Some(inode))]);
        Ok(inode)
    }

    fn check_replaceable(&self, from: Inode, to: Inode) -> io::Result<()> {
        match (self.nodes[&from].kind, self.nodes[&to].kind) {
            (FileKind::Folder, FileKind::Folder) if !self.names[&to].is_empty() => {
                Err(io::ErrorKind::DirectoryNotEmpty.into())
            }
            (FileKind::Folder, FileKind::Folder) => Ok(()),
            (_, FileKind::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            (FileKind::Folder, _) => Err(io::ErrorKind::NotADirectory.into()),
            _ => Ok(()),
        }
    }
}

impl Disk for MemoryDisk {
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let state = self.look();
        let Some(inode) = state.find(path)? else { return Ok(None) };
        let node = &state.nodes[&inode];
        let names = state.names.values().flat_map(|folder| folder.values()).filter(|named| **named == inode).count();
        Ok(Some(Stat {
            kind: node.kind,
            len: node.now.content.len() as u64,
            mode: node.now.attributes.mode.unwrap_or(0o777),
            names: names as u64,
            modified: node.now.attributes.modified.unwrap_or((0, 0)),
            changed: (node.changed, 0),
            device: 1,
            inode,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadAt>> {
        let state = self.look();
        let (_, node) = state.file(path)?;
        Ok(Box::new(node.now.content.to_vec()))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let inode = self.change().add_node(path, FileKind::File, Vec::new(), Some(0o600))?;
        Ok(Box::new(MemoryOutput { disk: self.clone(), inode, at: 0 }))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let state = self.look();
        let folder = state.folder(path)?;
        Ok(state.names[&folder].keys().cloned().collect())
    }

    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.change().add_node(path, FileKind::Folder, Vec::new(), Some(mode)).map(|_| ())
    }

    fn make_link(&self, target: &Path, path: &Path) -> io::Result<()> {
        let content = target.as_os_str().as_encoded_bytes().to_vec();
        let mut state = self.change();
        let inode = state.add_node(path, FileKind::Link, content, None)?;
        // A link is written together with its name.
        let node = state.nodes.get_mut(&inode).unwrap();
        node.safe = node.now.clone();
        Ok(())
    }

    fn read_link(&self, path: &Path) -> io::Result<OsString> {
        use std::os::unix::ffi::OsStringExt;
        let state = self.look();
        match state.node(path)? {
            (_, node) if node.kind == FileKind::Link => Ok(OsString::from_vec(node.now.content.to_vec())),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change();
        let (inode, node) = state.node(path)?;
        if node.kind == FileKind::Folder {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (folder, name) = state.parent(path)?;
        state.nodes.get_mut(&inode).unwrap().changed = state.clock;
        state.rename_names(vec![(folder, name.to_owned(), None)]);
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change();
        let (inode, node) = state.node(path)?;
        if node.kind != FileKind::Folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if !state.names[&inode].is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (folder, name) = state.parent(path)?;
        // The folder itself takes part: it can go only after everything in it has gone.
        state.rename_names(vec![(folder, name.to_owned(), None), (inode, OsString::new(), None)]);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.change();
        let (inode, _) = state.node(from)?;
        let ((from, from_name), (to_folder, to_name)) = (state.parent(from)?, state.parent(to)?);
        if let Some(there) = state.find(to)? {
            state.check_replaceable(inode, there)?;
            if there == inode {
                return Ok(()); // Two names of one file: POSIX does nothing.
            }
        }
        state.rename_names(vec![(from, from_name.to_owned(), None), (to_folder, to_name.to_owned(), Some(inode))]);
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.look().find(to)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename(from, to)
    }

    fn exchange(&self, first: &Path, second: &Path) -> io::Result<()> {
        let mut state = self.change();
        if !state.features.exchange {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let ((first_inode, _), (second_inode, _)) = (state.node(first)?, state.node(second)?);
        let ((first, first_name), (second, second_name)) = (state.parent(first)?, state.parent(second)?);
        state.rename_names(vec![
            (first, first_name.to_owned(), Some(second_inode)),
            (second, second_name.to_owned(), Some(first_inode)),
        ]);
        Ok(())
    }

    fn add_name(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.change();
        if !state.features.hard_links {
            return Err(Errno::PERM.into());
        }
        let (inode, _) = state.node(from)?;
        if state.find(to)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.need(NAME_COST)?;
        let (folder, name) = state.parent(to)?;
        state.rename_names(vec![(folder, name.to_owned(), Some(inode))]);
        Ok(())
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change();
        let (inode, _) = state.file(path)?;
        let node = state.nodes.get_mut(&inode).unwrap();
        node.safe = node.now.clone();
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change();
        let folder = state.folder(path)?;
        state.sync_names(folder);
        let node = state.nodes.get_mut(&folder).unwrap();
        node.safe = node.now.clone();
        Ok(())
    }

    fn attributes(&self, path: &Path) -> io::Result<Attributes> {
        Ok(self.look().node(path)?.1.now.attributes.clone())
    }

    fn set_attributes(&self, path: &Path, attributes: &Attributes, policy: Extended) -> io::Result<()> {
        let mut state = self.change();
        let clock = state.clock;
        let (inode, _) = state.node(path)?;
        let node = state.nodes.get_mut(&inode).unwrap();
        let now = &mut node.now.attributes;
        now.modified = attributes.modified.or(now.modified);
        now.owner = attributes.owner.or(now.owner);
        now.mode = attributes.mode.or(now.mode);
        if policy == Extended::Exactly {
            now.extended.clone_from(&attributes.extended);
        } else {
            now.extended.retain(|(name, _)| attributes.extended.iter().all(|(other, _)| other != name));
            now.extended.extend(attributes.extended.iter().cloned());
        }
        now.extended.sort();
        node.changed = clock;
        if node.kind == FileKind::Link {
            node.safe = node.now.clone(); // A link cannot be synced: it goes with its name.
        }
        Ok(())
    }

    fn is_ours(&self, path: &Path) -> io::Result<bool> {
        self.look().node(path).map(|_| true)
    }

    fn is_immutable(&self, path: &Path) -> io::Result<bool> {
        self.look().node(path).map(|_| false)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.look();
        Ok(if state.tells_free { state.capacity.saturating_sub(state.used()) } else { u64::MAX })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let found = self.look().find(path)?;
        let inode = match found {
            Some(inode) => inode,
            None => self.change().add_node(path, FileKind::File, Vec::new(), Some(0o600))?,
        };
        let taken = self.look().locked.insert(inode);
        Ok(taken.then(|| Box::new(MemoryLock { disk: self.clone(), inode }) as Box<dyn Lock>))
    }
}

struct MemoryLock {
    disk: MemoryDisk,
    inode: Inode,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.disk.look().locked.remove(&self.inode);
    }
}

impl Lock for MemoryLock {}

struct MemoryOutput {
    disk: MemoryDisk,
    inode: Inode,
    at: usize,
}

impl io::Write for MemoryOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.change();
        let clock = state.clock;
        let len = state.nodes[&self.inode].now.content.len();
        let end = self.at + bytes.len();
        state.need(end.saturating_sub(len) as u64)?;
        let node = state.nodes.get_mut(&self.inode).unwrap();
        let content = Arc::make_mut(&mut node.now.content);
        content.resize(len.max(end), 0);
        content[self.at..end].copy_from_slice(bytes);
        node.now.attributes.modified = Some((clock, 0));
        node.changed = clock;
        self.at = end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for MemoryOutput {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let len = self.disk.look().nodes[&self.inode].now.content.len() as u64;
        let to = match position {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => len.checked_add_signed(by),
            SeekFrom::Current(by) => (self.at as u64).checked_add_signed(by),
        };
        let to = to.ok_or(io::ErrorKind::InvalidInput)?;
        self.at = usize::try_from(to).map_err(io::Error::other)?;
        Ok(to)
    }
}

impl Output for MemoryOutput {}

/// A generator of random numbers, the same for the same seed.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn up_to(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap() % (limit + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn disk() -> MemoryDisk {
        let disk = MemoryDisk::new(Features::ALL[0]);
        disk.write("a", b"old", &Attributes::default());
        disk.settle();
        disk.create(Path::new("b")).unwrap().write_all(b"newer").unwrap();
        disk
    }

    fn fates(disk: &MemoryDisk, order: Order) -> BTreeSet<Vec<u8>> {
        (0..200).map(|seed| disk.power_cut(order, seed).read("a")).collect()
    }

    #[test]
    fn a_file_renamed_before_it_is_synced_may_be_torn_and_one_synced_is_not() {
        for order in [Order::Global, Order::PerFolder] {
            let disk = disk();
            disk.rename(Path::new("b"), Path::new("a")).unwrap();
            assert!(fates(&disk, order).len() > 3);
            let disk = self::disk();
            disk.sync_file(Path::new("b")).unwrap();
            disk.rename(Path::new("b"), Path::new("a")).unwrap();
            assert_eq!(fates(&disk, order), BTreeSet::from([b"old".to_vec(), b"newer".to_vec()]));
            disk.sync_folder(Path::new("")).unwrap();
            assert_eq!(fates(&disk, order), BTreeSet::from([b"newer".to_vec()]));
        }
    }

    #[test]
    fn folders_lose_names_independently_but_a_rename_between_two_is_one_change() {
        let disk = MemoryDisk::new(Features::ALL[0]);
        for folder in ["x", "y"] {
            disk.make_folder(Path::new(folder), 0o755).unwrap();
        }
        disk.settle();
        disk.write("x/one", b"", &Attributes::default());
        disk.write("y/two", b"", &Attributes::default());
        disk.rename(Path::new("x/one"), Path::new("y/one")).unwrap();
        let fates: BTreeSet<Vec<String>> =
            (0..500).map(|seed| disk.power_cut(Order::PerFolder, seed).paths()).collect();
        let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(fates.contains(&strings(&["x", "y", "y/two"])), "{fates:?}");
        assert!(fates.iter().all(|paths| !(paths.contains(&"x/one".into()) && paths.contains(&"y/one".into()))));
        disk.sync_folder(Path::new("y")).unwrap();
        assert_eq!(disk.power_cut(Order::PerFolder, 1).paths(), ["x", "y", "y/one", "y/two"]);
    }
}
