//! Why a node would run: what is different from the last time.
//!
//! A key says that something changed, not what. So a run with a disk cache keeps a [`Recipe`] of every node it looked at:
//! the parts of its key with their names. The next time, [`explain()`] compares two of them. All recipes of a graph are
//! one entry of the store, which is written when one of them has changed.

mod ask;
mod book;
mod compare;
mod reason;
mod recipe;
mod record;

pub(crate) use ask::Inquirer;
pub use ask::{Cause, Explanation};
pub(crate) use book::Book;
pub use compare::{Kept, explain};
pub use reason::Reason;
pub use recipe::{Ingredient, Recipe};
pub(crate) use record::Recorder;
