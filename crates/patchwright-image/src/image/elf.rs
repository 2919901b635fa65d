//! What the headers, notes and dynamic section of an ELF file say.

use object::SegmentFlags;
use object::elf;
use object::read::{File, Object as _, ObjectSection as _, ObjectSegment as _};

use super::Facts;

/// `DT_FLAGS_1` bits that say how the loader treats it; none forbids patching.
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DT_TEXTREL: u64 = 22;
const DT_SONAME: u64 = 14;

/// A position-independent ELF program is a dynamic object with an interpreter; some libraries have one too, but those
/// have a name to be linked by. A PE library has a flag that `object` knows.
pub(super) fn is_program(file: &File<'_>) -> bool {
    // A program that is linked statically and moves has no interpreter, but a flag.
    const DF_1_PIE: u64 = 0x0800_0000;
    let dynamic = dynamic(file);
    let has_name = dynamic.iter().any(|(tag, _)| *tag == DT_SONAME);
    let says_so = dynamic.iter().any(|(tag, value)| *tag == DT_FLAGS_1 && value & DF_1_PIE != 0);
    says_so || file.section_by_name(".interp").is_some() && !has_name
}

/// Tags and values of the dynamic section.
fn dynamic(file: &File<'_>) -> Vec<(u64, u64)> {
    let width = if file.is_64() { 8 } else { 4 };
    let data = file.section_by_name(".dynamic").and_then(|section| section.data().ok()).unwrap_or_default();
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    let entries = data.chunks_exact(2 * width).map(|entry| (number(&entry[..width]), number(&entry[width..])));
    entries.take_while(|(tag, _)| *tag != 0).collect()
}

/// The address that jump tables of position-independent x86 code are relative to.
pub(super) fn got(file: &File<'_>) -> Option<u64> {
    if !matches!(file, File::Elf32(_)) {
        return None;
    }
    [".got.plt", ".got"].into_iter().find_map(|name| Some(file.section_by_name(name)?.address()))
}

pub(super) fn facts(file: &File<'_>) -> Facts {
    let mut facts = Facts { tracked: is_tracked(file), ..Facts::default() };
    for segment in file.segments() {
        let SegmentFlags::Elf { p_flags, .. } = segment.flags() else { continue };
        let [x, w, r] = [elf::PF_X, elf::PF_W, elf::PF_R].map(|bit| p_flags.0 & bit.0 != 0);
        let address = segment.address();
        if x && w {
            facts.policies.push(format!("the segment at {address:#x} is writable and executable"));
        }
        if x && !r {
            let what = "is executable but not readable: what is patched cannot be verified first";
            facts.policies.push(format!("the segment at {address:#x} {what}"));
        }
    }
    if dynamic(file).iter().any(|(tag, _)| *tag == DT_TEXTREL) {
        facts.policies.push("the loader relocates code (DT_TEXTREL): code in memory differs from the file".to_owned());
    }
    facts
}

fn is_tracked(file: &File<'_>) -> bool {
    // Elf*_Nhdr of NT_GNU_PROPERTY_TYPE_0, then properties: type, length, bits.
    let property = elf::GNU_PROPERTY_X86_FEATURE_1_AND.0.to_le_bytes();
    let note = file.section_by_name(".note.gnu.property").and_then(|section| section.data().ok()).unwrap_or_default();
    note.windows(12).any(|window| {
        window.starts_with(&property)
            && window[4..8] == 4_u32.to_le_bytes()
            && u32::from(window[8]) & elf::GNU_PROPERTY_X86_FEATURE_1_IBT != 0
    })
}
