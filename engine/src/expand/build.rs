//! Makes the nodes of every turn.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::decide::MOST_TURNS;
use super::fits::{coerced, fact, misfits};
use super::infer::infer;
use super::resolve::{DEEPEST_LIST, LARGEST_LIST, Resolved};
use super::scope::Scope;
use super::turns::Turns;
use super::{Declared, Expansion, Judge, Known};
use crate::control::Control;
use crate::diagnostic::Code;
use crate::fact::Fact;
use crate::graph::{GraphNode, Input, Instance};
use crate::inquiry::Inquiry;
use crate::memory_need::Memory;
use crate::mistake::Mistake;
use crate::node::Inference;
use crate::node_error::NodeError;
use crate::spec::InputSpec;
use crate::world::World;

/// For each iteration around a node, the turn, outermost first. It is open when it has fewer than there are iterations:
/// the number of turns of the next one is not known yet. What is built in an open turn stands for all of them, and waits.
pub(super) type Turn = Vec<u32>;

/// What a declared node has become in one turn.
#[derive(Clone)]
pub(super) enum Built {
    /// A node that computes, or a pending one.
    Node(usize),
    /// It passes on what others give, one for each output.
    Passes(Vec<Input>),
    /// A branch that was not taken removed it.
    Nothing,
    /// The turns of the iteration that it opens.
    Turns(Rc<Turns>),
}

/// What a fold carried into each of its turns; nothing where a branch that was not taken removed it.
type Carried = Vec<Option<Input>>;

pub(super) struct Builder<'a> {
    pub(super) declared: &'a Declared,
    world: &'a dyn World,
    pub(super) known: &'a Known,
    judge: &'a mut dyn Judge,
    pub(super) nodes: Vec<GraphNode>,
    /// For each of these, whether it may turn out not to be there: a branch that it waits for may not be taken.
    may_vanish: Vec<bool>,
    /// What nodes outside of iterations, which is most of them, have become.
    once: Vec<Option<Built>>,
    /// What nodes inside of iterations have become.
    in_turns: HashMap<(usize, Turn), Built>,
    /// What folds carried into their turns, by fold and the turn around it.
    pub(super) carried: RefCell<HashMap<(usize, Turn), Carried>>,
    /// A list of the node that is being built exceeds the limits.
    pub(super) too_large: Cell<bool>,
}

/// Nodes that have to be built before an attempt can go on.
pub(super) type Missing = Vec<(usize, Turn)>;

impl<'a> Builder<'a> {
    pub(super) fn new(
        declared: &'a Declared,
        world: &'a dyn World,
        known: &'a Known,
        judge: &'a mut dyn Judge,
    ) -> Self {
        let count = declared.nodes.len();
        Self {
            declared,
            world,
            known,
            judge,
            nodes: Vec::with_capacity(count),
            may_vanish: Vec::with_capacity(count),
            once: vec![None; count],
            in_turns: HashMap::new(),
            carried: RefCell::default(),
            too_large: Cell::new(false),
        }
    }

    /// All nodes, in the order of their declaration and within it by turn: all turns of one node come before the next
    /// node, so that a run goes stage by stage and needs each network once.
    pub(super) fn expand(mut self) -> Expansion {
        let declared = self.declared;
        let mut instances = Vec::with_capacity(declared.nodes.len());
        for (index, node) in declared.nodes.iter().enumerate() {
            let Some(turns) = self.every_turn(declared.scopes.of(index)) else {
                let message = format!("it would run more than {MOST_TURNS} times");
                let mistake = Mistake::new(message).code(Code::OutOfRange).label("in too many iterations");
                if let Built::Node(position) = self.refuse(index, &Turn::new(), &mistake) {
                    let (declared, name) = (node.name.clone(), node.name.clone());
                    instances.push(Instance { declared, name, outputs: Vec::new(), node: Some(position) });
                }
                continue;
            };
            for turn in turns {
                self.build(index, turn.clone());
                let (outputs, position) = match self.built(index, &turn) {
                    Some(Built::Node(position)) => {
                        (links(*position, node.kind.spec.outputs.len()), Some(*position))
                    }
                    Some(Built::Passes(outputs)) => (outputs.clone(), None),
                    Some(Built::Nothing | Built::Turns(_)) | None => continue,
                };
                let name = instance_name(&node.name, &turn);
                instances.push(Instance { declared: node.name.clone(), name, outputs, node: position });
            }
        }
        let mut outputs = Vec::with_capacity(declared.outputs.len());
        for (name, input) in &declared.outputs {
            let scope = declared.scopes.of_input(&declared.nodes, input);
            for turn in self.every_turn(&scope).unwrap_or_default() {
                if let Resolved::Input(input) = self.resolve_now(input, &scope, &turn) {
                    let (declared, name) = (name.clone(), instance_name(name, &turn));
                    outputs.push(Instance { declared, name, outputs: vec![input], node: None });
                }
            }
        }
        Expansion { nodes: self.nodes, instances, outputs }
    }

