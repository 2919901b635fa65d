//! The binary range coder: bits with probabilities to bytes, and back.
//!
//! Models are written once, over the trait [`Engine`]; whether they read or write is the engine's affair.

/// Where bits come from or go to. An encoder writes `bit` and returns it; a decoder ignores it and returns the bit read.
pub(super) trait Engine {
    /// Whether the bits are known: an encoder.
    const WRITES: bool;

    /// Codes one bit whose probability of being set is `p / 65536`, `p` in `1..=65535`.
    fn bit(&mut self, bit: bool, p: u32) -> bool;

    /// Whether more was read than there is: what was decoded since then means nothing.
    fn exhausted(&self) -> bool;

    /// The cost so far in 1/256 bits, where costs are counted.
    fn cost(&self) -> u64 {
        0
    }
}

/// Writes bits as an arithmetic code.
#[derive(Debug)]
pub(super) struct Encoder {
    low: u32,
    high: u32,
    cost: u64,
    pub(super) bytes: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { low: 0, high: u32::MAX, cost: 0, bytes: Vec::new() }
    }

    /// Writes what is needed to tell the last bits.
    pub(super) fn finish(mut self) -> Vec<u8> {
        // A decoder reads zeros beyond the end. The first bytes of `low` and `high` differ, so the one above that of
        // `low` lies between them.
        if self.low > 0 {
            self.bytes.push((self.low >> 24).to_le_bytes()[0] + 1);
        }
        self.bytes
    }
}

fn split(low: u32, high: u32, p: u32) -> u32 {
    let range = u64::from(high - low);
    low + u32::try_from((range * u64::from(p)) >> 16).expect("less than the range")
}

impl Engine for Encoder {
    const WRITES: bool = true;

    fn bit(&mut self, bit: bool, p: u32) -> bool {
        let middle = split(self.low, self.high, p);
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.bytes.push(self.high.to_be_bytes()[0]);
            self.low <<= 8;
            self.high = self.high << 8 | 0xFF;
        }
        self.cost += u64::from(cost_of(if bit { p } else { 0x1_0000 - p }));
        bit
    }

    fn exhausted(&self) -> bool {
        false
    }

    fn cost(&self) -> u64 {
        self.cost
    }
}

/// What an event of probability `p / 65536` costs in 1/256 bits, by its highest bits.
fn cost_of(p: u32) -> u32 {
    let log = p.max(1).ilog2();
    // Between powers of two the logarithm is near enough to a line.
    let fraction = ((p << 8) >> log) - 256;
    (16 - log) * 256 - fraction.min((16 - log) * 256)
}

/// Reads the bits that an [`Encoder`] wrote.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    low: u32,
    high: u32,
    code: u32,
    bytes: &'a [u8],
    at: usize,
}

/// How many bytes a decoder reads ahead of what it needs.
const AHEAD: usize = 4;

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self { low: 0, high: u32::MAX, code: 0, bytes, at: 0 };
        for _ in 0..AHEAD {
            decoder.code = decoder.code << 8 | decoder.next();
        }
        decoder
    }

    fn next(&mut self) -> u32 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        u32::from(byte)
    }

    /// Whether all bytes were used: those that were not would be someone's hiding place.
    pub(super) fn used_up(&self) -> bool {
        self.at >= self.bytes.len() && !self.exhausted()
    }
}

impl Engine for Decoder<'_> {
    const WRITES: bool = false;

    fn bit(&mut self, _: bool, p: u32) -> bool {
        let middle = split(self.low, self.high, p);
        let bit = self.code <= middle;
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.low <<= 8;
            self.high = self.high << 8 | 0xFF;
            self.code = self.code << 8 | self.next();
        }
        bit
    }

    fn exhausted(&self) -> bool {
        self.at > self.bytes.len() + AHEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_any_probability_come_back_and_use_all_bytes() {
        for seed in 0..200u32 {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state >> 16
            };
            let bits: Vec<(bool, u32)> = (0..next() % 700)
                .map(|_| {
                    let p = [1, 16, 0x8000, 0xFFF0, 0xFFFF][(next() % 5) as usize];
                    (next() < p || next() % 50 == 0, p)
                })
                .collect();
            let mut encoder = Encoder::new();
            for (bit, p) in &bits {
                encoder.bit(*bit, *p);
            }
            let bytes = encoder.finish();
            let mut decoder = Decoder::new(&bytes);
            for (number, (bit, p)) in bits.iter().enumerate() {
                assert_eq!(decoder.bit(false, *p), *bit, "bit {number} of seed {seed}");
            }
            assert!(decoder.used_up(), "seed {seed}");
            assert!(!Decoder::new(&[&bytes[..], &[0; 9]].concat()).used_up(), "bytes that nothing asks for");
        }
    }

    #[test]
    fn a_decoder_notices_its_end() {
        let mut decoder = Decoder::new(&[0x12, 0x34]);
        let asked = (0..10_000).take_while(|_| !{
            decoder.bit(false, 0x8000);
            decoder.exhausted()
        });
        assert!(asked.count() < 100);
    }
}
