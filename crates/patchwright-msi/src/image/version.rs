//! Version and languages of a PE image: what `MsiGetFileVersion` reads from its version resource.
//!
//! Headers, one path through the resource tree and the resource itself are read, each piece bounded; the rest of the file
//! is not touched, however large it is. What is no PE image, or damaged on that path, has no version. Layouts: the PE
//! specification, sections 2 to 4 and 6.9; `VS_VERSIONINFO` as the Windows SDK documents it.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

/// The type of version resources.
const RT_VERSION: u32 = 16;
/// A version resource is smaller than this.
const LARGEST_RESOURCE: u32 = 1 << 20;
const MOST_SECTIONS: u16 = 512;
const FIXED_INFO_SIGNATURE: u32 = 0xfeef_04bd;
/// In an entry of the resource tree: another table follows; in its name: it is a text.
const HIGH_BIT: u32 = 1 << 31;

/// The version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileVersion {
    /// Its four numbers.
    pub numbers: [u16; 4],
    /// Language identifiers, as the resource has them.
    pub languages: Vec<u16>,
}

impl FileVersion {
    /// The numbers of a text: one to four with dots between them; those that are missing are 0.
    pub fn numbers_of(text: &str) -> Option<[u16; 4]> {
        let mut numbers = [0; 4];
        let mut places = numbers.iter_mut();
        for field in text.split('.') {
            let digits = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
            *places.next()? = digits.then(|| field.parse().ok()).flatten()?;
        }
        Some(numbers)
    }
}

impl fmt::Display for FileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.numbers;
        write!(f, "{a}.{b}.{c}.{d}")
    }
}

/// Reads the version of a PE image; `None` for what is none or has none.
///
/// # Errors
/// Those of the content alone.
pub fn file_version(content: &mut (impl Read + Seek + ?Sized)) -> io::Result<Option<FileVersion>> {
    let resource = Pe::open(content)?.map(|mut pe| pe.version_resource());
    Ok(resource.transpose()?.flatten().and_then(|bytes| version_info(&bytes)))
}

/// A section: where it is in memory and in the file.
struct Section {
    rva: u32,
    len: u32,
    offset: u32,
}

struct Pe<'a, C: ?Sized> {
    content: &'a mut C,
    sections: Vec<Section>,
    resources: u32,
}

impl<'a, C: Read + Seek + ?Sized> Pe<'a, C> {
    fn open(content: &'a mut C) -> io::Result<Option<Self>> {
        let Some(dos) = read_at(content, 0, 64)? else { return Ok(None) };
        let (Some(b"MZ"), Some(header)) = (dos.get(..2), u32_at(&dos, 60)) else { return Ok(None) };
        // Signature, file header, and the optional header as far as the resource directory of the wider format.
        let Some(headers) = read_at(content, u64::from(header), 24)? else { return Ok(None) };
        let (Some(b"PE\0\0"), Some(count), Some(optional_len)) =
            (headers.get(..4), u16_at(&headers, 6), u16_at(&headers, 20))
        else {
            return Ok(None);
        };
        let optional_at = u64::from(header) + 24;
        let Some(optional) = read_at(content, optional_at, u32::from(optional_len))? else { return Ok(None) };
        let directories = match u16_at(&optional, 0) {
            Some(0x10b) => 96,
            Some(0x20b) => 112,
            _ => return Ok(None),
        };
        let number = u32_at(&optional, directories - 4).unwrap_or(0);
        // The third directory is that of the resources.
        let resources = u32_at(&optional, directories + 16).filter(|rva| number > 2 && *rva != 0);
        let Some(resources) = resources else { return Ok(None) };
        let count = count.min(MOST_SECTIONS);
        let sections_at = optional_at + u64::from(optional_len);
        let Some(table) = read_at(content, sections_at, u32::from(count) * 40)? else { return Ok(None) };
        let sections = table.as_chunks::<40>().0.iter().filter_map(|row| {
            let (virtual_len, raw_len) = (u32_at(row, 8)?, u32_at(row, 16)?);
            let len = if virtual_len == 0 { raw_len } else { raw_len.min(virtual_len) };
            Some(Section { rva: u32_at(row, 12)?, len, offset: u32_at(row, 20)? })
        });
        let sections = sections.collect();
        Ok(Some(Self { content, sections, resources }))
    }

    /// Bytes of memory that the file holds.
    fn read(&mut self, rva: u32, len: u32) -> io::Result<Option<Vec<u8>>> {
        let place = self.sections.iter().find_map(|section| {
            let within = rva.checked_sub(section.rva)?;
            let fits = u64::from(within) + u64::from(len) <= u64::from(section.len);
            fits.then(|| u64::from(section.offset) + u64::from(within))
        });
        match place {
            Some(offset) => read_at(self.content, offset, len),
            None => Ok(None),
        }
    }

