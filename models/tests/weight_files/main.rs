//! Weight files as they should not be, and folders with several of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

mod counting;
mod folders;
mod hostile;
mod zip_writer;
