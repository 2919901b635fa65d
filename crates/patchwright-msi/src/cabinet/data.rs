//! The blocks of a folder, one after another.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use patchwright_formats::lzx;

use super::header::Folder;
use super::mszip::Mszip;
use crate::error::{MsiError, MsiErrorKind, Result};
use crate::image::Content;

/// Bytes that a block makes at most.
const LARGEST_BLOCK: u16 = 0x8000;

/// How the blocks of a folder are compressed.
pub(super) enum Decoder {
    None,
    Mszip(Mszip),
    Lzx(Box<lzx::cabinet::Decoder>),
}

impl Decoder {
    /// The decoder for the word of a folder.
    pub(super) fn of(compression: u16, structure: &str) -> Result<Self> {
        match compression & 0xf {
            0 => Ok(Self::None),
            1 => Ok(Self::Mszip(Mszip::default())),
            3 => {
                let [_, high] = compression.to_le_bytes();
                let window = lzx::Window::of_cabinet(high & 0x1f)
                    .ok_or_else(|| MsiError::malformed(structure, format!("a window of 2^{} bytes", high & 0x1f)))?;
                Ok(Self::Lzx(Box::new(lzx::cabinet::Decoder::new(window))))
            }
            2 => Err(MsiError::unsupported(structure, "Quantum compression")),
            kind => Err(MsiError::unsupported(structure, format!("compression {kind}"))),
        }
    }

    fn block<'a>(&'a mut self, data: &'a [u8], len: usize) -> Result<&'a [u8], String> {
        match self {
            Self::None if data.len() == len => Ok(data),
            Self::None => Err(format!("a stored block of {} bytes that says {len}", data.len())),
            Self::Mszip(mszip) => mszip.block(data, len),
            Self::Lzx(lzx) => lzx.chunk(data, len).map_err(|error| error.to_string()),
        }
    }
}

/// Blocks of one cabinet, as stored.
pub(super) struct Stored {
    reader: BufReader<Box<dyn Content>>,
    left: u16,
    reserve: u8,
    structure: String,
}

impl Stored {
    pub(super) fn of(mut content: Box<dyn Content>, folder: Folder, reserve: u8, structure: &str) -> Result<Self> {
        let io = |error| MsiError::io(structure, error);
        content.seek(SeekFrom::Start(u64::from(folder.offset))).map_err(io)?;
        let reader = BufReader::with_capacity(1 << 16, content);
        Ok(Self { reader, left: folder.blocks, reserve, structure: structure.to_owned() })
    }

    /// Appends the data of the next block; says how many bytes it makes, 0 where the next cabinet has its end.
    fn next(&mut self, data: &mut Vec<u8>) -> Result<Option<u16>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let io = |error: io::Error| MsiError::io(&self.structure, error);
        let mut head = [0; 8];
        self.reader.read_exact(&mut head).map_err(io)?;
        let [c0, c1, c2, c3, l0, l1, m0, m1] = head;
        let (sum, len, makes) =
            (u32::from_le_bytes([c0, c1, c2, c3]), u16::from_le_bytes([l0, l1]), u16::from_le_bytes([m0, m1]));
        let start = data.len();
        let mut reserve = vec![0; usize::from(self.reserve)];
        self.reader.read_exact(&mut reserve).map_err(io)?;
        self.reader.by_ref().take(u64::from(len)).read_to_end(data).map_err(io)?;
        let block = data.get(start..).unwrap_or_default();
        if block.len() != usize::from(len) {
            return Err(MsiError::new(&self.structure, MsiErrorKind::Truncated));
        }
        // The sum covers the lengths and what follows them; 0 is no sum. Readers disagree on whether the reserve counts.
        let without = checksum(&[l0, l1, m0, m1], checksum(block, 0));
        if ![0, without, checksum(&reserve, without)].contains(&sum) {
            return Err(MsiError::malformed(&self.structure, "a block with another checksum than it states"));
        }
        if makes > LARGEST_BLOCK {
            return Err(MsiError::malformed(&self.structure, format!("a block of {makes} bytes")));
        }
        Ok(Some(makes))
    }
}

/// \[MS-CAB\] 3.1: words with exclusive or; the last bytes stand the other way round.
fn checksum(bytes: &[u8], seed: u32) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum = words.iter().fold(seed, |sum, word| sum ^ u32::from_le_bytes(*word));
    sum ^ rest.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// A folder being decoded, over all cabinets that have a part of it.
pub(super) struct Blocks {
    decoder: Decoder,
    current: Option<Stored>,
    data: Vec<u8>,
}

impl Blocks {
    pub(super) fn new(decoder: Decoder) -> Self {
        Self { decoder, current: None, data: Vec::new() }
    }

    /// The bytes of the next block; `None` at the end of the folder. `part` gives what the next cabinet has of it.
    pub(super) fn next(&mut self, part: &mut dyn FnMut() -> Result<Option<Stored>>) -> Result<Option<&[u8]>> {
        self.data.clear();
        loop {
            if self.current.is_none() {
                self.current = part()?;
            }
            let Some(stored) = &mut self.current else {
                return match self.data.is_empty() {
                    true => Ok(None),
                    false => Err(MsiError::malformed("the last cabinet", "it ends inside a block")),
                };
            };
            match stored.next(&mut self.data)? {
                None => self.current = None,
                // Split: the rest is the first block of the next cabinet, which says the length.
                Some(0) => {}
                Some(makes) => {
                    let structure = stored.structure.clone();
                    let made = self.decoder.block(&self.data, usize::from(makes));
                    return made.map(Some).map_err(|what| MsiError::malformed(structure, what));
                }
            }
        }
    }
}
