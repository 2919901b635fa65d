//! Signatures: the CRC-32 or MD5 of a normalised file, as text.
//!
//! The base and time are fixed, so that a signature does not depend on any patch. It is therefore **not** in general the
//! CRC that a patch records for its old file.

use md5::{Digest, Md5};

use super::error::Pa19Error;
use super::header::Coff;
use super::normalise::{Change, normalise};
use crate::region::ByteRange;

/// What base and time become for a signature.
pub const COFF: Coff = Coff { base: 0x1000_0000, time: 0x1000_0000 };

/// The two forms of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureKind {
    /// CRC-32, eight hexadecimal digits.
    Crc32,
    /// MD5, 32 hexadecimal digits. It identifies files; it protects nothing.
    Md5,
}

/// The signature of `image`, which is normalised in place with `options` and `blanks`.
///
/// # Errors
/// Those of [`normalise`].
pub fn signature(
    image: &mut [u8],
    options: u32,
    blanks: impl IntoIterator<Item = ByteRange>,
    kind: SignatureKind,
) -> Result<(String, Change), Pa19Error> {
    let change = normalise(image, options, COFF, blanks)?;
    let text = match kind {
        SignatureKind::Crc32 => format!("{:08x}", crc32fast::hash(image)),
        SignatureKind::Md5 => Md5::digest(&*image).iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    Ok((text, change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_signatures() {
        for (bytes, kind, expect) in [
            (&[0xCC; 8][..], SignatureKind::Crc32, "58ea8bb8"),
            (&[0xCC; 8], SignatureKind::Md5, "7bffa66e1c861fcbf38426d134508908"),
            (b"testdata", SignatureKind::Crc32, "99e5365e"),
            (b"", SignatureKind::Crc32, "00000000"),
        ] {
            let (found, change) = signature(&mut bytes.to_vec(), 0, [], kind).unwrap();
            assert_eq!((found.as_str(), change), (expect, Change::Unmodified));
        }
    }
}
