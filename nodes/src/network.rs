//! Whether the network may be used.

/// A resource of the world: the program's `--offline`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Never use the network.
    pub offline: bool,
}
