//! Whether the network may be used.

/// A resource of the world: the program's `--offline`, and whether this is the time for downloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Never use the network.
    pub offline: bool,
    /// Download what is missing now: so in a run, not in a check.
    pub download: bool,
}
