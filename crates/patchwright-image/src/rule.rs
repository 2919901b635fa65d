//! The rules of the audit, as data: number, meaning, remedy. `docs/guide/check.md` shows the same table.

/// A rule of the audit. The numbers are stable. The last two are of an image as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Rule {
    /// The first instruction is long enough.
    A01 = 1,
    /// The pad is long enough.
    A02 = 2,
    /// The pad belongs to nobody.
    A03 = 3,
    /// One store reaches the patch site.
    A04 = 4,
    /// Nothing branches into the patch site or the pad.
    A05 = 5,
    /// The function does not loop back to its entry.
    A06 = 6,
    /// The pad holds nothing of use.
    A07 = 7,
    /// No relocation covers the patched bytes.
    A08 = 8,
    /// Site and pad lie in one executable section.
    A09 = 9,
    /// The function is long enough.
    A10 = 10,
    /// It is not patched already.
    A11 = 11,
    /// ENDBR stays in place.
    A12 = 12,
    /// ARM64: the first instruction may be replaced while it runs.
    A13 = 13,
    /// ARM64: the replacement is in reach.
    A14 = 14,
    /// One name, one function.
    A15 = 15,
    /// It is a function, not a thunk.
    A16 = 16,
    /// It is a function, not a part of one.
    A17 = 17,
    /// There are no other copies of it.
    A18 = 18,
    /// All objects of the image were compiled alike.
    A19 = 19,
    /// The image may be patched.
    A20 = 20,
}

impl Rule {
    /// Every rule, in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::A01,
        Self::A02,
        Self::A03,
        Self::A04,
        Self::A05,
        Self::A06,
        Self::A07,
        Self::A08,
        Self::A09,
        Self::A10,
        Self::A11,
        Self::A12,
        Self::A13,
        Self::A14,
        Self::A15,
        Self::A16,
        Self::A17,
        Self::A18,
        Self::A19,
        Self::A20,
    ];

    /// `HP-A01`.
    pub fn id(self) -> String {
        format!("HP-A{:02}", self as u8)
    }

    /// What must hold.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::A01 => "the instruction at the patch site is at least 2 bytes long",
            Self::A02 => "enough filler stands right before the entry",
            Self::A03 => "the bytes before the entry belong to no other function",
            Self::A04 => "the patch site does not cross an 8-byte boundary, so that one store replaces it",
            Self::A05 => "nothing branches into the patch site or the pad",
            Self::A06 => "the function does not jump back to its own entry",
            Self::A07 => "nothing of use stands where the pad should be: no type hash, no table, no data",
            Self::A08 => "no relocation covers the patched bytes",
            Self::A09 => "patch site and pad lie in one executable section",
            Self::A10 => "the function is at least 2 bytes long, or a lone ret before filler",
            Self::A11 => "the function is not patched already",
            Self::A12 => "in an image with indirect-branch tracking the entry starts with ENDBR",
            Self::A13 => "ARM and ARM64: the instruction at the patch site may be replaced while it runs",
            Self::A14 => "ARM64: the pad holds a jump to anywhere, 16 bytes",
            Self::A15 => "the entry has one name",
            Self::A16 => "it is a function, not a thunk",
            Self::A17 => "it is a function, not a part of one",
            Self::A18 => "the compiler made no copies of it",
            Self::A19 => "all objects of the image were compiled for hot patching",
            Self::A20 => "nothing in the image's headers stands against patching",
        }
    }

    /// What to do when it does not hold.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::A01 => {
                "compile with /hotpatch (cl, clang-cl) or -fpatchable-function-entry=T,M with T at least M+2 (gcc, clang)"
            }
            Self::A02 => {
                "link with /FUNCTIONPADMIN (5 on x86, 6 on x64), or compile with -fpatchable-function-entry=8,6 (gcc, clang)"
            }
            Self::A03 => "give the function a section and a symbol of its own: /Gy or -ffunction-sections",
            Self::A04 => "align functions to 16 bytes and choose a pad that keeps entry % 8 at most 6: 6, 14 or 16",
            Self::A05 => "compile with /hotpatch or -fpatchable-function-entry; of assembly: move the label",
            Self::A06 => "compile with -fpatchable-function-entry=8,6, so that loops start after the entry",
            Self::A07 => {
                "compile with -fpatchable-function-entry=8,6 or link with /FUNCTIONPADMIN: what stands there then stands before the pad"
            }
            Self::A08 => "nothing: it matters only to who patches the file on disk",
            Self::A09 => "keep the function in one executable section with bytes in the file",
            Self::A10 => "compile with /hotpatch or -fpatchable-function-entry=8,6",
            Self::A11 => "take the present patch back first",
            Self::A12 => "nothing if the function is only called directly; else compile it with -fcf-protection=branch",
            Self::A13 => "compile with -fpatchable-function-entry=2,0 or more; without it all threads must be stopped",
            Self::A14 => "link with /FUNCTIONPADMIN:16, or compile with -fpatchable-function-entry=6,4",
            Self::A15 => {
                "nothing: a patch of one name patches all of them; -Wl,--icf=none or /OPT:NOICF keeps them apart"
            }
            Self::A16 => "patch the function that it leads to",
            Self::A17 => "patch the function that it belongs to",
            Self::A18 => {
                "a patch must replace the copies too; -fno-ipa-cp, -fno-ipa-sra and -fno-partial-inlining avoid them"
            }
            Self::A19 => "compile the named objects like the others",
            Self::A20 => "know it before you patch; it does not change the answer",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_order_and_in_the_guide() {
        let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/check.md"))
            .expect("docs/guide/check.md is there");
        for (index, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, index + 1);
            let row = format!("| {} | {} | {} |", rule.id(), rule.meaning(), rule.remedy());
            assert!(guide.contains(&row), "the guide lacks: {row}");
        }
    }
}
