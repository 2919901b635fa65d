//! PA19, the patches of the Windows patch API, which Windows Installer carries; `docs/formats/pa19.md` describes them.
//!
//! One patch makes one new file from any of several old ones. Old 32-bit images are normalised before they are
//! recognised, and transformed before they serve as the reference of LZX DELTA ([`crate::lzx`]).
//!
//! Written from public specifications and from observation of the genuine creator's output.
//!
//! | module | what |
//! |---|---|
//! | [`header`] | everything before the streams, read and written |
//! | [`mod@flags`] | the option bits |
//! | [`mod@apply`] | patch and old file to new file |
//! | [`mod@create`] | old files and new file to patch |
//! | [`mod@normalise`] | the one form of every copy of an image |
//! | [`mod@signature`] | CRC-32 or MD5 of that form |
//! | [`rift`] | where the parts of the old image are in the new one |
//! | `transform` | the old image, changed as if its parts were there already |
//! | `matching` | finds the rift table of two images |
//! | `pe32` | a 32-bit image through checked offsets |
//! | `budget` | how far walks over an image go |
//! | `vli` | integers of variable length |
//! | [`error`] | the codes of the patch API |

pub mod apply;
mod budget;
pub mod create;
pub mod error;
pub mod flags;
pub mod header;
#[cfg(test)]
mod hostile;
mod matching;
pub mod normalise;
mod pe32;
pub mod rift;
pub mod signature;
mod transform;
mod vli;

pub use apply::{Applied, IfNew, Outcome, apply, test};
pub use create::{CreateOptions, Created, LzxMode, OldInput, Profile, Warning, create};
pub use error::{Pa19Error, PatchCode};
pub use header::{Coff, Header, Interleave, OldEntry, Patch, extract_header};
pub use normalise::{Change, normalise};
pub use rift::{Rift, RiftEntry};
pub use signature::{SignatureKind, signature};
