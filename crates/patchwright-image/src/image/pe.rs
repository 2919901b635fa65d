//! What the headers and directories of a PE image say: load configuration, guard tables, characteristics.
//!
//! Offsets are those of `IMAGE_LOAD_CONFIG_DIRECTORY32` and `…64` and of `IMAGE_DEBUG_DIRECTORY`. A load configuration is
//! as long as it says, and not longer than its directory's data; fields beyond that are absent.

use object::LittleEndian as LE;
use object::pe;
use object::read::pe::{DataDirectories, ImageNtHeaders, ImageOptionalHeader as _, PeFile, SectionTable};
use object::read::{File, Object as _};

use super::Facts;

const IMAGE_GUARD_XFG_ENABLED: u64 = 0x0080_0000;
const EX_CET_STRICT: u32 = 2;
const EX_FORWARD_CFI: u32 = 0x40;
const EX_HOTPATCH: u32 = 0x80;
const DEBUG_CODEVIEW: u64 = 2;
const DEBUG_EX_CHARACTERISTICS: u64 = 20;

/// A PE image, as far as `object` leaves it to us.
pub(crate) struct Pe<'data> {
    data: &'data [u8],
    sections: SectionTable<'data>,
    directories: DataDirectories<'data>,
    characteristics: u16,
    pub(crate) base: u64,
    pub(crate) is_64: bool,
}

/// The program database that an image names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PdbReference {
    /// The path on the machine that linked it.
    pub path: String,
    /// Identity of the build.
    pub guid: [u8; 16],
    /// How often the database was written.
    pub age: u32,
}

impl PdbReference {
    /// What the image names, if it is a PE image that names one.
    pub fn of(image: &[u8]) -> Option<Self> {
        Pe::of(&File::parse(image).ok()?)?.pdb()
    }
}

/// Places of tables in a load configuration: address field, count field, bytes that a count of one adds to.
struct Fields {
    handlers: usize,
    functions: usize,
    flags: usize,
    long_jumps: usize,
    hybrid: usize,
    continuations: usize,
}

const FIELDS_32: Fields =
    Fields { handlers: 0x40, functions: 0x50, flags: 0x58, long_jumps: 0x70, hybrid: 0x7c, continuations: 0xa4 };
const FIELDS_64: Fields =
    Fields { handlers: 0x60, functions: 0x80, flags: 0x90, long_jumps: 0xb0, hybrid: 0xc8, continuations: 0x108 };

/// A table of addresses in code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Functions that indirect calls may reach.
    Functions,
    /// Where `longjmp` may return.
    LongJumps,
    /// Where code goes on after an exception.
    Continuations,
    /// Exception handlers of x86 code.
    Handlers,
}

impl<'data> Pe<'data> {
    /// The file as a PE image, if it is one.
    pub(crate) fn of(file: &File<'data>) -> Option<Self> {
        match file {
            File::Pe32(file) => Some(Self::new(file, false)),
            File::Pe64(file) => Some(Self::new(file, true)),
            _ => None,
        }
    }

    fn new<Headers: ImageNtHeaders>(file: &PeFile<'data, Headers>, is_64: bool) -> Self {
        Self {
            data: file.data(),
            sections: file.section_table(),
            directories: file.data_directories(),
            characteristics: file.nt_headers().optional_header().dll_characteristics().0,
            base: file.relative_address_base(),
            is_64,
        }
    }

