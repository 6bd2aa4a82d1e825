//! Reading what a pack lists at its end, without what lies before.

use bytes::Bytes;

use super::Catalog;
use crate::format::object_name::{ObjectName, PackName};
use crate::format::pack::{FOOTER_LEN, HEADER, MAX_INDEX_BYTES, PackIndex};
use crate::{Error, Result};

/// Bytes at the end of a pack that are read first: mostly the index is shorter and comes with the footer.
const TAIL_BYTES: u64 = 64 << 10;

impl Catalog {
    /// Reads the index at the end of a pack and checks its header, index and length. Cost: three requests, four when the
    /// index is long; for checking and salvage.
    pub fn pack(&self, name: PackName) -> Result<PackIndex> {
        let object = ObjectName::Pack(name);
        match self.client().len(&object)? {
            Some(bytes) => self.pack_index(name, bytes),
            None => Err(Error::corrupt(self.url(), object, "the object is missing")),
        }
    }

    /// Reads the index of a pack of a known length. Where a remote store gives wrong bytes, reads once more.
    pub(crate) fn pack_index(&self, pack: PackName, bytes: u64) -> Result<PackIndex> {
        match self.pack_index_once(pack, bytes) {
            Err(error) if self.client().should_reread(&error) => self.pack_index_once(pack, bytes),
            read => read,
        }
    }

    fn pack_index_once(&self, pack: PackName, bytes: u64) -> Result<PackIndex> {
        let object = ObjectName::Pack(pack);
        let corrupt = |what: &str| Error::corrupt(self.url(), object, what);
        let read = |range| -> Result<Bytes> {
            let mut bodies = self.client().get_ranges(&[(object, range)])?;
            bodies.pop().ok_or_else(|| Error::internal("a request was not answered"))
        };
        let header_len = HEADER.len() as u64;
        let rest = bytes.checked_sub(header_len).filter(|rest| *rest >= FOOTER_LEN as u64);
        let rest = rest.ok_or_else(|| corrupt("it is too short to be a pack"))?;
        let header = read(0..header_len)?;
        let mut tail = read(bytes - rest.min(TAIL_BYTES)..bytes)?;
        let len = PackIndex::index_len(&tail).ok_or_else(|| corrupt("it does not end as a pack"))?;
        let whole = len.checked_add(FOOTER_LEN as u64).filter(|whole| *whole <= rest);
        let whole = whole.ok_or_else(|| corrupt("its index is longer than the pack"))?;
        if len > MAX_INDEX_BYTES {
            return Err(corrupt("its index is longer than that of any pack"));
        }
        if whole > tail.len() as u64 {
            tail = read(bytes - whole..bytes)?;
        }
        let tail = tail.slice(tail.len() - whole as usize..);
        PackIndex::read_ends(&header, rest - whole, &tail).map_err(|what| corrupt(what.0))
    }
}
