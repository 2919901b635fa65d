//! The option bits of a patch, as the patch API names them.

/// LZX without translation of relative calls.
pub const USE_LZX_A: u32 = 0x0000_0001;
/// LZX with translation of relative calls, where the new file is an executable image.
pub const USE_LZX_B: u32 = 0x0000_0002;
/// The window may be up to 32 MiB instead of 8 MiB. Stored only where the window needs it.
pub const USE_LZX_LARGE: u32 = 0x0000_0004;
/// Bound imports stay as they are.
pub const NO_BINDFIX: u32 = 0x0001_0000;
/// Lock prefixes stay as they are.
pub const NO_LOCKFIX: u32 = 0x0002_0000;
/// Image base and link time stay as they are; the header does not carry them.
pub const NO_REBASE: u32 = 0x0004_0000;
/// The creator was asked to fail when the old file is the new file.
pub const FAIL_IF_SAME_FILE: u32 = 0x0008_0000;
/// The creator was asked to fail when the patch is no smaller than the new file, compressed.
pub const FAIL_IF_BIGGER: u32 = 0x0010_0000;
/// The checksum of the image becomes 0 instead of being computed anew.
pub const NO_CHECKSUM: u32 = 0x0020_0000;
/// The header does not carry the time of the new file's resources.
pub const NO_RESTIMEFIX: u32 = 0x0040_0000;
/// Given to the creator: leave the file time out. **On disk the bit means the opposite**: a file time is there.
pub const TIMESTAMP: u32 = 0x0080_0000;
/// The old files carry interleave maps.
pub const INTERLEAVE_FILES: u32 = 0x4000_0000;
/// An extended options word follows the options.
pub const EXTENDED: u32 = 0x8000_0000;
/// Every bit that may be set on disk.
pub const VALID: u32 = 0xC0FF_0007;

/// Extended: leave relocations alone.
pub const EXT_NO_RELOCS: u32 = 0x01;
/// Extended: leave imports alone.
pub const EXT_NO_IMPORTS: u32 = 0x02;
/// Extended: leave exports alone.
pub const EXT_NO_EXPORTS: u32 = 0x04;
/// Extended: leave relative jumps alone.
pub const EXT_NO_JUMPS: u32 = 0x08;
/// Extended: leave relative calls alone.
pub const EXT_NO_CALLS: u32 = 0x10;
/// Extended: leave resources alone.
pub const EXT_NO_RESOURCES: u32 = 0x20;
/// Extended: the second version of the resource transform.
pub const EXT_RESOURCE_2: u32 = 0x100;
/// Extended: pointers of an image without relocations are inferred.
pub const EXT_IRELOC_2: u32 = 0x200;
/// Extended: the header says how large the window is.
pub const EXT_WINDOW: u32 = 0x1_0000;
/// Every extended bit that may be set on disk.
pub const EXT_VALID: u32 = 0x1_033F;
