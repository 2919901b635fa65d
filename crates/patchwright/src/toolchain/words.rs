//! Command lines as their words: response files and the environment options of Microsoft's tools.
//!
//! Two ways of quoting exist. GNU tools and Clang read `@file` as a shell would, without its expansions. Microsoft's
//! tools, and `clang-cl` and `lld-link` in their place, split as Windows splits a command line.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use crate::{Error, ErrorKind, Result};

/// Response files may name response files; nobody nests this deep on purpose.
const DEEPEST: usize = 16;
/// No command line is longer; a device that never ends is not read for ever.
const LONGEST: u64 = 64 << 20;

/// How the words of a response file are quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quoting {
    /// White space between, `'…'`, `"…"` and `\` as in a shell.
    Gnu,
    /// As `CommandLineToArgvW` has it: `"…"`, and `\` only before `"`.
    Windows,
}

/// The words with every `@file` replaced by the words in it. A file that is not there stays as the word that it is, which
/// is what the tools do.
///
/// # Errors
/// A response file cannot be read, is no text, or they nest without end.
pub(crate) fn expand(words: &[OsString], quoting: Quoting) -> Result<Vec<OsString>> {
    let mut out = Vec::with_capacity(words.len());
    expand_into(words, quoting, 0, &mut out)?;
    Ok(out)
}

fn expand_into(words: &[OsString], quoting: Quoting, depth: usize, out: &mut Vec<OsString>) -> Result<()> {
    for word in words {
        let Some(path) = file_of(word) else {
            out.push(word.clone());
            continue;
        };
        let bytes = match read(Path::new(&path)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                out.push(word.clone());
                continue;
            }
            Err(error) => return Err(Error::io("read the response file", &path, &error)),
        };
        if depth == DEEPEST {
            let message = format!("response files name each other, more than {DEEPEST} deep");
            return Err(Error::new(ErrorKind::Usage, message).at(&path));
        }
        let text = decode(&bytes).ok_or_else(|| {
            Error::new(ErrorKind::Malformed, "the response file is neither UTF-8 nor UTF-16").at(&path)
        })?;
        let words: Vec<OsString> = split(&text, quoting).into_iter().map(OsString::from).collect();
        expand_into(&words, quoting, depth + 1, out)?;
    }
    Ok(())
}

