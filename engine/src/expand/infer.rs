//! Asks a node what it will give.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::inquiry::Inquiry;
use crate::mistake::Mistake;
use crate::node::Inference;
use crate::node_error::panic_text;
use crate::registry::Kind;

/// What a node says about its outputs. A panic inside is a mistake at that node: the check goes on with the others.
pub(super) fn infer(kind: &Kind, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
    catch_unwind(AssertUnwindSafe(|| kind.node.infer(inquiry))).unwrap_or_else(|panic| {
        let name = kind.spec.kind;
        let message =
            format!("the node kind `{name}` panicked while it was checked: {}", panic_text(&*panic));
        Err(vec![Mistake::new(message).label("this kind")])
    })
}
