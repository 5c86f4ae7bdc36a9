//! Node kinds that decide which other nodes run: they compute nothing themselves, the [expansion](crate::expand) of a
//! graph acts on them.

use crate::call::Call;
use crate::fact::Fact;
use crate::inquiry::Inquiry;
use crate::memory_need::Memory;
use crate::mistake::Mistake;
use crate::node::{Inference, Node};
use crate::node_error::NodeError;
use crate::registry::Registry;
use crate::spec::{InputSpec, NodeSpec};
use crate::types::Type;
use crate::value::Value;

/// What a control node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Passes on one of two inputs.
    If,
    /// Passes on one of several inputs.
    Switch,
    /// What depends on it runs once for every item of a list.
    Map,
    /// What depends on it runs once for every position of several lists.
    Zip,
    /// Ends the innermost iteration: a list of what every turn gave.
    Collect,
    /// What depends on it runs in turns, each with what the turn before gave.
    Fold,
    /// Ends a fold: what its last turn gave.
    FoldEnd,
    /// A parameter that takes several values in one run. Made by `--sweep`, never written in a graph.
    Sweep,
    /// Stands for a graph file. Replaced by its nodes before anything else happens.
    Graph,
}

impl Control {
    /// Does it begin an iteration?
    pub(crate) fn opens(self) -> bool {
        matches!(self, Control::Map | Control::Zip | Control::Fold | Control::Sweep)
    }

    /// Does it end one?
    pub(crate) fn closes(self) -> bool {
        matches!(self, Control::Collect | Control::FoldEnd)
    }

    /// The inputs whose values decide.
    pub(crate) fn deciders(self) -> &'static [usize] {
        match self {
            Control::If | Control::Switch | Control::Map => &[0],
            Control::Zip => &[0, 1, 2, 3],
            Control::Fold => &[1, 2],
            Control::Collect | Control::FoldEnd | Control::Sweep | Control::Graph => &[],
        }
    }
}

struct Deciding;

impl Node for Deciding {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        Ok(Inference::new([], Memory::SMALL))
    }

    fn run(&self, _: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        Err(NodeError::failed("a control node does not run"))
    }
}

/// `range`: whole numbers in order, to go through with `map`.
struct Range;

impl Node for Range {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let known =
            inquiry.int("start").zip(inquiry.int("count")).map(|(start, count)| numbers(start, count));
        let fact = known.map_or_else(|| Fact::of(Type::list(Type::Int)), Fact::constant);
        Ok(Inference::new([fact], Memory::SMALL))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        Ok(vec![numbers(call.int("start")?, call.int("count")?)])
    }
}

fn numbers(start: i64, count: i64) -> Value {
    Value::List((0..count).map(|index| Value::Int(start.saturating_add(index))).collect())
}

/// `compare`: a truth value for `if`.
struct Compare;

impl Node for Compare {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let value = |input| inquiry.fact(input).and_then(|fact| fact.value.as_ref());
        let known = match (value("a"), inquiry.text("is"), value("b")) {
            (Some(a), Some(is), Some(b)) => {
                let refused = |message| {
                    let label = |value: &Value| format!("this is {}", value.ty());
                    vec![Mistake::at("b", message).label(label(b)).also("a", label(a))]
                };
                Some(compare(a, is, b).map_err(refused)?)
            }
            _ => None,
        };
        let fact = known.map_or_else(|| Fact::of(Type::Bool), |known| Fact::constant(Value::Bool(known)));
        Ok(Inference::new([fact], Memory::SMALL))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        match (call.value("a"), call.value("b")) {
            (Some(a), Some(b)) => {
                Ok(vec![Value::Bool(compare(a, call.text("is")?, b).map_err(NodeError::failed)?)])
            }
            _ => Err(NodeError::failed("there is nothing to compare")),
        }
    }
}

fn compare(a: &Value, is: &str, b: &Value) -> Result<bool, String> {
    let number = |value: &Value| match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    };
    let order = match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => return Err(format!("{} and {} cannot be compared", a.ty(), b.ty())),
        },
    };
    // Not a number is neither less nor more nor the same.
    let Some(order) = order else { return Ok(is == "!=") };
    Ok(match is {
        "==" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    })
}

