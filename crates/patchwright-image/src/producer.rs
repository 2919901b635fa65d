//! Who made an object: what the compiler left of itself in it.
//!
//! GCC and Clang sign `.comment` (mingw's GCC `.rdata$zzz`); Microsoft's compilers and LLVM write `S_COMPILE3` into
//! `.debug$S`, whose flags also say whether the linker may make pads. Assemblers sign nothing.

use object::read::{File, Object as _, ObjectSection as _};

/// What an object says of its making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producer {
    /// The compiler as it signs: `GCC: (Debian 12.2.0-14) 12.2.0`.
    pub name: Option<String>,
    /// The object is intermediate code for the linker.
    pub is_bitcode: bool,
    /// The source was assembly.
    pub is_assembly: bool,
    /// COFF: what the `S_COMPILE3` record says of hot-patching; without a record nothing.
    pub hot_patch_flag: Option<bool>,
    /// The machine of the COFF header, if it is COFF.
    pub coff_machine: Option<u16>,
}

/// Reads who made an object. Of what is no object, or damaged, nothing is known.
pub fn producer(data: &[u8]) -> Producer {
    let mut producer = Producer::default();
    if data.starts_with(b"BC\xc0\xde") || data.starts_with(&[0xde, 0xc0, 0x17, 0x0b]) {
        producer.is_bitcode = true;
        return producer;
    }
    let Ok(file) = File::parse(data) else { return producer };
    if file.format() == object::BinaryFormat::Coff {
        // A big object begins with the machine 0 and the signature ffff; its machine follows at 6.
        let at = if data.starts_with(&[0, 0, 0xff, 0xff]) { 6 } else { 0 };
        producer.coff_machine =
            data.get(at..).and_then(|data| data.first_chunk()).map(|bytes| u16::from_le_bytes(*bytes));
    }
    for section in file.sections() {
        let (Ok(name), Ok(data)) = (section.name(), section.data()) else { continue };
        match name {
            ".comment" | ".rdata$zzz" => producer.name = signature(data).or(producer.name),
            ".debug$S" if producer.hot_patch_flag.is_none() => compile3(data, &mut producer),
            // Of an object without debug records nothing else tells that Clang made it.
            ".llvm_addrsig" if producer.name.is_none() => producer.name = Some("Clang".to_owned()),
            _ if name.starts_with(".gnu.lto_") => producer.is_bitcode = true,
            _ => {}
        }
    }
    let has_lto_code = file.sections().any(|section| section.name() == Ok(".text") && section.size() > 0);
    producer.is_bitcode &= !has_lto_code;
    producer.is_assembly |= producer.name.is_none() && producer.hot_patch_flag.is_none() && !producer.is_bitcode;
    producer
}

/// The first text of the section that is not empty.
fn signature(data: &[u8]) -> Option<String> {
    let text = data.split(|byte| *byte == 0).find(|text| !text.is_empty())?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Finds `S_COMPILE3` in the first subsection of symbols.
fn compile3(data: &[u8], producer: &mut Producer) {
    const SYMBOLS: u32 = 0xf1;
    const S_COMPILE3: u16 = 0x113c;
    const MASM: u32 = 3;
    const HOT_PATCH: u32 = 0x4000;
    let Some((&[4, 0, 0, 0], mut rest)) = data.split_first_chunk::<4>() else { return };
    while let Some((kind, more)) = rest.split_first_chunk::<4>() {
        let Some((len, more)) = more.split_first_chunk::<4>() else { return };
        let len = u32::from_le_bytes(*len);
        let Some(mut body) = usize::try_from(len).ok().and_then(|len| more.get(..len)) else { return };
        rest = more.get(body.len().next_multiple_of(4)..).unwrap_or_default();
        if u32::from_le_bytes(*kind) != SYMBOLS {
            continue;
        }
        while let Some((len, more)) = body.split_first_chunk::<2>() {
            let Some(record) = more.get(..usize::from(u16::from_le_bytes(*len))) else { return };
            body = more.get(record.len()..).unwrap_or_default();
            let Some((kind, record)) = record.split_first_chunk::<2>() else { return };
            if u16::from_le_bytes(*kind) != S_COMPILE3 {
                continue;
            }
            // Flags, machine, two versions of four numbers, the name.
            if let Some(flags) = record.first_chunk::<4>().map(|flags| u32::from_le_bytes(*flags)) {
                producer.hot_patch_flag = Some(flags & HOT_PATCH != 0);
                producer.is_assembly = flags & 0xff == MASM;
                producer.name = record.get(22..).and_then(signature).or(producer.name.take());
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use object::write::Object;
    use object::{Architecture, BinaryFormat, Endianness, SectionKind};

    use super::*;

    fn object(format: BinaryFormat, section: &str, data: &[u8]) -> Vec<u8> {
        let mut object = Object::new(format, Architecture::X86_64, Endianness::Little);
        let id = object.add_section(Vec::new(), section.as_bytes().to_vec(), SectionKind::ReadOnlyData);
        object.append_section_data(id, data, 1);
        object.write().unwrap()
    }

    fn debug_s(flags: u32) -> Vec<u8> {
        let mut record = 0x113c_u16.to_le_bytes().to_vec();
        record.extend(flags.to_le_bytes());
        record.extend([0; 18]);
        record.extend(b"clang version 19\0");
        let mut body = vec![6, 0, 0x01, 0x11, 0, 0, 0, 0];
        body.extend(u16::try_from(record.len()).unwrap().to_le_bytes());
        body.extend(record);
        let mut data = vec![4, 0, 0, 0, 0xf4, 0, 0, 0, 2, 0, 0, 0, 1, 2, 0, 0, 0xf1, 0, 0, 0];
        data.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        data.extend(body);
        data
    }

    #[test]
    fn compilers_sign_their_objects() {
        let named = |name: &str| Producer { name: Some(name.to_owned()), ..Producer::default() };
        let coff = |producer| Producer { coff_machine: Some(0x8664), ..producer };
        let (elf, pe) = (BinaryFormat::Elf, BinaryFormat::Coff);
        let clang = |flag| coff(Producer { hot_patch_flag: Some(flag), ..named("clang version 19") });
        for (object, expect) in [
            (object(elf, ".comment", b"\0GCC: 12\0"), named("GCC: 12")),
            (object(elf, ".text", b"\xc3"), Producer { is_assembly: true, ..Producer::default() }),
            (object(elf, ".gnu.lto_.x", b"x"), Producer { is_bitcode: true, ..Producer::default() }),
            (object(pe, ".rdata$zzz", b"GCC: 12\0"), coff(named("GCC: 12"))),
            (object(pe, ".llvm_addrsig", b""), coff(named("Clang"))),
            (object(pe, ".debug$S", &debug_s(0x4001)), clang(true)),
            (object(pe, ".debug$S", &debug_s(0x0001)), clang(false)),
            (object(pe, ".debug$S", &debug_s(0x0003)), Producer { is_assembly: true, ..clang(false) }),
            (b"BC\xc0\xde1234".to_vec(), Producer { is_bitcode: true, ..Producer::default() }),
            (b"text".to_vec(), Producer::default()),
        ] {
            assert_eq!(producer(&object), expect);
        }
    }

    #[test]
    fn records_may_be_cut() {
        let whole = object(BinaryFormat::Coff, ".debug$S", &debug_s(0x4001));
        for len in 0..whole.len() {
            let _ = producer(&whole[..len]);
        }
        let data = debug_s(0x4001);
        for len in 0..data.len() {
            compile3(&data[..len], &mut Producer::default());
        }
    }
}
