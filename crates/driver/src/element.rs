//! Elements: what stages, state and engines call a partition. A layer number and name bytes.
//!
//! Inputs are numbered as the task's readable layers are sorted, outputs as its output layers are. Both lists are part
//! of the fingerprint, so a number in the state means the same layer as long as the state is gone on from; what else
//! looks at it translates ([`base_tables`](crate::stage::base_tables)). Elements sort as the keys do that they stand for, and a longer key made of elements sorts by the first, then the second: byte 0
//! ends an element, and no name holds one.

use deltic_core::NameBytes;

/// A partition of one of a task's layers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    /// The number of the layer in the list that the context calls for.
    pub layer: u16,
    /// The bytes of the name.
    pub name: NameBytes,
}

const END: u8 = 0;

impl Element {
    /// An element of a layer.
    pub fn new(layer: u16, name: impl Into<NameBytes>) -> Element {
        Element { layer, name: name.into() }
    }

    /// Appends the element's bytes with its end mark.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.layer.to_be_bytes());
        out.extend_from_slice(&self.name);
        out.push(END);
    }

    /// The element's bytes with its end mark.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.name.len() + 3);
        self.write(&mut out);
        out
    }

    /// Reads an element and its end mark from the front of `bytes`, and moves past it.
    pub fn read(bytes: &mut &[u8]) -> Option<Element> {
        let (layer, rest) = bytes.split_first_chunk::<2>()?;
        let end = rest.iter().position(|byte| *byte == END)?;
        *bytes = &rest[end + 1..];
        Some(Element::new(u16::from_be_bytes(*layer), &rest[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_sort_as_elements_do() {
        let mut all: Vec<Element> = [(0u16, "b"), (0, "ab"), (0, "a"), (0, ""), (300, "a"), (2, "a"), (0, "a b")]
            .map(|(layer, name)| Element::new(layer, name.as_bytes()))
            .to_vec();
        let bytes = |element: &Element| {
            let mut out = Vec::new();
            element.write(&mut out);
            out
        };
        let mut by_bytes = all.clone();
        all.sort();
        by_bytes.sort_by_key(bytes);
        assert_eq!(all, by_bytes);
        for element in &all {
            let encoded = bytes(element);
            let mut rest = &encoded[..];
            assert_eq!(Element::read(&mut rest).as_ref(), Some(element));
            assert!(rest.is_empty());
        }
    }
}
