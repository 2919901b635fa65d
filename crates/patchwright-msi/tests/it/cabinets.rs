//! Cabinets as the tests want them: any compression, any split, any damage.

use std::io::Write;

use patchwright_formats::lzx::{E8, EncodeOptions, Level, Window, encode};

/// A cabinet to be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cabinet {
    pub(crate) previous: Option<&'static str>,
    pub(crate) next: Option<&'static str>,
    pub(crate) folders: Vec<Folder>,
    pub(crate) files: Vec<File>,
    /// Its number in the set.
    pub(crate) number: u8,
    /// Bytes of reserve in the header, each folder, each block.
    pub(crate) reserve: [u8; 3],
}

#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) compression: u16,
    /// Data, and how many bytes it makes.
    pub(crate) blocks: Vec<(Vec<u8>, usize)>,
}

#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) offset: usize,
    pub(crate) len: usize,
    pub(crate) folder: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Stored,
    Mszip,
    Lzx(u8),
}

const FROM_PREVIOUS: u16 = 0xfffd;
const TO_NEXT: u16 = 0xfffe;
const THROUGH: u16 = 0xffff;

impl Folder {
    pub(crate) fn of(bytes: &[u8], compression: Compression) -> Self {
        let pieces = bytes.chunks(0x8000);
        let (word, blocks) = match compression {
            Compression::Stored => (0, pieces.map(|piece| (piece.to_vec(), piece.len())).collect()),
            Compression::Mszip => {
                // Each block may refer to the one before: what the writer of the `cab` crate makes does.
                (1, mszip(bytes))
            }
            Compression::Lzx(log2) => {
                let e8 = E8::Always(u32::try_from(bytes.len()).unwrap());
                let stream = encode(&[], bytes, Window::MIN, &EncodeOptions { e8, level: Level::Best }).unwrap();
                let (mut rest, mut chunks) = (stream.as_slice(), Vec::new());
                for piece in pieces {
                    let (len, next) = rest.split_first_chunk::<2>().unwrap();
                    let (chunk, next) = next.split_at(usize::from(u16::from_le_bytes(*len)));
                    chunks.push((chunk.to_vec(), piece.len()));
                    rest = next;
                }
                (3 | u16::from(log2) << 8, chunks)
            }
        };
        Self { compression: word, blocks }
    }
}

/// The blocks of a cabinet that the `cab` crate writes.
fn mszip(bytes: &[u8]) -> Vec<(Vec<u8>, usize)> {
    let mut builder = cab::CabinetBuilder::new();
    builder.add_folder(cab::CompressionType::MsZip).add_file("x");
    let mut writer = builder.build(std::io::Cursor::new(Vec::new())).unwrap();
    while let Some(mut file) = writer.next_file().unwrap() {
        file.write_all(bytes).unwrap();
    }
    let made = writer.finish().unwrap().into_inner();
    let word = |at: usize| usize::from(u16::from_le_bytes([made[at], made[at + 1]]));
    let (mut at, count) = (u32::from_le_bytes(made[36..40].try_into().unwrap()) as usize, word(40));
    let mut blocks = Vec::new();
    for _ in 0..count {
        blocks.push((made[at + 8..at + 8 + word(at + 4)].to_vec(), word(at + 6)));
        at += 8 + word(at + 4);
    }
    blocks
}

