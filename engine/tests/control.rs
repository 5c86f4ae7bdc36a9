//! Random graphs that branch and iterate: what they give is what a direct interpreter gives, whether what decides is
//! written in the graph or computed in the run.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use lumina_engine::{
    Call, Engine, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Outcome,
    Overrides, Registry, RunOptions, Type, Value, render,
};
use proptest::prelude::*;
use support::{FakeWorld, check};

/// A number. Everything in it may be missing: a branch without an alternative was not taken.
#[derive(Clone, Debug)]
enum Number {
    Literal(i8, Hidden),
    /// Something that an iteration around it has: the first or second value, or the number of the turn.
    Turn(usize, usize),
    /// An earlier definition.
    Defined(usize),
    /// All of a list, in order.
    Digest(Box<List>),
    If(Box<Condition>, Box<Number>, Option<Box<Number>>),
    /// The case with the number of the turn.
    Switch(usize, Vec<Number>, Box<Number>),
    Fold(Box<Fold>),
}

/// Is it kept from the check?
type Hidden = bool;

#[derive(Clone, Debug)]
struct Condition {
    left: Number,
    is: &'static str,
    right: Number,
}

#[derive(Clone, Debug)]
enum List {
    Literal(Vec<Number>, Hidden),
    /// As many numbers as an iteration around it had turns before.
    UpTo(usize, Hidden),
    Map(Box<List>, Box<Number>),
    /// Two lists of the same length, with the body.
    Zip(Vec<(Number, Number)>, [Hidden; 2], Box<Number>),
    /// What a fold has on its way.
    OnTheWay(Box<Fold>),
}

#[derive(Clone, Debug)]
struct Fold {
    start: Number,
    turns: Turns,
    body: Number,
}

#[derive(Clone, Debug)]
enum Turns {
    Times(u8, Hidden),
    /// As many as an iteration around it had turns before.
    UpTo(usize),
    Over(List),
}

fn number() -> impl Strategy<Value = Number> {
    let leaf = prop_oneof![
        2 => (any::<i8>(), any::<bool>()).prop_map(|(value, hidden)| Number::Literal(value, hidden)),
        4 => (0usize..3, 0usize..3).prop_map(|(back, which)| Number::Turn(back, which)),
        1 => (0usize..3).prop_map(Number::Defined),
    ];
    leaf.prop_recursive(5, 24, 3, |number| {
        let list = list(number.clone());
        let condition = (number.clone(), prop::sample::select(&["<", ">=", "=="][..]), number.clone())
            .prop_map(|(left, is, right)| Box::new(Condition { left, is, right }));
        prop_oneof![
            3 => list.clone().prop_map(|list| Number::Digest(Box::new(list))),
            2 => (condition, number.clone(), prop::option::of(number.clone().prop_map(Box::new)))
                .prop_map(|(condition, then, other)| Number::If(condition, Box::new(then), other)),
            1 => (0usize..3, prop::collection::vec(number.clone(), 1..3), number.clone())
                .prop_map(|(on, cases, other)| Number::Switch(on, cases, Box::new(other))),
            2 => fold(number, list).prop_map(|fold| Number::Fold(Box::new(fold))),
        ]
    })
}

fn list(number: BoxedStrategy<Number>) -> BoxedStrategy<List> {
    let leaf = prop_oneof![
        3 => (prop::collection::vec(number.clone(), 0..4), any::<bool>())
            .prop_map(|(items, hidden)| List::Literal(items, hidden)),
        1 => (0usize..3, any::<bool>()).prop_map(|(back, hidden)| List::UpTo(back, hidden)),
    ];
    let pairs = prop::collection::vec((number.clone(), number.clone()), 0..3);
    leaf.prop_recursive(2, 8, 2, move |list| {
        prop_oneof![
            3 => (list.clone(), number.clone()).prop_map(|(list, body)| List::Map(Box::new(list), Box::new(body))),
            1 => (pairs.clone(), any::<[bool; 2]>(), number.clone())
                .prop_map(|(pairs, hidden, body)| List::Zip(pairs, hidden, Box::new(body))),
            1 => fold(number.clone(), list.boxed()).prop_map(|fold| List::OnTheWay(Box::new(fold))),
        ]
    })
    .boxed()
}

