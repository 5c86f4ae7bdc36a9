//! The turns of an iteration.

use crate::graph::Input;
use crate::value::Value;

/// What the turns of an iteration have.
pub(super) enum Turns {
    /// Lists that are gone through together; the index comes after them.
    Lists {
        /// What each list has, where it is given.
        lists: Vec<Option<Vec<Input>>>,
        /// The number of turns.
        count: u32,
    },
    /// A fold: the items, where it has a list.
    Fold {
        /// One for each turn.
        items: Option<Vec<Input>>,
        /// The number of turns.
        count: u32,
    },
    /// A sweep: for each turn the value of each parameter.
    Sweep(Vec<Vec<Value>>),
}

impl Turns {
    pub(super) fn count(&self) -> u32 {
        match self {
            Turns::Lists { count, .. } | Turns::Fold { count, .. } => *count,
            Turns::Sweep(rows) => u32::try_from(rows.len()).unwrap_or(u32::MAX),
        }
    }

    /// An output in a turn; the carried value of a fold is not among them.
    pub(super) fn item(&self, turn: u32, output: usize) -> Input {
        let at = turn as usize;
        let number = Input::Value(Value::Int(i64::from(turn)));
        match self {
            Turns::Lists { lists, .. } => match lists.get(output) {
                Some(Some(items)) => items.get(at).cloned().unwrap_or(Input::Absent),
                Some(None) => Input::Absent,
                None => number,
            },
            Turns::Fold { items: Some(items), .. } if output == 1 => {
                items.get(at).cloned().unwrap_or(Input::Absent)
            }
            Turns::Fold { .. } => number,
            Turns::Sweep(rows) => {
                rows.get(at).and_then(|row| row.get(output)).cloned().map_or(Input::Absent, Input::Value)
            }
        }
    }
}
