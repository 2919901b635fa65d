//! What fuzz targets share: two byte strings in one input, and a sink that has an end.

use std::io;

/// Two byte strings as one input: the length of the first in two little-endian bytes, the first, the second.
///
/// Every input means something, and a fuzzer that changes, cuts or joins inputs does the same to the strings.
pub fn split(input: &[u8]) -> (&[u8], &[u8]) {
    match input {
        [low, high, rest @ ..] => rest.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(rest.len())),
        short => (short, &[]),
    }
}

/// Makes the input that [`split`] takes apart; the first string is cut where its length does not fit.
pub fn join(first: &[u8], second: &[u8]) -> Vec<u8> {
    let first = &first[..first.len().min(usize::from(u16::MAX))];
    let len = u16::try_from(first.len()).expect("cut above");
    [&len.to_le_bytes(), first, second].concat()
}

/// The container with the right hash on its header and table, if it has both.
pub fn with_table_hash(container: &[u8]) -> Vec<u8> {
    const HASHED: usize = 40;
    const HEADER: usize = 72;
    let mut bytes = container.to_vec();
    let table = bytes.get(24..32).and_then(|field| usize::try_from(u64::from_le_bytes(field.try_into().ok()?)).ok());
    if let Some(table) = table.and_then(|at| container.get(at.max(HEADER)..)) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&container[..HASHED]);
        hasher.update(table);
        bytes[HASHED..HEADER].copy_from_slice(hasher.finalize().as_bytes());
    }
    bytes
}

/// Takes `room` bytes and then refuses, as a full disk does.
pub struct Sink {
    /// What was written.
    pub bytes: Vec<u8>,
    room: usize,
}

impl Sink {
    /// A sink for at most `room` bytes.
    pub fn with_room(room: usize) -> Self {
        Sink { bytes: Vec::new(), room }
    }
}

impl io::Write for Sink {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + piece.len() > self.room {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_is_two_strings() {
        for (first, second) in [(&b""[..], &b""[..]), (b"old", b""), (b"", b"new"), (b"old", b"new")] {
            assert_eq!(split(&join(first, second)), (first, second));
        }
        assert_eq!(split(&[9]), (&[9][..], &[][..]));
        assert_eq!(split(&[200, 0, 1, 2]), (&[1, 2][..], &[][..]));
    }
}
