//! Changes the normalised old image as if its parts were where the new image has them already.
//!
//! Pointers and branches of unchanged code differ between two versions because what they lead to has moved. The
//! transforms follow every one of them through the [rift table](super::rift), so that matches run on. Creator and
//! applier do the same, byte for byte; what they get is only ever the reference of the decompression.

mod branches;
mod exports;
mod hints;
mod imports;
mod relocs;
mod resources;

use super::flags;
use super::pe32::{Pe32, directory};
use super::rift::Rift;
use hints::Hints;

pub(super) use branches::branches;
pub(super) use hints::{Hints as HintMap, NO_CODE};

/// The image being transformed, and what is known of its bytes.
struct Work<'a> {
    image: &'a mut [u8],
    pe: Pe32,
    hints: Hints,
    rift: &'a Rift,
}

/// Transforms `image` in place; nothing happens without a table, or to what is no 32-bit image.
pub(super) fn transform(image: &mut [u8], rift: &Rift, ext: u32, resource_time: u32) {
    if rift.is_empty() {
        return;
    }
    let Some(pe) = Pe32::parse(image) else { return };
    let second = ext & (flags::EXT_RESOURCE_2 | flags::EXT_IRELOC_2) != 0;
    let hints = Hints::mark(image, &pe, !second);
    let work = &mut Work { image, pe, hints, rift };
    let enabled = |disable: u32| ext & disable == 0;
    if !second && enabled(flags::EXT_NO_RELOCS) {
        relocs::transform(work, relocs::Without::Scan);
    }
    if enabled(flags::EXT_NO_IMPORTS) {
        imports::transform(work);
    }
    if enabled(flags::EXT_NO_EXPORTS) {
        exports::transform(work);
    }
    if second && enabled(flags::EXT_NO_RESOURCES) {
        resources::transform(work, resource_time, resources::Version::Second);
    }
    if second && enabled(flags::EXT_NO_RELOCS) {
        let infer = ext & flags::EXT_IRELOC_2 != 0;
        relocs::transform(work, if infer { relocs::Without::Infer } else { relocs::Without::Scan });
    }
    if enabled(flags::EXT_NO_JUMPS) {
        branches::jumps(work);
    }
    if enabled(flags::EXT_NO_CALLS) {
        branches::calls(work);
    }
    if !second && enabled(flags::EXT_NO_RESOURCES) {
        resources::transform(work, resource_time, resources::Version::First);
    }
}

impl Work<'_> {
    fn u32_at(&self, at: usize) -> Option<u32> {
        super::pe32::u32_at(self.image, at)
    }

    fn put_u32(&mut self, at: usize, value: u32) {
        super::pe32::put_u32(self.image, at, value);
    }

    /// Sends the address stored at `at` through the table.
    fn map_at(&mut self, at: usize) {
        if let Some(rva) = self.u32_at(at) {
            self.put_u32(at, self.rift.map(rva));
        }
    }

    /// Whether all of `[start, start + len)` is in the file.
    fn holds(&self, start: usize, len: usize) -> bool {
        start.checked_add(len).is_some_and(|end| end <= self.image.len())
    }

    fn directory(&self, index: usize) -> Option<super::pe32::Mapped> {
        debug_assert!(index < directory::COUNT);
        self.pe.mapped(self.image, index)
    }
}
