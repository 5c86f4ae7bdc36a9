//! How much memory a node needs.

/// What a node needs of memory, in bytes. An estimate: it should rather be too high than too low.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// While it runs, outputs included; what its inputs hold is not counted here.
    pub working: u64,
    /// Afterwards, for as long as its outputs live.
    pub kept: u64,
}

impl Memory {
    /// Numbers, texts and paths: next to nothing.
    pub const SMALL: Self = Self { working: 64, kept: 64 };

    /// Not known, because the shapes of the inputs are not: nothing is planned for it.
    pub const UNKNOWN: Self = Self { working: 0, kept: 0 };

    /// `working` bytes while it runs, of which `kept` stay. Never less than it keeps.
    pub fn new(working: u64, kept: u64) -> Self {
        Self { working: working.max(kept), kept }
    }

    /// Only the outputs: it works in place.
    pub fn kept(bytes: u64) -> Self {
        Self { working: bytes, kept: bytes }
    }
}

/// Another way to compute the outputs of a node, with less memory and usually more time. Outputs may differ in the last
/// digits, so they have a content key of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thrifty {
    /// Bytes while it runs that way, as in [`Memory::working`].
    pub working: u64,
    /// What is done otherwise, for a reader: `decoded in tiles of 32 cells`.
    pub how: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_works_with_at_least_what_it_keeps() {
        assert_eq!(Memory::new(1, 10), Memory { working: 10, kept: 10 });
        assert_eq!(Memory::kept(10), Memory::new(0, 10));
    }
}
