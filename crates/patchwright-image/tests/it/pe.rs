//! PE images of a few bytes, and a program database to go with them.

/// What a PE image is made of. Code lies at RVA 0x1000, data at 0x4000.
pub(crate) struct Pe {
    pub(crate) machine: u16,
    pub(crate) code: Vec<u8>,
    /// How long `.text` is in memory.
    pub(crate) code_in_memory: u32,
    pub(crate) data: Vec<u8>,
    /// Number, RVA and length of data directories.
    pub(crate) directories: Vec<(usize, u32, u32)>,
    pub(crate) characteristics: u16,
}

pub(crate) const X86: u16 = 0x14c;
pub(crate) const X64: u16 = 0x8664;
pub(crate) const ARM64: u16 = 0xaa64;
pub(crate) const THUMB: u16 = 0x1c4;

pub(crate) const CODE: u32 = 0x1000;
pub(crate) const DATA: u32 = 0x4000;
/// Where the file has the data.
const DATA_OFFSET: u32 = 0x2400;
pub(crate) const BASE_64: u64 = 0x1_4000_0000;
pub(crate) const BASE_32: u64 = 0x40_0000;

pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

impl Pe {
    pub(crate) fn new(machine: u16, code: &[u8]) -> Self {
        Self {
            machine,
            code: code.to_vec(),
            code_in_memory: 0x1000,
            data: Vec::new(),
            directories: Vec::new(),
            characteristics: 0x160,
        }
    }

    pub(crate) fn base(&self) -> u64 {
        if self.is_64() { BASE_64 } else { BASE_32 }
    }

    fn is_64(&self) -> bool {
        matches!(self.machine, X64 | ARM64)
    }

