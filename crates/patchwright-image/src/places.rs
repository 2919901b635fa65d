//! Where the sections of a file are and what they are called: for reports, nothing depends on it.

use object::{File, Object as _, ObjectSection as _};

/// A section that has bytes in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionPlace {
    /// Its name; what of it is not UTF-8 is replaced.
    pub name: String,
    /// Its first byte in the file.
    pub offset: u64,
    /// Its length in the file.
    pub len: u64,
}

/// Lists the sections of a PE, COFF or ELF file that have bytes in it, by their place. Other files have none, and so
/// have those that are damaged.
pub fn section_places(data: &[u8]) -> Vec<SectionPlace> {
    let Ok(file) = File::parse(data) else { return Vec::new() };
    let mut places: Vec<SectionPlace> = file
        .sections()
        .filter_map(|section| {
            let (offset, len) = section.file_range().filter(|(_, len)| *len > 0)?;
            let name = String::from_utf8_lossy(section.name_bytes().ok()?).into_owned();
            Some(SectionPlace { name, offset, len })
        })
        .collect();
    places.sort_by_key(|place| (place.offset, place.len));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_has_code_and_other_files_have_no_sections() {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let places = section_places(&program);
        let text = places.iter().find(|place| place.name == ".text").unwrap();
        assert!(text.len > 0 && text.offset + text.len <= program.len() as u64, "{text:?}");
        assert!(places.is_sorted_by_key(|place| place.offset));
        for data in [&b""[..], b"text", &program[..100]] {
            assert_eq!(section_places(data), []);
        }
    }
}
