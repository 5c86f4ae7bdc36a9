//! A world without files and a few node kinds on numbers, for tests of the engine alone.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "every test file uses its own part")]

pub(crate) mod store;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use lumina_engine::{
    Call, Checked, Digest, Engine, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError,
    NodeSpec, NotFound, Overrides, Registry, Resources, Source, Type, Value, World,
};

/// Files in memory.
#[derive(Default)]
pub(crate) struct FakeWorld {
    pub(crate) files: Mutex<HashMap<PathBuf, Vec<u8>>>,
    pub(crate) environment: String,
    pub(crate) resources: Resources,
}

impl FakeWorld {
    pub(crate) fn with_file(self, path: &str, content: &str) -> Self {
        self.files.lock().unwrap().insert(path.into(), content.into());
        self
    }
}

impl World for FakeWorld {
    fn find(&self, path: &Path) -> Result<PathBuf, NotFound> {
        match self.exists(path) {
            true => Ok(path.to_owned()),
            false => Err(NotFound { path: path.to_owned(), searched: vec![path.to_owned()] }),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.lock().unwrap().get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn digest(&self, path: &Path) -> io::Result<Digest> {
        let files = self.files.lock().unwrap();
        files.get(path).map(|content| Digest::of(content)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.files.lock().unwrap().insert(path.to_owned(), content.to_owned());
        Ok(())
    }

    fn can_write(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.lock().unwrap().contains_key(path)
    }

    fn environment(&self) -> String {
        self.environment.clone()
    }

    fn resources(&self) -> &Resources {
        &self.resources
    }
}

/// `number.add`: `a + b`.
struct Add;

impl Node for Add {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        Ok(Inference::new([Fact::of(Type::Float)], Memory::new(100, 10)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        Ok(vec![Value::Float(call.float("a")? + call.float("b")?)])
    }
}

/// `number.split`: two outputs.
struct Split;

impl Node for Split {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        Ok(Inference::new([Fact::of(Type::Float), Fact::of(Type::Float)], Memory::SMALL))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let value = call.float("value")?;
        Ok(vec![Value::Float(value.trunc()), Value::Float(value.fract())])
    }
}

/// `number.sum`: of a list.
struct Sum;

impl Node for Sum {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        Ok(Inference::new([Fact::of(Type::Float)], Memory::SMALL))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let Some(Value::List(items)) = call.value("items") else { return Err(NodeError::failed("no list")) };
        let sum = items.iter().map(|item| if let Value::Float(value) = item { *value } else { 0.0 }).sum();
        Ok(vec![Value::Float(sum)])
    }
}

/// `test.fail`: fails, or panics, or gives what it does not promise, or cancels the run.
struct Fail;

impl Node for Fail {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        Ok(Inference::new([Fact::of(Type::Float)], Memory::SMALL))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        match call.text("how")? {
            "error" => Err(NodeError::failed("on purpose")),
            "panic" => panic!("out of the blue"),
            "lie" => Ok(vec![Value::text("not a number")]),
            _ => {
                call.cancel.cancel();
                call.check_cancelled()?;
                Ok(vec![Value::Float(0.0)])
            }
        }
    }
}

/// `file.read`: the length of a file, known to depend on its content.
struct Read;

impl Node for Read {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let Some(path) = inquiry.path("path") else {
            return Ok(Inference::new([Fact::of(Type::Float)], Memory::SMALL));
        };
        match inquiry.world.find(&path) {
            Ok(found) => Ok(Inference::new([Fact::of(Type::Float)], Memory::SMALL).files([found])),
            Err(_) => Err(vec![Mistake::at("path", format!("`{}` does not exist", path.display()))]),
        }
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let digest =
            call.world.digest(&call.path("path")?).map_err(|error| NodeError::file(error.to_string()))?;
        Ok(vec![Value::Float(f64::from(digest.bytes()[0]))])
    }
}

/// `file.write`: a number into a file.
struct Write;

impl Node for Write {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        Ok(Inference::new([Fact::of(Type::Path)], Memory::SMALL))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let path = call.path("path")?;
        let content = format!("{}", call.float("value")?);
        call.world.write(&path, content.as_bytes()).map_err(|error| NodeError::file(error.to_string()))?;
        Ok(vec![Value::path(path)])
    }

    fn is_fresh(&self, outputs: &[Value], world: &dyn World) -> bool {
        matches!(outputs, [Value::Path(path)] if world.exists(path))
    }
}

/// `test.thrifty`: says in which way it computes.
struct Pieces;

impl Node for Pieces {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let inference = Inference::new([Fact::of(Type::Text)], Memory::new(500, 10));
        Ok(inference.thrifty("made in small pieces", 50))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        Ok(vec![Value::text(if call.thrifty { "in small pieces" } else { "in one piece" })])
    }
}

/// `any.same`: gives back what it gets.
struct Same;

impl Node for Same {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        Ok(Inference::new([Fact::of(Type::Any)], Memory::SMALL))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        Ok(vec![call.value("value").cloned().unwrap_or(Value::Bool(false))])
    }
}

pub(crate) fn registry() -> Registry {
    let number = |name| InputSpec::required(name, Type::Float, "a number");
    let mut registry = Registry::new();
    registry
        .add(
            NodeSpec::new("number.add", 1, "Adds")
                .input(number("a"))
                .input(InputSpec::default("b", Type::Float, Value::Float(1.0), "a number").min(-1e6).max(1e6))
                .output("sum", Type::Float, "a + b"),
            Add,
        )
        .add(
            NodeSpec::new("number.split", 1, "Splits")
                .input(number("value"))
                .output("whole", Type::Float, "whole part")
                .output("rest", Type::Float, "fraction"),
            Split,
        )
        .add(
            NodeSpec::new("number.sum", 1, "Sums")
                .input(InputSpec::required("items", Type::list(Type::Float), "numbers"))
                .output("sum", Type::Float, "their sum"),
            Sum,
        )
        .add(
            NodeSpec::new("test.fail", 1, "Fails")
                .input(
                    InputSpec::required("how", Type::Text, "how")
                        .choices(&["error", "panic", "lie", "cancel"]),
                )
                .output("never", Type::Float, "nothing"),
            Fail,
        )
        .add(
            NodeSpec::new("test.thrifty", 1, "Says in which way it computes").output(
                "way",
                Type::Text,
                "the way",
            ),
            Pieces,
        )
        .add(
            NodeSpec::new("file.read", 1, "Reads")
                .input(InputSpec::required("path", Type::Path, "a file"))
                .output("number", Type::Float, "about its content"),
            Read,
        )
        .add(
            NodeSpec::new("file.write", 1, "Writes")
                .input(number("value"))
                .input(InputSpec::required("path", Type::Path, "where").template())
                .output("path", Type::Path, "where it is")
                .effect(),
            Write,
        )
        .add(
            NodeSpec::new("any.same", 1, "Passes on")
                .input(InputSpec::required("value", Type::Any, "anything"))
                .output("value", Type::Any, "the same"),
            Same,
        );
    registry
}

pub(crate) fn check(engine: &Engine, world: &FakeWorld, text: &str, overrides: &Overrides) -> Checked {
    engine.check(Source::new("test.ron", text), world, overrides).1
}

/// A graph's text from its nodes.
pub(crate) fn graph(nodes: &str) -> String {
    format!("Graph(format: 1, params: {{\"seed\": Int(default: 3, min: 0)}}, nodes: {{\n{nodes}\n}})")
}
