//! All that a `.pcp` names outside itself, opened or with the reason why not.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use super::{Content, Opened};
use crate::database::Database;

/// What a `.pcp` names: each by the key of its row.
#[derive(Default)]
pub struct Images {
    /// `UpgradedImages.MsiPath`, by `Upgraded`.
    pub upgraded: BTreeMap<String, Located<Opened>>,
    /// `UpgradedImages.PatchMsiPath` where there is one, by `Upgraded`.
    pub patch_databases: BTreeMap<String, Located<Database>>,
    /// `TargetImages.MsiPath`, by `Target`.
    pub targets: BTreeMap<String, Located<Opened>>,
    /// `ExternalFiles.FilePath`, by what stands in that column.
    pub external: BTreeMap<String, Located<External>>,
    /// Paths of `Properties` that refer to variables which are not set: name of the property, name of the variable.
    pub unset: Vec<(String, String)>,
}

/// Something that a path should lead to.
pub type Located<T> = Result<T, Unlocated>;

/// Why a path does not lead to what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlocated {
    /// It refers to `%NAME%`, which is not set.
    Unset(String),
    /// It is a path of Windows, and nothing says where that is here.
    Unmapped(String),
    /// There is nothing. The path is the one that was looked for.
    Missing(String),
    /// Several names differ in case alone, and none is spelled as the path has it.
    Ambiguous(Vec<String>),
    /// What is there is no database of Windows Installer.
    NotADatabase {
        /// The path.
        path: String,
        /// Why.
        why: String,
    },
    /// It cannot be read.
    Unreadable {
        /// The path.
        path: String,
        /// What the system says.
        why: String,
    },
}

/// An old file from outside the images.
pub struct External {
    /// Its length.
    pub len: u64,
    /// Opens it; every reader is independent of the others.
    pub open: Box<dyn Fn() -> io::Result<Box<dyn Content>> + Send + Sync>,
}

impl Images {
    /// The image of a row of `UpgradedImages`.
    pub fn upgraded(&self, name: &str) -> Option<&Opened> {
        self.upgraded.get(name)?.as_ref().ok()
    }

    /// The image of a row of `TargetImages`.
    pub fn target(&self, name: &str) -> Option<&Opened> {
        self.targets.get(name)?.as_ref().ok()
    }

    /// The tables that a new image is compared by: those of `PatchMsiPath` where there are any.
    pub fn upgraded_database(&self, name: &str) -> Option<&Database> {
        match self.patch_databases.get(name) {
            Some(database) => database.as_ref().ok(),
            None => self.upgraded(name).map(|opened| &opened.image.database),
        }
    }
}

impl fmt::Display for Unlocated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset(name) => write!(f, "the variable %{name}% is not set"),
            Self::Unmapped(path) => write!(f, "nothing says where the Windows path {path} is here"),
            Self::Missing(path) => write!(f, "{path} does not exist"),
            Self::Ambiguous(names) => write!(f, "{} differ in case alone", names.join(" and ")),
            Self::NotADatabase { path, why } => write!(f, "{path}: {why}"),
            Self::Unreadable { path, why } => write!(f, "{path}: {why}"),
        }
    }
}
