//! The folder of what lies between images and patch: deltas, headers, cabinets, transforms.
//!
//! Only what was made here is ever removed. Whoever names a folder that exists gets one inside it.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};

use super::failure::{Failure, Result, pcw};
use crate::error::{Error, ErrorKind};

/// The folder. It goes when it is dropped, unless it is kept.
pub(super) enum WorkFolder {
    /// Of a name that nobody else has.
    Own(TempDir),
    /// Of the name that was asked for, which was free.
    Named(Named),
}

/// A folder that we made under a given name.
pub(super) struct Named {
    path: PathBuf,
    keep: bool,
}

impl Drop for Named {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl WorkFolder {
    /// Makes it: in the folder of the system for such things, or at `wanted`.
    ///
    /// With `must_be_new`, a folder that is there already is an error, as `msimsp -k` has it.
    pub(super) fn make(wanted: Option<&Path>, must_be_new: bool) -> Result<Self> {
        let failed = |path: &Path, error: &std::io::Error| {
            Failure::io(pcw::CANT_CREATE_TEMP_FOLDER, "make the folder for temporary files", path, error)
        };
        let own = |place: &Path| {
            let made = Builder::new().prefix("patchwright-").tempdir_in(place);
            made.map(Self::Own).map_err(|error| failed(place, &error))
        };
        let Some(wanted) = wanted else { return own(&std::env::temp_dir()) };
        if let Some(parent) = wanted.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|error| failed(wanted, &error))?;
        }
        match fs::create_dir(wanted) {
            Ok(()) => Ok(Self::Named(Named { path: wanted.to_owned(), keep: false })),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && must_be_new => {
                let error = Error::new(ErrorKind::Io, "the folder for temporary files exists already").at(wanted);
                Err(Failure::new(pcw::CANT_CREATE_TEMP_FOLDER, error.hint("name another one, or leave out -k")))
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => own(wanted),
            Err(error) => Err(failed(wanted, &error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Named(folder) => &folder.path,
        }
    }

    /// Leaves it where it is; says where.
    pub(super) fn keep(self) -> PathBuf {
        match self {
            Self::Own(folder) => folder.keep(),
            Self::Named(mut folder) => {
                folder.keep = true;
                folder.path.clone()
            }
        }
    }

    /// Removes it; an error is one of the system, and what is left is named.
    pub(super) fn remove(self) -> Result<()> {
        let path = self.path().to_owned();
        let removed = match self {
            Self::Own(folder) => folder.close(),
            Self::Named(mut folder) => {
                folder.keep = true;
                fs::remove_dir_all(&path)
            }
        };
        let failed =
            |error| Failure::io(pcw::CANT_DELETE_TEMP_FOLDER, "remove the folder for temporary files", &path, &error);
        removed.map_err(failed)
    }

    /// The folder of a family in it.
    pub(super) fn family(&self, name: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        fs::create_dir_all(&path)
            .map_err(|error| Failure::io(pcw::CANT_CREATE_TEMP_FOLDER, "make the folder", &path, &error))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_is_removed() {
        let root = TempDir::new().unwrap();
        let named = root.path().join("a/b");
        let made = WorkFolder::make(Some(&named), true).unwrap();
        assert_eq!(made.path(), named);
        fs::write(named.join("x"), "").unwrap();
        drop(made);
        assert!(!named.exists());

        // A folder with something in it stays, and what is in it.
        fs::create_dir(&named).unwrap();
        fs::write(named.join("precious"), "").unwrap();
        assert!(WorkFolder::make(Some(&named), true).is_err());
        let inside = WorkFolder::make(Some(&named), false).unwrap();
        assert_eq!(inside.path().parent(), Some(named.as_path()));
        drop(inside);
        assert_eq!(fs::read_dir(&named).unwrap().count(), 1);

        let kept = WorkFolder::make(Some(&root.path().join("kept")), false).unwrap().keep();
        assert!(kept.is_dir());
    }
}
