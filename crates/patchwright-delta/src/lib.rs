//! The delta engine: old bytes and new bytes to a delta body; old bytes and a body to the new bytes.
//!
//! A body says which stretches of the new file resemble which stretches of the old one ([`Cover`]), which bytes in
//! them differ and by how much, and what is left. `docs/formats/delta.md` describes it byte by byte.
//!
//! | module | what |
//! |---|---|
//! | [`mod@cover`] | the unit of resemblance, and a log of covers in bounded memory |
//! | [`mod@format`] | the limits, the headers and the numbers of a body |
//! | `apply` | old + body → new, version 1 in at most [`APPLY_MEMORY`](const@format::APPLY_MEMORY) bytes whatever the sizes |
//! | `create` | old + new → body (feature `create`) |
//! | [`mod@invert`] | old + new + the covers seen while applying → the body that leads back |
//! | [`mod@inspect`] | what a body holds, from its headers alone |
//!
//! Nothing here opens a file or looks at a clock or at the machine. The same inputs and options give the same bytes
//! on every machine and with any number of threads.

mod apply;
mod codec;
pub mod cover;
#[cfg(feature = "create")]
pub mod create;
mod error;
pub mod format;
pub mod inspect;
pub mod invert;
pub mod native;
mod old;
mod segment;
mod stream;
mod versions;

pub use cover::{Cover, CoverLog};
#[cfg(feature = "create")]
pub use create::{CreateError, CreateOptions, CreateStats, Method, Phase, Progress, create, create_plain};
pub use error::ApplyError;
pub use inspect::{BodyInfo, PartInfo, SegmentInfo, StreamInfo};
pub use invert::{InvertError, InvertStats, invert};
#[cfg(feature = "create")]
pub use native::Profile;
pub use versions::{apply, describe};
