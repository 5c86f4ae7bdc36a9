//! What control nodes decide, as soon as what they decide by is known.

use std::rc::Rc;

use super::build::{Builder, Built, Missing, Turn};
use super::fits::{self, fact};
use super::resolve::{Resolved, list_of};
use super::turns::Turns;
use crate::control::Control;
use crate::diagnostic::Code;
use crate::fact::Fact;
use crate::graph::Input;
use crate::mistake::Mistake;
use crate::suggest::suggest;
use crate::types::Type;
use crate::value::Value;

/// Turns of one iteration beyond this are a mistake: a graph of so many nodes would never end.
pub(super) const MOST_TURNS: usize = 100_000;

/// An iteration that a node closes: the node that opens it, the turn that one is in, and its turns.
type Closed = (usize, Turn, Rc<Turns>);

/// What a list-like input holds.
enum Items {
    Known(Vec<Input>),
    Unknown,
}

impl Builder<'_> {
    /// A control node in a turn; `None` when something has to be built first.
    pub(super) fn decide(
        &mut self,
        index: usize,
        control: Control,
        turn: &Turn,
        missing: &mut Missing,
    ) -> Option<Built> {
        if let Some(sweep) = &self.declared.nodes[index].sweep {
            let rows = sweep.rows.iter().map(|row| row.iter().map(|(value, _)| value.clone()).collect());
            return Some(Built::Turns(Rc::new(Turns::Sweep(rows.collect()))));
        }
        if let Some(mistake) = self.wrong_decider(index, control, turn) {
            return Some(self.refuse(index, turn, &mistake));
        }
        match control {
            Control::If => self.decide_if(index, turn, missing),
            Control::Switch => self.decide_switch(index, turn, missing),
            Control::Map | Control::Zip => self.decide_lists(index, turn, missing),
            Control::Fold => self.decide_fold(index, turn, missing),
            Control::Collect => self.collect(index, turn, missing),
            Control::FoldEnd => self.end_fold(index, turn, missing),
            // Neither is ever declared with this kind: sweeps have their values, graphs are replaced by their nodes.
            Control::Sweep | Control::Graph => Some(Built::Nothing),
        }
    }

    fn input(&self, index: usize, input: usize, turn: &Turn, missing: &mut Missing) -> Resolved {
        let scope = self.declared.scopes.of(index);
        self.resolve(&self.declared.nodes[index].inputs[input], scope, turn, missing)
    }

    /// Cases of a `switch` that are not as many as their names: one of the two is forgotten.
    fn unnamed(&self, index: usize, names: usize) -> Option<Mistake> {
        let Input::List(cases) = &self.declared.nodes[index].inputs[1] else { return None };
        (cases.len() != names).then(|| {
            let message = format!("`names` has {names} items, `cases` has {}", cases.len());
            Mistake::at("names", message)
                .code(Code::Incompatible)
                .label("a name for each case is needed")
                .also("cases", "the cases")
        })
    }

    /// A value that decides and is not what its socket takes. It would decide nothing, or something else.
    fn wrong_decider(&self, index: usize, control: Control, turn: &Turn) -> Option<Mistake> {
        let node = &self.declared.nodes[index];
        // `if` tells by itself what is wrong with its condition.
        let deciders = if control == Control::If { &[] } else { control.deciders() };
        deciders.iter().filter(|at| !node.unresolved[**at]).find_map(|at| {
            // What is written at the input itself has been judged there.
            if matches!(node.inputs[*at], Input::Absent | Input::Value(_)) {
                return None;
            }
            let Resolved::Input(input) = self.input(index, *at, turn, &mut Missing::new()) else {
                return None;
            };
            let value = Input::Value(self.value(&input)?);
            fits::misfits(&value, fact(&value, &self.nodes).as_ref(), &node.kind.spec.inputs[*at])
        })
    }

    /// The value of an input, where it is written in the graph, follows from what is, or has been computed.
    pub(super) fn value(&self, input: &Input) -> Option<Value> {
        match input {
            Input::Value(value) => Some(value.clone()),
            Input::Link { node, output } => {
                let node = &self.nodes[*node];
                let written = node.outputs.get(*output).and_then(|fact| fact.value.clone());
                written.or_else(|| self.known.get(&node.name)?.get(*output).cloned())
            }
            Input::Item { node, output, index } => {
                self.value(&Input::Link { node: *node, output: *output })?.item(index).cloned()
            }
            Input::List(items) => {
                let values: Option<Vec<Value>> = items.iter().map(|item| self.value(item)).collect();
                Some(Value::List(values?.into()))
            }
            Input::Absent | Input::Template(_) => None,
        }
    }

    /// All inputs of a node, for one that has to wait.
    fn all(&self, index: usize, turn: &Turn, missing: &mut Missing) -> Option<Vec<Input>> {
        let mut inputs = Vec::new();
        for input in 0..self.declared.nodes[index].inputs.len() {
            match self.input(index, input, turn, missing) {
                Resolved::Input(input) => inputs.push(input),
                Resolved::Nothing => inputs.push(Input::Absent),
                Resolved::Missing => {}
            }
        }
        missing.is_empty().then_some(inputs)
    }

    fn decide_if(&mut self, index: usize, turn: &Turn, missing: &mut Missing) -> Option<Built> {
        let condition = match self.input(index, 0, turn, missing) {
            Resolved::Input(condition) => condition,
            Resolved::Nothing => return Some(Built::Nothing),
            Resolved::Missing => return None,
        };
        let known = match self.value(&condition) {
            Some(Value::Bool(known)) => Some(known),
            Some(other) => {
                let mistake = Mistake::at("condition", "`condition` must be Bool")
                    .code(Code::WrongType)
                    .label(fits::turns_out(&other.ty(), Some(&other)));
                return Some(self.refuse(index, turn, &mistake));
            }
            None => None,
        };
        match known {
            Some(holds) => self.pass(index, if holds { 1 } else { 2 }, turn, missing),
            None => {
                let inputs = self.all(index, turn, missing)?;
                let facts = vec![self.either(&inputs[1..])];
                Some(self.wait(index, turn, inputs, facts))
            }
        }
    }

    /// Passes an input on; nothing when it is not given.
    fn pass(&mut self, index: usize, input: usize, turn: &Turn, missing: &mut Missing) -> Option<Built> {
        match self.input(index, input, turn, missing) {
            Resolved::Input(Input::Absent) | Resolved::Nothing => Some(Built::Nothing),
            Resolved::Input(input) => Some(Built::Passes(vec![input])),
            Resolved::Missing => None,
        }
    }

    /// What is known of a value that is one of several.
    fn either(&self, inputs: &[Input]) -> Fact {
        let mut facts = inputs.iter().filter_map(|input| fact(input, &self.nodes));
        let Some(first) = facts.next() else { return Fact::of(Type::Any) };
        let first = Fact { value: None, ..first };
        facts.fold(first, |one, other| {
            let same = one.ty == other.ty;
            let shape = if one.shape == other.shape { one.shape } else { None };
            let ty = if same { one.ty } else { Type::Any };
            let mut properties = one.properties;
            properties.retain(|name, property| other.properties.get(name) == Some(property));
            Fact { ty, value: None, shape, properties }
        })
    }

    fn decide_switch(&mut self, index: usize, turn: &Turn, missing: &mut Missing) -> Option<Built> {
        let on = match self.input(index, 0, turn, missing) {
            Resolved::Input(on) => on,
            Resolved::Nothing => return Some(Built::Nothing),
            Resolved::Missing => return None,
        };
        let Some(on) = self.value(&on) else { return self.wait_for_case(index, turn, missing) };
        let position = match &on {
            Value::Int(position) => usize::try_from(*position).ok(),
            name => match self.input(index, 2, turn, missing) {
                Resolved::Input(Input::Absent) | Resolved::Nothing => None,
                Resolved::Input(names) => match self.value(&names) {
                    Some(Value::List(names)) => match self.unnamed(index, names.len()) {
                        Some(mistake) => return Some(self.refuse(index, turn, &mistake)),
                        None => names.iter().position(|known| known == name),
                    },
                    Some(_) => None,
                    None => return self.wait_for_case(index, turn, missing),
                },
                Resolved::Missing => return None,
            },
        };
        let scope = self.declared.scopes.of(index);
        // Only the chosen case is looked at: the others may need nodes that never run.
        let case = match (&self.declared.nodes[index].inputs[1], position) {
            (Input::List(cases), Some(position)) => {
                cases.get(position).map(|case| self.resolve(case, scope, turn, missing))
            }
            (cases, Some(position)) => match self.resolve(cases, scope, turn, missing) {
                Resolved::Input(cases) => match self.items(&cases) {
                    Items::Known(cases) => cases.get(position).cloned().map(Resolved::Input),
                    Items::Unknown => return self.wait_for_case(index, turn, missing),
                },
                other => Some(other),
            },
            (_, None) => None,
        };
        match case {
            Some(Resolved::Input(case)) => Some(Built::Passes(vec![case])),
            Some(Resolved::Nothing) => Some(Built::Nothing),
            Some(Resolved::Missing) => None,
            None if self.declared.nodes[index].inputs[3] != Input::Absent => {
                self.pass(index, 3, turn, missing)
            }
            None => {
                let mistake = self.no_case(index, &on, turn);
                Some(self.refuse(index, turn, &mistake))
            }
        }
    }

    /// A `switch` that waits, with what is known of the case it may choose.
    fn wait_for_case(&mut self, index: usize, turn: &Turn, missing: &mut Missing) -> Option<Built> {
        let inputs = self.all(index, turn, missing)?;
        let facts = vec![match &inputs[1] {
            Input::List(cases) => self.either(cases),
            _ => Fact::of(Type::Any),
        }];
        Some(self.wait(index, turn, inputs, facts))
    }

    /// Says why a `switch` has nothing to pass on.
    fn no_case(&self, index: usize, on: &Value, turn: &Turn) -> Mistake {
        let length = |input: usize| match self.input(index, input, turn, &mut Missing::new()) {
            Resolved::Input(Input::List(items)) => Some(items.len()),
            Resolved::Input(input) => match self.value(&input) {
                Some(Value::List(items)) => Some(items.len()),
                _ => None,
            },
            _ => None,
        };
        let count = length(1).unwrap_or(0);
        let Value::Text(name) = on else {
            let cases =
                if count == 1 { "there is 1 case".to_owned() } else { format!("there are {count} cases") };
            return Mistake::at("on", format!("there is no case {on:?}, and no `else`"))
                .code(Code::OutOfRange)
                .label("no such case")
                .help(format!("{cases}, counted from 0"));
        };
        let names = match self.input(index, 2, turn, &mut Missing::new()) {
            Resolved::Input(names) => self.value(&names),
            _ => None,
        };
        let names: Vec<&str> = match &names {
            Some(Value::List(names)) => names
                .iter()
                .filter_map(|name| if let Value::Text(name) = name { Some(&**name) } else { None })
                .collect(),
            _ => Vec::new(),
        };
        if names.contains(&&**name) {
            let message = format!("`names` has {} items, `cases` has {count}", names.len());
            return Mistake::at("names", message)
                .code(Code::Incompatible)
                .label("a name for each case is needed")
                .also("cases", "the cases");
        }
        let mistake = Mistake::at("on", format!("no case is called `{name}`, and there is no `else`"))
            .code(Code::NotAChoice)
            .label("no such case");
        match suggest(name, names.iter().copied()) {
            Some(help) => mistake.help(help),
            None => mistake.help("the cases have no `names`"),
        }
    }

    /// The items of a list.
    fn items(&self, list: &Input) -> Items {
        match list {
            // Without one of its items a list is shorter, or not there at all.
            Input::List(_) if self.may_vanish(list) => Items::Unknown,
            Input::List(items) => Items::Known(items.clone()),
            Input::Value(Value::List(items)) => {
                Items::Known(items.iter().cloned().map(Input::Value).collect())
            }
            Input::Link { node, output } => match self.value(list) {
                Some(Value::List(items)) => Items::Known(
                    (0..items.len())
                        .map(|index| Input::Item { node: *node, output: *output, index: vec![index] })
                        .collect(),
                ),
                _ => Items::Unknown,
            },
            // A list in a list that has been computed.
            Input::Item { node, output, index } => match self.value(list) {
                Some(Value::List(items)) => {
                    let inside = |next: usize| [&index[..], &[next]].concat();
                    let item = |next| Input::Item { node: *node, output: *output, index: inside(next) };
                    Items::Known((0..items.len()).map(item).collect())
                }
                _ => Items::Unknown,
            },
            Input::Value(_) | Input::Absent | Input::Template(_) => Items::Unknown,
        }
    }

    fn decide_lists(&mut self, index: usize, turn: &Turn, missing: &mut Missing) -> Option<Built> {
        let mut lists = Vec::new();
        let mut unknown = self.is_open(index, turn);
        for input in 0..self.declared.nodes[index].inputs.len() {
            match self.input(index, input, turn, missing) {
                Resolved::Input(Input::Absent) if !self.declared.nodes[index].unresolved[input] => {
                    lists.push(None)
                }
                Resolved::Input(list) => match self.items(&list) {
                    Items::Known(items) => lists.push(Some(items)),
                    Items::Unknown => unknown = true,
                },
                Resolved::Nothing => return Some(Built::Nothing),
                Resolved::Missing => {}
            }
        }
        if !missing.is_empty() {
            return None;
        }
        if unknown {
            return self.wait_for_lists(index, turn, missing);
        }
        let names = &self.declared.nodes[index].kind.spec.inputs;
        let lengths: Vec<(&str, usize)> = names
            .iter()
            .zip(&lists)
            .filter_map(|(input, list)| Some((input.name, list.as_ref()?.len())))
            .collect();
        let count = lengths.first().map_or(0, |(_, length)| *length);
        if let Some((other, length)) = lengths.iter().find(|(_, length)| *length != count) {
            let message = format!("`{}` has {count} items, `{other}` has {length}", lengths[0].0);
            let mistake = Mistake::at(*other, message).code(Code::Incompatible).label("of another length");
            return Some(self.refuse(index, turn, &mistake));
        }
        Some(self.turns(index, turn, count, |count| Turns::Lists { lists, count }))
    }

    fn turns(&mut self, index: usize, turn: &Turn, count: usize, make: impl FnOnce(u32) -> Turns) -> Built {
        match u32::try_from(count).ok().filter(|_| count <= MOST_TURNS) {
            Some(count) => Built::Turns(Rc::new(make(count))),
            None => {
                let message = format!("{count} turns are too many, at most {MOST_TURNS} are possible");
                self.refuse(index, turn, &Mistake::new(message).code(Code::OutOfRange))
            }
        }
    }

    /// An iteration over lists that are not known yet, with what is known of their items.
    fn wait_for_lists(&mut self, index: usize, turn: &Turn, missing: &mut Missing) -> Option<Built> {
        let inputs = self.all(index, turn, missing)?;
        let item = |input: &Input| {
            fact(input, &self.nodes).map_or_else(|| Fact::of(Type::Any), |fact| fits::item(&fact, None))
        };
        let mut facts: Vec<Fact> = inputs.iter().map(item).collect();
        facts.push(Fact::of(Type::Int));
        Some(self.wait(index, turn, inputs, facts))
    }

    fn decide_fold(&mut self, index: usize, turn: &Turn, missing: &mut Missing) -> Option<Built> {
        let (over, times) = (self.input(index, 1, turn, missing), self.input(index, 2, turn, missing));
        let (over, times) = match (over, times) {
            (Resolved::Input(over), Resolved::Input(times)) => (over, times),
            (Resolved::Missing, _) | (_, Resolved::Missing) => return None,
            _ => return Some(Built::Nothing),
        };
        let node = &self.declared.nodes[index];
        let is_wrong = node.unresolved[1] || node.unresolved[2];
        let items = match (&over, &times) {
            (Input::Absent, Input::Absent) if !is_wrong => {
                let mistake = Mistake::new("a fold needs `times` or `over`")
                    .code(Code::MissingInput)
                    .label("how many turns?")
                    .help("`times` is their number, `over` a list with an item for each");
                return Some(self.refuse(index, turn, &mistake));
            }
            (Input::Absent, Input::Absent) => None,
            (Input::Absent, times) => match self.value(times) {
                Some(Value::Int(times)) => Some((None, usize::try_from(times).unwrap_or(0))),
                _ => None,
            },
            (_, Input::Absent) => match self.items(&over) {
                Items::Known(items) => Some((Some(items.clone()), items.len())),
                Items::Unknown => None,
            },
            _ => {
                let mistake = Mistake::at("times", "a fold has either `times` or `over`")
                    .code(Code::Incompatible)
                    .also("over", "this decides already");
                return Some(self.refuse(index, turn, &mistake));
            }
        };
        match items.filter(|_| !self.is_open(index, turn)) {
            Some((items, count)) => {
                Some(self.turns(index, turn, count, |count| Turns::Fold { items, count }))
            }
            None => {
                let inputs = self.all(index, turn, missing)?;
                let carried = fact(&inputs[0], &self.nodes).map_or(Type::Any, |fact| fact.ty);
                let item = match &inputs[1] {
                    Input::Absent => Fact::of(Type::Int),
                    list => fact(list, &self.nodes)
                        .map_or_else(|| Fact::of(Type::Any), |fact| fits::item(&fact, None)),
                };
                let facts = vec![Fact::of(carried), item, Fact::of(Type::Int)];
                Some(self.wait(index, turn, inputs, facts))
            }
        }
    }

    /// The turns of the iteration that a node closes; `Err` with what the node becomes without them.
    fn closed(&mut self, index: usize, turn: &Turn, missing: &mut Missing) -> Option<Result<Closed, Built>> {
        let Some(opener) = self.declared.scopes.closed_by(index) else {
            // Outside of any iteration, which is reported, or behind something that is wrong.
            let inputs = self.all(index, turn, missing)?;
            return Some(Err(self.wait(index, turn, inputs, Vec::new())));
        };
        let at = super::build::project(self.declared.scopes.of(opener), self.declared.scopes.of(index), turn);
        match self.built(opener, &at).cloned() {
            None => {
                missing.push((opener, at));
                None
            }
            Some(Built::Turns(turns)) if !self.is_open(index, turn) => Some(Ok((opener, at, turns))),
            Some(Built::Nothing | Built::Passes(_)) => Some(Err(Built::Nothing)),
            // An iteration that cannot begin gives nothing: what is behind its end is blocked by it.
            Some(Built::Node(node)) if self.nodes[node].refused.is_some() => {
                Some(Err(Built::Passes(vec![Input::Link { node, output: 0 }])))
            }
            Some(Built::Node(_) | Built::Turns(_)) => {
                // The iteration waits, and so does its end.
                let inner = self.inner(index, opener);
                let item = match self.resolve(&self.declared.nodes[index].inputs[0], &inner, turn, missing) {
                    Resolved::Input(item) => item,
                    Resolved::Nothing => Input::Absent,
                    Resolved::Missing => return None,
                };
                let ty = fact(&item, &self.nodes).map_or(Type::Any, |fact| fact.ty);
                let is_list = self.declared.nodes[index].kind.spec.control == Some(Control::Collect);
                let facts = vec![Fact::of(if is_list { Type::list(ty) } else { ty })];
                Some(Err(self.wait(index, turn, vec![item], facts)))
            }
        }
    }

    /// The scope of what an end ends.
    fn inner(&self, index: usize, opener: usize) -> super::scope::Scope {
        [&self.declared.scopes.of(index)[..], &[opener]].concat()
    }

    fn collect(&mut self, index: usize, turn: &Turn, missing: &mut Missing) -> Option<Built> {
        let (opener, _, turns) = match self.closed(index, turn, missing)? {
            Ok(closed) => closed,
            Err(built) => return Some(built),
        };
        let inner = self.inner(index, opener);
        let mut items = Vec::with_capacity(turns.count() as usize);
        for next in 0..turns.count() {
            let turn = [&turn[..], &[next]].concat();
            match self.resolve(&self.declared.nodes[index].inputs[0], &inner, &turn, missing) {
                Resolved::Input(item) => items.push(item),
                Resolved::Nothing | Resolved::Missing => {}
            }
        }
        missing.is_empty().then(|| Built::Passes(vec![list_of(items)]))
    }

    fn end_fold(&mut self, index: usize, turn: &Turn, missing: &mut Missing) -> Option<Built> {
        let (fold, at, turns) = match self.closed(index, turn, missing)? {
            Ok(closed) => closed,
            Err(built) => return Some(built),
        };
        match self.carried(fold, &at, turns.count(), missing) {
            Resolved::Input(input) => Some(Built::Passes(vec![input])),
            Resolved::Nothing => Some(Built::Nothing),
            Resolved::Missing => None,
        }
    }
}