fn fold(number: BoxedStrategy<Number>, list: BoxedStrategy<List>) -> BoxedStrategy<Fold> {
    let turns = prop_oneof![
        (0u8..4, any::<bool>()).prop_map(|(times, hidden)| Turns::Times(times, hidden)),
        (0usize..3).prop_map(Turns::UpTo),
        list.prop_map(Turns::Over),
    ];
    (number.clone(), turns, number).prop_map(|(start, turns, body)| Fold { start, turns, body }).boxed()
}

/// Something that depends on all numbers and their order, and stays a whole number.
fn digest(items: &[f64]) -> f64 {
    items.iter().fold(7.0, |digest, item| (digest * 31.0 + item).rem_euclid(10_007.0))
}

/// What a program gives, computed at once.
struct Interpreter {
    defined: Vec<Option<f64>>,
    /// What the iterations around have, outermost first.
    turns: Vec<[Option<f64>; 3]>,
}

impl Interpreter {
    fn turn(&self, back: usize, which: usize) -> Option<f64> {
        match self.turns.len() {
            0 => Some(1.0),
            depth => self.turns[depth - 1 - back % depth][which],
        }
    }

    fn inside<T>(&mut self, turn: [Option<f64>; 3], give: impl FnOnce(&mut Self) -> T) -> T {
        self.turns.push(turn);
        let given = give(self);
        self.turns.pop();
        given
    }

    fn number(&mut self, number: &Number) -> Option<f64> {
        match number {
            Number::Literal(value, _) => Some(f64::from(*value)),
            Number::Turn(back, which) => self.turn(*back, *which),
            Number::Defined(at) => *self.defined.get(*at).unwrap_or(&Some(2.0)),
            Number::Digest(list) => self.list(list).map(|items| digest(&items)),
            Number::If(condition, then, other) => {
                let (left, right) = (self.number(&condition.left)?, self.number(&condition.right)?);
                let holds = match condition.is {
                    "<" => left < right,
                    ">=" => left >= right,
                    _ => left == right,
                };
                if holds { self.number(then) } else { self.number(other.as_ref()?) }
            }
            Number::Switch(on, cases, other) => {
                let on = self.turn(*on, 2)? as usize;
                self.number(cases.get(on).unwrap_or(other))
            }
            Number::Fold(fold) => self.fold(fold)?.0,
        }
    }

    /// What is left after the last turn, and what was there after each that was whole.
    fn fold(&mut self, fold: &Fold) -> Option<(Option<f64>, Vec<f64>)> {
        let items = match &fold.turns {
            Turns::Times(times, _) => (0..*times).map(f64::from).collect(),
            Turns::UpTo(back) => (0..self.turn(*back, 2)? as u32).map(f64::from).collect(),
            Turns::Over(list) => self.list(list)?,
        };
        let (mut value, mut way) = (self.number(&fold.start), Vec::new());
        for (index, item) in items.into_iter().enumerate() {
            let turn = [value, Some(item), Some(index as f64)];
            value = self.inside(turn, |inside| inside.body(&fold.body));
            way.extend(value);
        }
        Some((value, way))
    }

    /// A body depends on its iteration: it begins with its first value.
    fn body(&mut self, body: &Number) -> Option<f64> {
        Some(digest(&[self.turn(0, 0)?, self.number(body)?]))
    }

    fn list(&mut self, list: &List) -> Option<Vec<f64>> {
        match list {
            List::Literal(items, _) => items.iter().map(|item| self.number(item)).collect(),
            List::UpTo(back, _) => Some((0..self.turn(*back, 2)? as u32).map(f64::from).collect()),
            List::Map(list, body) => {
                let items = self.list(list)?.into_iter().map(|item| (item, item)).collect();
                Some(self.turns(items, body))
            }
            List::Zip(pairs, _, body) => {
                let pairs = pairs.iter().map(|(first, second)| (self.number(first), self.number(second)));
                let (first, second): (Vec<_>, Vec<_>) = pairs.unzip();
                let first = first.into_iter().collect::<Option<Vec<f64>>>()?;
                let second = second.into_iter().collect::<Option<Vec<f64>>>()?;
                Some(self.turns(first.into_iter().zip(second).collect(), body))
            }
            List::OnTheWay(fold) => Some(self.fold(fold)?.1),
        }
    }

    fn turns(&mut self, pairs: Vec<(f64, f64)>, body: &Number) -> Vec<f64> {
        let turn = |(index, (first, second)): (usize, (f64, f64))| {
            self.inside([Some(first), Some(second), Some(index as f64)], |inside| inside.body(body))
        };
        pairs.into_iter().enumerate().filter_map(turn).collect()
    }
}

