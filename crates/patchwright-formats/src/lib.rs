//! Bytes to structures and back, for the files that Patchwright reads and writes.
//!
//! Nothing here opens a file, asks for the time or looks at the environment, and no input makes it panic.
//!
//! | module | what |
//! |---|---|
//! | [`source`] | where bytes come from, and the canonical view in which ignored and retained bytes are blank |
//! | [`region`] | ignored and retained ranges and the rules they keep |

pub mod region;
pub mod source;

pub use region::{ByteRange, Regions, RetainRange};
pub use source::{Blanked, ReadAt, Section};
