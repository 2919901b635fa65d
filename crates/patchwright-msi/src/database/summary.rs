//! Summary information: the property set that every database has.

use std::collections::BTreeMap;

use super::pool::Coding;
use crate::error::{MsiError, Result};

const STRUCTURE: &str = "summary information";
/// The identity of the one section that Windows Installer reads.
const SECTION: [u8; 16] =
    [0xe0, 0x85, 0x9f, 0xf2, 0xf9, 0x4f, 0x68, 0x10, 0xab, 0x91, 0x08, 0x00, 0x2b, 0x27, 0xb3, 0xd9];
/// Where our section begins.
const SECTION_OFFSET: u32 = 48;
/// The number of the code page, which the texts need.
const CODE_PAGE: u32 = 1;

const VT_EMPTY: u32 = 0;
const VT_I2: u32 = 2;
const VT_I4: u32 = 3;
const VT_LPSTR: u32 = 30;
const VT_FILETIME: u32 = 64;

/// Properties by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The properties.
    pub properties: BTreeMap<u32, Property>,
}

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    /// Two bytes.
    I2(i16),
    /// Four bytes.
    I4(i32),
    /// A text.
    Text(String),
    /// Hundreds of nanoseconds since 1601.
    Time(u64),
}

impl Summary {
    /// Reads the stream.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let u32_at = |at: usize| -> Result<u32> {
            let cell = bytes.get(at..).and_then(<[u8]>::first_chunk);
            cell.map(|cell| u32::from_le_bytes(*cell)).ok_or_else(|| malformed("it ends inside a property"))
        };
        if bytes.get(..2) != Some(&[0xfe, 0xff]) || bytes.get(28..44) != Some(&SECTION) {
            return Err(malformed("it is no property set of Windows Installer"));
        }
        let section = usize::try_from(u32_at(44)?).unwrap_or(usize::MAX);
        let count = usize::try_from(u32_at(section.saturating_add(4))?).unwrap_or(usize::MAX);
        if count > bytes.len() / 8 {
            return Err(malformed("more properties than bytes"));
        }
        let mut places = Vec::new();
        for index in 0..count {
            let at = section + 8 + index * 8;
            let offset = usize::try_from(u32_at(at + 4)?).unwrap_or(usize::MAX);
            places.push((u32_at(at)?, section.saturating_add(offset)));
        }
        let code_page = places
            .iter()
            .find(|(number, _)| *number == CODE_PAGE)
            .map_or(Ok(0), |(_, at)| Ok::<_, MsiError>(u32_at(at.saturating_add(4))? & 0xffff))?;
        let coding =
            Coding::of(code_page).ok_or_else(|| MsiError::unsupported(STRUCTURE, format!("code page {code_page}")))?;
        let mut properties = BTreeMap::new();
        for (number, at) in places {
            let value = at.saturating_add(4);
            let property =
                match u32_at(at)? & 0xffff {
                    VT_EMPTY | 1 => continue,
                    VT_I2 => Property::I2(u16::try_from(u32_at(value)? & 0xffff).unwrap_or_default().cast_signed()),
                    VT_I4 => Property::I4(u32_at(value)?.cast_signed()),
                    VT_FILETIME => {
                        Property::Time(u64::from(u32_at(value)?) | u64::from(u32_at(value.saturating_add(4))?) << 32)
                    }
                    VT_LPSTR => {
                        let len = usize::try_from(u32_at(value)?).unwrap_or(usize::MAX);
                        let start = value.saturating_add(4);
                        let text = bytes.get(start..start.saturating_add(len));
                        let text = text.ok_or_else(|| malformed("it ends inside a text"))?;
                        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                        let text = coding.decode(text);
                        Property::Text(text.ok_or_else(|| {
                            malformed(format!("property {number} is not valid in code page {code_page}"))
                        })?)
                    }
                    kind => return Err(MsiError::unsupported(STRUCTURE, format!("property {number} of type {kind}"))),
                };
            properties.insert(number, property);
        }
        Ok(Self { properties })
    }

    /// The stream.
    pub(crate) fn write(&self) -> Result<Vec<u8>> {
        let code_page = match self.properties.get(&CODE_PAGE) {
            Some(Property::I2(number)) => u32::from(number.cast_unsigned()),
            Some(_) => return Err(malformed("the code page is no number of two bytes")),
            None => 0,
        };
        let coding =
            Coding::of(code_page).ok_or_else(|| MsiError::unsupported(STRUCTURE, format!("code page {code_page}")))?;
        let count = self.properties.len();
        let (mut places, mut values) = (Vec::new(), Vec::new());
        for (number, property) in &self.properties {
            places.extend(number.to_le_bytes());
            places.extend(len32(8 + count * 8 + values.len())?.to_le_bytes());
            let (kind, bytes) = match property {
                Property::I2(value) => (VT_I2, value.to_le_bytes().to_vec()),
                Property::I4(value) => (VT_I4, value.to_le_bytes().to_vec()),
                Property::Time(value) => (VT_FILETIME, value.to_le_bytes().to_vec()),
                Property::Text(text) => {
                    let mut bytes = coding
                        .encode(text)
                        .ok_or_else(|| malformed(format!("code page {code_page} lacks characters of {text:?}")))?;
                    bytes.push(0);
                    (VT_LPSTR, [&len32(bytes.len())?.to_le_bytes()[..], &bytes].concat())
                }
            };
            values.extend(kind.to_le_bytes());
            values.extend(bytes);
            values.resize(values.len().next_multiple_of(4), 0);
        }
        let mut stream = vec![0xfe, 0xff, 0, 0, 0x05, 0x01, 0x02, 0x00];
        stream.resize(24, 0);
        stream.extend(1_u32.to_le_bytes());
        stream.extend(SECTION);
        stream.extend(SECTION_OFFSET.to_le_bytes());
        stream.extend(len32(8 + places.len() + values.len())?.to_le_bytes());
        stream.extend(len32(count)?.to_le_bytes());
        stream.extend(places);
        stream.extend(values);
        Ok(stream)
    }
}

fn malformed(what: impl Into<String>) -> MsiError {
    MsiError::malformed(STRUCTURE, what)
}

fn len32(len: usize) -> Result<u32> {
    u32::try_from(len).map_err(|_| malformed("longer than 4 GiB"))
}
