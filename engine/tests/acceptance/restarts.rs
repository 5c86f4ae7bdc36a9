//! I: what survives the process, what does not, and what the check never reads.

use std::io;
use std::path::{Path, PathBuf};

use lumina_engine::{
    Call, Code, Digest, Engine, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError,
    NodeSpec, NotFound, Overrides, Registry, Resources, Source, Type, Value, World,
};

use crate::harness::{Bench, Policy, number};
use crate::support::{self, FakeWorld};

#[test]
fn i1_after_a_restart_nothing_is_executed() {
    let nodes = r#"
        "image": Node(kind: "image.constant", with: {"value": 1}),
        "text": Node(kind: "any.same", with: {"value": ["a", 1, true]}),
        "saved": Node(kind: "image.save", with: {"image": Link("image")}),
    "#;
    for mut bench in Bench::each() {
        run!(bench, nodes, targets: ["saved", "text"], ran: ["image", "saved", "text"]);
        bench.restart();
        match bench.policy {
            Policy::Disk => run!(bench, nodes, targets: ["saved", "text"], cached: ["saved", "text"]),
            // Memory does not survive.
            _ => run!(bench, nodes, targets: ["saved", "text"], ran: ["image", "saved", "text"]),
        };
    }
}

const READ: &str = r#"
    "read": Node(kind: "file.read", with: {"path": "weights"}),
    "behind": Node(kind: "number.add", with: {"a": Link("read")}),
    "beside": Node(kind: "number.add", with: {"a": 1}),
"#;

#[test]
fn i2_another_file_of_the_same_name_and_size_is_a_miss() {
    for bench in Bench::each() {
        bench.write("weights", "one");
        let one = run!(bench, READ, ran: ["read", "behind", "beside"]);
        bench.write("weights", "two");
        let two = run!(bench, READ, ran: ["read", "behind"], cached: ["beside"]);
        assert_ne!(number(&one, "behind"), number(&two, "behind"));
        bench.write("weights", "one");
        let again = run!(bench, READ, cached: ["behind", "beside"]);
        assert_eq!(number(&one, "behind"), number(&again, "behind"));
    }
}

#[test]
fn i3_the_same_file_written_again_is_a_hit() {
    for bench in Bench::each() {
        bench.write("weights", "one");
        run!(bench, READ, ran: ["read", "behind", "beside"]);
        bench.write("weights", "one");
        run!(bench, READ, cached: ["behind", "beside"]);
    }
}

#[test]
fn i4_an_edit_that_yields_an_equal_value_stops_at_that_node() {
    let nodes = r#"
        "sum": Node(kind: "number.add", with: {"a": 1, "b": 3}),
        "behind": Node(kind: "number.add", with: {"a": Link("sum")}),
        "further": Node(kind: "number.add", with: {"a": Link("behind")}),
    "#;
    for bench in Bench::each() {
        run!(bench, nodes, ran: ["sum", "behind", "further"]);
        let edited = nodes.replace(r#""a": 1, "b": 3"#, r#""a": 2, "b": 2"#);
        let report = bench.engine().run(&bench.checked(&edited), &bench.world, Default::default());
        assert_eq!(number(&report, "further"), 6.0);
        let expected: &[&str] =
            if bench.policy == Policy::Off { &["sum", "behind", "further"] } else { &["sum"] };
        assert_eq!(report.ran(), expected, "with the cache {:?}", bench.policy);
    }
}

/// `space.latent` and `space.decoder`: values of a space; the decoder has weights.
struct InSpace(&'static str);

impl Node for InSpace {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let fact = Fact::of(Type::Text).with("space", inquiry.text("space").unwrap_or_default());
        Ok(Inference::new([fact], Memory::SMALL)
            .files((self.0 == "decoder").then(|| PathBuf::from("weights"))))
    }

    fn run(&self, _: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        Ok(vec![Value::text(self.0)])
    }
}

/// `space.decode`: both have to be of one space.
struct Decode;

impl Node for Decode {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        match inquiry.same("space", "latent", "decoder") {
            Some(mistake) => Err(vec![mistake]),
            None => Ok(Inference::new([Fact::of(Type::Text)], Memory::SMALL)),
        }
    }

    fn run(&self, _: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        Ok(vec![Value::text("picture")])
    }
}

/// A world in which no file can be read.
struct Sealed(FakeWorld);

impl World for Sealed {
    fn find(&self, path: &Path) -> Result<PathBuf, NotFound> {
        Ok(path.to_owned())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        panic!("`{}` is read", path.display())
    }

    fn digest(&self, path: &Path) -> io::Result<Digest> {
        panic!("`{}` is read", path.display())
    }

    fn write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn can_write(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn exists(&self, _: &Path) -> bool {
        true
    }

    fn environment(&self) -> String {
        String::new()
    }

    fn resources(&self) -> &Resources {
        &self.0.resources
    }
}

#[test]
fn i6_a_decoder_of_another_space_is_refused_without_reading_a_weight() {
    let text = |name| InputSpec::required(name, Type::Text, "a text");
    let mut registry = Registry::new();
    for (kind, does) in [("space.latent", "latent"), ("space.decoder", "decoder")] {
        let spec = NodeSpec::new(kind, 1, "For tests").input(text("space"));
        registry.add(spec.output("out", Type::Text, "what comes out"), InSpace(does));
    }
    let spec = NodeSpec::new("space.decode", 1, "For tests").input(text("latent")).input(text("decoder"));
    registry.add(spec.output("out", Type::Text, "what comes out"), Decode);
    let (engine, world) = (Engine::new(registry), Sealed(FakeWorld::default()));
    let nodes = r#"
        "latent": Node(kind: "space.latent", with: {"space": "4 channels"}),
        "decoder": Node(kind: "space.decoder", with: {"space": "16 channels"}),
        "image": Node(kind: "space.decode", with: {"latent": Link("latent"), "decoder": Link("decoder")}),
    "#;
    let check = |nodes: &str| {
        engine.check(Source::new("test.ron", support::graph(nodes)), &world, &Overrides::default()).1
    };
    let refused = check(nodes);
    let errors: Vec<_> = refused.diagnostics.iter().filter(|found| found.is_error()).collect();
    assert_eq!(errors.iter().map(|error| error.code).collect::<Vec<_>>(), [Code::Incompatible]);
    assert_eq!(errors[0].message, "`latent` and `decoder` are of different spaces");
    assert!(check(&nodes.replace("16 channels", "4 channels")).graph.is_some());
}
