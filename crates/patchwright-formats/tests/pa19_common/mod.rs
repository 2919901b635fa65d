//! What the PA19 tests share: the vectors, and numbers that look random.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test uses a part")]

use std::fs;
use std::path::Path;

use patchwright_formats::{ByteRange, Regions, RetainRange};
use serde_json::Value;

/// A patch of the genuine creator and what it was made from.
pub struct Vector {
    pub name: String,
    pub olds: Vec<Old>,
    pub new: String,
    pub patch: String,
    pub json: Value,
}

pub struct Old {
    pub file: String,
    pub ignore: Vec<ByteRange>,
    pub retain: Vec<RetainRange>,
}

impl Old {
    pub fn blanks(&self) -> Vec<ByteRange> {
        self.ignore.iter().copied().chain(self.retain.iter().map(|range| range.old())).collect()
    }

    pub fn regions(&self) -> Regions {
        Regions { ignore: self.ignore.clone(), retain: self.retain.clone() }
    }
}

/// What the genuine functions answered for a file.
pub struct Normalisation {
    pub file: String,
    pub flags: u32,
    pub base: u32,
    pub time: u32,
    pub returned: u32,
    pub crc32: String,
}

pub fn file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/pa19").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest() -> Value {
    serde_json::from_slice(&file("manifest.json")).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|value| value.try_into().ok()).unwrap()
}

pub fn vectors() -> Vec<Vector> {
    let manifest = manifest();
    let vectors = manifest["create"].as_array().unwrap().iter().map(|json| Vector {
        name: text(&json["name"]),
        olds: json["olds"].as_array().unwrap().iter().map(old).collect(),
        new: text(&json["new"]),
        patch: text(&json["patch"]),
        json: json.clone(),
    });
    vectors.collect()
}

/// A name, or a list of a name and ranges.
fn old(json: &Value) -> Old {
    let mut old = Old { file: String::new(), ignore: Vec::new(), retain: Vec::new() };
    let words = json.as_array().cloned().unwrap_or_else(|| vec![json.clone()]);
    for word in words.iter().map(text) {
        let Some((key, values)) = word.split_once('=') else {
            old.file = word;
            continue;
        };
        let values: Vec<u64> = values.split(',').map(|value| value.parse().unwrap()).collect();
        match (key, &values[..]) {
            ("ir", [offset, len]) => old.ignore.push(ByteRange::new(*offset, *len)),
            ("rr", [old_offset, len, new_offset]) => {
                old.retain.push(RetainRange { old_offset: *old_offset, len: *len, new_offset: *new_offset });
            }
            ("im", _) => {}
            _ => panic!("{word}"),
        }
    }
    old
}

pub fn normalisations() -> Vec<Normalisation> {
    let manifest = manifest();
    let cases = manifest["normalize"].as_array().unwrap().iter().map(|json| Normalisation {
        file: text(&json["file"]),
        flags: number(&json["flags"]),
        base: number(&json["base"]),
        time: number(&json["time"]),
        returned: text(&json["ret"]).trim_start_matches("norm=")[..1].parse().unwrap(),
        crc32: text(&json["crc32"]),
    });
    cases.collect()
}

pub fn blanked(mut bytes: Vec<u8>, ranges: impl IntoIterator<Item = ByteRange>) -> Vec<u8> {
    for range in ranges {
        bytes[range.offset as usize..][..range.len as usize].fill(0);
    }
    bytes
}

/// A small generator: the same numbers on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    /// A number below `limit`; 0 if there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap() % limit.max(1)
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }
}