/// Adds the control kinds, which every registry has.
pub(crate) fn control(registry: &mut Registry) {
    let any = |name, doc| InputSpec::required(name, Type::Any, doc);
    let maybe = |name, doc| InputSpec::optional(name, Type::Any, doc);
    let list = |name, doc| InputSpec::required(name, Type::list(Type::Any), doc);
    let more = |name, doc| InputSpec::optional(name, Type::list(Type::Any), doc);
    registry
        .add(
            NodeSpec::new(
                "if",
                1,
                "Passes on one of two inputs\n\n\
                 Only what the chosen input needs runs. Without `else`, a condition that does not hold removes all that\n\
                 depends on this node; `collect` leaves such a turn out.",
            )
            .input(InputSpec::required("condition", Type::Bool, "which one"))
            .input(any("then", "passed on when the condition holds"))
            .input(maybe("else", "passed on when it does not"))
            .output("value", Type::Any, "the one that was chosen")
            .control(Control::If)
            .example(r#""picture": Node(kind: "if", with: { "condition": Param("large"), "then": Link("upscaled"), "else": Link("image") })"#),
            Deciding,
        )
        .add(
            NodeSpec::new(
                "switch",
                1,
                "Passes on one of several inputs\n\n\
                 `on` is the position of the case, counted from 0, or one of `names`. Only what the chosen case needs runs.",
            )
            .input(InputSpec::required("on", Type::OneOf(vec![Type::Int, Type::Text]), "which one"))
            .input(list("cases", "the choices"))
            .input(InputSpec::optional("names", Type::list(Type::Text), "a name for each case"))
            .input(maybe("else", "passed on when there is no such case"))
            .output("value", Type::Any, "the one that was chosen")
            .control(Control::Switch)
            .example(r#""times": Node(kind: "switch", with: { "on": Param("grid"), "names": ["fast", "fine"], "cases": [Link("few"), Link("many")] })"#),
            Deciding,
        )
        .add(
            NodeSpec::new(
                "map",
                1,
                "Begins an iteration over a list\n\n\
                 Everything that depends on it runs once for every item, up to a `collect`. What does not depend on it runs\n\
                 once. Two independent iterations that meet in a node run it for every pair.",
            )
            .input(list("items", "what to go through"))
            .output("item", Type::Any, "the item of the turn")
            .output("index", Type::Int, "the turn, counted from 0")
            .control(Control::Map)
            .example(r#""each": Node(kind: "map", with: { "items": ["a red fox", "a blue bird"] })"#),
            Deciding,
        )
        .add(
            NodeSpec::new(
                "zip",
                1,
                "Begins an iteration over several lists at once\n\n\
                 A turn has the items at the same position of all lists, which must be of the same length.",
            )
            .input(list("first", "a list"))
            .input(list("second", "a list"))
            .input(more("third", "a list"))
            .input(more("fourth", "a list"))
            .output("first", Type::Any, "the turn's item of the first list")
            .output("second", Type::Any, "the turn's item of the second list")
            .output("third", Type::Any, "the turn's item of the third list")
            .output("fourth", Type::Any, "the turn's item of the fourth list")
            .output("index", Type::Int, "the turn, counted from 0")
            .control(Control::Zip)
            .example(r#""each": Node(kind: "zip", with: { "first": ["a fox", "a bird"], "second": [7, 8] })"#),
            Deciding,
        )
        .add(
            NodeSpec::new(
                "collect",
                1,
                "Ends the innermost iteration: what every turn gave, as a list\n\n\
                 Turns that an `if` without `else` removed are left out. Inside a `fold` it lists the values on the way.",
            )
            .input(any("item", "what to collect"))
            .output("items", Type::list(Type::Any), "one for each turn, in order")
            .control(Control::Collect)
            .example(r#""images": Node(kind: "collect", with: { "item": Link("image") })"#),
            Deciding,
        )
        .add(
            NodeSpec::new(
                "fold",
                1,
                "Begins turns in which each gets what the one before gave\n\n\
                 Everything that depends on it runs in every turn, up to its `fold.end`. The number of turns is `times`, or\n\
                 the length of `over`.",
            )
            .input(any("start", "the value of the first turn"))
            .input(more("over", "a list with an item for every turn"))
            .input(InputSpec::optional("times", Type::Int, "the number of turns").min(0.0).max(100_000.0))
            .output("value", Type::Any, "what the turn before gave to `fold.end`; `start` in the first turn")
            .output("item", Type::Any, "the item of the turn; its number when there is no list")
            .output("index", Type::Int, "the turn, counted from 0")
            .control(Control::Fold)
            .example(r#""turn": Node(kind: "fold", with: { "start": Link("noise"), "times": 3 })"#),
            Deciding,
        )
        .add(
            NodeSpec::new("fold.end", 1, "Ends a fold: what its last turn gave, or `start` when there was none")
                .input(any("next", "the value for the next turn"))
                .output("value", Type::Any, "the value after the last turn")
                .control(Control::FoldEnd)
                .example(r#""refined": Node(kind: "fold.end", with: { "next": Link("latent") })"#),
            Deciding,
        )
        .add(
            NodeSpec::new(
                "graph",
                1,
                "Stands for a graph file\n\n\
                 The file's parameters are its inputs, the file's `outputs` its outputs. A parameter that only a link can give\n\
                 is declared there as `Input(type: \"Latent\")`. The nodes inside have names like `upscale/decode`.",
            )
            .input(InputSpec::required("path", Type::Path, "the file, relative to the one this stands in; written as a text"))
            .control(Control::Graph)
            .example(r#""upscale": Node(kind: "graph", with: { "path": "upscale.ron", "image": Link("image"), "factor": 2 })"#),
            Deciding,
        )
        .add(
            NodeSpec::new("range", 1, "Whole numbers in order, to go through with `map`")
                .input(InputSpec::default("start", Type::Int, Value::Int(0), "the first number"))
                .input(InputSpec::required("count", Type::Int, "how many").min(0.0).max(100_000.0))
                .output("numbers", Type::list(Type::Int), "the numbers")
                .example(r#""seeds": Node(kind: "range", with: { "start": 7, "count": 4 })"#),
            Range,
        )
        .add(
            NodeSpec::new("compare", 1, "Compares two numbers, two texts or two truth values")
                .input(any("a", "the left side"))
                .input(
                    InputSpec::default("is", Type::Text, Value::text("=="), "how")
                        .choices(&["==", "!=", "<", "<=", ">", ">="]),
                )
                .input(any("b", "the right side"))
                .output("holds", Type::Bool, "whether it is so")
                .example(r#""large": Node(kind: "compare", with: { "a": Param("width"), "is": ">", "b": 512 })"#),
            Compare,
        );
}