    /// Adds data and gives their RVA.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> u32 {
        let at = DATA + u32::try_from(self.data.len()).unwrap();
        self.data.extend_from_slice(bytes);
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        at
    }

    pub(crate) fn directory(&mut self, number: usize, bytes: &[u8]) -> u32 {
        let at = self.add(bytes);
        self.directories.push((number, at, u32::try_from(bytes.len()).unwrap()));
        at
    }

    /// Exports the function at `rva` as `f`.
    pub(crate) fn export(mut self, rva: u32) -> Self {
        // All of it lies in the range of the directory, as real linkers lay it out.
        let at = DATA + u32::try_from(self.data.len()).unwrap();
        let (addresses, names, ordinals, name) = (at + 40, at + 44, at + 48, at + 50);
        let mut table = words(&[0, 0, 0, name, 1, 1, 1, addresses, names, ordinals, rva, name]);
        table.extend(b"\0\0f\0");
        self.directory(0, &table);
        self
    }

    /// Adds an exception directory.
    pub(crate) fn pdata(mut self, entries: &[u32]) -> Self {
        self.directory(3, &words(entries));
        self
    }

    /// Adds a debug directory entry.
    pub(crate) fn debug(mut self, kind: u32, bytes: &[u8]) -> Self {
        let len = u32::try_from(bytes.len()).unwrap();
        let at = self.add(bytes);
        let entry = words(&[0, 0, 0, kind, len, at, at - DATA + DATA_OFFSET]);
        self.directory(6, &entry);
        self
    }

    /// Adds a load configuration of which `fields` are set: offset, value as wide as it is there.
    pub(crate) fn load_config(mut self, fields: &[(usize, &[u8])]) -> Self {
        let mut config = vec![0; 0x140];
        config[0] = 0x40;
        config[1] = 1;
        for (at, bytes) in fields {
            config[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        self.directory(10, &config);
        self
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut file = vec![0; 0x80];
        file[..2].copy_from_slice(b"MZ");
        file[0x3c] = 0x80;
        file.extend(b"PE\0\0");
        let optional = if self.is_64() { 240_u16 } else { 224 };
        file.extend(self.machine.to_le_bytes());
        file.extend(2_u16.to_le_bytes());
        file.extend([0; 12]);
        file.extend(optional.to_le_bytes());
        // An executable library.
        file.extend(0x2002_u16.to_le_bytes());
        let start = file.len();
        file.extend(if self.is_64() { 0x20b_u16 } else { 0x10b }.to_le_bytes());
        file.resize(start + 24, 0);
        if self.is_64() {
            file.extend(self.base().to_le_bytes());
        } else {
            file.extend(0_u32.to_le_bytes());
            file.extend(u32::try_from(self.base()).unwrap().to_le_bytes());
        }
        file.extend(words(&[0x1000, 0x200]));
        file.resize(start + 56, 0);
        // Size of image, of headers.
        file.extend(words(&[0x6000, 0x400, 0]));
        file.extend(2_u16.to_le_bytes());
        file.extend(self.characteristics.to_le_bytes());
        file.resize(start + usize::from(optional) - 132, 0);
        file.extend(16_u32.to_le_bytes());
        let directories = file.len();
        file.resize(start + usize::from(optional), 0);
        for (number, rva, len) in &self.directories {
            file[directories + number * 8..][..8].copy_from_slice(&words(&[*rva, *len]));
        }
        let code_len = u32::try_from(self.code.len()).unwrap();
        let data_len = u32::try_from(self.data.len()).unwrap();
        for (name, memory, rva, len, offset, flags) in [
            (b".text\0\0\0", self.code_in_memory.max(code_len), CODE, code_len, 0x400, 0x6000_0020_u32),
            (b".rdata\0\0", data_len.max(1), DATA, data_len, DATA_OFFSET, 0x4000_0040),
        ] {
            file.extend(name);
            file.extend(words(&[memory, rva, len, offset, 0, 0, 0, flags]));
        }
        file.resize(0x400, 0);
        file.extend(&self.code);
        file.resize(usize::try_from(DATA_OFFSET).unwrap(), 0);
        file.extend(&self.data);
        file
    }
}

/// A CodeView record.
pub(crate) fn record(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize((body.len() + 4).next_multiple_of(4) - 4, 0);
    [&u16::try_from(body.len() + 2).unwrap().to_le_bytes()[..], &kind.to_le_bytes(), &body].concat()
}

/// `S_COMPILE3` by a compiler that leaves room for patches, or not.
pub(crate) fn compile3(hot_patch: bool) -> Vec<u8> {
    let flags = if hot_patch { 0x4001_u32 } else { 1 };
    record(0x113c, &[&flags.to_le_bytes()[..], &[0; 18], b"made by hand\0"].concat())
}

/// `S_GPROC32` at an offset of the first section.
pub(crate) fn procedure(name: &str, offset: u32, len: u32) -> Vec<u8> {
    let mut body = words(&[0, 0, 0, len, 0, 0, 0, offset]);
    body.extend([1, 0, 0]);
    body.extend(name.as_bytes());
    body.push(0);
    record(0x1110, &body)
}

/// A program database with modules: their names and symbols.
pub(crate) fn pdb(guid: [u8; 16], modules: &[(&str, Vec<u8>)]) -> Vec<u8> {
    const PAGE: usize = 512;
    let mut list = Vec::new();
    let mut streams: Vec<Vec<u8>> = vec![Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for (name, symbols) in modules {
        let stream = u16::try_from(streams.len()).unwrap();
        let symbols = [&4_u32.to_le_bytes()[..], symbols].concat();
        let mut entry = vec![0; 64];
        entry[34..36].copy_from_slice(&stream.to_le_bytes());
        entry[36..40].copy_from_slice(&u32::try_from(symbols.len()).unwrap().to_le_bytes());
        entry.extend(name.as_bytes());
        entry.push(0);
        entry.extend(name.as_bytes());
        entry.push(0);
        entry.resize(entry.len().next_multiple_of(4), 0);
        list.extend(entry);
        streams.push(symbols);
    }
    let mut info = words(&[20_000_404, 0, 1]);
    info.extend(guid);
    streams[1] = info;
    let mut dbi = vec![0; 64];
    dbi[..4].fill(0xff);
    dbi[20..22].fill(0xff);
    dbi[24..28].copy_from_slice(&u32::try_from(list.len()).unwrap().to_le_bytes());
    dbi.extend(list);
    streams[3] = dbi;
    // The header's page, two free page maps, the page with the directory's pages, then the streams, then the directory.
    let mut pages = vec![0; 4 * PAGE];
    let mut directory = words(&[u32::try_from(streams.len()).unwrap()]);
    directory.extend(streams.iter().flat_map(|stream| u32::try_from(stream.len()).unwrap().to_le_bytes()));
    for stream in &streams {
        for piece in stream.chunks(PAGE) {
            directory.extend(u32::try_from(pages.len() / PAGE).unwrap().to_le_bytes());
            pages.extend(piece);
            pages.resize(pages.len().next_multiple_of(PAGE), 0);
        }
    }
    let first = pages.len() / PAGE;
    let count = directory.len().div_ceil(PAGE);
    for at in 0..count {
        let number = u32::try_from(first + at).unwrap();
        pages[3 * PAGE + at * 4..][..4].copy_from_slice(&number.to_le_bytes());
    }
    let len = u32::try_from(directory.len()).unwrap();
    pages.extend(directory);
    pages.resize(pages.len().next_multiple_of(PAGE), 0);
    let number = u32::try_from(pages.len() / PAGE).unwrap();
    pages[..32].copy_from_slice(b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0");
    pages[32..56].copy_from_slice(&words(&[512, 1, number, len, 0, 3]));
    pages
}
