//! What a command line of `link` or `lld-link` asks for. Options begin with `/` or `-`, in any case.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::recipe::MachineType;

/// What was typed, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkJob {
    /// `/functionpadmin`, each time it was typed: its value, if it has one.
    pub(crate) pads: Vec<Option<String>>,
    pub(crate) out: Option<PathBuf>,
    pub(crate) machine: Option<MachineType>,
    pub(crate) dll: bool,
    /// A map that was asked for; an empty path has the name of the image.
    pub(crate) map: Option<PathBuf>,
    pub(crate) inputs: Vec<PathBuf>,
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) nologo: bool,
    /// It makes a library, or prints something.
    pub(crate) links_nothing: bool,
}

impl LinkJob {
    /// Reads the words, response files and environment options expanded.
    pub(crate) fn read(words: &[OsString]) -> Self {
        let mut job = Self::default();
        for (index, word) in words.iter().enumerate() {
            let text = word.to_string_lossy();
            let option =
                text.strip_prefix('-').or_else(|| text.strip_prefix('/').filter(|_| !Path::new(word).is_file()));
            let Some(option) = option else {
                job.inputs.push(word.into());
                continue;
            };
            let (name, value) = option.split_once(':').map_or((option, None), |(name, value)| (name, Some(value)));
            let path = || value.map(PathBuf::from).unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "functionpadmin" => job.pads.push(value.filter(|value| !value.is_empty()).map(str::to_owned)),
                "out" => job.out = Some(path()),
                "machine" => job.machine = value.and_then(MachineType::from_linker_option),
                "dll" => job.dll = true,
                "map" => job.map = Some(path()),
                "libpath" => job.folders.push(path()),
                "nologo" => job.nologo = true,
                "lib" if index == 0 => job.links_nothing = true,
                "?" | "help" | "-help" | "-version" | "dump" | "edit" => job.links_nothing = true,
                _ => {}
            }
        }
        job
    }

    /// The name of the image.
    pub(crate) fn image(&self) -> PathBuf {
        let suffix = if self.dll { "dll" } else { "exe" };
        let first = || {
            self.inputs.first().and_then(|input| input.file_name()).map(|name| Path::new(name).with_extension(suffix))
        };
        self.out.clone().or_else(first).unwrap_or_default()
    }

    /// The map, if the user asked for one.
    pub(crate) fn map(&self, image: &Path) -> Option<PathBuf> {
        let map = self.map.clone()?;
        Some(if map.as_os_str().is_empty() { image.with_extension("map") } else { map })
    }
}

/// Reads a size as the linker does: decimal, or hexadecimal behind `0x`.
pub(crate) fn size(text: &str) -> Option<usize> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => usize::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> LinkJob {
        LinkJob::read(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn what_matters_is_seen() {
        let job = read(
            "/FunctionPadMin:0x10 -functionpadmin /OUT:x.dll /machine:ARM64 -dll /map /libpath:lib a.obj b.lib /nologo",
        );
        assert_eq!(job.pads, [Some("0x10".to_owned()), None]);
        assert_eq!((job.machine, job.dll, job.nologo), (Some(MachineType::Arm64), true, true));
        assert_eq!((job.inputs.len(), job.folders.len()), (2, 1));
        assert_eq!((job.image(), job.map(Path::new("x.dll"))), ("x.dll".into(), Some("x.map".into())));
        for (line, image) in [("dir/a.obj b.obj", "a.exe"), ("/dll a.obj", "a.dll"), ("/out:o a.obj", "o")] {
            assert_eq!(read(line).image(), Path::new(image), "{line}");
        }
        assert!(read("/lib a.obj").links_nothing && !read("a.obj /lib").links_nothing && read("/?").links_nothing);
        assert_eq!(read("/map:m.txt a.obj").map(Path::new("a.exe")), Some("m.txt".into()));
    }

    #[test]
    fn sizes_are_decimal_or_hexadecimal() {
        for (text, expect) in
            [("6", Some(6)), ("0x10", Some(16)), ("-1", None), ("6,7", None), ("zz", None), ("", None)]
        {
            assert_eq!(size(text), expect, "{text}");
        }
    }
}
