//! Lists of offsets and lengths: decimal or 0x, separated by commas.

/// Ranges that one old file has at most: a patch counts them in a byte.
const MOST_RANGES: usize = 255;

/// Reads a list: each number decimal, or hexadecimal after `0x`, up to 32 bits. Blanks around a number are taken.
pub fn parse_numbers(list: &str) -> Result<Vec<u32>, String> {
    list.split(',').map(|item| number(item.trim())).collect()
}

fn number(item: &str) -> Result<u32, String> {
    let hexadecimal = item.strip_prefix("0x").or_else(|| item.strip_prefix("0X"));
    let (digits, radix) = hexadecimal.map_or((item, 10), |digits| (digits, 16));
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(format!("'{item}' is not a decimal or 0x hexadecimal number"));
    }
    u32::from_str_radix(digits, radix).map_err(|_| format!("'{item}' exceeds 32 bits"))
}

/// What is wrong with ranges whose numbers can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RangeFault {
    /// They cannot be.
    Error(String),
    /// They can, but are hardly meant.
    Warning(String),
}

/// Checks offsets with their lengths, equally many: all that is wrong.
pub(crate) fn checked_ranges(offsets: &[u32], lengths: &[u32]) -> Vec<RangeFault> {
    let mut faults = Vec::new();
    if offsets.len() > MOST_RANGES {
        let what = format!("{} ranges; a patch holds {MOST_RANGES} of a file at most", offsets.len());
        faults.push(RangeFault::Error(what));
    }
    let mut ranges: Vec<(u32, u32)> = offsets.iter().copied().zip(lengths.iter().copied()).collect();
    ranges.sort_unstable();
    for (offset, length) in &ranges {
        if *length == 0 {
            faults.push(RangeFault::Warning(format!("the range at {offset:#x} has length 0: it has no effect")));
        }
        if offset.checked_add(*length).is_none() {
            faults.push(RangeFault::Error(format!("the range {offset:#x}+{length:#x} ends beyond 32 bits")));
        }
    }
    ranges.retain(|(_, length)| *length > 0);
    for pair in ranges.windows(2) {
        let ((one, length), (other, _)) = (pair[0], pair[1]);
        if u64::from(one) + u64::from(length) > u64::from(other) {
            faults.push(RangeFault::Error(format!("the ranges at {one:#x} and {other:#x} overlap")));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_in_both_notations() {
        assert_eq!(parse_numbers("0x10, 16,0XfF"), Ok(vec![16, 16, 255]));
        assert_eq!(parse_numbers("4294967295"), Ok(vec![u32::MAX]));
        for bad in ["", "1,", ",1", "-1", "+1", "0x", "1_0", "g", "4294967296", "0x100000000", "1 2"] {
            assert!(parse_numbers(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_are_counted_in_a_byte() {
        let offsets: Vec<u32> = (0..256).map(|number| number * 4).collect();
        assert_eq!(checked_ranges(&offsets[..255], &[4; 255]), []);
        let faults = checked_ranges(&offsets, &[4; 256]);
        assert_eq!(faults, [RangeFault::Error("256 ranges; a patch holds 255 of a file at most".to_owned())]);
    }
}
