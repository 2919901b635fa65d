//! Inputs and shorthands that the tests share.

use patchwright_delta::{ApplyError, Cover, CoverLog, CreateOptions, CreateStats, Profile, apply, create_plain};

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let step = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()[6]
    };
    std::iter::repeat_with(step).take(len).collect()
}

/// Options that make `create` use the method for files of any size.
pub(crate) const BLOCKS: CreateOptions = CreateOptions { max_memory_bytes: 0, profile: Profile::Small };

pub(crate) fn options() -> [CreateOptions; 2] {
    [CreateOptions::default(), BLOCKS]
}

pub(crate) fn body(old: &[u8], new: &[u8], options: &CreateOptions) -> (Vec<u8>, CreateStats) {
    let mut body = Vec::new();
    let stats = create_plain(&old, &new, options, &|_| (), &mut body).unwrap();
    assert_eq!(stats.body_len, body.len() as u64);
    assert_eq!(stats.unchanged_bytes + stats.corrected_bytes + stats.literal_bytes, new.len() as u64);
    (body, stats)
}

/// Applies a body and returns the new file together with the covers. The sink refuses more than the body states.
pub(crate) fn try_apply(old: &[u8], body: &[u8], new_len: u64) -> Result<(Vec<u8>, CoverLog), ApplyError> {
    let mut log = CoverLog::new();
    let mut sink = Pieces { bytes: Vec::new(), most: new_len };
    apply(&old, &body, new_len, &mut sink, &mut |cover: Cover| log.push(cover))?;
    Ok((sink.bytes, log))
}

struct Pieces {
    bytes: Vec<u8>,
    most: u64,
}

impl std::io::Write for Pieces {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        assert!(piece.len() <= 1 << 20, "a piece is at most a mebibyte");
        self.bytes.extend_from_slice(piece);
        assert!(self.bytes.len() as u64 <= self.most, "more than the stated length");
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
