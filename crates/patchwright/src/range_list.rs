//! How people write ranges: `OFF+LEN`, `OLDOFF+LEN=NEWOFF`, decimal or `0x`, one or a comma-separated list.

pub use patchwright_formats::{ByteRange, RetainRange};

/// Ranges as typed, and which old file they belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeArg<R> {
    /// 1-based index of the old file; all of them without it.
    pub old: Option<usize>,
    /// The ranges.
    pub ranges: Vec<R>,
}

/// Reads `[N:]OFF+LEN[,OFF+LEN]...`.
pub fn parse_ignore(text: &str) -> Result<RangeArg<ByteRange>, String> {
    parse(text, ignore_range)
}

/// Reads `[N:]OLDOFF+LEN[=NEWOFF][,...]`; `NEWOFF` defaults to `OLDOFF`.
pub fn parse_retain(text: &str) -> Result<RangeArg<RetainRange>, String> {
    parse(text, retain_range)
}

fn parse<R>(text: &str, item: impl Fn(&str) -> Result<R, String>) -> Result<RangeArg<R>, String> {
    let (old, list) = match text.split_once(':') {
        Some((number, list)) => (Some(old_number(number)?), list),
        None => (None, text),
    };
    let ranges = list.split(',').map(|range| item(range.trim())).collect::<Result<_, _>>()?;
    Ok(RangeArg { old, ranges })
}

fn old_number(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("'{text}' is not the number of an old file: they count from 1")),
    }
}

fn ignore_range(text: &str) -> Result<ByteRange, String> {
    let (offset, len) = text.split_once('+').ok_or_else(|| format!("'{text}' is not of the form OFFSET+LENGTH"))?;
    Ok(ByteRange::new(number(offset)?, number(len)?))
}

fn retain_range(text: &str) -> Result<RetainRange, String> {
    let (old, new_offset) = match text.split_once('=') {
        Some((old, new)) => (old, Some(number(new)?)),
        None => (text, None),
    };
    let old = ignore_range(old).map_err(|error| format!("{error} or OFFSET+LENGTH=NEWOFFSET"))?;
    Ok(RetainRange { old_offset: old.offset, len: old.len, new_offset: new_offset.unwrap_or(old.offset) })
}

/// Reads a number as people write it: decimal, or hexadecimal after `0x`.
pub fn number(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let digits = hexadecimal.unwrap_or(text);
    let radix = if hexadecimal.is_some() { 16 } else { 10 };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(format!("'{text}' is not a decimal or 0x hexadecimal number"));
    }
    u64::from_str_radix(digits, radix).map_err(|_| format!("'{text}' exceeds 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_read_in_both_notations() {
        let range = ByteRange::new;
        assert_eq!(parse_ignore("0x10+4"), Ok(RangeArg { old: None, ranges: vec![range(16, 4)] }));
        assert_eq!(
            parse_ignore("2:16+0X4, 0x20+8"),
            Ok(RangeArg { old: Some(2), ranges: vec![range(16, 4), range(32, 8)] })
        );
        let retain = |old_offset, len, new_offset| RetainRange { old_offset, len, new_offset };
        assert_eq!(parse_retain("1:0x40+64"), Ok(RangeArg { old: Some(1), ranges: vec![retain(64, 64, 64)] }));
        assert_eq!(
            parse_retain("8+4=0xc,0+1"),
            Ok(RangeArg { old: None, ranges: vec![retain(8, 4, 12), retain(0, 1, 0)] })
        );
    }

    #[test]
    fn junk_is_named() {
        for (text, expect) in [
            ("", "not of the form"),
            ("5", "not of the form"),
            ("5+", "'' is not a decimal"),
            ("-1+2", "'-1' is not a decimal"),
            ("+1+2", "'' is not a decimal"),
            ("0x+1", "is not a decimal"),
            ("1_0+1", "is not a decimal"),
            ("1+2,", "not of the form"),
            ("0:1+2", "count from 1"),
            ("x:1+2", "not the number of an old file"),
            ("0x10000000000000000+1", "exceeds 64 bits"),
        ] {
            let error = parse_ignore(text).unwrap_err();
            assert!(error.contains(expect), "{text}: {error}");
        }
        assert!(parse_retain("1+2=").is_err());
        assert!(parse_retain("1=2").is_err());
    }
}
