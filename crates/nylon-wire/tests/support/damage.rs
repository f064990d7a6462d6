//! Damage to bytes that a parser knows, the same in each run with the same seed. Other crates include this file, too.

/// xorshift64*.
pub struct Random(pub u64);

impl Random {
    /// A number below the limit; 0 below 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

/// Damages `data` in up to four places: with bytes that are `special` to its parser, and with pieces of `other`.
pub fn damage(data: &mut Vec<u8>, random: &mut Random, special: &[u8], other: &[u8]) {
    for _ in 0..=random.below(4) {
        let at = random.below(data.len());
        match random.below(6) {
            0 if !data.is_empty() => data[at] ^= 1 << random.below(8),
            1 if !data.is_empty() => data[at] = special[random.below(special.len())],
            2 => data.insert(at, special[random.below(special.len())]),
            3 if !data.is_empty() => drop(data.remove(at)),
            4 => data.truncate(at),
            _ => {
                let from = random.below(other.len());
                let piece = &other[from..(from + random.below(24)).min(other.len())];
                data.splice(at..at, piece.iter().copied());
            }
        }
    }
}
