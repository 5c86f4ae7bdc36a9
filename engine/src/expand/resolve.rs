//! What a declared input means in a turn.

use super::build::{Builder, Built, Missing, Turn, instance_name, project};
use super::scope::Scope;
use crate::control::Control;
use crate::graph::Input;
use crate::template::{Piece, join, numbered};
use crate::value::Value;

/// What a declared input has become.
pub(super) enum Resolved {
    /// A link to a built node, or a value.
    Input(Input),
    /// A branch that was not taken removed it.
    Nothing,
    /// Something has to be built first; it is on the list.
    Missing,
}

impl Builder<'_> {
    /// What an input is, with everything built that it needs.
    pub(super) fn resolve_now(&mut self, input: &Input, scope: &Scope, turn: &Turn) -> Resolved {
        loop {
            let mut missing = Missing::new();
            match self.resolve(input, scope, turn, &mut missing) {
                Resolved::Missing => missing.into_iter().for_each(|(node, turn)| self.build(node, turn)),
                resolved => return resolved,
            }
        }
    }

    /// An input of a node: output paths know the name of their node.
    pub(super) fn resolve_in(
        &self,
        node: usize,
        input: &Input,
        scope: &Scope,
        turn: &Turn,
        missing: &mut Missing,
    ) -> Resolved {
        match input {
            Input::Template(pieces) => self.path(node, input, pieces, scope, turn, missing),
            _ => self.resolve(input, scope, turn, missing),
        }
    }

    /// What an input of a node with this scope is in this turn. Lists nest as deep as the file format lets them.
    pub(super) fn resolve(
        &self,
        input: &Input,
        scope: &Scope,
        turn: &Turn,
        missing: &mut Missing,
    ) -> Resolved {
        match input {
            Input::Absent | Input::Value(_) | Input::Item { .. } | Input::Template(_) => {
                Resolved::Input(input.clone())
            }
            Input::Link { node, output } => self.link(*node, *output, scope, turn, missing),
            Input::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    match self.resolve(item, scope, turn, missing) {
                        Resolved::Input(item) => list.push(item),
                        Resolved::Nothing => return Resolved::Nothing,
                        Resolved::Missing => {}
                    }
                }
                if missing.is_empty() { Resolved::Input(list_of(list)) } else { Resolved::Missing }
            }
        }
    }

    fn link(
        &self,
        source: usize,
        output: usize,
        scope: &Scope,
        turn: &Turn,
        missing: &mut Missing,
    ) -> Resolved {
        let at = project(self.declared.scopes.of(source), scope, turn);
        let Some(built) = self.built(source, &at) else {
            missing.push((source, at));
            return Resolved::Missing;
        };
        match built {
            Built::Node(node) => Resolved::Input(Input::Link { node: *node, output }),
            Built::Passes(outputs) => outputs.get(output).cloned().map_or(Resolved::Nothing, Resolved::Input),
            Built::Nothing => Resolved::Nothing,
            Built::Turns(turns) => {
                let position = scope.iter().position(|opener| *opener == source);
                // In an open turn the first one stands for all.
                let next = position.and_then(|position| turn.get(position)).copied().unwrap_or(0);
                let is_fold = self.declared.nodes[source].kind.spec.control == Some(Control::Fold);
                match next < turns.count() {
                    true if is_fold && output == 0 => self.carried(source, &at, next, missing),
                    true => Resolved::Input(turns.item(next, output)),
                    false => Resolved::Nothing,
                }
            }
        }
    }

    /// The value that a fold has before a turn: its start, or what the turn before gave to its end.
    ///
    /// Values are made in order and remembered: one that only passes on the value before must not lead back through
    /// all turns.
    pub(super) fn carried(&self, fold: usize, at: &Turn, next: u32, missing: &mut Missing) -> Resolved {
        let declared = self.declared;
        let outer = declared.scopes.of(fold);
        let Some(end) = declared.scopes.end_of(fold) else { return Resolved::Nothing };
        let inner = [&outer[..], &[fold]].concat();
        loop {
            let known = self.carried.borrow().get(&(fold, at.clone())).map_or(0, Vec::len);
            if known > next as usize {
                let carried = self.carried.borrow();
                let value =
                    carried.get(&(fold, at.clone())).and_then(|values| values.get(next as usize)?.clone());
                return value.map_or(Resolved::Nothing, Resolved::Input);
            }
            let value = match u32::try_from(known).ok().and_then(|known| known.checked_sub(1)) {
                None => self.resolve(&declared.nodes[fold].inputs[0], outer, at, missing),
                Some(before) => {
                    let turn = [&at[..], &[before]].concat();
                    self.resolve(&declared.nodes[end].inputs[0], &inner, &turn, missing)
                }
            };
            let value = match value {
                Resolved::Missing => return Resolved::Missing,
                Resolved::Input(value) if is_deeper(&value, DEEPEST_LIST) => {
                    self.too_deep.borrow_mut().insert(fold);
                    None
                }
                Resolved::Input(value) => Some(value),
                Resolved::Nothing => None,
            };
            self.carried.borrow_mut().entry((fold, at.clone())).or_default().push(value);
        }
    }

    /// An output path. Turns that it does not tell apart by itself are told apart by a number.
    fn path(
        &self,
        node: usize,
        input: &Input,
        pieces: &[Piece],
        scope: &Scope,
        turn: &Turn,
        missing: &mut Missing,
    ) -> Resolved {
        let mut filled = Vec::with_capacity(pieces.len());
        for piece in pieces {
            filled.push(match piece {
                Piece::Hole(hole) => match self.resolve(hole, scope, turn, missing) {
                    Resolved::Input(hole) => Piece::Hole(hole),
                    Resolved::Nothing => return Resolved::Nothing,
                    Resolved::Missing => continue,
                },
                other => other.clone(),
            });
        }
        if !missing.is_empty() {
            return Resolved::Missing;
        }
        let name =
            instance_name(&self.declared.nodes[node].name, turn).replace(['[', ','], "_").replace(']', "");
        // A hole without a value is in a turn that is not known yet: the path is not, either.
        let Some(text) = join(&filled, &name) else { return Resolved::Input(Input::Absent) };
        let told_apart = match pieces.contains(&Piece::Node) {
            true => scope.clone(),
            false => self.declared.scopes.of_input(&self.declared.nodes, input),
        };
        let others: Turn = scope
            .iter()
            .zip(turn)
            .filter(|(opener, _)| !told_apart.contains(opener))
            .map(|(_, turn)| *turn)
            .collect();
        let path = if others.is_empty() { text } else { numbered(&text, &others) };
        Resolved::Input(Input::Value(Value::path(path)))
    }
}

/// A list of inputs; a value when all of them are.
pub(super) fn list_of(items: Vec<Input>) -> Input {
    let values: Option<Vec<Value>> = items
        .iter()
        .map(|item| if let Input::Value(value) = item { Some(value.clone()) } else { None })
        .collect();
    values.map_or_else(|| Input::List(items), |values| Input::Value(Value::List(values.into())))
}

/// A fold that puts its value into a list in every turn nests deeper with each. Deeper than this is a mistake.
pub(super) const DEEPEST_LIST: usize = 64;

/// Do lists in an input nest deeper than so many levels?
fn is_deeper(input: &Input, levels: usize) -> bool {
    match (input, levels) {
        (Input::List(_), 0) => true,
        (Input::List(items), _) => items.iter().any(|item| is_deeper(item, levels - 1)),
        (Input::Value(value), _) => value_is_deeper(value, levels),
        _ => false,
    }
}

fn value_is_deeper(value: &Value, levels: usize) -> bool {
    match (value, levels) {
        (Value::List(_), 0) => true,
        (Value::List(items), _) => items.iter().any(|item| value_is_deeper(item, levels - 1)),
        _ => false,
    }
}
