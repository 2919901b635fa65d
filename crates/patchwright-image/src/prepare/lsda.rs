//! Tables of exceptions in GCC's form (LSDA): call sites and landing pads, counted from the start of the function.

use super::bytes::{put, u32_at};

/// `DW_EH_PE_omit`.
const OMIT: u8 = 0xff;

/// A number in LEB128 with the bytes that it takes.
pub(crate) fn uleb(data: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (count, byte) in data.get(at..)?.iter().enumerate().take(10) {
        let shift = u32::try_from(7 * count).ok()?;
        let bits = u64::from(byte & 0x7f);
        if shift >= 64 || bits << shift >> shift != bits {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some((value, count + 1));
        }
    }
    None
}

/// Writes a number in LEB128 into exactly so many bytes; whether it fits.
#[must_use]
pub(crate) fn put_uleb(data: &mut [u8], at: usize, len: usize, mut value: u64) -> bool {
    let Some(field) = data.get_mut(at..).and_then(|rest| rest.get_mut(..len)) else { return false };
    let last = field.len().saturating_sub(1);
    for (index, byte) in field.iter_mut().enumerate() {
        let more = if index < last { 0x80 } else { 0 };
        *byte = u8::try_from(value & 0x7f).unwrap_or(0) | more;
        value >>= 7;
    }
    value == 0
}

/// A field of the table: where, how many bytes, whether in LEB128, and its new value.
type Field = (usize, usize, bool, u64);

/// Lets the table at `at` count from `by` bytes earlier, in place; whether that is possible. If not, nothing changes.
#[must_use]
pub(crate) fn count_from_earlier(data: &mut [u8], at: u64, by: u64) -> bool {
    let Some(fields) = usize::try_from(at).ok().and_then(|at| read(data, at, by)) else { return false };
    let fits = |(_, len, leb, value): &Field| match leb {
        true => *len >= 10 || value >> (7 * len) == 0,
        false => u32::try_from(*value).is_ok(),
    };
    let write = |(place, len, leb, value): Field| match leb {
        true => put_uleb(data, place, len, value),
        false => put(data, place as u64, 4, value),
    };
    fields.iter().all(fits) && fields.into_iter().all(write)
}

fn read(data: &[u8], at: usize, by: u64) -> Option<Vec<Field>> {
    // Landing pads that count from somewhere else are not made by compilers.
    if *data.get(at)? != OMIT {
        return None;
    }
    let mut at = at + 1;
    let types = *data.get(at)?;
    at += 1;
    if types != OMIT {
        at += uleb(data, at)?.1;
    }
    let encoding = *data.get(at)?;
    at += 1;
    let (len, taken) = uleb(data, at)?;
    at += taken;
    let end = at.checked_add(usize::try_from(len).ok()?).filter(|end| *end <= data.len())?;
    let number = |at: usize| match encoding {
        1 => uleb(data, at).map(|(value, taken)| (value, taken, true)),
        3 => u32_at(data, at as u64).map(|value| (u64::from(value), 4, false)),
        _ => None,
    };
    let mut fields = Vec::new();
    while at < end {
        let (start, taken, leb) = number(at)?;
        fields.push((at, taken, leb, start.checked_add(by)?));
        at += taken;
        at += number(at)?.1;
        let (pad, taken, leb) = number(at)?;
        if pad != 0 {
            fields.push((at, taken, leb, pad.checked_add(by)?));
        }
        at += taken;
        at += uleb(data, at)?.1;
    }
    (at == end).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_count_from_earlier() {
        // No landing pad base, no types, LEB128, two call sites.
        let table = [0xff, 0xff, 1, 8, 4, 5, 0, 0, 0x20, 5, 0x30, 1];
        let mut moved = table;
        assert!(count_from_earlier(&mut moved, 0, 2));
        assert_eq!(moved, [0xff, 0xff, 1, 8, 6, 5, 0, 0, 0x22, 5, 0x32, 1]);
        // 127 and 2 do not fit into one byte: nothing changes.
        let mut full = [0xff, 0xff, 1, 8, 4, 5, 0, 0, 0x7f, 5, 0x30, 1];
        let before = full;
        assert!(!count_from_earlier(&mut full, 0, 2));
        assert_eq!(full, before);
        // With types, and words.
        let mut words = [0xff, 0x9b, 20, 3, 13, 1, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0];
        assert!(count_from_earlier(&mut words, 0, 6));
        assert_eq!((words[5], words[9], words[13]), (7, 2, 15));
        for bad in [&[][..], &[0], &[0xff, 0xff, 1, 200, 1], &[0xff, 0xff, 9, 4, 0, 0, 0, 0], &[0xff, 0xff, 1, 1, 1]] {
            assert!(!count_from_earlier(&mut bad.to_vec(), 0, 2), "{bad:02x?}");
        }
    }

    #[test]
    fn numbers_keep_their_length() {
        let mut data = [0x85, 0x00, 7];
        assert_eq!(uleb(&data, 0), Some((5, 2)));
        assert!(put_uleb(&mut data, 0, 2, 0x3fff) && !put_uleb(&mut data.clone(), 0, 2, 0x4000));
        assert_eq!(data, [0xff, 0x7f, 7]);
        assert_eq!(uleb(&[0xff; 12], 0), None);
    }
}
