//! Small images made to order: functions that call each other and point at data, in PE or ELF, at any place.

use crate::inputs::noise;

/// What kind of image is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ElfX64,
    ElfArm64,
    PeX86,
    PeX64,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::ElfX64, Kind::ElfArm64, Kind::PeX86, Kind::PeX64];

/// A program: what its functions are made of does not depend on where they are.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    functions: Vec<Function>,
    /// The function that each word of data points at.
    pointers: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Function {
    /// What stays the same between references.
    seed: u64,
    len: usize,
    /// The functions it calls and the words of data it loads, by turns.
    calls: Vec<usize>,
    loads: Vec<usize>,
}

const BASE: u64 = 0x40_0000;
const TEXT: usize = 0x1000;

impl Program {
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let random = noise(seed, count * 12);
        let pick = |at: usize, below: usize| {
            (usize::from(random[at % random.len()]) << 8 | usize::from(random[(at * 7 + 3) % random.len()])) % below
        };
        let functions = (0..count)
            .map(|number| Function {
                seed: seed ^ (number as u64) << 17,
                len: 16 + pick(number * 5, 90),
                calls: (0..1 + pick(number * 3, 4)).map(|call| pick(number * 11 + call, count)).collect(),
                loads: (0..pick(number * 13, 3)).map(|load| pick(number * 17 + load, count)).collect(),
            })
            .collect();
        Self { functions, pointers: (0..count).map(|number| pick(number * 19, count)).collect() }
    }

    /// The same program after somebody worked on one of its functions.
    pub(crate) fn with_longer_function(mut self, number: usize, more: usize) -> Self {
        self.functions[number].len += more;
        self
    }

    fn code(&self, kind: Kind, starts: &[usize], text: usize, data: usize, relocations: &mut Vec<usize>) -> Vec<u8> {
        let mut code = Vec::new();
        let absolute = u32::try_from(BASE).unwrap();
        for (function, start) in self.functions.iter().zip(starts) {
            code.resize(*start, 0x90);
            let plain = noise(function.seed, function.len);
            let mut references: Vec<(bool, usize)> = function.calls.iter().map(|call| (true, *call)).collect();
            references.extend(function.loads.iter().map(|load| (false, *load)));
            for (piece, (call, to)) in plain.chunks(8).zip(references.into_iter().cycle()) {
                let target = if call { text + starts[to] } else { data + to * 8 } as u32;
                if kind == Kind::ElfArm64 {
                    for byte in piece {
                        // `movz w0, #byte`
                        code.extend_from_slice(&(0x5280_0000 | u32::from(*byte) << 5).to_le_bytes());
                    }
                    let here = (text + code.len()) as u32;
                    if call {
                        code.extend_from_slice(
                            &(0x9400_0000 | (target.wrapping_sub(here) >> 2) & 0x3FF_FFFF).to_le_bytes(),
                        );
                    } else {
                        let pages = (target >> 12).wrapping_sub(here >> 12);
                        let adrp = 0x9000_0001 | (pages & 3) << 29 | (pages >> 2 & 0x7_FFFF) << 5;
                        let add = 0x9100_0021 | (target & 0xFFF) << 10;
                        code.extend([adrp, add].iter().flat_map(|word| word.to_le_bytes()));
                    }
                    continue;
                }
                for byte in piece {
                    code.extend_from_slice(&[0xB0, *byte]);
                }
                if !call && kind == Kind::PeX86 {
                    code.extend_from_slice(&[0x8B, 0x0D]);
                    relocations.push(text + code.len());
                    code.extend_from_slice(&(absolute + target).to_le_bytes());
                    continue;
                }
                code.extend_from_slice(if call { &[0xE8] } else { &[0x48, 0x8B, 0x0D] });
                let next = (text + code.len() + 4) as u32;
                code.extend_from_slice(&target.wrapping_sub(next).to_le_bytes());
            }
            code.push(0xC3);
            if kind == Kind::ElfArm64 {
                code.resize(code.len().next_multiple_of(4), 0);
            }
        }
        code
    }

    /// Where each function starts in the code.
    fn starts(&self, kind: Kind) -> Vec<usize> {
        let mut starts = vec![0; self.functions.len()];
        for number in 0..self.functions.len() {
            let one = Self { functions: self.functions[..=number].to_vec(), pointers: Vec::new() };
            if number + 1 < starts.len() {
                // Calls further on are not made yet; lengths do not depend on them.
                let here = [starts.as_slice(), &[]].concat();
                let tail = Self { functions: vec![one.functions[number].clone()], pointers: Vec::new() };
                let len = tail.code_len(kind, here.len());
                starts[number + 1] = (starts[number] + len).next_multiple_of(16);
            }
        }
        starts
    }

    fn code_len(&self, kind: Kind, count: usize) -> usize {
        self.code(kind, &vec![0; count], 0, 0, &mut Vec::new()).len()
    }

    /// The whole image.
    pub(crate) fn image(&self, kind: Kind) -> Vec<u8> {
        let starts = self.starts(kind);
        let mut relocations = Vec::new();
        let len = self.code(kind, &starts, TEXT, 0, &mut Vec::new()).len();
        let data = (TEXT + len).next_multiple_of(0x1000);
        let code = self.code(kind, &starts, TEXT, data, &mut relocations);
        let mut words = Vec::new();
        for pointer in &self.pointers {
            let base = if matches!(kind, Kind::PeX86 | Kind::PeX64) { BASE } else { 0 };
            if kind == Kind::PeX86 {
                relocations.push(data + words.len());
            }
            words.extend_from_slice(&(base + (TEXT + starts[*pointer]) as u64).to_le_bytes());
        }
        match kind {
            Kind::ElfX64 => elf(62, &code, &words, data),
            Kind::ElfArm64 => elf(183, &code, &words, data),
            Kind::PeX86 => pe(false, &code, &words, data, &reloc_table(relocations)),
            Kind::PeX64 => pe(true, &code, &words, data, &function_table(&starts, len)),
        }
    }
}

