//! What a cabinet lists.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use crate::error::{MsiError, MsiErrorKind, Result};

const HAS_PREVIOUS: u16 = 1;
const HAS_NEXT: u16 = 2;
const HAS_RESERVE: u16 = 4;
/// In place of a folder's number: the first one, continued from the cabinet before.
const FROM_PREVIOUS: u16 = 0xfffd;
/// The last one, continued in the next cabinet.
const TO_NEXT: u16 = 0xfffe;
/// The only one, continued on both sides.
const THROUGH: u16 = 0xffff;
/// Bytes that a name has at most.
const LONGEST_NAME: u64 = 256;

/// The head of a cabinet.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
    /// Bytes between the header of a block and its data.
    pub(super) block_reserve: u8,
    pub(super) folders: Vec<Folder>,
    pub(super) files: Vec<File>,
}

/// Blocks that are compressed together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folder {
    /// Where the first block is.
    pub(super) offset: u32,
    pub(super) blocks: u16,
    pub(super) compression: u16,
}

#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) len: u32,
    /// Where it begins among the bytes of its folder.
    pub(super) offset: u32,
    pub(super) folder: usize,
    /// It goes on in the next cabinet.
    pub(super) to_next: bool,
}

impl Header {
    /// Reads the head; `structure` names the cabinet in errors.
    pub(super) fn read(content: &mut (impl Read + Seek), structure: &str) -> Result<Self> {
        let io = |error| MsiError::io(structure, error);
        content.rewind().map_err(io)?;
        let mut input = Input { reader: BufReader::new(content), structure };
        let fixed: [u8; 36] = input.bytes()?;
        if fixed.first_chunk() != Some(b"MSCF") {
            return Err(input.malformed("it does not begin as a cabinet does"));
        }
        if fixed[25] != 1 || fixed[24] > 3 {
            let what = format!("version {}.{}", fixed[25], fixed[24]);
            return Err(MsiError::unsupported(structure, what));
        }
        let word = |at: usize| u16::from_le_bytes([fixed[at], fixed[at + 1]]);
        let files_at = u32::from_le_bytes([fixed[16], fixed[17], fixed[18], fixed[19]]);
        let (folder_count, file_count, flags) = (word(26), word(28), word(30));
        let (mut folder_reserve, mut block_reserve) = (0, 0);
        if flags & HAS_RESERVE != 0 {
            let [low, high, folder, block] = input.bytes()?;
            input.skip(u64::from(u16::from_le_bytes([low, high])))?;
            (folder_reserve, block_reserve) = (folder, block);
        }
        let previous = (flags & HAS_PREVIOUS != 0).then(|| input.neighbour()).transpose()?;
        let next = (flags & HAS_NEXT != 0).then(|| input.neighbour()).transpose()?;
        let mut folders = Vec::new();
        for _ in 0..folder_count {
            let [a, b, c, d, blocks @ .., low, high]: [u8; 8] = input.bytes()?;
            folders.push(Folder {
                offset: u32::from_le_bytes([a, b, c, d]),
                blocks: u16::from_le_bytes(blocks),
                compression: u16::from_le_bytes([low, high]),
            });
            input.skip(u64::from(folder_reserve))?;
        }
        input.reader.seek(SeekFrom::Start(u64::from(files_at))).map_err(io)?;
        let mut files = Vec::new();
        for _ in 0..file_count {
            files.push(input.file(folders.len())?);
        }
        Ok(Self { previous, next, block_reserve, folders, files })
    }
}

struct Input<'a, R> {
    reader: BufReader<R>,
    structure: &'a str,
}

impl<R: Read> Input<'_, R> {
    fn malformed(&self, what: impl Into<String>) -> MsiError {
        MsiError::malformed(self.structure, what)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|error| MsiError::io(self.structure, error))?;
        Ok(bytes)
    }

    fn skip(&mut self, len: u64) -> Result<()> {
        let skipped = std::io::copy(&mut self.reader.by_ref().take(len), &mut std::io::sink());
        match skipped.map_err(|error| MsiError::io(self.structure, error))? {
            skipped if skipped == len => Ok(()),
            _ => Err(MsiError::new(self.structure, MsiErrorKind::Truncated)),
        }
    }

    /// Names are those of files in a table, which are ASCII; what is not becomes something that no table has.
    fn name(&mut self) -> Result<String> {
        let mut name = Vec::new();
        let limited = &mut self.reader.by_ref().take(LONGEST_NAME + 1);
        limited.read_until(0, &mut name).map_err(|error| MsiError::io(self.structure, error))?;
        match name.pop() {
            Some(0) => Ok(String::from_utf8_lossy(&name).into_owned()),
            _ => Err(self.malformed("a name without an end")),
        }
    }

    /// The name of a cabinet, and of its disk, which nobody needs.
    fn neighbour(&mut self) -> Result<String> {
        let name = self.name()?;
        self.name()?;
        Ok(name)
    }

    fn file(&mut self, folders: usize) -> Result<File> {
        let fixed: [u8; 16] = self.bytes()?;
        let name = self.name()?;
        let number = u16::from_le_bytes([fixed[8], fixed[9]]);
        let folder = match number {
            FROM_PREVIOUS | THROUGH => Some(0),
            TO_NEXT => folders.checked_sub(1),
            number => Some(usize::from(number)),
        };
        let folder = folder.filter(|folder| *folder < folders);
        let folder = folder.ok_or_else(|| self.malformed(format!("the file {name:?} is in no folder")))?;
        Ok(File {
            len: u32::from_le_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]),
            offset: u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            folder,
            to_next: matches!(number, TO_NEXT | THROUGH),
            name,
        })
    }
}