impl Cabinet {
    /// Files one after another in one folder.
    pub(crate) fn of(files: &[(&'static str, &[u8])], compression: Compression) -> Self {
        let (mut bytes, mut listed) = (Vec::new(), Vec::new());
        for (name, content) in files {
            listed.push(File { name, offset: bytes.len(), len: content.len(), folder: 0 });
            bytes.extend_from_slice(content);
        }
        Self { folders: vec![Folder::of(&bytes, compression)], files: listed, ..Self::default() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let has_reserve = self.reserve != [0; 3];
        let text = |text: &str| [text.as_bytes(), &[0]].concat();
        let flags =
            u16::from(self.previous.is_some()) | u16::from(self.next.is_some()) << 1 | u16::from(has_reserve) << 2;
        let mut head = Vec::new();
        let count = |count: usize| u16::try_from(count).unwrap().to_le_bytes();
        head.extend([count(self.folders.len()), count(self.files.len()), flags.to_le_bytes()].concat());
        head.extend([0x34, 0x12, self.number, 0]);
        if has_reserve {
            head.extend([self.reserve[0], 0, self.reserve[1], self.reserve[2]]);
            head.resize(head.len() + usize::from(self.reserve[0]), 0xee);
        }
        for name in [self.previous, self.next].into_iter().flatten() {
            head.extend([text(name), text("disk")].concat());
        }
        let mut files = Vec::new();
        for file in &self.files {
            files.extend(u32::try_from(file.len).unwrap().to_le_bytes());
            files.extend(u32::try_from(file.offset).unwrap().to_le_bytes());
            files.extend(file.folder.to_le_bytes());
            files.extend([0x21, 0x5a, 0, 0, 0x20, 0]);
            files.extend(text(file.name));
        }
        let folder_len = 8 + usize::from(self.reserve[1]);
        let files_at = 26 + head.len() + self.folders.len() * folder_len;
        let (mut folders, mut data) = (Vec::new(), Vec::new());
        for folder in &self.folders {
            let at = files_at + files.len() + data.len();
            folders.extend(u32::try_from(at).unwrap().to_le_bytes());
            folders.extend(count(folder.blocks.len()));
            folders.extend(folder.compression.to_le_bytes());
            folders.resize(folders.len() + folder_len - 8, 0xee);
            for (block, makes) in &folder.blocks {
                let lens = [count(block.len()), count(*makes)].concat();
                let reserve = vec![0xee; usize::from(self.reserve[2])];
                data.extend(checksum(&lens, checksum(&reserve, checksum(block, 0))).to_le_bytes());
                data.extend([lens, reserve, block.clone()].concat());
            }
        }
        let len = u32::try_from(files_at + files.len() + data.len()).unwrap().to_le_bytes();
        let files_at = u32::try_from(files_at).unwrap().to_le_bytes();
        [b"MSCF\0\0\0\0", &len[..], &[0; 4], &files_at, &[0, 0, 0, 0, 3, 1], &head, &folders, &files, &data].concat()
    }
}

/// Where the files of the last cabinet of a set are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// In the folder that goes on.
    SameFolder,
    /// There, and said to come from the cabinet before, which does not have them.
    SameFolderFromPrevious,
    /// In a folder of their own.
    OwnFolder,
}

/// Three cabinets that continue each other, cut in the middle of blocks; the first file runs through all of them.
pub(crate) fn set(
    files: &[(&'static str, &[u8])],
    compression: Compression,
    rest: Rest,
) -> [(&'static str, Vec<u8>); 3] {
    let (first, others) = files.split_at(1);
    let whole = Cabinet::of(if rest == Rest::OwnFolder { first } else { files }, compression);
    let mut own = Cabinet::of(others, compression);
    own.files.iter_mut().for_each(|file| file.folder = 1);
    let blocks = whole.folders[0].blocks.clone();
    let cut = |(data, makes): &(Vec<u8>, usize)| {
        let (one, two) = data.split_at(data.len() / 3);
        ((one.to_vec(), 0), (two.to_vec(), *makes))
    };
    let ((one_end, two_start), (two_end, three_start)) = (cut(&blocks[1]), cut(&blocks[2]));
    let part = |blocks| vec![Folder { compression: whole.folders[0].compression, blocks }];
    let through = |folder| File { folder, ..whole.files[0].clone() };
    let one = Cabinet {
        next: Some("two.cab"),
        folders: part(vec![blocks[0].clone(), one_end]),
        files: vec![through(TO_NEXT)],
        ..Cabinet::default()
    };
    let two = Cabinet {
        number: 1,
        previous: Some("one.cab"),
        next: Some("Three.cab"),
        folders: part(vec![two_start, two_end]),
        files: vec![through(THROUGH)],
        ..Cabinet::default()
    };
    let three = Cabinet {
        number: 2,
        previous: Some("two.cab"),
        folders: match rest {
            Rest::OwnFolder => [part([vec![three_start], blocks[3..].to_vec()].concat()), own.folders].concat(),
            _ => part([vec![three_start], blocks[3..].to_vec()].concat()),
        },
        files: match rest {
            Rest::OwnFolder => [vec![through(FROM_PREVIOUS)], own.files].concat(),
            Rest::SameFolder => [vec![through(FROM_PREVIOUS)], whole.files[1..].to_vec()].concat(),
            Rest::SameFolderFromPrevious => {
                let all = whole.files.iter().cloned();
                all.map(|file| File { folder: FROM_PREVIOUS, ..file }).collect()
            }
        },
        ..Cabinet::default()
    };
    [("one.cab", one.bytes()), ("TWO.cab", two.bytes()), ("three.cab", three.bytes())]
}

fn checksum(bytes: &[u8], seed: u32) -> u32 {
    bytes.chunks(4).fold(seed, |sum, chunk| {
        let word = match chunk {
            [a, b, c, d] => u32::from_le_bytes([*a, *b, *c, *d]),
            rest => rest.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)),
        };
        sum ^ word
    })
}

/// Text without long repeats, and calls in it.
pub(crate) fn sample(len: usize, seed: u32) -> Vec<u8> {
    let mut seed = seed;
    let mut next = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    };
    let words: Vec<Vec<u8>> = (0..200).map(|_| (0..next() % 9 + 2).map(|_| next()).collect()).collect();
    let mut made = Vec::new();
    while made.len() < len {
        made.extend(&words[usize::from(next()) % words.len()]);
        if next() < 20 {
            made.extend([0xE8, next(), next(), 0, 0, next()]);
        }
    }
    made.truncate(len);
    made
}
