//! Bytes by name that outlive the process: what a disk cache stands on. Programs give one; tests keep it in memory.

use std::io;

/// Named bytes. Names are slash-separated lower-case words and digits.
pub trait Store: Send + Sync {
    /// The bytes of a name; `None` when there are none.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Keeps bytes under a name, whole or not at all: a reader, a crash or another process never sees a part.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<()>;

    /// Is there anything under a name?
    fn contains(&self, name: &str) -> bool;

    /// Notes that a name was used now.
    fn touch(&self, name: &str);

    /// Forgets a name; it is no error when it is gone already.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Seconds since 1970; `None` where there is no clock.
    fn now(&self) -> Option<u64> {
        None
    }

    /// Everything kept, in any order.
    fn list(&self) -> io::Result<Vec<Stored>>;
}

/// Something that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last used; larger is later. The unit is the store's own.
    pub last_used: u64,
}
