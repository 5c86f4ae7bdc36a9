//! An order in which the nodes can run, or the circles that keep them from it.

use std::collections::{BTreeSet, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::Draft;
use super::compose::Composition;
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::Input;
use crate::template::Piece;

/// Positions in `drafts` such that every node comes after those it links to, and otherwise in file order.
/// Nodes in a circle, and those behind one, are left out; circles are reported.
pub(super) fn sort(
    composition: &Composition<'_>,
    drafts: &[Draft],
    diagnostics: &mut Vec<Diagnostic>,
) -> Order {
    // Links hold positions in the composition, with sweeps behind them; nodes of unknown kind have no draft.
    let sweeps = drafts.iter().filter(|draft| draft.sweep.is_some()).count();
    let mut draft_of = vec![None; composition.nodes.len() + sweeps];
    for (index, draft) in drafts.iter().enumerate() {
        draft_of[draft.declaration] = Some(index);
    }
    let mut graph = DiGraph::<(), ()>::with_capacity(drafts.len(), drafts.len());
    for _ in drafts {
        graph.add_node(());
    }
    for (index, draft) in drafts.iter().enumerate() {
        let mut sources = Vec::new();
        let mut note = |declaration: usize, _| sources.extend(draft_of[declaration]);
        draft.inputs.iter().for_each(|input| input.links(&mut note));
        sources.sort_unstable();
        sources.dedup();
        for source in sources {
            graph.add_edge(NodeIndex::new(source), NodeIndex::new(index), ());
        }
    }
    let circles: Vec<Vec<usize>> = circles(&graph);
    for circle in &circles {
        diagnostics.extend(report(composition, drafts, circle));
    }
    Order { positions: topological(&graph), draft_of }
}

pub(super) struct Order {
    positions: Vec<usize>,
    draft_of: Vec<Option<usize>>,
}

impl Order {
    /// The position in the order of a node of the composition.
    pub(super) fn position_of(&self) -> Vec<Option<usize>> {
        let mut position_of_draft = vec![None; self.draft_of.len()];
        for (position, draft) in self.positions.iter().enumerate() {
            position_of_draft[*draft] = Some(position);
        }
        self.draft_of.iter().map(|draft| draft.and_then(|draft| position_of_draft[draft])).collect()
    }
}

/// Puts the drafts in order and makes links point into it. A link to a node without a draft, or one in a
/// circle, is unresolved.
pub(super) fn apply(drafts: Vec<Draft>, order: &Order) -> Vec<Draft> {
    let positions = order.position_of();
    let mut taken: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    let mut sorted: Vec<Draft> = order.positions.iter().filter_map(|index| taken[*index].take()).collect();
    for draft in &mut sorted {
        for (input, origin) in draft.inputs.iter_mut().zip(&mut draft.origins) {
            origin.unresolved |= !relink(input, &|node| positions[node]);
        }
    }
    sorted
}

/// Makes the links of an input point into the order; false when one of them cannot.
pub(super) fn relink(input: &mut Input, position: &dyn Fn(usize) -> Option<usize>) -> bool {
    match input {
        Input::Absent | Input::Value(_) | Input::Item { .. } => true,
        Input::Template(pieces) => {
            let mut moved = pieces.to_vec();
            let whole: Vec<bool> = moved
                .iter_mut()
                .map(|piece| if let Piece::Hole(hole) = piece { relink(hole, position) } else { true })
                .collect();
            *pieces = moved.into();
            whole.into_iter().all(|whole| whole)
        }
        Input::Link { node, .. } => match position(*node) {
            Some(at) => {
                *node = at;
                true
            }
            None => {
                *input = Input::Absent;
                false
            }
        },
        Input::List(items) => {
            let whole: Vec<bool> = items.iter_mut().map(|item| relink(item, position)).collect();
            whole.into_iter().all(|whole| whole)
        }
    }
}

/// Nodes that are in no circle and behind none, sources first; ties in file order.
fn topological(graph: &DiGraph<(), ()>) -> Vec<usize> {
    let mut waiting: Vec<usize> =
        graph.node_indices().map(|node| graph.neighbors_directed(node, petgraph::Incoming).count()).collect();
    let mut ready: BTreeSet<usize> = (0..waiting.len()).filter(|node| waiting[*node] == 0).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(node) = ready.pop_first() {
        order.push(node);
        for next in graph.neighbors(NodeIndex::new(node)) {
            waiting[next.index()] -= 1;
            if waiting[next.index()] == 0 {
                ready.insert(next.index());
            }
        }
    }
    order
}

/// One shortest circle out of every knot of nodes that depend on each other.
fn circles(graph: &DiGraph<(), ()>) -> Vec<Vec<usize>> {
    let mut circles: Vec<Vec<usize>> = kosaraju_scc(graph)
        .into_iter()
        .filter(|knot| knot.len() > 1 || graph.contains_edge(knot[0], knot[0]))
        .filter_map(|knot| shortest_circle(graph, &knot))
        .collect();
    circles.sort();
    circles
}

fn shortest_circle(graph: &DiGraph<(), ()>, knot: &[NodeIndex]) -> Option<Vec<usize>> {
    let inside: BTreeSet<NodeIndex> = knot.iter().copied().collect();
    let start = *inside.first()?;
    let mut came_from = std::collections::HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in graph.neighbors(node).filter(|next| inside.contains(next)) {
            if next == start {
                let mut circle = vec![node.index()];
                let mut at = node;
                while let Some(previous) = came_from.get(&at) {
                    at = *previous;
                    circle.push(at.index());
                }
                circle.reverse();
                return Some(circle);
            }
            if next != start && !came_from.contains_key(&next) {
                came_from.insert(next, node);
                queue.push_back(next);
            }
        }
    }
    None
}

fn report(composition: &Composition<'_>, drafts: &[Draft], circle: &[usize]) -> Option<Diagnostic> {
    // Printed in the direction of the data: `a` feeds `b` feeds `a`.
    let names: Vec<&str> =
        circle.iter().chain(circle.first()).map(|index| drafts[*index].name.as_str()).collect();
    let path = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" -> ");
    let mut places = circle
        .iter()
        .filter_map(|index| Some(composition.declaration(drafts[*index].declaration)?.name.span));
    let message = format!("nodes feed each other in a circle: {path}");
    let diagnostic = Diagnostic::new(Code::Cycle, places.next()?, message).label("in the circle");
    Some(places.fold(diagnostic, |diagnostic, place| diagnostic.related(place, "in the circle")))
}
