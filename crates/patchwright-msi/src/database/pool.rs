//! The string pool: every text of a database once, and numbers that stand for it in the tables.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use msi::CodePage;

use crate::error::{MsiError, Result};

const STRUCTURE: &str = "string pool";
/// The bit of the header that says that numbers take three bytes.
const LONG_REFS: u32 = 1 << 31;
/// A small file may use each of its texts many times; beyond this its texts may be used sixteen times each.
const FREE_BYTES: usize = 64 << 20;

/// How the bytes of a code page become text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coding(CodePage);

impl Coding {
    /// The coding of a code page; 0 (neutral) is read as Windows-1252, which gives every byte a character.
    pub(crate) fn of(code_page: u32) -> Option<Self> {
        let number = if code_page == 0 { 1252 } else { i32::try_from(code_page).ok()? };
        CodePage::from_id(number).map(Self)
    }

    /// The text of `bytes`, if they are valid.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<String> {
        if bytes.is_ascii() {
            return String::from_utf8(bytes.to_vec()).ok();
        }
        let text = self.0.decode(bytes);
        (self.0.encode(&text) == bytes).then_some(text)
    }

    /// The bytes of `text`, if the code page has all of its characters.
    pub(crate) fn encode(self, text: &str) -> Option<Vec<u8>> {
        if text.is_ascii() {
            return Some(text.as_bytes().to_vec());
        }
        let bytes = self.0.encode(text);
        (self.0.decode(&bytes) == text).then_some(bytes)
    }
}

/// A pool as read.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) code_page: u32,
    /// Bytes that a number takes in a table.
    pub(crate) ref_len: usize,
    /// The text of each number, from 1.
    texts: Vec<String>,
    /// Bytes of text that may still be copied: two bytes in a table can stand for any length.
    left: Cell<usize>,
}

impl Pool {
    /// Reads `_StringPool` and `_StringData`.
    pub(crate) fn read(pool: &[u8], data: &[u8]) -> Result<Self> {
        let (entries, rest) = pool.as_chunks::<4>();
        if !rest.is_empty() || entries.is_empty() {
            return Err(MsiError::malformed(STRUCTURE, format!("its length {} cannot be", pool.len())));
        }
        let header = u32::from_le_bytes(entries[0]);
        let code_page = header & !LONG_REFS;
        let coding =
            Coding::of(code_page).ok_or_else(|| MsiError::unsupported(STRUCTURE, format!("code page {code_page}")))?;
        let mut texts = Vec::new();
        let mut rest = data;
        let mut entries = entries[1..].iter();
        while let Some(&[low, high, uses_low, uses_high]) = entries.next() {
            let mut len = usize::from(u16::from_le_bytes([low, high]));
            // Where the length is 0 and the text is used, the length stands in the next entry.
            if len == 0 && [uses_low, uses_high] != [0, 0] {
                let long = entries.next().ok_or_else(|| MsiError::malformed(STRUCTURE, "it ends inside an entry"))?;
                len = usize::try_from(u32::from_le_bytes(*long)).unwrap_or(usize::MAX);
            }
            let number = texts.len() + 1;
            let (text, next) = rest
                .split_at_checked(len)
                .ok_or_else(|| MsiError::malformed(STRUCTURE, format!("text {number} goes beyond the string data")))?;
            texts.push(coding.decode(text).ok_or_else(|| {
                MsiError::malformed(STRUCTURE, format!("text {number} is not valid in code page {code_page}"))
            })?);
            rest = next;
        }
        let left = Cell::new(data.len().saturating_mul(16).saturating_add(FREE_BYTES));
        Ok(Self { code_page, ref_len: if header & LONG_REFS == 0 { 2 } else { 3 }, texts, left })
    }

    /// Bytes of text that may still be copied.
    pub(crate) fn copies_left(&self) -> usize {
        self.left.get()
    }

    /// Sets how many bytes of text may still be copied.
    pub(crate) fn allow_copies(&self, len: usize) {
        self.left.set(len);
    }

    /// A copy of the text of a number; `None` if there is none, or if the copies are more than a sound file has.
    pub(crate) fn text(&self, number: usize) -> Option<String> {
        let text = self.texts.get(number.checked_sub(1)?)?;
        self.left.set(self.left.get().checked_sub(text.len())?);
        Some(text.clone())
    }
}

/// A pool being written.
///
/// Numbers rise as the texts do. Tables are stored in the order of the numbers, so that every tool that shows rows as
/// they are stored shows them sorted by key.
#[derive(Debug)]
pub(crate) struct PoolWriter<'a> {
    numbers: BTreeMap<&'a str, (u32, u32)>,
}

impl<'a> PoolWriter<'a> {
    pub(crate) fn new(texts: &BTreeSet<&'a str>) -> Self {
        let numbers = texts.iter().zip(1..).map(|(text, number)| (*text, (number, 0))).collect();
        Self { numbers }
    }

    /// Bytes that a number takes in a table.
    pub(crate) fn ref_len(&self) -> usize {
        if self.numbers.len() >= 0x1_0000 { 3 } else { 2 }
    }

    /// The number of a text, which is used once more.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        let (number, uses) = self.numbers.get_mut(text).expect("every text of the tables is in the pool");
        *uses += 1;
        *number
    }

    /// The streams `_StringPool` and `_StringData`.
    pub(crate) fn write(&self, code_page: u32) -> Result<(Vec<u8>, Vec<u8>)> {
        let coding =
            Coding::of(code_page).ok_or_else(|| MsiError::unsupported(STRUCTURE, format!("code page {code_page}")))?;
        let header = code_page | if self.ref_len() == 3 { LONG_REFS } else { 0 };
        let (mut pool, mut data) = (header.to_le_bytes().to_vec(), Vec::new());
        for (text, (_, uses)) in &self.numbers {
            let bytes = coding.encode(text).ok_or_else(|| {
                MsiError::malformed(STRUCTURE, format!("code page {code_page} lacks characters of {text:?}"))
            })?;
            let uses = u16::try_from(*uses).unwrap_or(u16::MAX).max(1).to_le_bytes();
            match u16::try_from(bytes.len()) {
                Ok(len) => pool.extend([len.to_le_bytes(), uses].concat()),
                Err(_) => {
                    let len =
                        u32::try_from(bytes.len()).map_err(|_| MsiError::malformed(STRUCTURE, "a text of 4 GiB"))?;
                    pool.extend([0, 0, uses[0], uses[1]]);
                    pool.extend(len.to_le_bytes());
                }
            }
            data.extend(bytes);
        }
        Ok((pool, data))
    }
}