    /// Every turn that a node with this scope has; `None` when they are too many. The nodes that open the iterations are
    /// built on the way.
    fn every_turn(&mut self, scope: &Scope) -> Option<Vec<Turn>> {
        let declared = self.declared;
        let mut whole: Vec<Turn> = vec![Turn::new()];
        let mut open: Vec<Turn> = Vec::new();
        for opener in scope {
            let mut longer = Vec::with_capacity(whole.len());
            for turn in whole {
                let at = project(declared.scopes.of(*opener), scope, &turn);
                self.build(*opener, at.clone());
                match self.built(*opener, &at) {
                    Some(Built::Turns(turns)) => {
                        if longer.len() + turns.count() as usize > MOST_TURNS {
                            return None;
                        }
                        longer.extend((0..turns.count()).map(|next| [&turn[..], &[next]].concat()));
                    }
                    Some(Built::Node(_)) => open.push(turn),
                    Some(Built::Nothing | Built::Passes(_)) | None => {}
                }
            }
            whole = longer;
        }
        whole.extend(open);
        Some(whole)
    }

    /// Builds a node in a turn, and what it needs before it. A loop with a stack of its own: a fold of many turns is a
    /// long chain.
    pub(super) fn build(&mut self, node: usize, turn: Turn) {
        let mut stack = vec![(node, turn)];
        while let Some((node, turn)) = stack.last().cloned() {
            if self.built(node, &turn).is_some() {
                stack.pop();
                continue;
            }
            let mut missing = Missing::new();
            match self.attempt(node, &turn, &mut missing) {
                Some(built) => {
                    // What one turn does not have, another one may.
                    let built = match built {
                        Built::Nothing if self.is_open(node, &turn) => {
                            self.wait(node, &turn, Vec::new(), Vec::new())
                        }
                        built => built,
                    };
                    match turn.is_empty() {
                        true => self.once[node] = Some(built),
                        false => drop(self.in_turns.insert((node, turn), built)),
                    }
                    stack.pop();
                }
                None => stack.append(&mut missing),
            }
        }
    }

    pub(super) fn built(&self, node: usize, turn: &Turn) -> Option<&Built> {
        match turn.is_empty() {
            true => self.once[node].as_ref(),
            false => self.in_turns.get(&(node, turn.clone())),
        }
    }

    /// Are the turns of an iteration around a node unknown?
    pub(super) fn is_open(&self, node: usize, turn: &Turn) -> bool {
        turn.len() < self.declared.scopes.of(node).len()
    }

    /// The iteration whose turns are unknown, as a link.
    fn unknown_iteration(&self, node: usize, turn: &Turn) -> Option<Input> {
        let scope = self.declared.scopes.of(node);
        let opener = *scope.get(turn.len())?;
        match self.built(opener, &project(self.declared.scopes.of(opener), scope, turn))? {
            Built::Node(node) => Some(Input::Link { node: *node, output: 0 }),
            _ => None,
        }
    }

    /// A node in a turn; `None` when something has to be built first.
    fn attempt(&mut self, index: usize, turn: &Turn, missing: &mut Missing) -> Option<Built> {
        let built = self.attempt_within_limits(index, turn, missing);
        if built.is_some() && self.too_large.replace(false) {
            let message = format!(
                "it gets a list of more than {LARGEST_LIST} items, or one that nests more than {DEEPEST_LIST} levels deep"
            );
            return Some(self.refuse(index, turn, &Mistake::new(message).code(Code::OutOfRange)));
        }
        built
    }

