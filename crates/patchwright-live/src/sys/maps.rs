//! Lines of `/proc/PID/maps`, and of `/proc/PID/task/TID/syscall`.

use crate::target::{Mapping, Protection, Thread};

/// A thread that waits in the kernel: number of the system call and its arguments, or -1, then stack and instruction
/// pointers. `None` if it runs.
pub(super) fn waiting(id: i32, line: &str) -> Option<Thread> {
    let mut fields = line.split_ascii_whitespace().rev();
    let hex = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let (ip, sp) = (hex(fields.next()?)?, hex(fields.next()?)?);
    Some(Thread { id, ip, sp, bp: 0 })
}

/// A line of `/proc/PID/maps`: `start-end perms offset device inode name`.
pub(super) fn parse_mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let permissions = fields.next()?.as_bytes();
    let offset = hex(fields.next()?)?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let inode = fields.next()?.parse().ok()?;
    let has = |at: usize, letter: u8| permissions.get(at) == Some(&letter);
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        protection: Protection { read: has(0, b'r'), write: has(1, b'w'), execute: has(2, b'x') },
        private: has(3, b'p'),
        offset,
        file: (hex(major)? << 32 | hex(minor)?, inode),
        name: fields.next().unwrap_or_default().trim_start().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "7f0a1c000000-7f0a1c021000 r-xp 00001000 fe:01 1234                      /usr/lib/a b.so (deleted)";
        assert_eq!(
            parse_mapping(line),
            Some(Mapping {
                start: 0x7f0a_1c00_0000,
                end: 0x7f0a_1c02_1000,
                protection: Protection::TEXT,
                private: true,
                offset: 0x1000,
                file: (0xfe_0000_0001, 1234),
                name: "/usr/lib/a b.so (deleted)".to_owned(),
            })
        );
        let anonymous = parse_mapping("55d0-55e0 rw-s 00000000 00:00 0 ").unwrap();
        assert_eq!((anonymous.file, anonymous.private, anonymous.name.as_str()), ((0, 0), false, ""));
        for bad in ["", "x", "1-2", "1-2 r-xp", "1-2 r-xp 0 0:0 x", "g-2 r-xp 0 0:0 0"] {
            assert_eq!(parse_mapping(bad), None, "{bad}");
        }
    }

    #[test]
    fn threads_that_wait_are_read_and_those_that_run_are_not() {
        for (line, expect) in [
            ("7 0x7f 0x1 0x5 0x0 0x0 0x0 0x7ffc1000 0x7f00aa\n", Some((0x7f00aa, 0x7ffc1000))),
            ("-1 0x7ffc1000 0x7f00aa\n", Some((0x7f00aa, 0x7ffc1000))),
            ("running\n", None),
            ("0x7ffc1000", None),
            ("", None),
        ] {
            let thread = waiting(7, line);
            assert_eq!(thread.map(|thread| (thread.ip, thread.sp)), expect, "{line}");
        }
    }
}