    /// What is in the file of what lies at an RVA, up to the end of its section.
    pub(crate) fn at(&self, rva: u32) -> &'data [u8] {
        self.sections.pe_data_at(self.data, rva).unwrap_or_default()
    }

    /// The data of a directory.
    pub(crate) fn directory(&self, number: u32) -> &'data [u8] {
        let directory = usize::try_from(number).ok().and_then(|number| self.directories.get(number));
        directory.and_then(|directory| directory.data(self.data, &self.sections).ok()).unwrap_or_default()
    }

    /// The table of `RUNTIME_FUNCTION`s.
    pub(crate) fn exceptions(&self) -> &'data [u8] {
        self.directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION.try_into().unwrap_or_default())
    }

    /// Base relocations: type and address of each.
    pub(crate) fn relocations(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let directory = pe::IMAGE_DIRECTORY_ENTRY_BASERELOC.try_into().unwrap_or_default();
        let mut rest = self.directory(directory);
        let blocks = std::iter::from_fn(move || {
            let page = word(rest, 0)?;
            let len = usize::try_from(word(rest, 4)?).ok().filter(|len| *len >= 8)?;
            let block = rest.get(8..len)?;
            rest = &rest[len..];
            Some((page, block))
        });
        blocks.flat_map(move |(page, block)| {
            let (entries, _) = block.as_chunks::<2>();
            entries.iter().map(move |entry| {
                let entry = u16::from_le_bytes(*entry);
                let address = self.base.wrapping_add(page).wrapping_add(u64::from(entry & 0xfff));
                (entry >> 12, address)
            })
        })
    }

    fn load_config(&self) -> &'data [u8] {
        let directory = pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG.try_into().unwrap_or_default();
        let data = self.directory(directory);
        // Old linkers leave the size of the directory at 64, whatever the structure says.
        let rva = usize::try_from(directory).ok().and_then(|number| self.directories.get(number));
        let data = rva.map_or(data, |entry| self.at(entry.virtual_address.get(LE)));
        let len = word(data, 0).and_then(|len| usize::try_from(len).ok()).unwrap_or_default();
        &data[..len.min(data.len())]
    }

    fn fields(&self) -> &'static Fields {
        if self.is_64 { &FIELDS_64 } else { &FIELDS_32 }
    }

    /// A field as wide as a pointer.
    fn pointer(&self, config: &[u8], at: usize) -> Option<u64> {
        let width = if self.is_64 { 8 } else { 4 };
        let bytes = config.get(at..at.checked_add(width)?)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// The addresses in a table of the load configuration.
    pub(crate) fn guard_table(&self, which: Guard) -> Vec<u64> {
        let (config, fields) = (self.load_config(), self.fields());
        let flags = word(config, fields.flags).unwrap_or_default();
        // Each RVA of these tables is followed by as many bytes as the flags say; handlers stand alone.
        let extra = usize::try_from(flags >> 28).unwrap_or_default();
        let (at, stride) = match which {
            Guard::Functions => (fields.functions, 4 + extra),
            Guard::LongJumps => (fields.long_jumps, 4 + extra),
            Guard::Continuations => (fields.continuations, 4 + extra),
            Guard::Handlers => (fields.handlers, 4),
        };
        let width = if self.is_64 { 8 } else { 4 };
        let Some((table, count)) = self.pointer(config, at).zip(self.pointer(config, at + width)) else {
            return Vec::new();
        };
        let rva = table.checked_sub(self.base).and_then(|rva| u32::try_from(rva).ok()).filter(|rva| *rva > 0);
        let bytes = rva.map(|rva| self.at(rva)).unwrap_or_default();
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let entries = bytes.chunks_exact(stride).take(count);
        entries.filter_map(|entry| Some(self.base.wrapping_add(word(entry, 0)?))).collect()
    }

    /// `IMAGE_DEBUG_DIRECTORY`: type and data of each entry.
    fn debug_entries(&self) -> impl Iterator<Item = (u64, &'data [u8])> + '_ {
        let directory = pe::IMAGE_DIRECTORY_ENTRY_DEBUG.try_into().unwrap_or_default();
        self.directory(directory).chunks_exact(28).filter_map(|entry| {
            let [kind, len, at] = [12, 16, 24].map(|at| word(entry, at));
            let (at, len) = (usize::try_from(at?).ok()?, usize::try_from(len?).ok()?);
            Some((kind?, self.data.get(at..at.checked_add(len)?)?))
        })
    }

    pub(crate) fn pdb(&self) -> Option<PdbReference> {
        self.debug_entries().filter(|(kind, _)| *kind == DEBUG_CODEVIEW).find_map(|(_, data)| {
            let rest = data.strip_prefix(b"RSDS")?;
            let (guid, rest) = rest.split_first_chunk::<16>()?;
            let (age, path) = rest.split_first_chunk::<4>()?;
            let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
            Some(PdbReference {
                path: String::from_utf8_lossy(path).into_owned(),
                guid: *guid,
                age: u32::from_le_bytes(*age),
            })
        })
    }

    pub(super) fn facts(&self) -> Facts {
        let (config, fields) = (self.load_config(), self.fields());
        let flags = word(config, fields.flags).unwrap_or_default();
        let ex = self
            .debug_entries()
            .find(|(kind, _)| *kind == DEBUG_EX_CHARACTERISTICS)
            .and_then(|(_, data)| data.first_chunk().map(|word| u32::from_le_bytes(*word)))
            .unwrap_or_default();
        let mut facts = Facts {
            tracked: ex & EX_FORWARD_CFI != 0,
            xfg: flags & IMAGE_GUARD_XFG_ENABLED != 0,
            hybrid: self.pointer(config, fields.hybrid).is_some_and(|at| at != 0),
            hot_patch_compatible: ex & EX_HOTPATCH != 0,
            policies: Vec::new(),
        };
        let security = pe::IMAGE_DIRECTORY_ENTRY_SECURITY;
        let signed = self.directories.get(security).is_some_and(|entry| entry.size.get(LE) > 0);
        let forced = self.characteristics & pe::IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY.0 != 0;
        let writable = self.sections.iter().any(|section| {
            let both = pe::IMAGE_SCN_MEM_EXECUTE.0 | pe::IMAGE_SCN_MEM_WRITE.0;
            section.characteristics.get(LE).0 & both == both
        });
        let told = [
            (forced, "its signature is enforced (FORCE_INTEGRITY): a patched file does not load"),
            (signed && !forced, "it is signed: patching the file breaks the signature"),
            (ex & EX_CET_STRICT != 0, "the shadow stack is strict (CET_STRICT_MODE): no pad may push and ret"),
            (writable, "a section is writable and executable"),
        ];
        facts.policies.extend(told.into_iter().filter(|(holds, _)| *holds).map(|(_, text)| text.to_owned()));
        facts
    }
}

/// The number in four little-endian bytes.
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from(u32::from_le_bytes(*bytes)))
}
