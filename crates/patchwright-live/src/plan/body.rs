//! New code and data, made fit for their place in one process.

use patchwright_formats::hot::{Base, Body, Form, HotPart, RelocationKind, Site};

use crate::error::{LiveError, LiveErrorKind};

/// The bytes of the three stretches.
pub(super) struct Placed {
    pub(super) text: Vec<u8>,
    pub(super) rodata: Vec<u8>,
    pub(super) data: Vec<u8>,
}

/// Fills in what depends on where the program and the body are. `imports` are the addresses of the part's imports.
pub(super) fn place(part: &HotPart, bias: u64, at: u64, imports: &[u64]) -> Result<Placed, LiveError> {
    let Body { text, rodata, data, .. } = &part.body;
    let mut placed = Placed { text: text.clone(), rodata: rodata.clone(), data: data.clone() };
    for relocation in &part.relocations {
        let base = if relocation.base == Base::Program { bias } else { at };
        let value = base.wrapping_add_signed(relocation.addend);
        let field = match relocation.kind {
            RelocationKind::Absolute64 => value.to_le_bytes().to_vec(),
            RelocationKind::Relative32 => {
                let distance = value.wrapping_sub(at + relocation.at).cast_signed();
                i32::try_from(distance).map_err(|_| too_far())?.to_le_bytes().to_vec()
            }
            RelocationKind::Absolute32 => u32::try_from(value).map_err(|_| too_far())?.to_le_bytes().to_vec(),
            RelocationKind::Signed32 => {
                i32::try_from(value.cast_signed()).map_err(|_| too_far())?.to_le_bytes().to_vec()
            }
        };
        store(&part.body, &mut placed, relocation.at, &field);
    }
    for (import, address) in part.imports.iter().zip(imports) {
        store(&part.body, &mut placed, import.slot, &address.to_le_bytes());
    }
    Ok(placed)
}

fn too_far() -> LiveError {
    LiveError::new(LiveErrorKind::Unsupported, "the new code lies too far from the program for one of its references")
}

fn store(body: &Body, placed: &mut Placed, at: u64, bytes: &[u8]) {
    let (start, stretch) = if at >= body.data_at() {
        (body.data_at(), &mut placed.data)
    } else if at >= body.rodata_at() {
        (body.rodata_at(), &mut placed.rodata)
    } else {
        (0, &mut placed.text)
    };
    let from = usize::try_from(at - start).unwrap_or(usize::MAX);
    if let Some(field) = stretch.get_mut(from..from.saturating_add(bytes.len())) {
        field.copy_from_slice(bytes);
    }
}

/// The bytes of a redirect at `address`.
pub(super) fn redirect(site: &Site, address: u64, to: u64) -> Result<Vec<u8>, LiveError> {
    let distance = to.wrapping_sub(address.wrapping_add(5)).cast_signed();
    let distance = i32::try_from(distance).map_err(|_| too_far())?;
    let mut bytes = vec![0xe9];
    bytes.extend(distance.to_le_bytes());
    if site.form == Form::Pad {
        // Back over itself and the five bytes before.
        bytes.extend([0xeb, 0xf9]);
    }
    Ok(bytes)
}
