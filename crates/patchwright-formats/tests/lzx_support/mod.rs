//! The PA19 vectors of the genuine creator, taken apart as far as LZX streams need it.
//!
//! Reading whole patches is the business of another module; here are just streams, what they are made from and what
//! they make. Pairs of 32-bit programs are left out: their old files would have to be normalised.

#![allow(dead_code, reason = "each of the users takes what it needs")]

use std::path::PathBuf;

use patchwright_formats::lzx::{E8, EncodeOptions, Level, Window, decode, encode};

/// A stream of the genuine creator, and all that it takes to make one like it.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) reference: Vec<u8>,
    pub(crate) new: Vec<u8>,
    pub(crate) window: Window,
    pub(crate) stream: Vec<u8>,
}

/// Patch, old files, new file. Old files without ranges of an interleave map.
const PATCHES: &[(&str, &[&str], &str)] = &[
    ("text_A", &["txt_a"], "txt_b"),
    ("text_B", &["txt_a"], "txt_b"),
    ("text_best", &["txt_a"], "txt_b"),
    ("text_notime", &["txt_a"], "txt_b"),
    ("text_failflags", &["txt_a"], "txt_b"),
    ("noref_text", &["empty"], "txt_b"),
    ("noref_one", &["empty"], "one"),
    ("noref_mix_blocks", &["empty"], "mix"),
    ("zeros", &["zeros"], "zeros_x"),
    ("binary", &["rnd_a"], "rnd_b"),
    ("same_retain_moved", &["txt_a"], "txt_a"),
    ("two_olds", &["txt_a", "txt_c"], "txt_b"),
    ("two_olds_one_same", &["txt_b", "txt_a"], "txt_b"),
    ("ignore", &["txt_a"], "txt_b"),
    ("retain", &["txt_a"], "txt_b"),
    ("retain_multi", &["txt_a", "txt_c"], "txt_b"),
    ("ignore_retain", &["txt_a"], "txt_b"),
    ("maxwin18", &["txt_big_a"], "txt_big_b"),
    ("text_from_pe32", &["t1_dll"], "txt_b"),
    ("pe32_noref_B", &["empty"], "t2_dll"),
    ("pe64_A", &["t64_1_dll"], "t64_2_dll"),
    ("pe64_B", &["t64_1_dll"], "t64_2_dll"),
];

const LARGE: u32 = 4;
const NO_REBASE: u32 = 0x0004_0000;
const NO_RESTIMEFIX: u32 = 0x0040_0000;
const TIME_PRESENT: u32 = 0x0080_0000;
const EXTENDED: u32 = 0x8000_0000;
const EXTENDED_WINDOW: u32 = 0x0001_0000;

/// All vectors whose reference is the old file with its ranges zeroed.
pub(crate) fn vectors() -> Vec<Vector> {
    PATCHES.iter().flat_map(|(patch, olds, new)| streams(patch, olds, new)).collect()
}

/// The ranges of the interleaved patch: each is a stream of its own, with the window of the whole patch.
///
/// Returns the streams in a row, and what each of them makes.
pub(crate) fn interleaved() -> (Vec<u8>, Vec<Vector>) {
    let patch = file("interleave.pa19");
    let (old, new) = (file("txt_big_a"), file("txt_big_b"));
    let streams = patch[43..patch.len() - 4].to_vec();
    let window = Window::natural(old.len() as u64, new.len() as u64, Window::NORMAL_CAP);
    let (first, second) = new.split_at(65_536);
    let range = |reference: &[u8], new: &[u8]| Vector {
        name: "interleave".to_owned(),
        reference: reference.to_vec(),
        new: new.to_vec(),
        window,
        stream: Vec::new(),
    };
    (streams, vec![range(&old[..80_000], first), range(&old[60_000..], second)])
}

pub(crate) fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/pa19").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn signed(len: usize) -> i64 {
    i64::try_from(len).expect("a small file")
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, tail) = self.0.split_first_chunk().expect("a whole header");
        self.0 = tail;
        *head
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn byte(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    /// Seven bits a byte, the last byte has bit 7.
    fn unsigned(&mut self) -> i64 {
        self.groups(0, 0)
    }

    /// Magnitude with the sign in bit 6 of the first byte.
    fn signed(&mut self) -> i64 {
        let first = self.byte();
        let low = i64::from(first & 0x3F);
        let magnitude = if first & 0x80 == 0 { self.groups(6, low) } else { low };
        if first & 0x40 == 0 { magnitude } else { -magnitude }
    }

    fn groups(&mut self, mut shift: u32, mut value: i64) -> i64 {
        loop {
            let byte = self.byte();
            value |= i64::from(byte & 0x7F) << shift;
            if byte & 0x80 != 0 {
                return value;
            }
            shift += 7;
        }
    }
}

