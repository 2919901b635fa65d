//! Paths as they stand in a `.pcp`, and where they lead here.
//!
//! In this order: `%NAME%` is what the environment has under that name, in any case; a path that begins with a mapped prefix
//! goes on from the folder of the longest one; a path of this system stays; one without root begins at the folder of the
//! `.pcp`; any other path of Windows leads nowhere. Both `\` and `/` separate. Each name is looked up as it is spelled, and
//! where that is missing, in any case.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use patchwright_msi::image::Unlocated;

/// A prefix of Windows paths, and the folder here that it stands for: `C:\build=/srv/build`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathMapping {
    /// The names of the prefix, the drive or the server first, in small letters.
    prefix: Vec<String>,
    /// The folder.
    folder: PathBuf,
}

impl FromStr for PathMapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (prefix, folder) = text.split_once('=').ok_or("write it as C:\\build=/srv/build")?;
        let windows = Windows::parse(prefix);
        let Some(Windows { root: Some(root), names }) = windows else {
            return Err(format!("'{prefix}' does not begin as C:\\ or \\\\server\\share do"));
        };
        if folder.is_empty() {
            return Err("it names no folder".to_owned());
        }
        let prefix = std::iter::once(root).chain(names).map(|name| name.to_lowercase()).collect();
        Ok(Self { prefix, folder: PathBuf::from(folder) })
    }
}

/// A path of Windows taken apart.
struct Windows {
    /// `C:` or `\\server`; nothing in a relative path.
    root: Option<String>,
    names: Vec<String>,
}

impl Windows {
    /// `None` for a path that depends on the current drive or folder of Windows.
    fn parse(text: &str) -> Option<Self> {
        // The longer spelling of the same paths.
        let text = text.strip_prefix(r"\\?\").map_or_else(
            || text.to_owned(),
            |rest| match rest.strip_prefix(r"UNC\") {
                Some(rest) => format!(r"\\{rest}"),
                None => rest.to_owned(),
            },
        );
        let slashes = text.replace('/', "\\");
        let split =
            |text: &str| text.split('\\').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        if let Some(rest) = slashes.strip_prefix("\\\\") {
            let mut names = split(rest).into_iter();
            let server = names.next()?;
            return Some(Self { root: Some(format!("\\\\{server}")), names: names.collect() });
        }
        if slashes.starts_with('\\') {
            return None;
        }
        match (slashes.get(..2), slashes.get(2..)) {
            (Some(drive), Some(rest))
                if drive.ends_with(':') && drive.starts_with(|c: char| c.is_ascii_alphabetic()) =>
            {
                (rest.is_empty() || rest.starts_with('\\'))
                    .then(|| Self { root: Some(drive.to_owned()), names: split(rest) })
            }
            _ => Some(Self { root: None, names: split(&slashes) }),
        }
    }
}

/// Where the paths of a `.pcp` lead.
pub(crate) struct Paths<'a> {
    /// The folder of the `.pcp`.
    pub(crate) base: &'a Path,
    /// What stands for paths of Windows.
    pub(crate) mappings: &'a [PathMapping],
    /// The environment.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Paths<'_> {
    /// The path of something that exists.
    pub(crate) fn find(&self, text: &str) -> Result<PathBuf, Unlocated> {
        in_any_case(&self.place(text)?)
    }

    /// Where a path leads, whether it exists or not.
    pub(crate) fn place(&self, text: &str) -> Result<PathBuf, Unlocated> {
        let text = self.expanded(text)?;
        if text.starts_with('/') && !text.starts_with("//") {
            return Ok(PathBuf::from(text));
        }
        let Some(windows) = Windows::parse(&text) else { return Err(Unlocated::Unmapped(text)) };
        let Some(root) = &windows.root else {
            return Ok(joined(self.base, &windows.names));
        };
        let folded: Vec<String> = std::iter::once(root).chain(&windows.names).map(|name| name.to_lowercase()).collect();
        let fits = self.mappings.iter().filter(|mapping| folded.starts_with(&mapping.prefix));
        match fits.max_by_key(|mapping| mapping.prefix.len()) {
            // The root is a part of the prefix, and none of the names.
            Some(mapping) => Ok(joined(&mapping.folder, &windows.names[mapping.prefix.len() - 1..])),
            None => Err(Unlocated::Unmapped(text)),
        }
    }

    /// The text with what the environment has; a `%` without another one stays.
    fn expanded(&self, text: &str) -> Result<String, Unlocated> {
        let mut made = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            let Some((name, after)) = after.split_once('%').filter(|(name, _)| is_variable(name)) else {
                made += before;
                made.push('%');
                rest = after;
                continue;
            };
            made += before;
            made += &(self.variable)(name).ok_or_else(|| Unlocated::Unset(name.to_owned()))?;
            rest = after;
        }
        Ok(made + rest)
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['\\', '/', '=', ':'])
}