    fn attempt_within_limits(&mut self, index: usize, turn: &Turn, missing: &mut Missing) -> Option<Built> {
        let declared = self.declared;
        let node = &declared.nodes[index];
        if let Some(control) = node.kind.spec.control {
            return self.decide(index, control, turn, missing);
        }
        let scope = declared.scopes.of(index);
        let mut inputs = Vec::with_capacity(node.inputs.len());
        let mut nothing = false;
        for input in &node.inputs {
            match self.resolve_in(index, input, scope, turn, missing) {
                Resolved::Input(input) => inputs.push(input),
                Resolved::Nothing => nothing = true,
                Resolved::Missing => {}
            }
        }
        if !missing.is_empty() {
            return None;
        }
        Some(if nothing { Built::Nothing } else { self.add(index, turn, inputs) })
    }

    /// Adds a node with these inputs and asks what it will give.
    pub(super) fn add(&mut self, index: usize, turn: &Turn, inputs: Vec<Input>) -> Built {
        let declared = &self.declared.nodes[index];
        let spec = &declared.kind.spec;
        let inputs: Vec<Input> =
            inputs.into_iter().zip(&spec.inputs).map(|(input, spec)| coerced(input, &spec.ty)).collect();
        let facts: Vec<Option<Fact>> = inputs
            .iter()
            .zip(&spec.inputs)
            .zip(&declared.unresolved)
            .map(|((input, spec), unresolved)| match unresolved {
                // What is unknown is carried: the node can still be asked about its other inputs.
                true => Some(Fact::of(spec.ty.clone())),
                false => fact(input, &self.nodes),
            })
            .collect();
        // What is written at the input itself, or is known to be wrong, has been judged there.
        let judged = |at: usize| declared.unresolved[at] || matches!(declared.inputs[at], Input::Value(_));
        let mistakes: Vec<Mistake> = (0..inputs.len())
            .filter(|at| !judged(*at))
            .filter_map(|at| match (&declared.inputs[at], &inputs[at]) {
                (Input::Link { .. }, Input::Absent) => Some(given_nothing(&spec.inputs[at])),
                _ => misfits(&inputs[at], facts[at].as_ref(), &spec.inputs[at]),
            })
            .collect();
        let inferred = match mistakes.is_empty() {
            true => {
                let names: Vec<&'static str> = spec.inputs.iter().map(|input| input.name).collect();
                infer(&declared.kind, &Inquiry { names: &names, facts: &facts, world: self.world })
            }
            false => Err(mistakes),
        };
        let (inference, refused) = match inferred {
            Ok(inference) => (inference, None),
            Err(mistakes) => {
                self.judge.mistakes(index, &mistakes);
                let first = mistakes.first().map(told);
                (
                    Inference::new([], Memory::SMALL),
                    Some(first.unwrap_or_else(|| NodeError::failed("it refuses its inputs"))),
                )
            }
        };
        if !inference.warnings.is_empty() {
            self.judge.warnings(index, &inference.warnings);
        }
        self.push(index, turn, inputs, inference, refused)
    }

    /// A node that cannot run because of what decides it.
    pub(super) fn refuse(&mut self, index: usize, turn: &Turn, mistake: &Mistake) -> Built {
        self.judge.mistakes(index, std::slice::from_ref(mistake));
        let error = told(mistake);
        self.push(index, turn, Vec::new(), Inference::new([], Memory::SMALL), Some(error))
    }

    /// A node that waits for what decides it, with what is known of its outputs. Without inputs, none of them is there.
    pub(super) fn wait(&mut self, index: usize, turn: &Turn, inputs: Vec<Input>, facts: Vec<Fact>) -> Built {
        let node = &self.declared.nodes[index];
        let was_removed =
            |(given, declared): (&Input, &Input)| *given == Input::Absent && *declared != Input::Absent;
        let may_vanish = inputs.len() < node.inputs.len()
            || inputs.iter().zip(&node.inputs).any(was_removed)
            || (node.kind.spec.control == Some(Control::If) && inputs.contains(&Input::Absent));
        let inference = Inference::new(facts, Memory::SMALL);
        let built = self.push(index, turn, inputs, inference, None);
        if let (Some(node), Some(vanishes)) = (self.nodes.last_mut(), self.may_vanish.last_mut()) {
            node.pending = true;
            *vanishes |= may_vanish;
        }
        built
    }