fn streams(patch_name: &str, olds: &[&str], new_name: &str) -> Vec<Vector> {
    let patch = file(&format!("{patch_name}.pa19"));
    let mut new = file(new_name);
    let mut header = Cursor(&patch);
    assert_eq!(&header.take(), b"PA19");
    let flags = header.u32();
    let extended = if flags & EXTENDED != 0 { header.u32() } else { 0 };
    if flags & TIME_PRESENT != 0 {
        header.u32();
    }
    if flags & NO_REBASE == 0 {
        header.take::<2>();
        header.signed();
    }
    if flags & NO_RESTIMEFIX == 0 {
        header.signed();
    }
    assert_eq!(header.unsigned(), signed(new.len()));
    header.u32();
    let window_log2 = (extended & EXTENDED_WINDOW != 0).then(|| header.byte());
    assert_eq!(usize::from(header.byte()), olds.len());

    let mut entries = Vec::new();
    for old in olds {
        let mut old = file(old);
        assert_eq!(header.signed() + signed(new.len()), signed(old.len()));
        header.u32();
        let zero = |file: &mut Vec<u8>, offset: i64, len: i64| {
            let offset = usize::try_from(offset).expect("a range inside");
            file[offset..offset + usize::try_from(len).expect("a range inside")].fill(0);
        };
        let mut at = 0;
        for _ in 0..header.byte() {
            let (offset, len) = (at + header.signed(), header.unsigned());
            zero(&mut old, offset, len);
            at = offset + len;
        }
        at = 0;
        for _ in 0..header.byte() {
            let offset = at + header.signed();
            let (new_offset, len) = (offset + header.signed(), header.unsigned());
            zero(&mut old, offset, len);
            zero(&mut new, new_offset, len);
            at = offset + len;
        }
        assert_eq!(header.unsigned(), 0, "no rift table");
        entries.push((old, usize::try_from(header.unsigned()).expect("a length")));
    }

    let cap = if flags & LARGE != 0 { Window::MAX } else { Window::NORMAL_CAP };
    let mut vectors = Vec::new();
    for (index, (reference, len)) in entries.into_iter().enumerate() {
        let (stream, rest) = header.0.split_at(len);
        header.0 = rest;
        if stream.is_empty() {
            continue;
        }
        let natural = Window::natural(reference.len() as u64, new.len() as u64, cap);
        let window = window_log2.map_or(natural, |log2| Window::new(log2).expect("a window"));
        let name = if olds.len() > 1 { format!("{patch_name} {index}") } else { patch_name.to_owned() };
        vectors.push(Vector { name, reference, new: new.clone(), window, stream: stream.to_vec() });
    }
    assert_eq!(header.0.len(), 4, "the checksum follows the streams");
    vectors
}

/// Our sizes beside the genuine ones.
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) new_len: usize,
    pub(crate) ours: usize,
    pub(crate) genuine: usize,
}

impl Row {
    pub(crate) fn ratio(&self) -> f64 {
        self.ours as f64 / self.genuine as f64
    }
}

impl Table {
    /// Encodes what each vector makes, with the translation of calls where the genuine creator has it, and makes sure
    /// that the result decodes.
    pub(crate) fn of(vectors: &[Vector], level: Level) -> Self {
        let row = |vector: &Vector| {
            let Vector { name, reference, new, window, stream } = vector;
            // The flag is the first bit of the first word after the length of the chunk.
            let e8 = if stream[3] & 0x80 == 0 { E8::Never } else { E8::Always(new.len().try_into().expect("small")) };
            let ours = encode(reference, new, *window, &EncodeOptions { e8, level }).expect("not too large");
            let made = decode(&ours, reference, new.len(), *window).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(made == *new, "{name}: other bytes");
            Row { name: name.clone(), new_len: new.len(), ours: ours.len(), genuine: stream.len() }
        };
        Self { rows: vectors.iter().map(row).collect() }
    }

    /// The geometric mean of the ratios.
    pub(crate) fn mean(&self) -> f64 {
        (self.rows.iter().map(|row| row.ratio().ln()).sum::<f64>() / self.rows.len() as f64).exp()
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "| vector | new | ours | genuine | ratio |\n|---|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(f, "| {} | {} | {} | {} | {:.4} |", row.name, row.new_len, row.ours, row.genuine, row.ratio())?;
        }
        let (ours, genuine) =
            self.rows.iter().fold((0, 0), |(ours, genuine), row| (ours + row.ours, genuine + row.genuine));
        writeln!(f, "| all, geometric mean | | {ours} | {genuine} | {:.4} |", self.mean())
    }
}
