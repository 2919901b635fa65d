//! What a driver is going to do, before it does it.

use std::ffi::OsString;
use std::path::PathBuf;

/// What whoever calls a driver may choose.
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    /// Bytes of pad; the machine's usual size without it.
    pub(crate) pad: Option<usize>,
    /// Whether relocations stay in the image, which hot patches are made from.
    pub(crate) emit_relocs: bool,
}

impl Default for Choices {
    fn default() -> Self {
        Self { pad: None, emit_relocs: true }
    }
}

/// What is added to a command, and what happens around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Words that go before those of the user, so that the user's win.
    pub(crate) added: Vec<OsString>,
    /// Bytes of pad that functions get.
    pub(crate) pad: Option<usize>,
    /// Whether the assembler's objects need one nop made of two.
    pub(crate) mend_objects: bool,
    /// The image that is linked, if one is.
    pub(crate) image: Option<PathBuf>,
    /// A map of the link that the user asked for.
    pub(crate) map: Option<PathBuf>,
    /// Whether the linker can be asked for one.
    pub(crate) wants_map: bool,
    /// What breaks the promise.
    pub(crate) warnings: Vec<String>,
    /// What is good to know.
    pub(crate) notes: Vec<String>,
}

impl Plan {
    pub(crate) fn add<T: Into<OsString>>(&mut self, words: impl IntoIterator<Item = T>) {
        self.added.extend(words.into_iter().map(Into::into));
    }

    pub(crate) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    pub(crate) fn note(&mut self, notes: impl IntoIterator<Item = String>) {
        self.notes.extend(notes);
    }
}
