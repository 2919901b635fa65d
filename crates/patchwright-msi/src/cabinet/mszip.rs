//! MSZIP: each block is `CK` and a deflate stream that may copy from the 32 KiB before it.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// How far back a block may copy.
const HISTORY: usize = 0x8000;

#[derive(Default)]
pub(super) struct Mszip {
    /// The end of what was made, and room for the next block.
    buffer: Vec<u8>,
}

impl Mszip {
    /// Makes the next `len` bytes.
    pub(super) fn block(&mut self, data: &[u8], len: usize) -> Result<&[u8], String> {
        let data = data.strip_prefix(b"CK").ok_or("a block that does not begin with CK")?;
        let drop = self.buffer.len().saturating_sub(HISTORY);
        self.buffer.drain(..drop);
        let start = self.buffer.len();
        self.buffer.resize(start + len, 0);
        // The window is what stands before `start` in the buffer.
        let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, _, made) = decompress(&mut DecompressorOxide::new(), data, &mut self.buffer, start, flags);
        if made != len || !matches!(status, TINFLStatus::Done | TINFLStatus::HasMoreOutput) {
            return Err(format!("a block that makes {made} of {len} bytes ({status:?})"));
        }
        Ok(&self.buffer[start..])
    }
}
