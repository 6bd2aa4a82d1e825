//! Decompressing with a context that each thread keeps: making one takes longer than decompressing a node.

use std::cell::RefCell;

use zstd::bulk::Decompressor;

thread_local! {
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Decompresses a zstd frame of at most `most` bytes; `None` when the bytes are no such frame.
pub(crate) fn inflate(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new().ok()?),
        };
        decompressor.decompress(bytes, most).ok()
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
}
