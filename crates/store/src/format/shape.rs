//! Where nodes end: a function of the key alone.

use serde::{Deserialize, Serialize};

/// How many hash bits decide whether a node ends after a key. The format fixes them; `docs/design/0001-tree-constants.md`
/// has the measurements.
///
/// A key's hash is the first eight bytes of its BLAKE3, little-endian. A leaf ends after a key whose lowest
/// `leaf_bits` bits are zero; a node of level 1 looks at the next `inner_bits` bits, and so on upwards. Levels look at
/// bits of their own, so a key that ends a leaf ends the node above no more likely than others. When the 64 bits are
/// used up, nothing ends a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Bits that must be zero for a leaf to end: leaves have `2^leaf_bits` entries on average.
    pub leaf_bits: u32,
    /// The same for inner nodes.
    pub inner_bits: u32,
}

impl Shape {
    /// The shape of every tree of format 1.
    pub const FORMAT_1: Shape = Shape { leaf_bits: 6, inner_bits: 7 };

    /// Whether a node of `level` ends after `key`.
    pub fn ends(self, level: u8, key: &[u8]) -> bool {
        let hash = blake3::hash(key);
        let bytes = hash.as_bytes();
        let hash = u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]]);
        let (skip, bits) = match u32::from(level) {
            0 => (0, self.leaf_bits),
            level => (self.leaf_bits + self.inner_bits * (level - 1), self.inner_bits),
        };
        skip + bits <= 64 && (hash >> skip) & ((1 << bits) - 1) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_look_at_bits_of_their_own() {
        let shape = Shape { leaf_bits: 2, inner_bits: 2 };
        let keys: Vec<[u8; 4]> = (0u32..40_000).map(u32::to_be_bytes).collect();
        let ends = |level| keys.iter().filter(|key| shape.ends(level, &key[..])).count();
        let both = keys.iter().filter(|key| shape.ends(0, &key[..]) && shape.ends(1, &key[..])).count();
        assert!((9_500..10_500).contains(&ends(0)) && (9_500..10_500).contains(&ends(1)));
        assert!((2_200..2_800).contains(&both), "{both}");
    }

    #[test]
    fn used_up_bits_end_nothing() {
        let keys = (0u32..10_000).map(u32::to_be_bytes);
        assert_eq!(keys.filter(|key| Shape { leaf_bits: 4, inner_bits: 10 }.ends(7, &key[..])).count(), 0);
    }
}
