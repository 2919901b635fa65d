//! Machines and pads: what a size means, and which sizes keep every patch site within one store.

use crate::{Error, ErrorKind, Result};

/// A machine that code can be prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MachineType {
    X86,
    X64,
    Arm,
    Arm64,
}

/// The two bytes of a short jump reach back 126 bytes, ENDBR and jump included.
pub(crate) const LARGEST_PAD: usize = 120;

impl MachineType {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::X64 => "x64",
            Self::Arm => "ARM",
            Self::Arm64 => "ARM64",
        }
    }

    /// What `/functionpadmin` means without a number; elsewhere it needs one.
    pub(crate) const fn linker_default(self) -> Option<usize> {
        match self {
            Self::X86 => Some(5),
            Self::X64 => Some(6),
            Self::Arm | Self::Arm64 => None,
        }
    }

    /// The pad when nobody asks for a size. On ARM it holds a jump to anywhere, as no page may be in reach.
    pub(crate) const fn usual_pad(self) -> usize {
        match self {
            Self::X86 => 5,
            Self::X64 => 6,
            Self::Arm => 12,
            Self::Arm64 => 16,
        }
    }

    /// The machine of a COFF header.
    pub(crate) const fn from_coff(machine: u16) -> Option<Self> {
        match machine {
            0x014c => Some(Self::X86),
            0x8664 => Some(Self::X64),
            0x01c0 | 0x01c2 | 0x01c4 => Some(Self::Arm),
            0xaa64 | 0xa641 => Some(Self::Arm64),
            _ => None,
        }
    }

    /// The machine as `/machine:` names it.
    pub(crate) fn from_linker_option(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "x86" => Some(Self::X86),
            "x64" => Some(Self::X64),
            "arm" => Some(Self::Arm),
            "arm64" | "arm64ec" | "arm64x" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// The machine of a target triple, as Clang writes it.
    pub(crate) fn from_triple(triple: &str) -> Option<Self> {
        match triple.split('-').next()? {
            "i386" | "i486" | "i586" | "i686" => Some(Self::X86),
            "x86_64" | "x86_64h" | "amd64" => Some(Self::X64),
            "aarch64" | "arm64" | "arm64ec" => Some(Self::Arm64),
            name if name.starts_with("thumb") || name.starts_with("arm") => Some(Self::Arm),
            _ => None,
        }
    }
}

/// `-fpatchable-function-entry=T,M`: nops in all, and nops before the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nops {
    pub(crate) total: usize,
    pub(crate) before: usize,
}

impl Nops {
    /// Nops for a pad of at least so many bytes and one instruction at the entry that can be replaced.
    ///
    /// On x86 the entry comes to lie at this distance from a multiple of 16. Neither it nor the place behind ENDBR, four
    /// bytes on, may be the last byte of eight: 7 would be, and 3 behind ENDBR.
    pub(crate) fn for_pad(machine: MachineType, pad: usize) -> Result<Self> {
        if pad > LARGEST_PAD {
            let message = format!("a pad of {pad} bytes is out of reach of a short jump");
            return Err(Error::new(ErrorKind::Usage, message).hint(format!("ask for {LARGEST_PAD} bytes at most")));
        }
        Ok(match machine {
            MachineType::X86 | MachineType::X64 => {
                let before = if pad % 4 == 3 { pad + 1 } else { pad };
                Self { total: before + 2, before }
            }
            // GCC writes nops of four bytes before the entry of a Thumb function as well.
            MachineType::Arm | MachineType::Arm64 => {
                let before = pad.div_ceil(4);
                Self { total: before + 1, before }
            }
        })
    }

    pub(crate) fn flag(self) -> String {
        format!("-fpatchable-function-entry={},{}", self.total, self.before)
    }

    /// Reads what stands behind `-fpatchable-function-entry=`.
    pub(crate) fn read(value: &str) -> Option<Self> {
        let (total, before) = value.split_once(',').unwrap_or((value, "0"));
        Some(Self { total: total.parse().ok()?, before: before.parse().ok()? })
    }

    /// What is wrong with nops that somebody else chose, for a pad of `pad` bytes.
    pub(crate) fn shortcoming(self, machine: MachineType, pad: usize) -> Option<String> {
        let unit = match machine {
            MachineType::X86 | MachineType::X64 => 1,
            MachineType::Arm | MachineType::Arm64 => 4,
        };
        let need = if unit == 1 { 2 } else { 1 };
        let bytes = self.before.saturating_mul(unit);
        if self.total.saturating_sub(self.before) < need {
            Some("it leaves no instruction at the entry that can be replaced".to_owned())
        } else if bytes < pad {
            Some(format!("its pad of {bytes} bytes is shorter than {pad}"))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_keep_the_site_in_one_store() {
        for pad in 0..=LARGEST_PAD {
            let nops = Nops::for_pad(MachineType::X64, pad).unwrap();
            assert!(nops.before >= pad && nops.before <= pad + 1, "{pad}");
            assert!(nops.before % 8 != 7 && (nops.before + 4) % 8 != 7, "{pad}: {nops:?}");
            assert_eq!(nops.total, nops.before + 2);
        }
        for (machine, pad, flag) in [
            (MachineType::X64, 6, "-fpatchable-function-entry=8,6"),
            (MachineType::X86, 5, "-fpatchable-function-entry=7,5"),
            (MachineType::X64, 7, "-fpatchable-function-entry=10,8"),
            (MachineType::Arm64, 16, "-fpatchable-function-entry=5,4"),
            (MachineType::Arm64, 6, "-fpatchable-function-entry=3,2"),
            (MachineType::Arm, 12, "-fpatchable-function-entry=4,3"),
        ] {
            assert_eq!(Nops::for_pad(machine, pad).unwrap().flag(), flag);
        }
        assert_eq!(Nops::for_pad(MachineType::X64, 121).unwrap_err().kind, ErrorKind::Usage);
    }

    #[test]
    fn nops_of_others_are_judged() {
        for (machine, value, expect) in [
            (MachineType::X64, "8,6", None),
            (MachineType::X64, "32,16", None),
            (MachineType::X64, "8", Some("its pad of 0 bytes is shorter than 6")),
            (MachineType::X64, "0", Some("it leaves no instruction")),
            (MachineType::X64, "7,6", Some("it leaves no instruction")),
            (MachineType::X64, "5,3", Some("its pad of 3 bytes")),
            (MachineType::Arm64, "3,2", None),
            (MachineType::Arm64, "2,1", Some("its pad of 4 bytes")),
        ] {
            let found = Nops::read(value).unwrap().shortcoming(machine, 6);
            match expect {
                None => assert_eq!(found, None, "{value}"),
                Some(expect) => assert!(found.unwrap().starts_with(expect), "{value}"),
            }
        }
        assert_eq!(Nops::read("x"), None);
    }

    #[test]
    fn machines_have_many_names() {
        for (triple, expect) in [
            ("x86_64-pc-windows-msvc", Some(MachineType::X64)),
            ("i686-pc-windows-msvc19.33.0", Some(MachineType::X86)),
            ("thumbv7-pc-windows-msvc", Some(MachineType::Arm)),
            ("aarch64-pc-windows-msvc", Some(MachineType::Arm64)),
            ("riscv64-unknown-linux-gnu", None),
        ] {
            assert_eq!(MachineType::from_triple(triple), expect, "{triple}");
        }
        assert_eq!(MachineType::from_linker_option("ARM64"), Some(MachineType::Arm64));
        assert_eq!(MachineType::from_coff(0x8664), Some(MachineType::X64));
    }
}
