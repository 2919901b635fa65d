//! The first instructions of a function, at another place: they do there what they did, and go on behind themselves.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Register};

/// `jmp rel32`.
const JUMP: u8 = 0xe9;
/// `push [rip + disp32]`.
const PUSH: [u8; 2] = [0xff, 0x35];

/// Moves instructions from `from`, where `code` stands, to `at`: as many as touch the first `need` bytes. A call among
/// them leaves the return address that it always left, so that nobody ever returns to the moved ones.
///
/// How long the result is does not depend on `at`.
///
/// `None` if one of them is not understood, or does not reach what it refers to from there.
pub(super) fn moved(code: &[u8], from: u64, need: usize, at: u64) -> Option<Vec<u8>> {
    let mut decoder = Decoder::with_ip(64, code, from, DecoderOptions::NONE);
    let mut out = Vec::new();
    let mut done = 0;
    while done < need {
        let instr = decoder.decode();
        let bytes = code.get(done..done + instr.len())?;
        done += instr.len();
        let behind = from + done as u64;
        match instr.flow_control() {
            FlowControl::Next => copy(&mut out, at, &decoder, &instr, bytes)?,
            FlowControl::Return | FlowControl::IndirectBranch => {
                copy(&mut out, at, &decoder, &instr, bytes)?;
                return Some(out);
            }
            FlowControl::ConditionalBranch if instr.is_jcc_short_or_near() => {
                // Both forms have the condition in the low bits of the last byte of the opcode.
                let condition = match bytes {
                    [0x0f, second, ..] => *second & 15,
                    [first, _] => *first & 15,
                    _ => return None,
                };
                out.extend([0x0f, 0x80 | condition]);
                distance(&mut out, at, instr.near_branch_target())?;
            }
            FlowControl::UnconditionalBranch if instr.is_jmp_short_or_near() => {
                out.push(JUMP);
                distance(&mut out, at, instr.near_branch_target())?;
                return Some(out);
            }
            FlowControl::Call if instr.code() == Code::Call_rel32_64 => {
                let mut jump = vec![JUMP];
                distance(&mut jump, at + out.len() as u64 + 6, instr.near_branch_target())?;
                return Some(push_and(out, &jump, behind));
            }
            FlowControl::IndirectCall if instr.code() == Code::Call_rm64 && !uses_stack_pointer(&instr) => {
                let mut jump = Vec::new();
                copy(&mut jump, at + out.len() as u64 + 6, &decoder, &instr, bytes)?;
                // `ff /2` is the call, `ff /4` the jump.
                let opcode = jump.iter().position(|byte| *byte == 0xff)?;
                let form = jump.get_mut(opcode + 1)?;
                *form = *form & !0x38 | 4 << 3;
                return Some(push_and(out, &jump, behind));
            }
            _ => return None,
        }
    }
    out.push(JUMP);
    distance(&mut out, at, from + done as u64)?;
    Some(out)
}

/// Appends an instruction; what it refers to by distance stays the same.
fn copy(out: &mut Vec<u8>, at: u64, decoder: &Decoder<'_>, instr: &Instruction, bytes: &[u8]) -> Option<()> {
    let start = out.len();
    out.extend_from_slice(bytes);
    if instr.is_ip_rel_memory_operand() {
        let offsets = decoder.get_constant_offsets(instr);
        let field = start + offsets.displacement_offset();
        if offsets.displacement_size() != 4 {
            return None;
        }
        let end = at.wrapping_add(out.len() as u64);
        let distance = instr.ip_rel_memory_address().wrapping_sub(end).cast_signed();
        let distance = i32::try_from(distance).ok()?;
        out.get_mut(field..field + 4)?.copy_from_slice(&distance.to_le_bytes());
    }
    Some(())
}

/// Appends the distance from behind itself to `to`; `at` is where `out` stands.
fn distance(out: &mut Vec<u8>, at: u64, to: u64) -> Option<()> {
    let distance = to.wrapping_sub(at.wrapping_add(out.len() as u64 + 4)).cast_signed();
    out.extend(i32::try_from(distance).ok()?.to_le_bytes());
    Some(())
}

