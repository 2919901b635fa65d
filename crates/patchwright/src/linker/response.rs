//! Response files of GNU tools: `@file` stands for the arguments in it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Response files may name others, but not without end.
const DEEPEST: usize = 16;

/// The arguments with all response files replaced by what they hold. As GNU tools do it, `@file` is an argument like any
/// other if there is no such file.
pub(crate) fn expand(args: &[OsString]) -> Vec<OsString> {
    let mut out = Vec::new();
    expand_into(args, DEEPEST, &mut out);
    out
}

fn expand_into(args: &[OsString], depth: usize, out: &mut Vec<OsString>) {
    for arg in args {
        let path = arg.as_bytes().strip_prefix(b"@").filter(|_| depth > 0);
        match path.map(|path| fs::read(Path::new(std::ffi::OsStr::from_bytes(path)))) {
            Some(Ok(text)) => expand_into(&split(&text), depth - 1, out),
            _ => out.push(arg.clone()),
        }
    }
}

/// Words apart from each other by white space. Quotes of either sort keep it together, a backslash keeps what follows.
pub(crate) fn split(text: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => word.get_or_insert_default().extend(bytes.next()),
            (byte, Some(open)) if byte == open => quote = None,
            (b'"' | b'\'', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (byte, None) if byte.is_ascii_whitespace() => words.extend(word.take().map(OsString::from_vec)),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word.map(OsString::from_vec));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_gnu_tools_do() {
        for (text, expect) in [
            ("a.o b.o\n-lc", &["a.o", "b.o", "-lc"][..]),
            ("\"with space.o\" 'and one.o'", &["with space.o", "and one.o"]),
            (r"with\ space.o c:\\x", &["with space.o", r"c:\x"]),
            (r#""a\"b" '' x"y z"w"#, &["a\"b", "", "xy zw"]),
            ("  \n\t", &[]),
            ("\"open", &["open"]),
        ] {
            assert_eq!(split(text.as_bytes()), expect, "{text}");
        }
    }

    #[test]
    fn files_may_name_files() {
        let folder = tempfile::tempdir().unwrap();
        let [outer, inner] = ["outer", "inner"].map(|name| folder.path().join(name));
        fs::write(&outer, format!("a @{} c", inner.display())).unwrap();
        // Itself, without end.
        fs::write(&inner, format!("b @{} @nowhere", outer.display())).unwrap();
        let arg = OsString::from(format!("@{}", outer.display()));
        let expanded = expand(&[arg, "d".into()]);
        assert_eq!(expanded[..3], ["a", "b", "a"]);
        assert_eq!(expanded.last().unwrap(), "d");
        assert!(expanded.contains(&"@nowhere".into()) && expanded.len() < 64);
    }
}