/// What the environment of this process has under a name, in any case.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| {
        let mut found: Vec<(String, OsString)> = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value)))
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .collect();
        found.sort();
        found.into_iter().next()?.1.into_string().ok()
    })
}

fn joined(folder: &Path, names: &[String]) -> PathBuf {
    names.iter().fold(folder.to_owned(), |path, name| path.join(name))
}

/// The path, each name in the case that its folder has.
fn in_any_case(path: &Path) -> Result<PathBuf, Unlocated> {
    let shown = || path.to_string_lossy().into_owned();
    let mut found = PathBuf::new();
    for component in path.components() {
        let next = found.join(component);
        let Component::Normal(name) = component else {
            found = next;
            continue;
        };
        match fs::symlink_metadata(&next) {
            Ok(_) => found = next,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = if found.as_os_str().is_empty() { Path::new(".") } else { &found };
                let wanted = name.to_string_lossy().to_lowercase();
                let names = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
                let mut names: Vec<String> = names
                    .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                    .filter(|name| name.to_lowercase() == wanted)
                    .collect();
                names.sort();
                match names.as_slice() {
                    [] => return Err(Unlocated::Missing(shown())),
                    [only] => found.push(only),
                    _ => return Err(Unlocated::Ambiguous(names)),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(Unlocated::Missing(shown())),
            Err(error) => return Err(unreadable(&next, &error)),
        }
    }
    Ok(found)
}

fn unreadable(path: &Path, error: &io::Error) -> Unlocated {
    Unlocated::Unreadable { path: path.to_string_lossy().into_owned(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<PathBuf, Unlocated> {
        let mappings: Vec<PathMapping> = [r"C:\=/c", r"c:\Build=/srv/build", r"\\Server\share\x=/mnt/x", "D:=/d"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let variable = |name: &str| match name.to_uppercase().as_str() {
            "ROOT" => Some(r"C:\build".to_owned()),
            "HOME" => Some("/home/me".to_owned()),
            _ => None,
        };
        Paths { base: Path::new("pcp"), mappings: &mappings, variable: &variable }.place(text)
    }

    #[test]
    fn paths_lead_where_the_mappings_say() {
        for (text, expect) in [
            (r"C:\build\1.0\app.msi", "/srv/build/1.0/app.msi"),
            (r"c:/BUILD/1.0/app.msi", "/srv/build/1.0/app.msi"),
            (r"\\?\C:\build\app.msi", "/srv/build/app.msi"),
            (r"C:\builds\app.msi", "/c/builds/app.msi"),
            (r"C:\", "/c"),
            (r"d:\app.msi", "/d/app.msi"),
            (r"\\SERVER\Share\X\app.msi", "/mnt/x/app.msi"),
            ("//server/share/x/app.msi", "/mnt/x/app.msi"),
            (r"\\?\UNC\server\share\x\app.msi", "/mnt/x/app.msi"),
            ("/abs/App.msi", "/abs/App.msi"),
            (r"1.0\app.msi", "pcp/1.0/app.msi"),
            ("1.0/app.msi", "pcp/1.0/app.msi"),
            (r"..\1.0\app.msi", "pcp/../1.0/app.msi"),
            (r"%root%\app.msi", "/srv/build/app.msi"),
            ("%HOME%/app.msi", "/home/me/app.msi"),
            ("100%.msi", "pcp/100%.msi"),
            ("100%/50%.msi", "pcp/100%/50%.msi"),
        ] {
            assert_eq!(place(text), Ok(PathBuf::from(expect)), "{text}");
        }
        for text in [r"E:\app.msi", r"\\server\other\app.msi", r"\app.msi", "C:app.msi"] {
            assert_eq!(place(text), Err(Unlocated::Unmapped(text.to_owned())), "{text}");
        }
        assert_eq!(place(r"%NOPE%\app.msi"), Err(Unlocated::Unset("NOPE".to_owned())));
    }

    #[test]
    fn mappings_that_cannot_be_are_refused() {
        for text in ["", r"C:\build", r"C:\build=", "build=/srv", r"\build=/srv", "=/srv"] {
            assert!(text.parse::<PathMapping>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["Dir/File.MSI", "two/a", "two/A", "b"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let find = |name: &str| in_any_case(&folder.path().join(name));
        assert_eq!(find("dir/file.msi"), Ok(folder.path().join("Dir/File.MSI")));
        assert_eq!(find("TWO/a"), Ok(folder.path().join("two/a")));
        assert_eq!(find("two/../DIR"), Ok(folder.path().join("two/../Dir")));
        assert!(matches!(find("dir/none"), Err(Unlocated::Missing(_))));
        assert!(matches!(find("b/c"), Err(Unlocated::Missing(_))));
        fs::rename(folder.path().join("b"), folder.path().join("two/Aa")).unwrap();
        fs::write(folder.path().join("two/AA"), "").unwrap();
        assert_eq!(find("two/aa"), Err(Unlocated::Ambiguous(vec!["AA".to_owned(), "Aa".to_owned()])));
    }
}
