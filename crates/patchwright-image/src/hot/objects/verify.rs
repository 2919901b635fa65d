//! Whether bytes of a program are those of a section of an object, its relocations resolved.
//!
//! Beside fields, linkers rewrite instructions: one that loads an address from a table becomes one that computes it, one
//! that asks where a thread variable is becomes one that knows. Each such form is recognised; see the x86-64 psABI,
//! "Optimize GOTPCRELX relocations", and ELF Handling For Thread-Local Storage.

use object::elf;

use super::read::{Content, Relocation, Section};

/// The offset at which the bytes are not those of the section.
pub(super) fn differs(section: &Section<'_>, linked: &[u8]) -> Option<u64> {
    let Content::Bytes(bytes) = section.content else { return None };
    if linked.len() < bytes.len() {
        return Some(linked.len() as u64);
    }
    let mut at = 0;
    for relocation in &section.relocations {
        let field = usize::try_from(relocation.at).unwrap_or(usize::MAX);
        let (from, to) = stretch(relocation, field, bytes, linked);
        if from > at
            && let Some(wrong) = first_difference(bytes, linked, at, from)
        {
            return Some(wrong);
        }
        at = at.max(to);
    }
    first_difference(bytes, linked, at, bytes.len())
}

fn first_difference(bytes: &[u8], linked: &[u8], from: usize, to: usize) -> Option<u64> {
    let pairs = bytes.get(from..to)?.iter().zip(linked.get(from..to)?);
    pairs.into_iter().position(|(one, other)| one != other).map(|at| (from + at) as u64)
}

/// Whether a linker makes the second of the first.
type Form = dyn Fn(&[u8], &[u8]) -> bool;

/// From where to where a relocation lets bytes differ.
fn stretch(relocation: &Relocation, field: usize, bytes: &[u8], linked: &[u8]) -> (usize, usize) {
    let plain = |len: usize| (field, field.saturating_add(len));
    // The form in the object before the field, and those that linkers make of it.
    let made = |before: usize, len: usize, forms: &[&Form]| {
        let from = field.saturating_sub(before);
        let to = field.saturating_add(len);
        let (Some(was), Some(is)) = (bytes.get(from..to), linked.get(from..to)) else { return plain(4) };
        if forms.iter().any(|form| form(was, is)) { (from, to) } else { plain(4) }
    };
    match relocation.kind {
        elf::R_X86_64_64
        | elf::R_X86_64_PC64
        | elf::R_X86_64_GOTOFF64
        | elf::R_X86_64_GOTPC64
        | elf::R_X86_64_SIZE64
        | elf::R_X86_64_DTPOFF64
        | elf::R_X86_64_TPOFF64 => plain(8),
        elf::R_X86_64_16 | elf::R_X86_64_PC16 => plain(2),
        elf::R_X86_64_8 | elf::R_X86_64_PC8 => plain(1),
        elf::R_X86_64_GOTPCRELX => made(2, 4, &[&load, &branch]),
        elf::R_X86_64_REX_GOTPCRELX => made(
            3,
            4,
            &[
                &|was, is| matches!((was, is), ([rex, was @ ..], [new_rex, is @ ..]) if rex & 0xf8 == 0x48 && new_rex & 0xf8 == 0x48 && load(was, is)),
            ],
        ),
        elf::R_X86_64_GOTTPOFF => made(3, 4, &[&initial_exec]),
        elf::R_X86_64_TLSGD => made(4, 12, &[&thread_pointer]),
        elf::R_X86_64_TLSLD => match made(3, 9, &[&local_dynamic]) {
            (from, to) if from < field => (from, to),
            _ => made(3, 10, &[&local_dynamic]),
        },
        elf::R_X86_64_GOTPC32_TLSDESC => made(3, 4, &[&descriptor]),
        elf::R_X86_64_TLSDESC_CALL => match linked.get(field..field.saturating_add(2)) {
            // `call *(%rax)` is gone.
            Some([0x66, 0x90]) => plain(2),
            _ => plain(0),
        },
        _ => plain(4),
    }
}

/// `mov x@GOTPCREL(%rip), %r` made `lea x(%rip), %r` or `mov $x, %r`; an operation with a slot made one with a number.
fn load(was: &[u8], is: &[u8]) -> bool {
    let (&[op, modrm, ..], &[new_op, new_modrm, ..]) = (was, is) else { return false };
    let register = modrm >> 3 & 7;
    let direct = |extension: u8| new_modrm == 0xc0 | extension << 3 | register;
    match (op, new_op) {
        (0x8b, 0x8d) => modrm == new_modrm,
        (0x8b, 0xc7) => direct(0),
        (0x85, 0xf7) => direct(0),
        (0x03 | 0x0b | 0x13 | 0x1b | 0x23 | 0x2b | 0x33 | 0x3b, 0x81) => direct(op >> 3 & 7),
        _ => false,
    }
}

/// `call *x@GOTPCREL(%rip)` made `addr32 call x`, `jmp *x@GOTPCREL(%rip)` made `jmp x; nop`.
fn branch(was: &[u8], is: &[u8]) -> bool {
    matches!((was, is), ([0xff, 0x15, ..], [0x67, 0xe8, ..] | [0xe8, .., 0x90]) | ([0xff, 0x25, ..], [0xe9, .., 0x90]))
}

