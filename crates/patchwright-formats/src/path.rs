//! Paths inside a tree patch, which cannot leave the tree whatever the patch says.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// Longest path in bytes.
pub const MAX_PATH_LEN: usize = 4096;
/// Longest single name in bytes, which is what Linux and NTFS allow.
const MAX_NAME_LEN: usize = 255;

/// The folder that Patchwright keeps its own state in, beside or inside what it patches.
pub const STATE_DIR: &str = ".patchwright";

/// A relative path of plain names joined by `/`, safe to follow below any folder on any system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(String);

/// Why a path may not stand in a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathObjection {
    /// No characters, or two slashes in a row, or one at an end.
    EmptyName,
    /// `.` or `..`.
    Dots,
    /// It begins with `/`.
    Absolute,
    /// It begins with a drive such as `C:`.
    Drive,
    /// A backslash, which separates names on Windows.
    Backslash,
    /// A control character.
    Control,
    /// A name that Windows takes for a device, such as `NUL` or `com1.txt`.
    Device,
    /// A name longer than 255 bytes or a path longer than 4096.
    TooLong,
    /// Not UTF-8.
    NotUnicode,
    /// The name of our own state folder.
    Reserved,
}

impl fmt::Display for PathObjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyName => "has an empty name in it",
            Self::Dots => "has '.' or '..' in it",
            Self::Absolute => "is absolute",
            Self::Drive => "begins with a drive letter",
            Self::Backslash => "has a backslash in it",
            Self::Control => "has a control character in it",
            Self::Device => "has a name that Windows takes for a device",
            Self::TooLong => "is too long (a name 255 bytes, a path 4096)",
            Self::NotUnicode => "is not UTF-8",
            Self::Reserved => "uses the name of Patchwright's own folder",
        })
    }
}

impl TreePath {
    /// Checks `path` and wraps it.
    pub fn new(path: impl Into<String>) -> Result<Self, PathObjection> {
        let path = path.into();
        if path.len() > MAX_PATH_LEN {
            return Err(PathObjection::TooLong);
        }
        if path.starts_with('/') {
            return Err(PathObjection::Absolute);
        }
        path.split('/').try_for_each(check_name)?;
        if path.split('/').next().is_some_and(|name| fold(name) == STATE_DIR) {
            return Err(PathObjection::Reserved);
        }
        Ok(Self(path))
    }

    /// The path as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of the folder it stands in; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// The last name.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Whether the path is `folder` or lies inside it.
    pub fn is_within(&self, folder: &Self) -> bool {
        self.0.strip_prefix(&folder.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// What two paths share when some file system cannot tell them apart: letter case, Unicode composition, and
    /// dots and blanks at the end of a name.
    pub fn fold_key(&self) -> String {
        self.0.split('/').map(fold).collect::<Vec<_>>().join("/")
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fold(name: &str) -> String {
    // Up and down again: ß and ss, ς and σ are one where file systems fold case.
    let folded: String = name.nfd().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    folded.nfc().collect::<String>().trim_end_matches(['.', ' ']).to_owned()
}

fn check_name(name: &str) -> Result<(), PathObjection> {
    let mut first = name.bytes();
    match name {
        "" => Err(PathObjection::EmptyName),
        "." | ".." => Err(PathObjection::Dots),
        _ if name.len() > MAX_NAME_LEN => Err(PathObjection::TooLong),
        _ if name.contains('\\') => Err(PathObjection::Backslash),
        _ if name.chars().any(char::is_control) => Err(PathObjection::Control),
        _ if first.next().is_some_and(|byte| byte.is_ascii_alphabetic()) && first.next() == Some(b':') => {
            Err(PathObjection::Drive)
        }
        _ if is_device(name) => Err(PathObjection::Device),
        _ => Ok(()),
    }
}

/// Whether Windows opens a device by this name: one of its names, alone or before a dot or colon.
fn is_device(name: &str) -> bool {
    let stem = name.split(['.', ':']).next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|digit| {
            matches!(digit, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
        })
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || numbered("COM") || numbered("LPT")
}

/// Lists every path whose twin, as some file systems see it, stands earlier in `paths`: `(earlier, later)`.
pub fn twins<'a>(paths: impl IntoIterator<Item = &'a TreePath>) -> Vec<(&'a TreePath, &'a TreePath)> {
    let mut keyed: Vec<(String, usize, &TreePath)> =
        paths.into_iter().enumerate().map(|(index, path)| (path.fold_key(), index, path)).collect();
    keyed.sort();
    keyed.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| (pair[0].2, pair[1].2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_accepted() {
        for path in ["a", "bin/app", "usr/share/man/man3/Foo::Bar.3pm", "con1", "nullify", "..a", "a..", "ä/ß", "com10"]
        {
            assert!(TreePath::new(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn paths_that_escape_or_mislead_are_refused() {
        use PathObjection::*;
        let long = "x".repeat(256);
        for (path, expect) in [
            ("", EmptyName),
            ("a//b", EmptyName),
            ("a/", EmptyName),
            ("/etc/passwd", Absolute),
            ("..", Dots),
            ("a/../../b", Dots),
            ("./a", Dots),
            ("C:/Windows", Drive),
            ("c:evil", Drive),
            ("a\\..\\b", Backslash),
            ("\\\\?\\a", Backslash),
            ("a\nb", Control),
            ("a\0b", Control),
            ("NUL", Device),
            ("bin/nul.txt", Device),
            ("Aux.c", Device),
            ("com1", Device),
            ("LPT9.log", Device),
            ("con:stream", Device),
            (&long, TooLong),
            (".patchwright/journal", Reserved),
            (".PatchWright", Reserved),
        ] {
            assert_eq!(TreePath::new(path).err(), Some(expect), "{path:?}");
        }
    }

    #[test]
    fn twins_are_found_through_case_composition_and_trailing_dots() {
        let paths: Vec<TreePath> = ["README", "a/B", "a/b", "e\u{301}", "é", "straße", "strasse", "x.", "x", "readme2"]
            .map(|path| TreePath::new(path).unwrap())
            .into();
        let found: Vec<(&str, &str)> = twins(&paths).iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(found, [("a/B", "a/b"), ("straße", "strasse"), ("x.", "x"), ("e\u{301}", "é")]);
    }

    #[test]
    fn within_compares_whole_names() {
        let path = |text: &str| TreePath::new(text).unwrap();
        assert!(path("a/b").is_within(&path("a")));
        assert!(path("a").is_within(&path("a")));
        assert!(!path("ab").is_within(&path("a")));
        assert_eq!(path("a/b/c").parent(), Some(path("a/b")));
        assert_eq!(path("a/b/c").name(), "c");
        assert_eq!(path("a").parent(), None);
    }
}
