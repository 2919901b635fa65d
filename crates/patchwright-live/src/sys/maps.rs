//! Lines of `/proc/PID/maps`.

use crate::target::{Mapping, Protection};

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
}
