//! What stands in a folder: every entry below it, no link followed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use patchwright_formats::manifest::{MAX_FILE_LEN, MAX_TREE_ENTRIES, Node};
use patchwright_formats::path::{MAX_PATH_LEN, PathObjection, STATE_DIR, twins};
use patchwright_formats::{Blanked, ByteRange, ReadAt, TreePath};

use crate::disk::{Disk, FileKind, OsDisk, Stat};
use crate::error::{Error, ErrorKind, Result};

/// A folder that is compared.
pub(super) struct Folder {
    pub(super) root: PathBuf,
    disk: OsDisk,
}

/// A folder and what stands in it.
pub(super) struct Tree {
    pub(super) folder: Folder,
    /// Sorted by path; of files we know the length.
    pub(super) entries: Vec<(TreePath, Node<u64>)>,
}

/// The paths that the patch leaves alone, and whether any tree has them.
#[derive(Default)]
pub(super) struct Exclusions(BTreeMap<TreePath, bool>);

/// An open file as the patch sees it, and where it is.
pub(super) struct View {
    pub(super) bytes: Blanked<Box<dyn ReadAt>>,
    pub(super) place: PathBuf,
}

impl Folder {
    /// Opens a file that was `len` bytes long when it was first seen; `blanks` of it read as zero.
    pub(super) fn open(&self, path: &TreePath, len: u64, blanks: impl IntoIterator<Item = ByteRange>) -> Result<View> {
        let place = self.place(path.as_str());
        let source = self.disk.open(Path::new(path.as_str())).map_err(|error| Error::io("open", &place, &error))?;
        if source.len_bytes() != len {
            return Err(Error::new(ErrorKind::Busy, "the file changed while it was read").at(place));
        }
        Ok(View { bytes: Blanked::new(source, blanks), place })
    }

    /// Where an entry is, as the caller knows it.
    pub(super) fn place(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }
}

impl Exclusions {
    pub(super) fn new(paths: impl IntoIterator<Item = TreePath>) -> Self {
        Self(paths.into_iter().map(|path| (path, false)).collect())
    }

    /// Whether `path` is excluded; what is below it is never asked about.
    fn cover(&mut self, path: &TreePath) -> bool {
        self.0.get_mut(path).map(|found| *found = true).is_some()
    }

    /// Whether `path` or a folder that it stands in is excluded.
    pub(super) fn contain(&self, path: &TreePath) -> bool {
        self.0.keys().any(|excluded| path.is_within(excluded))
    }

    /// Those that stand in no tree.
    pub(super) fn idle(&self) -> impl Iterator<Item = &TreePath> {
        self.0.iter().filter(|(_, found)| !**found).map(|(path, _)| path)
    }
}

/// Lists what stands below `root`, and adds what cannot stand in a patch to `objections`.
pub(super) fn walk(root: &Path, exclusions: &mut Exclusions, objections: &mut Vec<String>) -> Result<Tree> {
    let disk = OsDisk::open(root).map_err(|error| Error::io("open", root, &error))?;
    let folder = Folder { root: root.to_owned(), disk };
    let mut entries = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(at) = pending.pop() {
        let names = folder.disk.list(&at).map_err(|error| Error::io("list", folder.place(&at), &error))?;
        for name in names {
            let path = at.join(name);
            let found = match visit(&folder, &path, exclusions)? {
                Visit::Entry(path, node) => (path, node),
                Visit::LeftOut => continue,
                Visit::Objection(why) => {
                    objections.push(format!("'{}' {why}", shown(&folder.place(&path))));
                    continue;
                }
            };
            if let Node::Folder { .. } = found.1 {
                pending.push(path);
            }
            entries.push(found);
        }
    }
    entries.sort_unstable_by(|(first, _), (second, _)| first.cmp(second));
    if entries.len() > MAX_TREE_ENTRIES {
        let count = entries.len();
        objections.push(format!("'{}' has {count} entries, at most {MAX_TREE_ENTRIES} fit", shown(root)));
    }
    for (first, second) in twins(entries.iter().map(|(path, _)| path)) {
        let shown = |path: &TreePath| shown(&folder.place(path.as_str()));
        objections.push(format!("'{}' and '{}' are one name on some file systems", shown(first), shown(second)));
    }
    Ok(Tree { folder, entries })
}

/// A path as it can be printed: names that nobody would see are escaped.
fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

enum Visit {
    Entry(TreePath, Node<u64>),
    LeftOut,
    Objection(String),
}

fn visit(folder: &Folder, path: &Path, exclusions: &mut Exclusions) -> Result<Visit> {
    let failed = |error: std::io::Error| Error::io("read", folder.place(path), &error);
    let Some(stat) = folder.disk.stat(path).map_err(failed)? else {
        return Err(Error::new(ErrorKind::Busy, "it vanished while the folder was read").at(folder.place(path)));
    };
    if path.as_os_str() == OsStr::new(STATE_DIR) && stat.kind == FileKind::Folder {
        return Ok(Visit::LeftOut);
    }
    let checked = path.to_str().ok_or(PathObjection::NotUnicode).and_then(TreePath::new);
    let path = match checked {
        Ok(path) if exclusions.cover(&path) => return Ok(Visit::LeftOut),
        Ok(path) => path,
        Err(objection) => return Ok(Visit::Objection(objection.to_string())),
    };
    Ok(match node(folder, &path, stat)? {
        Ok(node) => Visit::Entry(path, node),
        Err(why) => Visit::Objection(why),
    })
}

fn node(folder: &Folder, path: &TreePath, stat: Stat) -> Result<Result<Node<u64>, String>> {
    Ok(match stat.kind {
        FileKind::Folder => Ok(Node::Folder { mode: stat.mode }),
        FileKind::File if stat.len > MAX_FILE_LEN => Err(format!("is longer than {MAX_FILE_LEN} bytes")),
        FileKind::File => Ok(Node::File { mode: stat.mode, file: stat.len }),
        FileKind::Link => {
            let target = folder.disk.read_link(Path::new(path.as_str()));
            match target.map_err(|error| Error::io("read", folder.place(path.as_str()), &error))?.into_string() {
                Ok(target) if target.len() < MAX_PATH_LEN => Ok(Node::Symlink { target }),
                Ok(_) => Err(format!("is a symbolic link of more than {MAX_PATH_LEN} bytes")),
                Err(_) => Err("is a symbolic link to a path that is not UTF-8".to_owned()),
            }
        }
        FileKind::Special => Err(format!("is {}", stat.kind.name())),
    })
}
