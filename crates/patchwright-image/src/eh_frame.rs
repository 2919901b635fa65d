//! The FDEs of `.eh_frame`: ranges of code that can be unwound, nearly all functions of an ELF image.

use gimli::{BaseAddresses, CieOrFde, EhFrame, LittleEndian, UnwindSection};

/// Start and length of every FDE up to the first that cannot be read.
pub(crate) fn read(data: &[u8], address: u64, address_size: u8) -> Vec<(u64, u64)> {
    let mut section = EhFrame::new(data, LittleEndian);
    section.set_address_size(address_size);
    let bases = BaseAddresses::default().set_eh_frame(address);
    let mut entries = section.entries(&bases);
    let mut found = Vec::new();
    while let Ok(Some(entry)) = entries.next() {
        if let CieOrFde::Fde(partial) = entry
            && let Ok(fde) = partial.parse(|section, bases, offset| section.cie_from_offset(bases, offset))
        {
            found.push((fde.initial_address(), fde.len()));
        }
    }
    found
}
