//! Unwind data of new functions: read from `.eh_frame` of the new program, written anew for the place where they will be.
//!
//! Everything that is an address becomes eight absolute bytes, which the process fills in; the rules themselves do not
//! depend on places and are copied. Reading follows the LSB's chapter on exception frames.

/// What an address in unwind data is relative to, and how wide it is.
const INDIRECT: u8 = 0x80;
const OMIT: u8 = 0xff;

/// The rules for one stretch of code.
#[derive(Clone, Debug)]
pub(super) struct Frame<'data> {
    pub(super) start: u64,
    /// Address of the table of handlers.
    pub(super) handlers: Option<u64>,
    pub(super) common: Common<'data>,
    len: u64,
    rules: &'data [u8],
}

/// What many frames share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Common<'data> {
    /// The function that decides about exceptions; whether the address is that of a pointer to it.
    pub(super) personality: Option<(u64, bool)>,
    signal: bool,
    /// Alignment factors and return address register, as they stand there.
    factors: &'data [u8],
    rules: &'data [u8],
    code_encoding: u8,
    handler_encoding: u8,
}

/// An address in unwind data that is being written: where it stands and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pointer {
    /// The start of a frame's code.
    Code(u64),
    /// A table of handlers.
    Handlers(u64),
    /// The personality, or what points to it.
    Personality(u64),
}

struct Cursor<'data> {
    bytes: &'data [u8],
    at: usize,
    address: u64,
}

impl<'data> Cursor<'data> {
    fn take(&mut self, len: usize) -> Option<&'data [u8]> {
        let end = self.at.checked_add(len)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn leb(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..63).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn pointer(&mut self, encoding: u8) -> Option<u64> {
        let place = self.address + self.at as u64;
        let value = match encoding & 0x0f {
            0x00 | 0x04 | 0x0c => u64::from_le_bytes(*self.take(8)?.first_chunk()?),
            0x03 => u64::from(self.u32()?),
            0x0b => i64::from(self.u32()?.cast_signed()).cast_unsigned(),
            _ => return None,
        };
        match encoding & 0x70 {
            0x00 => Some(value),
            0x10 if value != 0 => Some(place.wrapping_add(value)),
            0x10 => Some(0),
            _ => None,
        }
    }
}

/// Reads the frames of `.eh_frame`, which lies at `address`, up to the first that cannot be read.
pub(super) fn read(data: &[u8], address: u64) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    let mut cursor = Cursor { bytes: data, at: 0, address };
    while let Some(frame) = next(&mut cursor, data, address) {
        frames.extend(frame);
    }
    frames
}

/// The next entry; a frame if it is one.
fn next<'data>(cursor: &mut Cursor<'data>, data: &'data [u8], address: u64) -> Option<Option<Frame<'data>>> {
    let len = usize::try_from(cursor.u32()?).ok().filter(|len| *len > 0)?;
    let start = cursor.at;
    let end = start.checked_add(len).filter(|end| *end <= data.len())?;
    let back = usize::try_from(cursor.u32()?).ok()?;
    cursor.at = end;
    if back == 0 {
        return Some(None);
    }
    let common = common(data, start.checked_sub(back)?, address)?;
    let mut entry = Cursor { bytes: data.get(..end)?, at: start + 4, address };
    let code = entry.pointer(common.code_encoding)?;
    // The length has the width of the address but is relative to nothing.
    let size = entry.pointer(common.code_encoding & 0x0f)?;
    let extra = usize::try_from(entry.leb()?).ok()?;
    let rules_at = entry.at.checked_add(extra)?;
    let handlers = match common.handler_encoding {
        OMIT => None,
        encoding => entry.pointer(encoding).filter(|handlers| *handlers != 0),
    };
    Some(Some(Frame { start: code, len: size, handlers, common, rules: data.get(rules_at..end)? }))
}

fn common(data: &[u8], at: usize, address: u64) -> Option<Common<'_>> {
    let mut head = Cursor { bytes: data, at, address };
    let end = usize::try_from(head.u32()?).ok()?.checked_add(at + 4)?;
    let mut entry = Cursor { bytes: data.get(..end)?, at: head.at, address };
    if entry.u32()? != 0 || entry.u8()? != 1 {
        return None;
    }
    let name_at = entry.at;
    while entry.u8()? != 0 {}
    let name = data.get(name_at..entry.at - 1)?;
    let factors_at = entry.at;
    entry.leb()?;
    entry.leb()?;
    entry.u8()?;
    let factors = data.get(factors_at..entry.at)?;
    let mut common =
        Common { personality: None, signal: false, factors, rules: &[], code_encoding: 0, handler_encoding: OMIT };
    let [b'z', letters @ ..] = name else { return None };
    let extra = usize::try_from(entry.leb()?).ok()?;
    let rules_at = entry.at.checked_add(extra)?;
    for letter in letters {
        match letter {
            b'R' => common.code_encoding = entry.u8()?,
            b'L' => common.handler_encoding = entry.u8()?,
            b'P' => {
                let encoding = entry.u8()?;
                common.personality = Some((entry.pointer(encoding & !INDIRECT)?, encoding & INDIRECT != 0));
            }
            b'S' => common.signal = true,
            _ => return None,
        }
    }
    common.rules = data.get(rules_at..end)?;
    Some(common)
}

