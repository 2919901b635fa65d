//! The pieces of text output: names that may come from strangers, numbers of bytes, tables.

use std::fmt::Write as _;
use std::path::Path;

use anstyle::Style;

/// Headings. They stand on lines of their own, so nothing is lost without the style.
pub(crate) const HEADING: Style = Style::new().bold();

/// Whether a character is a control, steers the direction of text, or cannot be seen: a name that holds it could change
/// what the terminal does, or what its reader believes to see.
pub(crate) fn is_unprintable(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Writes text so that it stays on its line and means what it shows: `\n`, `\t`, `\r` and `\u{…}` for the rest.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if is_unprintable(char) { escaped.extend(escape_char(char)) } else { escaped.push(char) }
    }
    escaped
}

/// `\n` and the like are known to everybody; the number does for the others.
fn escape_char(char: char) -> impl Iterator<Item = char> {
    let short = matches!(char, '\n' | '\r' | '\t');
    let default = short.then(|| char.escape_default());
    let unicode = (!short).then(|| char.escape_unicode());
    default.into_iter().flatten().chain(unicode.into_iter().flatten())
}

/// Writes a path likewise; bytes that are no text become `\xNN`.
pub(crate) fn escape_path(path: &Path) -> String {
    let mut escaped = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        escaped.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    escaped
}

/// Writes a number with commas: `1,265,432`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Writes a number of things: `1 range`, `2 ranges`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Writes a length exactly and for people: `1,265,432 bytes (1.2 MiB)`.
pub(crate) fn bytes(number: u64) -> String {
    let [exact, human] = byte_cells(number);
    if human.is_empty() { exact } else { format!("{exact} {human}") }
}

/// The two halves of [`bytes`], for two columns of a table.
pub(crate) fn byte_cells(number: u64) -> [String; 2] {
    [counted(number, "byte", "bytes"), human_bytes(number).map(|human| format!("({human})")).unwrap_or_default()]
}

/// The largest unit that leaves at least one whole, to a tenth; `None` below 1 KiB.
fn human_bytes(number: u64) -> Option<String> {
    const UNITS: [(&str, u32); 6] = [("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let tenths = |shift: u32| (u128::from(number) * 20 + (1 << shift)) >> (shift + 1);
    let at = UNITS.iter().position(|(_, shift)| number >> shift > 0)?;
    // What rounds up to 1024.0 is 1.0 of the next unit. There is none above, and no number that would need it.
    let at = if tenths(UNITS[at].1) >= 10_240 { at - 1 } else { at };
    let (unit, shift) = UNITS[at];
    Some(format!("{}.{} {unit}", tenths(shift) / 10, tenths(shift) % 10))
}

/// Writes a share to a tenth of a percent: `12.5%`; nothing of nothing is none.
pub(crate) fn share(part: u64, whole: u64) -> String {
    let whole = u128::from(whole.max(1));
    let tenths = (u128::from(part) * 2000 + whole) / (whole * 2);
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// Which edge the cells of a column share.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows of cells in columns, each as wide as it must be. A column without a title belongs to the one before it. Cells are escaped by whoever makes them. What may be wide, such
/// as a path, goes last.
pub(crate) struct Table<const N: usize> {
    head: [(&'static str, Align); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(head: [(&'static str, Align); N]) -> Self {
        Self { head, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// Writes the table, each line after two spaces.
    pub(crate) fn render(&self) -> String {
        let head = self.head.map(|(title, _)| title.to_owned());
        let lines: Vec<_> = std::iter::once(&head).chain(&self.rows).collect();
        let widths: [usize; N] = std::array::from_fn(|column| {
            lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or_default()
        });
        let mut text = String::new();
        for cells in lines {
            let mut line = String::new();
            for ((cell, width), (title, align)) in cells.iter().zip(widths).zip(self.head) {
                line.push_str(if title.is_empty() { " " } else { "  " });
                let _ = match align {
                    Align::Left => write!(line, "{cell:width$}"),
                    Align::Right => write!(line, "{cell:>width$}"),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Lines of a name and a value, the values in one column.
pub(crate) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let facts: Vec<_> = facts.into_iter().collect();
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    facts.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_strangers_are_harmless() {
        for (text, expect) in [
            ("plain name.exe", "plain name.exe"),
            ("ümlaut 漢字 😀", "ümlaut 漢字 😀"),
            ("two\nlines\tand\r", "two\\nlines\\tand\\r"),
            ("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{7f}\0", "\\u{7f}\\u{0}"),
            ("photo\u{202e}gpj.exe", "photo\\u{202e}gpj.exe"),
            ("\u{2066}a\u{2069}", "\\u{2066}a\\u{2069}"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("a\u{2028}b", "a\\u{2028}b"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(escape(text), expect);
        }
    }

    #[cfg(unix)]
    #[test]
    fn paths_that_are_no_text_show_their_bytes() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(OsStr::from_bytes(b"a\xff\xfe\n/b"));
        assert_eq!(escape_path(path), "a\\xff\\xfe\\n/b");
    }

    #[test]
    fn lengths_are_exact_and_readable() {
        for (number, expect) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1,023 bytes"),
            (1024, "1,024 bytes (1.0 KiB)"),
            (1_265_432, "1,265,432 bytes (1.2 MiB)"),
            (1_048_575, "1,048,575 bytes (1.0 MiB)"),
            ((1 << 60) - 1, "1,152,921,504,606,846,975 bytes (1.0 EiB)"),
            (1_000_000, "1,000,000 bytes (976.6 KiB)"),
            (5 << 30, "5,368,709,120 bytes (5.0 GiB)"),
            (u64::MAX, "18,446,744,073,709,551,615 bytes (16.0 EiB)"),
        ] {
            assert_eq!(bytes(number), expect);
        }
    }

    #[test]
    fn shares_are_tenths_of_a_percent() {
        for (part, whole, expect) in
            [(0, 0, "0.0%"), (1, 3, "33.3%"), (2, 3, "66.7%"), (7, 7, "100.0%"), (u64::MAX, u64::MAX, "100.0%")]
        {
            assert_eq!(share(part, whole), expect);
        }
    }

    #[test]
    fn tables_have_straight_edges() {
        let mut table = Table::new([("#", Align::Right), ("kind", Align::Left), ("path", Align::Left)]);
        table.row(["1".into(), "a".into(), "x".into()]);
        table.row(["10".into(), "longer".into(), String::new()]);
        assert_eq!(table.render(), "   #  kind    path\n   1  a       x\n  10  longer\n");
    }
}
