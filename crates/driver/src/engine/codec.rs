//! Entries as bytes, for rows whose value is the entry of an input.

pub(crate) use deltic_store::{entry_len, meta_of_entry, read_entry, write_entry};

/// Takes `N` bytes from the front; `None` if there are fewer.
pub(crate) fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(head)
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use deltic_core::{Digest, Fields, Meta, RunId, Version};
    use deltic_store::{Codec, Entry, PackName, Place};

    /// An entry with fields for each kind of place.
    pub(crate) fn entries() -> [Entry; 3] {
        let mut fields = Fields::default();
        fields.set("a", "b").unwrap();
        let pack = PackName { base: Version(7), run: RunId(8), seq: 9 };
        let places = [
            Place::Inline(Bytes::from_static(b"abc")),
            Place::Pack { pack, offset: 1 << 40, stored: 3, codec: Codec::Raw },
            Place::Pack { pack, offset: 0, stored: 2, codec: Codec::Zstd },
        ];
        let meta = Meta { digest: Digest::of(b"abc"), len: 3, fields };
        places.map(|place| Entry { meta: meta.clone(), place })
    }
}
