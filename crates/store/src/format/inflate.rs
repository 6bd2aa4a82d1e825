//! Decompression, with one context a thread: making a context takes longer than decompressing a node.
//!
//! A length that a frame announces is trusted only as far as frames can grow.

use std::cell::RefCell;

use zstd::bulk::Decompressor;

thread_local! {
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// No frame grows more than this when it is decompressed: a block takes four bytes and gives at most 128 KiB.
pub(crate) const MAX_GROWTH: usize = 32 << 10;

/// Decompresses a zstd frame of at most `most` bytes; `None` when the bytes are no such frame. Allocates no more than
/// `most`, and at most [`MAX_GROWTH`] times what it was given; zstd itself holds about 100 KiB a thread.
pub(crate) fn inflate(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new().ok()?),
        };
        decompressor.decompress(bytes, most.min(bytes.len().saturating_mul(MAX_GROWTH))).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_frame_does_not_spoil_the_next() {
        let packed = zstd::bulk::compress(b"hello hello hello", 1).unwrap();
        for _ in 0..3 {
            assert_eq!(inflate(&packed, 17).as_deref(), Some(&b"hello hello hello"[..]));
            assert_eq!(inflate(&packed, 16), None);
            assert_eq!(inflate(&packed[..packed.len() - 2], 17), None);
            assert_eq!(inflate(b"junk", 17), None);
        }
    }

    /// The frame that grows most is of runs of one byte, 128 KiB each.
    #[test]
    fn frames_that_grow_most_are_taken_and_claims_do_not_allocate() {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x58];
        for block in 0..100u32 {
            let head = (128 << 10) << 3 | 1 << 1 | u32::from(block == 99);
            frame.extend_from_slice(&head.to_le_bytes()[..3]);
            frame.push(7);
        }
        let grown = inflate(&frame, usize::MAX).expect("a frame");
        assert!(grown.len() == 100 << 17 && grown.iter().all(|byte| *byte == 7));
        // A frame that announces a length of 2^62.
        let mut claims = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        claims.extend_from_slice(&(1u64 << 62).to_le_bytes());
        claims.extend_from_slice(&[1, 0, 0]);
        let held = allocation_counter::measure(|| assert_eq!(inflate(&claims, usize::MAX), None)).bytes_max;
        assert!(held < 1 << 20, "{held}");
    }
}
