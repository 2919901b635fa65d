//! Names of streams: pairs of letters are packed into one character, so that 62 letters fit where 31 characters do.
//!
//! Names that begin with U+0005 and names of storages stand as they are.

const ALPHABET: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._";
/// Stands before the name of a table.
const TABLE: char = '\u{4840}';
/// Pairs are numbered from here, …
const PAIR: u32 = 0x3800;
/// … single letters from here.
const SINGLE: u32 = 0x4800;
/// Characters that the name of a stream has at most.
const LONGEST: usize = 31;

fn index(char: char) -> Option<u32> {
    let at = ALPHABET.iter().position(|letter| char::from(*letter) == char)?;
    u32::try_from(at).ok()
}

fn letter(at: u32) -> char {
    ALPHABET.get(at as usize % 64).copied().map_or('?', char::from)
}

/// Encodes the name of a table or, without `table`, of a cell's stream; `None` if it is too long.
pub(crate) fn encode(name: &str, table: bool) -> Option<String> {
    let mut encoded: Vec<char> = table.then_some(TABLE).into_iter().collect();
    let mut chars = name.chars().peekable();
    while let Some(char) = chars.next() {
        let Some(first) = index(char) else {
            encoded.push(char);
            continue;
        };
        let unit = match chars.peek().copied().and_then(index) {
            Some(second) => {
                chars.next();
                PAIR + first + 64 * second
            }
            None => SINGLE + first,
        };
        encoded.extend(char::from_u32(unit));
    }
    let units: usize = encoded.iter().map(|char| char.len_utf16()).sum();
    (units <= LONGEST && !encoded.is_empty()).then(|| encoded.into_iter().collect())
}

/// Decodes a name; says whether it is a table's.
pub(crate) fn decode(name: &str) -> (String, bool) {
    let rest = name.strip_prefix(TABLE);
    let mut decoded = String::new();
    for char in rest.unwrap_or(name).chars() {
        match u32::from(char) {
            unit @ PAIR..SINGLE => decoded.extend([letter(unit - PAIR), letter((unit - PAIR) / 64)]),
            unit @ SINGLE..0x4840 => decoded.push(letter(unit - SINGLE)),
            _ => decoded.push(char),
        }
    }
    (decoded, rest.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As found in files of Windows Installer.
    #[test]
    fn names_are_packed_as_found() {
        for (name, table, units) in [
            ("_Tables", true, &[0x4840, 0x3f7f, 0x4164, 0x422f, 0x4836][..]),
            ("CAB_msitest", false, &[0x3a8c, 0x47cb, 0x45b0, 0x45ec, 0x45a8, 0x4837]),
            ("BINARY.1", false, &[0x3c8b, 0x3a97, 0x409b, 0x387e]),
        ] {
            let encoded = encode(name, table).unwrap();
            assert_eq!(encoded.encode_utf16().collect::<Vec<_>>(), units, "{name}");
            assert_eq!(decode(&encoded), (name.to_owned(), table));
        }
        assert_eq!(decode(&encode("a-b", false).unwrap()), ("a-b".to_owned(), false));
        assert_eq!(encode(&"a".repeat(61), true), None);
        assert!(encode(&"a".repeat(60), true).is_some());
        assert_eq!(encode("", false), None);
    }
}
