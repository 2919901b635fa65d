//! Names of files and folders: `short|long`, and what can be a name at all.

/// Characters that a name has at most, in UTF-16 units: what file systems take.
const LONGEST: usize = 255;

/// A name of a file or folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Its short form (8.3), if it has one of its own.
    pub short: Option<String>,
    /// Its long form; the only one where there is no other.
    pub long: String,
}

impl Name {
    /// Reads `short|long` or `name`; `None` if it could lead elsewhere than to an entry of its folder.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (short, long) = match text.split_once('|') {
            Some((short, long)) => (Some(short), long),
            None => (None, text),
        };
        let sound = is_name(long) && short.is_none_or(is_name);
        sound.then(|| Self { short: short.filter(|short| *short != long).map(str::to_owned), long: long.to_owned() })
    }

    /// The forms in which a folder may have it, the likelier one first.
    pub(super) fn forms(&self, short_first: bool) -> impl Iterator<Item = &str> {
        let (short, long) = (self.short.as_deref(), Some(self.long.as_str()));
        let forms = if short_first { [short, long] } else { [long, short] };
        forms.into_iter().flatten()
    }
}

/// Whether a text names an entry of a folder and nothing else, here and on Windows.
///
/// Devices (`NUL`, `COM1.txt`) are no names on Windows; blanks and dots at the end are dropped there, so two names would be
/// one.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.encode_utf16().count() <= LONGEST
        && !text.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|'])
        && !text.chars().any(char::is_control)
        && !text.ends_with(['.', ' '])
        && !is_device(text)
}

fn is_device(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            let mut chars = rest.chars();
            matches!((chars.next(), chars.next()), (Some('1'..='9' | '¹' | '²' | '³'), None))
        })
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for (text, short, long) in [
            ("app.exe", None, "app.exe"),
            ("APPLIC~1.EXE|Application.exe", Some("APPLIC~1.EXE"), "Application.exe"),
            ("same|same", None, "same"),
            (".hidden", None, ".hidden"),
            ("com10", None, "com10"),
            ("nul1", None, "nul1"),
            ("größe", None, "größe"),
        ] {
            assert_eq!(
                Name::parse(text),
                Some(Name { short: short.map(str::to_owned), long: long.to_owned() }),
                "{text}"
            );
        }
        let long = "a".repeat(256);
        for bad in [
            "", ".", "..", "|", "a|", "|a", "a|b|c", "../a", "a/b", "a\\b", "C:", "a:b", "a\0", "a\n", "a.", "a ",
            "nul", "NUL.txt", "com1", "Lpt9.log", "aux .c", "COM¹", "..|a", "a|..", "a*", "a?", &long,
        ] {
            assert_eq!(Name::parse(bad), None, "{bad:?}");
        }
    }
}