    /// The resource itself: of its type, the first name, the first language.
    fn version_resource(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(names) = self.entry(0, Some(RT_VERSION))?.filter(|at| at & HIGH_BIT != 0) else { return Ok(None) };
        let Some(languages) = self.entry(names & !HIGH_BIT, None)?.filter(|at| at & HIGH_BIT != 0) else {
            return Ok(None);
        };
        let Some(leaf) = self.entry(languages & !HIGH_BIT, None)?.filter(|at| at & HIGH_BIT == 0) else {
            return Ok(None);
        };
        let Some(data) = self.resources.checked_add(leaf) else { return Ok(None) };
        let Some(data) = self.read(data, 16)? else { return Ok(None) };
        match (u32_at(&data, 0), u32_at(&data, 4)) {
            (Some(rva), Some(len)) if len <= LARGEST_RESOURCE => self.read(rva, len),
            _ => Ok(None),
        }
    }

    /// Where the entry of a number leads to, or the first entry, in the table at an offset of the resources.
    fn entry(&mut self, table: u32, wanted: Option<u32>) -> io::Result<Option<u32>> {
        let Some(at) = self.resources.checked_add(table) else { return Ok(None) };
        let Some(header) = self.read(at, 16)? else { return Ok(None) };
        let count = |at| u16_at(&header, at).map_or(0, u32::from);
        let Some(entries) = at.checked_add(16) else { return Ok(None) };
        let Some(entries) = self.read(entries, (count(12) + count(14)) * 8)? else { return Ok(None) };
        let mut entries = entries.as_chunks::<8>().0.iter();
        let found = entries.find(|entry| wanted.is_none() || u32_at(*entry, 0) == wanted);
        Ok(found.and_then(|entry| u32_at(entry, 4)))
    }
}

/// A node of the resource: its key, its value, and what comes below it.
struct Node<'a> {
    key: String,
    value: &'a [u8],
    children: &'a [u8],
}

impl<'a> Node<'a> {
    /// Reads the first node and gives what follows it.
    fn first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let len = usize::from(u16_at(bytes, 0)?);
        let (node, rest) = (bytes.get(..len)?, bytes.get(len.next_multiple_of(4)..).unwrap_or_default());
        let value_len = usize::from(u16_at(node, 2)?);
        // Texts count their characters, all else bytes.
        let value_len = if u16_at(node, 4)? == 1 { value_len * 2 } else { value_len };
        let units = node.get(6..)?.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
        let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
        let value_at = (6 + units.len() * 2 + 2).next_multiple_of(4);
        let value = node.get(value_at..value_at.checked_add(value_len)?)?;
        let children = node.get((value_at + value_len).next_multiple_of(4)..).unwrap_or_default();
        Some((Self { key: String::from_utf16_lossy(&units), value, children }, rest))
    }

    fn child(&self, key: &str) -> Option<Node<'a>> {
        let mut rest = self.children;
        // A node has six bytes at least, so this ends.
        while let Some((node, next)) = Node::first(rest).filter(|_| !rest.is_empty()) {
            if node.key == key {
                return Some(node);
            }
            rest = next;
        }
        None
    }
}

fn version_info(bytes: &[u8]) -> Option<FileVersion> {
    let (root, _) = Node::first(bytes)?;
    let fixed = root.value;
    if root.key != "VS_VERSION_INFO" || u32_at(fixed, 0)? != FIXED_INFO_SIGNATURE {
        return None;
    }
    // High word before low word, each pair as one number.
    let numbers = [u16_at(fixed, 10)?, u16_at(fixed, 8)?, u16_at(fixed, 14)?, u16_at(fixed, 12)?];
    let translation = root.child("VarFileInfo").and_then(|info| info.child("Translation"));
    let pairs = translation.map_or(&[][..], |node| node.value).as_chunks::<4>().0;
    let languages = pairs.iter().map(|[low, high, _, _]| u16::from_le_bytes([*low, *high])).collect();
    Some(FileVersion { numbers, languages })
}

/// Reads `len` bytes; `None` where the content ends before.
fn read_at(content: &mut (impl Read + Seek + ?Sized), offset: u64, len: u32) -> io::Result<Option<Vec<u8>>> {
    content.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    content.take(u64::from(len)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 == u64::from(len)).then_some(bytes))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|cell| u16::from_le_bytes(*cell))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|cell| u32::from_le_bytes(*cell))
}
