//! Patches of Windows Installer, built and applied.

mod behaviour;
mod install;
mod pcp;
mod product;
mod wine;

/// Bytes in which a matcher finds something to do: runs of different lengths.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let step = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(step).take(len).collect()
}

/// The next version of a file: something put in at the front, something changed further on.
fn fixed(old: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    new.splice(16..16, *b"put in");
    let middle = new.len() / 2;
    new[middle..middle + 7].copy_from_slice(b"the fix");
    new
}
