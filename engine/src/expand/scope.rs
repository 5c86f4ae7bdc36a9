//! Which iterations a node takes part in.

use super::DeclaredNode;
use crate::control::Control;
use crate::graph::Input;

/// The iterations around a node, outermost first, by the position of the node that opens each.
pub(super) type Scope = Vec<usize>;

/// For each declared node, the iterations around it.
pub(crate) struct Scopes {
    inside: Vec<Scope>,
    /// For each node that closes an iteration, the node that opens it.
    closes: Vec<Option<usize>>,
    /// For each fold, its end.
    ends: Vec<Option<usize>>,
}

/// What is wrong with iterations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScopeMistake {
    /// Something ends an iteration and stands in none.
    Outside,
    /// The end of a fold closes another iteration, whose opening node is given.
    OtherIteration(usize),
    /// A fold has a second end.
    SecondEnd {
        /// The fold.
        fold: usize,
        /// Its first end.
        first: usize,
    },
    /// A fold has no end.
    NoEnd,
    /// The body of a fold is inside an iteration that the fold itself is not in, and that begins after it.
    StartsOutside(usize),
}

impl Scopes {
    /// Finds the scopes of nodes that are in order, sources first.
    pub(super) fn find(nodes: &[DeclaredNode]) -> (Self, Vec<(usize, ScopeMistake)>) {
        let mut around_fold: Vec<Scope> = vec![Vec::new(); nodes.len()];
        loop {
            let (scopes, mistakes) = Self::pass(nodes, &around_fold);
            // A fold is inside every iteration that its body is inside of; that shows only behind it.
            let mut changed = false;
            for (fold, end) in scopes.ends.iter().enumerate() {
                let Some(end) = end else { continue };
                for outer in scopes.around_body(nodes, *end, fold) {
                    if outer < fold
                        && !scopes.inside[fold].contains(&outer)
                        && !around_fold[fold].contains(&outer)
                    {
                        around_fold[fold].push(outer);
                        changed = true;
                    }
                }
            }
            if !changed {
                return (scopes, mistakes);
            }
        }
    }

    fn around_body(&self, nodes: &[DeclaredNode], end: usize, fold: usize) -> Scope {
        let mut around = self.of_inputs(nodes, end);
        around.retain(|opener| *opener != fold);
        around
    }

    fn pass(nodes: &[DeclaredNode], around_fold: &[Scope]) -> (Self, Vec<(usize, ScopeMistake)>) {
        let empty = || vec![None; nodes.len()];
        let mut scopes = Self { inside: Vec::with_capacity(nodes.len()), closes: empty(), ends: empty() };
        let mut mistakes = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let mut scope = scopes.of_inputs(nodes, index);
            match node.control() {
                Some(control)
                    if control.closes() && !node.unresolved.iter().any(|unresolved| *unresolved) =>
                {
                    match scope.pop() {
                        None => mistakes.push((index, ScopeMistake::Outside)),
                        Some(opener) => {
                            scopes.closes[index] = Some(opener);
                            mistakes
                                .extend(scopes.pair(nodes, index, opener).map(|mistake| (index, mistake)));
                        }
                    }
                }
                Some(Control::Fold) => {
                    scope.extend(&around_fold[index]);
                    scope.sort_unstable();
                    scope.dedup();
                }
                _ => {}
            }
            scopes.inside.push(scope);
        }
        // A fold whose end is wrong has one.
        let wrong: Vec<usize> = mistakes.iter().flat_map(|(end, _)| scopes.of_inputs(nodes, *end)).collect();
        let is_fold = |index: &usize| nodes[*index].control() == Some(Control::Fold);
        let is_unended = |index: &usize| scopes.ends[*index].is_none() && !wrong.contains(index);
        let unended = (0..nodes.len()).filter(is_fold).filter(is_unended);
        mistakes.extend(unended.map(|index| (index, ScopeMistake::NoEnd)));
        (scopes, mistakes)
    }

    /// Notes which fold an end belongs to.
    fn pair(&mut self, nodes: &[DeclaredNode], end: usize, opener: usize) -> Option<ScopeMistake> {
        if nodes[end].control() != Some(Control::FoldEnd) {
            return None;
        }
        if nodes[opener].control() != Some(Control::Fold) {
            // A body may also be inside an iteration that begins after its fold.
            let fold = self
                .of_inputs(nodes, end)
                .into_iter()
                .rev()
                .find(|at| nodes[*at].control() == Some(Control::Fold));
            return Some(match fold {
                Some(fold) if !self.inside[opener].contains(&fold) => ScopeMistake::StartsOutside(opener),
                _ => ScopeMistake::OtherIteration(opener),
            });
        }
        if let Some(first) = self.ends[opener] {
            return Some(ScopeMistake::SecondEnd { fold: opener, first });
        }
        self.ends[opener] = Some(end);
        None
    }

    /// The iterations that the inputs of a node take part in.
    fn of_inputs(&self, nodes: &[DeclaredNode], node: usize) -> Scope {
        let mut scope = Scope::new();
        for input in &nodes[node].inputs {
            self.add(nodes, input, &mut scope);
        }
        scope.sort_unstable();
        scope.dedup();
        scope
    }

    fn add(&self, nodes: &[DeclaredNode], input: &Input, scope: &mut Scope) {
        input.links(&mut |source, _| {
            // A link to an end that is wrong, or to a node in a circle, may point anywhere.
            if let Some(inside) = self.inside.get(source) {
                scope.extend(inside);
            }
            if nodes[source].control().is_some_and(Control::opens) {
                scope.push(source);
            }
        });
    }

    /// The iterations that an input takes part in.
    pub(super) fn of_input(&self, nodes: &[DeclaredNode], input: &Input) -> Scope {
        let mut scope = Scope::new();
        self.add(nodes, input, &mut scope);
        scope.sort_unstable();
        scope.dedup();
        scope
    }

    /// The iterations around a node.
    pub(super) fn of(&self, node: usize) -> &Scope {
        &self.inside[node]
    }

    /// The iteration that a node closes.
    pub(super) fn closed_by(&self, node: usize) -> Option<usize> {
        self.closes[node]
    }

    /// The end of a fold.
    pub(super) fn end_of(&self, fold: usize) -> Option<usize> {
        self.ends[fold]
    }
}