/// `mov x@gottpoff(%rip), %r` made `mov $x, %r`; `add` made `lea x(%r), %r` or `add $x, %r`.
fn initial_exec(was: &[u8], is: &[u8]) -> bool {
    let (&[_, op, modrm, ..], &[_, new_op, new_modrm, ..]) = (was, is) else { return false };
    let register = modrm >> 3 & 7;
    match (op, new_op) {
        (0x8b, 0xc7) => new_modrm == 0xc0 | register,
        (0x03, 0x8d) => new_modrm == 0x80 | register << 3 | register,
        (0x03, 0x81) => new_modrm == 0xc0 | register,
        _ => false,
    }
}

const THREAD_POINTER: [u8; 9] = [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0];

/// A call of `__tls_get_addr` made `mov %fs:0, %rax` and an addition, of a constant or of a slot.
fn thread_pointer(was: &[u8], is: &[u8]) -> bool {
    let general = matches!(was, [0x66, 0x48, 0x8d, 0x3d, ..]);
    general
        && is
            .strip_prefix(&THREAD_POINTER)
            .is_some_and(|rest| matches!(rest, [0x48, 0x8d, 0x80, ..] | [0x48, 0x03, 0x05, ..]))
}

/// The same for the module's own block: nothing but the thread pointer is left, with filler before it.
fn local_dynamic(was: &[u8], is: &[u8]) -> bool {
    let local = matches!(was, [0x48, 0x8d, 0x3d, ..]);
    let filler = is.iter().position(|byte| *byte != 0x66).unwrap_or(0);
    local && filler <= 4 && is.get(filler..) == Some(&THREAD_POINTER)
}

/// `lea x@tlsdesc(%rip), %rax` made `mov $x, %rax` or a load of a slot.
fn descriptor(was: &[u8], is: &[u8]) -> bool {
    matches!((was, is), ([_, 0x8d, ..], [_, 0xc7 | 0x8b, ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: elf::RelocationType, at: u64, was: &[u8], is: &[u8], expect: Option<u64>) {
        let section = Section {
            size: was.len() as u64,
            content: Content::Bytes(was),
            executable: true,
            merged: false,
            relocations: vec![Relocation { at, kind, symbol: 0, addend: 0 }],
        };
        assert_eq!(differs(&section, is), expect, "{kind:?} {was:x?} {is:x?}");
    }

    #[test]
    fn fields_and_known_forms_may_differ() {
        let zeros = [0_u8; 4];
        let with = |before: &[u8], field: &[u8]| [before, field, &[0xc3]].concat();
        let plain = with(&[0xe8], &zeros);
        check(elf::R_X86_64_PLT32, 1, &plain, &with(&[0xe8], &[1, 2, 3, 4]), None);
        check(elf::R_X86_64_PLT32, 1, &plain, &with(&[0xe9], &[1, 2, 3, 4]), Some(0));
        check(elf::R_X86_64_PLT32, 1, &plain, &[0xe8, 1, 2, 3, 4, 0xcc], Some(5));
        check(elf::R_X86_64_PLT32, 1, &plain, &[0xe8, 1, 2, 3], Some(4));
        let slot = with(&[0x48, 0x8b, 0x05], &zeros);
        check(elf::R_X86_64_REX_GOTPCRELX, 3, &slot, &with(&[0x48, 0x8d, 0x05], &[1, 2, 3, 4]), None);
        check(elf::R_X86_64_REX_GOTPCRELX, 3, &slot, &with(&[0x48, 0xc7, 0xc0], &[1, 2, 3, 4]), None);
        check(elf::R_X86_64_REX_GOTPCRELX, 3, &slot, &with(&[0x48, 0xc7, 0xc1], &[1, 2, 3, 4]), Some(1));
        check(elf::R_X86_64_REX_GOTPCRELX, 3, &slot, &with(&[0x48, 0x8b, 0x0d], &[1, 2, 3, 4]), Some(2));
        let call = with(&[0xff, 0x15], &zeros);
        check(elf::R_X86_64_GOTPCRELX, 2, &call, &with(&[0x67, 0xe8], &[1, 2, 3, 4]), None);
        check(elf::R_X86_64_GOTPCRELX, 2, &call, &with(&[0x67, 0xe9], &[1, 2, 3, 4]), Some(0));
        let jump = with(&[0xff, 0x25], &zeros);
        check(elf::R_X86_64_GOTPCRELX, 2, &jump, &with(&[0xe9, 1], &[2, 3, 4, 0x90]), None);
        check(elf::R_X86_64_GOTPCRELX, 2, &jump, &with(&[0xe9, 1], &[2, 3, 4, 5]), Some(0));
        let initial = with(&[0x48, 0x03, 0x05], &zeros);
        check(elf::R_X86_64_GOTTPOFF, 3, &initial, &with(&[0x48, 0x8d, 0x80], &[1, 2, 3, 4]), None);
        check(elf::R_X86_64_GOTTPOFF, 3, &initial, &with(&[0x48, 0x29, 0x80], &[1, 2, 3, 4]), Some(1));
        let general = [&[0x66, 0x48, 0x8d, 0x3d][..], &zeros, &[0x66, 0x66, 0x48, 0xe8], &zeros].concat();
        let local = [&THREAD_POINTER[..], &[0x48, 0x8d, 0x80, 1, 2, 3, 4]].concat();
        check(elf::R_X86_64_TLSGD, 4, &general, &local, None);
        check(elf::R_X86_64_TLSGD, 4, &general, &[0x90; 16], Some(0));
    }
}