/// A push of eight bytes that stand behind the jump.
fn push_and(mut out: Vec<u8>, jump: &[u8], value: u64) -> Vec<u8> {
    out.extend(PUSH);
    // A jump is no longer than fifteen bytes, as every instruction.
    out.extend(u32::try_from(jump.len()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(jump);
    out.extend(value.to_le_bytes());
    out
}

fn uses_stack_pointer(instr: &Instruction) -> bool {
    [instr.memory_base(), instr.op0_register()].contains(&Register::RSP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: u64 = 0x5555_0000_1000;
    const AT: u64 = FROM - 0x1000;

    #[test]
    fn first_instructions_move() {
        for (what, code, expect) in [
            // endbr64; push %rbp
            (
                "as they are",
                vec![0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x90],
                vec![0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0xe9, 0xfb, 0x0f, 0, 0],
            ),
            // mov 0x100(%rip), %eax
            ("reference by distance", vec![0x8b, 5, 0, 1, 0, 0], vec![0x8b, 5, 0, 0x11, 0, 0, 0xe9, 0xfb, 0x0f, 0, 0]),
            // mov $1, %eax; ret
            ("no further than they need", vec![0xb8, 1, 0, 0, 0, 0xc3], vec![0xb8, 1, 0, 0, 0, 0xe9, 0xfb, 0x0f, 0, 0]),
            // test %edi, %edi; je +0x10; ret
            ("short branch", vec![0x85, 0xff, 0x74, 0x10, 0xc3], vec![0x85, 0xff, 0x0f, 0x84, 0x0c, 0x10, 0, 0, 0xc3]),
            // jne -0x100
            (
                "near branch",
                vec![0x0f, 0x85, 0, 0xff, 0xff, 0xff],
                vec![0x0f, 0x85, 0, 0x0f, 0, 0, 0xe9, 0xfb, 0x0f, 0, 0],
            ),
            // jmp to itself: to the place, not to the moved one
            ("loop", vec![0xeb, 0xfe, 0x90, 0x90, 0x90], vec![0xe9, 0xfb, 0x0f, 0, 0]),
            // push %rbx; call +0x20
            ("call", vec![0x53, 0xe8, 0x20, 0, 0, 0], {
                let mut expect = vec![0x53, 0xff, 0x35, 5, 0, 0, 0, 0xe9, 0x1a, 0x10, 0, 0];
                expect.extend((FROM + 6).to_le_bytes());
                expect
            }),
            // call *0x20(%rip)
            ("call through a slot", vec![0xff, 0x15, 0x20, 0, 0, 0], {
                let mut expect = vec![0xff, 0x35, 6, 0, 0, 0, 0xff, 0x25, 0x1a, 0x10, 0, 0];
                expect.extend((FROM + 6).to_le_bytes());
                expect
            }),
            // nop3; call *%r10
            ("call of a register", vec![0x0f, 0x1f, 0, 0x41, 0xff, 0xd2], {
                let mut expect = vec![0x0f, 0x1f, 0, 0xff, 0x35, 3, 0, 0, 0, 0x41, 0xff, 0xe2];
                expect.extend((FROM + 6).to_le_bytes());
                expect
            }),
        ] {
            let there = moved(&code, FROM, 5, AT);
            assert_eq!(there.as_deref(), Some(expect.as_slice()), "{what}");
            let elsewhere = moved(&code, FROM, 5, AT + 0x77_7000).unwrap();
            assert_eq!(elsewhere.len(), expect.len(), "{what}");
        }
    }

    #[test]
    fn what_cannot_move_is_left_alone() {
        for (what, code, at) in [
            ("jrcxz", vec![0xe3, 0x10, 0x90, 0x90, 0x90], AT),
            ("loop", vec![0xe2, 0x10, 0x90, 0x90, 0x90], AT),
            ("breakpoint", vec![0xcc, 0x90, 0x90, 0x90, 0x90], AT),
            ("xbegin", vec![0xc7, 0xf8, 0, 0, 0, 0], AT),
            ("no instruction", vec![0x06, 0x90, 0x90, 0x90, 0x90], AT),
            ("cut off", vec![0x90, 0x90, 0xe8, 0], AT),
            ("call by the stack pointer", vec![0x90, 0xff, 0x54, 0x24, 8], AT),
            ("call of the stack pointer", vec![0x90, 0x90, 0x90, 0xff, 0xd4], AT),
            ("too far", vec![0x8b, 5, 0, 1, 0, 0], FROM + (4 << 30)),
            ("too far to go on", vec![0x90; 5], FROM + (4 << 30)),
        ] {
            assert_eq!(moved(&code, FROM, 5, at), None, "{what}");
        }
    }
}