    /// May a part of an input turn out not to be there?
    pub(super) fn may_vanish(&self, input: &Input) -> bool {
        let mut vanishes = false;
        input.links(&mut |source, _| vanishes |= self.may_vanish[source]);
        vanishes
    }

    fn push(
        &mut self,
        index: usize,
        turn: &Turn,
        mut inputs: Vec<Input>,
        inference: Inference,
        refused: Option<NodeError>,
    ) -> Built {
        let declared = &self.declared.nodes[index];
        // Behind the inputs stands what the node waits for, whether or not an input comes from there in this turn.
        let unknown = self.unknown_iteration(index, turn);
        let mut pending = self.is_open(index, turn) && unknown.is_none();
        inputs.extend(unknown);
        self.may_vanish.push(inputs.iter().any(|input| self.may_vanish(input)));
        inputs.iter().for_each(|input| input.links(&mut |source, _| pending |= self.nodes[source].pending));
        let promised = declared.kind.spec.outputs.iter().map(|output| Fact::of(output.ty.clone()));
        let mut outputs: Vec<Fact> = promised.collect();
        for (known, fact) in outputs.iter_mut().zip(inference.outputs) {
            *known = fact;
        }
        self.nodes.push(GraphNode {
            name: instance_name(&declared.name, turn),
            kind: declared.kind.clone(),
            inputs,
            outputs,
            files: inference.files,
            memory: inference.memory,
            thrifty: inference.thrifty,
            cache: declared.cache,
            params: self.swept_params(index, turn),
            pending,
            declared: index,
            refused,
        });
        Built::Node(self.nodes.len() - 1)
    }

    /// The parameters that have another value in this turn than in the graph as a whole.
    fn swept_params(&self, index: usize, turn: &Turn) -> Vec<(String, String)> {
        let mut params = Vec::new();
        for (opener, at) in self.declared.scopes.of(index).iter().zip(turn) {
            let Some(sweep) = &self.declared.nodes[*opener].sweep else { continue };
            let Some(row) = sweep.rows.get(*at as usize) else { continue };
            params.extend(sweep.names.iter().cloned().zip(row.iter().map(|(_, text)| text.clone())));
        }
        params
    }
}

/// A mistake as the error of a node.
fn told(mistake: &Mistake) -> NodeError {
    let help = mistake.help.first().cloned();
    match mistake.label.strip_prefix("this ") {
        // What was found is said only there.
        Some(found) => NodeError::Failed { message: format!("{}, this {found}", mistake.message), help },
        None => NodeError::Failed { message: mistake.message.clone(), help },
    }
}

/// A link to an output that is not there, such as the third list of a `zip` that has two.
fn given_nothing(spec: &InputSpec) -> Mistake {
    let message = format!("what `{}` links to gives nothing", spec.name);
    Mistake::at(spec.name, message).code(Code::MissingInput).label("nothing comes from here")
}

/// The name of a node in a turn.
pub(super) fn instance_name(name: &str, turn: &Turn) -> String {
    if turn.is_empty() {
        return name.to_owned();
    }
    let turns: Vec<String> = turn.iter().map(u32::to_string).collect();
    format!("{name}[{}]", turns.join(","))
}

/// The turn of an outer scope that a turn of an inner scope is part of; cut off where turns are not known.
pub(super) fn project(outer: &Scope, inner: &Scope, turn: &Turn) -> Turn {
    outer
        .iter()
        .map_while(|opener| {
            let position = inner.iter().position(|other| other == opener)?;
            turn.get(position).copied()
        })
        .collect()
}

fn links(node: usize, outputs: usize) -> Vec<Input> {
    (0..outputs).map(|output| Input::Link { node, output }).collect()
}