/// One section of code and one of data, each at its address in the file.
fn elf(machine: u16, code: &[u8], words: &[u8], data: usize) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..6].copy_from_slice(&[0x7F, b'E', b'L', b'F', 2, 1]);
    file[18..20].copy_from_slice(&machine.to_le_bytes());
    file.resize(TEXT, 0);
    file.extend_from_slice(code);
    file.resize(data, 0);
    file.extend_from_slice(words);
    let table = file.len() as u64;
    file[0x28..0x30].copy_from_slice(&table.to_le_bytes());
    file[0x3A..0x3E].copy_from_slice(&[64, 0, 3, 0]);
    for (kind, flags, offset, len) in [(0u32, 0u64, 0, 0), (1, 6, TEXT, code.len()), (1, 3, data, words.len())] {
        let mut header = vec![0; 64];
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[8..16].copy_from_slice(&flags.to_le_bytes());
        for at in [16, 24] {
            header[at..at + 8].copy_from_slice(&(offset as u64).to_le_bytes());
        }
        header[32..40].copy_from_slice(&(len as u64).to_le_bytes());
        file.extend_from_slice(&header);
    }
    file
}

/// Code, data, and a table that a directory names: functions on x86-64, relocations on x86.
fn pe(wide: bool, code: &[u8], words: &[u8], data: usize, table: &[u8]) -> Vec<u8> {
    let table_at = (data + words.len()).next_multiple_of(0x1000);
    let mut file = vec![0; TEXT];
    let put = |file: &mut Vec<u8>, at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(&mut file, 0, b"MZ");
    put(&mut file, 0x3C, &0x80u32.to_le_bytes());
    put(&mut file, 0x80, b"PE\0\0");
    put(&mut file, 0x84, &(if wide { 0x8664u16 } else { 0x14C }).to_le_bytes());
    put(&mut file, 0x86, &3u16.to_le_bytes());
    put(&mut file, 0x94, &240u16.to_le_bytes());
    let optional = 0x98;
    put(&mut file, optional, &(if wide { 0x20Bu16 } else { 0x10B }).to_le_bytes());
    if wide {
        put(&mut file, optional + 24, &BASE.to_le_bytes());
    } else {
        put(&mut file, optional + 28, &u32::try_from(BASE).unwrap().to_le_bytes());
    }
    put(&mut file, optional + 60, &0x400u32.to_le_bytes());
    let directories = optional + if wide { 112 } else { 96 };
    put(&mut file, directories - 4, &16u32.to_le_bytes());
    let directory = directories + if wide { 3 } else { 5 } * 8;
    put(&mut file, directory, &(table_at as u32).to_le_bytes());
    put(&mut file, directory + 4, &(table.len() as u32).to_le_bytes());
    let sections = [(TEXT, code, 0x6000_0020u32), (data, words, 0xC000_0040), (table_at, table, 0x4000_0040)];
    for (number, (at, bytes, flags)) in sections.into_iter().enumerate() {
        let header = optional + 240 + number * 40;
        for (field, value) in [(8, bytes.len()), (12, at), (16, bytes.len()), (20, at)] {
            put(&mut file, header + field, &(value as u32).to_le_bytes());
        }
        put(&mut file, header + 36, &flags.to_le_bytes());
    }
    for (at, bytes, _) in sections {
        file.resize(at, 0);
        file.extend_from_slice(bytes);
    }
    file
}

fn reloc_table(mut places: Vec<usize>) -> Vec<u8> {
    places.sort_unstable();
    let mut table = Vec::new();
    for block in places.chunk_by(|a, b| a >> 12 == b >> 12) {
        table.extend_from_slice(&((block[0] & !0xFFF) as u32).to_le_bytes());
        table.extend_from_slice(&((8 + 2 * block.len()).next_multiple_of(4) as u32).to_le_bytes());
        table.extend(block.iter().flat_map(|place| (0x3000 | (place & 0xFFF) as u16).to_le_bytes()));
        table.resize(table.len().next_multiple_of(4), 0);
    }
    table
}

fn function_table(starts: &[usize], len: usize) -> Vec<u8> {
    let ends = starts[1..].iter().copied().chain([len]);
    let entries = starts.iter().zip(ends).map(|(start, end)| [TEXT + start, TEXT + end, 0x400]);
    entries.flatten().flat_map(|word| (word as u32).to_le_bytes()).collect()
}