/// Writes `.eh_frame` for frames, ended by a zero; and where in it addresses are to be filled in.
pub(super) fn write(frames: &[Frame<'_>]) -> (Vec<u8>, Vec<(usize, Pointer)>) {
    let mut out = Vec::new();
    let mut pointers = Vec::new();
    let mut commons: Vec<(&Common<'_>, usize)> = Vec::new();
    for frame in frames {
        let known = commons.iter().find(|(common, _)| **common == frame.common).map(|(_, at)| *at);
        let common_at = known.unwrap_or_else(|| {
            let at = out.len();
            write_common(&frame.common, &mut out, &mut pointers);
            commons.push((&frame.common, at));
            at
        });
        let at = out.len();
        out.extend([0; 4]);
        let back = u32::try_from(out.len() - common_at).unwrap_or(u32::MAX);
        out.extend(back.to_le_bytes());
        pointers.push((out.len(), Pointer::Code(frame.start)));
        out.extend([0; 8]);
        out.extend(frame.len.to_le_bytes());
        if frame.common.handler_encoding == OMIT {
            out.push(0);
        } else {
            out.push(8);
            pointers.extend(frame.handlers.map(|handlers| (out.len(), Pointer::Handlers(handlers))));
            out.extend([0; 8]);
        }
        out.extend(frame.rules);
        finish(&mut out, at);
    }
    out.extend([0; 4]);
    (out, pointers)
}

fn write_common(common: &Common<'_>, out: &mut Vec<u8>, pointers: &mut Vec<(usize, Pointer)>) {
    let at = out.len();
    out.extend([0; 8]);
    out.push(1);
    out.push(b'z');
    let has_handlers = common.handler_encoding != OMIT;
    let letters = [(common.personality.is_some(), b'P'), (has_handlers, b'L'), (true, b'R'), (common.signal, b'S')];
    out.extend(letters.iter().filter(|(present, _)| *present).map(|(_, letter)| *letter));
    out.push(0);
    out.extend(common.factors);
    out.push(1 + u8::from(has_handlers) + if common.personality.is_some() { 9 } else { 0 });
    if let Some((address, indirect)) = common.personality {
        out.push(if indirect { INDIRECT } else { 0 });
        pointers.push((out.len(), Pointer::Personality(address)));
        out.extend([0; 8]);
    }
    if has_handlers {
        out.push(0);
    }
    out.push(0);
    out.extend(common.rules);
    finish(out, at);
}

/// Fills up with rules that say nothing and writes the length of the entry that began at `at`.
fn finish(out: &mut Vec<u8>, at: usize) {
    while !out.len().is_multiple_of(8) {
        out.push(0);
    }
    let len = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(at..at + 4) {
        field.copy_from_slice(&len.to_le_bytes());
    }
}

/// Longer unwind data than this are refused.
pub(super) const LONGEST: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use gimli::{BaseAddresses, CieOrFde, EhFrame, LittleEndian, UnwindSection};

    use super::*;

    /// Start, length, handlers, personality, instructions.
    type Rules = (u64, u64, Option<gimli::Pointer>, Option<gimli::Pointer>, Vec<String>);

    /// Frames of a program, read by us and by gimli; written by us, read by gimli again.
    #[test]
    fn frames_of_this_test_read_and_written_mean_the_same() {
        use object::{Object, ObjectSection};
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let file = object::File::parse(bytes.as_slice()).unwrap();
        let section = file.section_by_name(".eh_frame").unwrap();
        let (data, address) = (section.data().unwrap(), section.address());
        let ours = read(data, address);
        let rules = |data: &[u8], address: u64| {
            let section = EhFrame::new(data, LittleEndian);
            let bases = BaseAddresses::default().set_eh_frame(address);
            let mut entries = section.entries(&bases);
            let mut rules = Vec::new();
            while let Some(entry) = entries.next().unwrap() {
                let CieOrFde::Fde(partial) = entry else { continue };
                let fde = partial.parse(|section, bases, at| section.cie_from_offset(bases, at)).unwrap();
                let mut instructions = fde.instructions(&section, &bases);
                let mut list = Vec::new();
                while let Some(instruction) = instructions.next().unwrap() {
                    list.push(format!("{instruction:?}"));
                }
                list.retain(|instruction| instruction != "Nop");
                rules.push((fde.initial_address(), fde.len(), fde.lsda(), fde.personality(), list));
            }
            rules
        };
        let theirs: Vec<_> = rules(data, address).iter().map(|rule| (rule.0, rule.1)).collect();
        assert!(ours.len() > 100);
        assert_eq!(ours.iter().map(|frame| (frame.start, frame.len)).collect::<Vec<_>>(), theirs);

        let few: Vec<_> = ours.iter().filter(|frame| frame.handlers.is_some()).take(20).cloned().collect();
        assert_eq!(few.len(), 20);
        let (mut written, pointers) = write(&few);
        for (at, pointer) in pointers {
            let (Pointer::Code(value) | Pointer::Handlers(value) | Pointer::Personality(value)) = pointer;
            written[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        let original: Vec<_> = rules(data, address).into_iter().filter(|rule| rule.2.is_some()).take(20).collect();
        let plain = |pointer: Option<gimli::Pointer>| pointer.map(gimli::Pointer::pointer);
        let plainly = |list: Vec<Rules>| {
            list.into_iter().map(|(a, b, c, d, e)| (a, b, plain(c), plain(d), e)).collect::<Vec<_>>()
        };
        assert_eq!(plainly(rules(&written, 0)), plainly(original));
    }

    #[test]
    fn damaged_frames_end_the_reading() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let file = object::File::parse(bytes.as_slice()).unwrap();
        use object::{Object, ObjectSection};
        let data = file.section_by_name(".eh_frame").unwrap().data().unwrap();
        let data = &data[..data.len().min(3000)];
        for len in 0..data.len() {
            read(&data[..len], 0x1000);
        }
        for at in 0..data.len().min(600) {
            let mut damaged = data.to_vec();
            damaged[at] ^= 0xff;
            read(&damaged, 0x1000);
        }
    }
}