/// The file that `@file` names.
fn file_of(word: &OsStr) -> Option<OsString> {
    let rest = word.as_encoded_bytes().strip_prefix(b"@").filter(|rest| !rest.is_empty())?;
    // A name of bytes that are no text cannot be spelled without `unsafe`; it stays a word, which the tool reads itself.
    Some(OsString::from(std::str::from_utf8(rest).ok()?))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// UTF-16 with its mark, or UTF-8 with or without.
pub(crate) fn decode(bytes: &[u8]) -> Option<String> {
    let units = |from: fn([u8; 2]) -> u16, rest: &[u8]| {
        let (pairs, left) = rest.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| from(*pair)).collect();
        String::from_utf16(&units).ok().filter(|_| left.is_empty())
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => units(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => units(u16::from_be_bytes, rest),
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok().map(str::to_owned),
        rest => std::str::from_utf8(rest).ok().map(str::to_owned),
    }
}

/// Splits a text into words.
pub(crate) fn split(text: &str, quoting: Quoting) -> Vec<String> {
    match quoting {
        Quoting::Gnu => split_gnu(text),
        Quoting::Windows => split_windows(text),
    }
}

fn split_gnu(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (Some(open), _) if open == char => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(char),
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None, _) if char.is_ascii_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

fn split_windows(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                let mut slashes = 1;
                while chars.next_if_eq(&'\\').is_some() {
                    slashes += 1;
                }
                let word = word.get_or_insert_default();
                // Before a quote each two are one, and an odd one makes the quote a letter.
                let before_quote = chars.peek() == Some(&'"');
                word.extend(std::iter::repeat_n('\\', if before_quote { slashes / 2 } else { slashes }));
                if before_quote && slashes % 2 == 1 {
                    word.extend(chars.next());
                }
            }
            '"' => {
                word.get_or_insert_default();
                if quoted && chars.next_if_eq(&'"').is_some() {
                    word.get_or_insert_default().push('"');
                } else {
                    quoted = !quoted;
                }
            }
            _ if char.is_ascii_whitespace() && !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

/// The words of `CL` or `_CL_`, in which `#` stands for the first `=` of a word: a variable cannot hold that.
pub(crate) fn of_cl_variable(value: &str) -> Vec<OsString> {
    split_windows(value).into_iter().map(|word| OsString::from(word.replacen('#', "=", 1))).collect()
}

/// The text of a response file with these words, as Windows splits it.
pub(crate) fn quote_windows(words: &[OsString]) -> Option<String> {
    let mut text = String::new();
    for word in words {
        let word = word.to_str()?;
        text.push('"');
        let mut slashes = 0;
        for char in word.chars() {
            if char == '"' {
                // Those before a quote count double, and one more makes it a letter.
                text.extend(std::iter::repeat_n('\\', slashes + 1));
            }
            slashes = if char == '\\' { slashes + 1 } else { 0 };
            text.push(char);
        }
        text.extend(std::iter::repeat_n('\\', slashes));
        text.push_str("\"\n");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn words_are_split_as_the_tools_split_them() {
        for (text, gnu, windows) in [
            ("", &[][..], &[][..]),
            (" a\tb\nc ", &["a", "b", "c"], &["a", "b", "c"]),
            ("\"a b\" c", &["a b", "c"], &["a b", "c"]),
            ("'a b'", &["a b"], &["'a", "b'"]),
            (r"a\ b", &["a b"], &["a\\", "b"]),
            (r"C:\dir\x", &["C:dirx"], &[r"C:\dir\x"]),
            (r#""C:\dir\\" x"#, &[r"C:dir\", "x"], &[r"C:\dir\", "x"]),
            (r#"-DX=\"y\""#, &[r#"-DX="y""#], &[r#"-DX="y""#]),
            (r#"-DX=\\"y z""#, &[r"-DX=\y z"], &[r"-DX=\y z"]),
            ("\"\" x", &["", "x"], &["", "x"]),
            (r#""a""b""#, &["ab"], &[r#"a"b"#]),
            ("un\"closed x", &["unclosed x"], &["unclosed x"]),
            ("end\\", &["end"], &["end\\"]),
        ] {
            assert_eq!(split(text, Quoting::Gnu), gnu, "{text}");
            assert_eq!(split(text, Quoting::Windows), windows, "{text}");
        }
    }

    #[test]
    fn quoted_words_come_back() {
        let words: Vec<OsString> =
            ["a", "a b", r"C:\dir\", r#"-DX="y""#, "", r#"\\"q\"#].into_iter().map(OsString::from).collect();
        let text = quote_windows(&words).unwrap();
        let split: Vec<OsString> = split_windows(&text).into_iter().map(OsString::from).collect();
        assert_eq!(split, words);
    }

    #[test]
    fn texts_are_decoded_by_their_mark() {
        for (bytes, expect) in [
            (&b"a \xc3\xa4"[..], Some("a ä")),
            (b"\xef\xbb\xbfa", Some("a")),
            (b"\xff\xfea\0\xe4\0", Some("aä")),
            (b"\xfe\xff\0a\0\xe4", Some("aä")),
            (b"\xff\xfea", None),
            (b"\xff\xfe\x00\xd8", None),
            (b"\xe4", None),
        ] {
            assert_eq!(decode(bytes).as_deref(), expect, "{bytes:02x?}");
        }
    }

    #[test]
    fn response_files_are_words_and_may_nest() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let at = |name: &str| OsString::from(format!("@{}", path(name).display()));
        fs::write(path("inner"), "-c x.c").unwrap();
        fs::write(path("outer"), format!("-O2 \"@{}\" @", path("inner").display())).unwrap();
        fs::write(path("loop"), format!("@{}", path("loop").display())).unwrap();
        fs::write(path("bad"), b"\xe4\xff").unwrap();
        let words = [OsString::from("-g"), at("outer"), at("missing")];
        let expect: Vec<OsString> =
            ["-g", "-O2", "-c", "x.c", "@"].into_iter().map(OsString::from).chain([at("missing")]).collect();
        assert_eq!(expand(&words, Quoting::Gnu).unwrap(), expect);
        assert!(expand(&[at("loop")], Quoting::Gnu).unwrap_err().message.contains("deep"));
        assert!(expand(&[at("bad")], Quoting::Windows).unwrap_err().message.contains("UTF-8"));
    }

    #[test]
    fn hash_stands_for_the_first_equals_sign() {
        assert_eq!(of_cl_variable("/DA#1#2 /hotpatch"), ["/DA=1#2", "/hotpatch"]);
    }
}