/// The same program as a graph.
struct Writer {
    nodes: String,
    count: usize,
    defined: usize,
    turns: Vec<[String; 3]>,
    /// Hide all, nothing, or what the program says.
    hides: Option<bool>,
}

impl Writer {
    fn add(&mut self, kind: &str, with: &str) -> String {
        self.count += 1;
        let name = format!("n{}", self.count);
        self.nodes += &format!("\"{name}\": Node(kind: \"{kind}\", with: {{{with}}}),\n");
        name
    }

    /// Adds a node with one output.
    fn linked(&mut self, kind: &str, with: &str) -> String {
        format!("Link(\"{}\")", self.add(kind, with))
    }

    /// A value, kept from the check if that is wanted.
    fn value(&mut self, value: String, hidden: Hidden) -> String {
        match self.hides.unwrap_or(hidden) {
            true => self.linked("any.same", &format!("\"value\": {value}")),
            false => value,
        }
    }

    fn turn(&self, back: usize, which: usize) -> String {
        match self.turns.len() {
            0 => "1".to_owned(),
            depth => self.turns[depth - 1 - back % depth][which].clone(),
        }
    }

    fn numbers<'n>(&mut self, numbers: impl IntoIterator<Item = &'n Number>) -> String {
        let numbers: Vec<String> = numbers.into_iter().map(|number| self.number(number)).collect();
        format!("[{}]", numbers.join(", "))
    }

    fn number(&mut self, number: &Number) -> String {
        match number {
            Number::Literal(value, hidden) => self.value(value.to_string(), *hidden),
            Number::Turn(back, which) => self.turn(*back, *which),
            Number::Defined(at) if *at < self.defined => format!("Link(\"d{at}\")"),
            Number::Defined(_) => "2".to_owned(),
            Number::Digest(list) => {
                let list = self.list(list);
                self.linked("test.digest", &format!("\"items\": {list}"))
            }
            Number::If(condition, then, other) => {
                let (left, right) = (self.number(&condition.left), self.number(&condition.right));
                let with = format!("\"a\": {left}, \"is\": \"{}\", \"b\": {right}", condition.is);
                let condition = self.linked("compare", &with);
                let then = self.number(then);
                let other = other.as_ref().map(|other| format!(", \"else\": {}", self.number(other)));
                let with =
                    format!("\"condition\": {condition}, \"then\": {then}{}", other.unwrap_or_default());
                self.linked("if", &with)
            }
            Number::Switch(on, cases, other) => {
                let (on, cases, other) = (self.turn(*on, 2), self.numbers(cases), self.number(other));
                self.linked("switch", &format!("\"on\": {on}, \"cases\": {cases}, \"else\": {other}"))
            }
            Number::Fold(fold) => self.fold(fold).0,
        }
    }

    /// What is left after the last turn, and what a turn gives.
    fn fold(&mut self, fold: &Fold) -> (String, String) {
        let start = self.number(&fold.start);
        let turns = match &fold.turns {
            Turns::Times(times, hidden) => format!("\"times\": {}", self.value(times.to_string(), *hidden)),
            Turns::UpTo(back) => format!("\"times\": {}", self.turn(*back, 2)),
            Turns::Over(list) => format!("\"over\": {}", self.list(list)),
        };
        let name = self.add("fold", &format!("\"start\": {start}, {turns}"));
        let body = self.body(&name, ["value", "item", "index"], &fold.body);
        (self.linked("fold.end", &format!("\"next\": {body}")), body)
    }

    fn body(&mut self, name: &str, outputs: [&str; 3], body: &Number) -> String {
        self.turns.push(outputs.map(|output| format!("Link(\"{name}.{output}\")")));
        let (first, number) = (self.turn(0, 0), self.number(body));
        let body = self.linked("test.digest", &format!("\"items\": [{first}, {number}]"));
        self.turns.pop();
        body
    }

    fn list(&mut self, list: &List) -> String {
        let turn = match list {
            List::Literal(items, hidden) => {
                let items = self.numbers(items);
                return self.value(items, *hidden);
            }
            List::UpTo(back, hidden) => {
                let list = self.turn(*back, 2);
                let list = self.linked("range", &format!("\"count\": {list}"));
                return self.value(list, *hidden);
            }
            List::Map(list, body) => {
                let list = self.list(list);
                let name = self.add("map", &format!("\"items\": {list}"));
                self.body(&name, ["item", "item", "index"], body)
            }
            List::Zip(pairs, hidden, body) => {
                let first = self.numbers(pairs.iter().map(|(first, _)| first));
                let first = self.value(first, hidden[0]);
                let second = self.numbers(pairs.iter().map(|(_, second)| second));
                let second = self.value(second, hidden[1]);
                let name = self.add("zip", &format!("\"first\": {first}, \"second\": {second}"));
                self.body(&name, ["first", "second", "index"], body)
            }
            List::OnTheWay(fold) => self.fold(fold).1,
        };
        self.linked("collect", &format!("\"item\": {turn}"))
    }
}

