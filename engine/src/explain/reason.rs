//! Why a node would run, or would not: a closed list.

use std::fmt;
use std::time::Duration;

use crate::suggest::list;

/// Why a node would run, or would not.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// It is in the cache.
    Cached {
        /// Since when, in seconds since 1970; `None` where that is not known.
        since: Option<u64>,
        /// Its size in the store.
        bytes: u64,
        /// What it cost to make.
        cost: Duration,
    },
    /// Nothing that would run needs it.
    NotNeeded,
    /// A condition or an empty list leaves it out of the graph.
    LeftOut,
    /// It decides which nodes run, and never runs itself.
    Control,
    /// It depends on a decision that another node has to make first.
    Undecided {
        /// That node.
        node: String,
    },
    /// It would fail before it starts.
    Fails {
        /// Why.
        message: String,
    },
    /// It says `cache: off`.
    CacheOff,
    /// It says `cache: refresh`.
    CacheRefresh,
    /// It never ran to its end with this cache.
    NeverRan,
    /// It is of another kind.
    Kind {
        /// The kind it was.
        old: String,
        /// The kind it is.
        new: String,
    },
    /// Its kind has another version.
    Version {
        /// The version it ran with.
        old: u32,
        /// The version it has.
        new: u32,
    },
    /// This engine makes keys in another way.
    KeyVersion {
        /// How keys were made.
        old: u32,
        /// How they are made.
        new: u32,
    },
    /// Device or number format are others.
    Environment {
        /// Those it ran with.
        old: String,
        /// Those of now.
        new: String,
    },
    /// It computes with less memory, or does no longer.
    Thrifty {
        /// Does it now?
        now: bool,
    },
    /// A literal input is another one.
    Literal {
        /// The input.
        input: String,
        /// What it was, as text.
        old: String,
        /// What it is.
        new: String,
    },
    /// An input comes from another node or output.
    Source {
        /// The input.
        input: String,
        /// Where it came from.
        old: String,
        /// Where it comes from.
        new: String,
    },
    /// What an input comes from has changed itself.
    Upstream {
        /// The input.
        input: String,
        /// The node it comes from.
        node: String,
    },
    /// A file behind it is another one.
    File {
        /// The file.
        path: String,
        /// The digest it had; `None` for a file that was not behind it.
        old: Option<String>,
        /// The digest it has; `None` for a file that no longer is.
        new: Option<String>,
    },
    /// Its outputs cannot be kept on disk.
    NotStorable {
        /// Their types.
        types: Vec<String>,
    },
    /// It was told not to keep its outputs.
    NotKept,
    /// It was kept, but has been evicted or removed.
    Removed,
    /// What it wrote is gone or is something else.
    FileGone {
        /// The files.
        paths: Vec<String>,
    },
}

impl Reason {
    /// The name of the reason. Names never change.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::Cached { .. } => "cached",
            Reason::NotNeeded => "not_needed",
            Reason::LeftOut => "left_out",
            Reason::Control => "control",
            Reason::Undecided { .. } => "undecided",
            Reason::Fails { .. } => "fails",
            Reason::CacheOff => "cache_off",
            Reason::CacheRefresh => "cache_refresh",
            Reason::NeverRan => "never_ran",
            Reason::Kind { .. } => "kind",
            Reason::Version { .. } => "version",
            Reason::KeyVersion { .. } => "key_version",
            Reason::Environment { .. } => "environment",
            Reason::Thrifty { .. } => "thrifty",
            Reason::Literal { .. } => "literal",
            Reason::Source { .. } => "source",
            Reason::Upstream { .. } => "upstream",
            Reason::File { .. } => "file",
            Reason::NotStorable { .. } => "not_storable",
            Reason::NotKept => "not_kept",
            Reason::Removed => "removed",
            Reason::FileGone { .. } => "file_gone",
        }
    }

    /// Is it the same for all nodes of a run?
    pub(super) fn is_common(&self) -> bool {
        matches!(self, Reason::KeyVersion { .. } | Reason::Environment { .. })
    }
}

/// What stands behind "because".
impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |names: &[String]| list(&names.iter().map(String::as_str).collect::<Vec<_>>());
        match self {
            Reason::Cached { .. } => write!(formatter, "it is in the cache"),
            Reason::NotNeeded => write!(formatter, "nothing that would run needs it"),
            Reason::LeftOut => write!(formatter, "a condition or an empty list leaves it out"),
            Reason::Control => write!(formatter, "it decides which nodes run and never runs itself"),
            Reason::Undecided { node } => write!(formatter, "`{node}` has to decide first"),
            Reason::Fails { message } => write!(formatter, "it would fail before it starts: {message}"),
            Reason::CacheOff => write!(formatter, "it says `cache: off`"),
            Reason::CacheRefresh => write!(formatter, "it says `cache: refresh`"),
            Reason::NeverRan => write!(formatter, "it never ran to its end with this cache"),
            Reason::Kind { old, new } => write!(formatter, "its kind changed: `{old}` -> `{new}`"),
            Reason::Version { old, new } => {
                write!(formatter, "its kind has another version: {old} -> {new}")
            }
            Reason::KeyVersion { old, new } => {
                write!(formatter, "this version of the program makes keys in another way: {old} -> {new}")
            }
            Reason::Environment { old, new } => {
                write!(formatter, "device or number format changed: {old} -> {new}")
            }
            Reason::Thrifty { now: true } => write!(formatter, "it has to compute with less memory"),
            Reason::Thrifty { now: false } => {
                write!(formatter, "it no longer has to compute with less memory")
            }
            Reason::Literal { input, old, new } => write!(formatter, "its `{input}` changed: {old} -> {new}"),
            Reason::Source { input, old, new } => {
                write!(formatter, "its `{input}` comes from elsewhere: {old} -> {new}")
            }
            Reason::Upstream { input, node } => {
                write!(formatter, "its `{input}` comes from `{node}`, which changed")
            }
            Reason::File { path, old, new } => match (old, new) {
                (Some(old), Some(new)) => {
                    write!(formatter, "the file `{path}` changed: {} -> {}", first(old), first(new))
                }
                (None, _) => write!(formatter, "the file `{path}` is new"),
                (_, None) => write!(formatter, "the file `{path}` is no longer behind it"),
            },
            Reason::NotStorable { types } => {
                write!(formatter, "its outputs cannot be kept on disk: {}", names(types))
            }
            Reason::NotKept => write!(formatter, "it was told not to keep its outputs"),
            Reason::Removed => write!(formatter, "it was kept, but has been evicted or removed"),
            Reason::FileGone { paths } => {
                write!(formatter, "what it wrote is gone or is something else: {}", names(paths))
            }
        }
    }
}

/// As much of a digest as people compare.
fn first(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