/// `test.digest`: of a list; known to the check when the list is.
struct Digest;

fn of_list(list: &Value) -> f64 {
    let Value::List(items) = list else { return -1.0 };
    let number = |item: &Value| match item {
        Value::Float(value) => *value,
        Value::Int(value) => *value as f64,
        _ => f64::NAN,
    };
    digest(&items.iter().map(number).collect::<Vec<f64>>())
}

impl Node for Digest {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let known = inquiry.fact("items").and_then(|fact| fact.value.as_ref()).map(of_list);
        Ok(Inference::new(
            [known.map_or_else(|| Fact::of(Type::Float), |known| Fact::constant(Value::Float(known)))],
            Memory::SMALL,
        ))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let list = call.value("items").ok_or_else(|| NodeError::failed("no list"))?;
        Ok(vec![Value::Float(of_list(list))])
    }
}

fn registry() -> Registry {
    let mut registry = support::registry();
    registry.add(
        NodeSpec::new("test.digest", 1, "Something about a list")
            .input(InputSpec::required("items", Type::list(Type::Float), "numbers"))
            .output("digest", Type::Float, "depends on all of them and their order"),
        Digest,
    );
    registry
}

fn written(program: &[Number], hides: Option<bool>) -> String {
    let mut writer = Writer { nodes: String::new(), count: 0, defined: 0, turns: Vec::new(), hides };
    for number in program {
        let value = writer.number(number);
        writer.nodes += &format!(
            "\"d{}\": Node(kind: \"test.digest\", with: {{\"items\": [{value}]}}),\n",
            writer.defined
        );
        writer.defined += 1;
    }
    format!("Graph(format: 1, nodes: {{\n{}}})", writer.nodes)
}

fn interpreted(program: &[Number]) -> BTreeMap<String, f64> {
    let mut interpreter = Interpreter { defined: Vec::new(), turns: Vec::new() };
    for number in program {
        let value = interpreter.number(number).map(|value| digest(&[value]));
        interpreter.defined.push(value);
    }
    let defined = interpreter.defined.into_iter().enumerate();
    defined.filter_map(|(index, value)| Some((format!("d{index}"), value?))).collect()
}

/// What the definitions gave; a graph that cannot run, or a node that did not, is an error.
fn run(engine: &Engine, text: &str, definitions: usize) -> Result<BTreeMap<String, f64>, String> {
    let world = FakeWorld::default();
    let checked = check(engine, &world, text, &Overrides::default());
    let Some(graph) = checked.graph else {
        return Err(render(&checked.sources, &checked.diagnostics, false));
    };
    let targets = (0..definitions).map(|index| format!("d{index}")).collect();
    let options =
        RunOptions { targets: Some(targets), threads: NonZeroUsize::new(2), ..RunOptions::default() };
    let report = engine.run(&graph, &world, options);
    let bad: Vec<_> = report
        .nodes
        .iter()
        .filter(|(_, outcome)| !matches!(outcome, Outcome::Ran | Outcome::Cached))
        .collect();
    if !bad.is_empty() {
        return Err(format!("{bad:?}"));
    }
    let number = |(name, values): (String, std::sync::Arc<[Value]>)| match *values {
        [Value::Float(value)] => Ok((name, value)),
        _ => Err(format!("`{name}` gave {values:?}")),
    };
    report.outputs.into_iter().map(number).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_run_gives_what_the_interpreter_gives(program in prop::collection::vec(number(), 1..4)) {
        let expected = interpreted(&program);
        for hides in [Some(false), None, Some(true)] {
            let text = written(&program, hides);
            let found = run(&Engine::new(registry()), &text, program.len());
            prop_assert_eq!(found.as_ref(), Ok(&expected), "{}", text);
            // Where nothing is kept, nothing that a later round needs may be lost.
            let found = run(&Engine::new(registry()).with_memory_budget(0), &text, program.len());
            prop_assert_eq!(found.as_ref(), Ok(&expected), "{}", text);
        }
    }
}
