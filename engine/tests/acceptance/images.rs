//! Pictures of one channel, for tests: small, comparable and storable.

use lumina_engine::{
    Call, Code, Domain, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec,
    Registry, Report, Storable, Type, Value, World,
};

/// Rows of numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grid {
    pub(crate) width: usize,
    pub(crate) values: Vec<f64>,
}

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Image(pub(crate) Grid);

/// Where a picture shows.
pub(crate) struct Mask(Grid);

impl Domain for Image {
    const NAME: &'static str = "Image";

    fn byte_size(&self) -> u64 {
        8 * self.0.values.len() as u64
    }
}

impl Domain for Mask {
    const NAME: &'static str = "Mask";

    fn byte_size(&self) -> u64 {
        8 * self.0.values.len() as u64
    }
}

impl Grid {
    fn store(&self) -> Vec<u8> {
        [self.width as f64].iter().chain(&self.values).flat_map(|value| value.to_le_bytes()).collect()
    }

    fn restore(bytes: &[u8]) -> Result<Self, String> {
        let numbers: Vec<f64> =
            bytes.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect();
        let (width, values) = numbers.split_first().ok_or("no width")?;
        Ok(Self { width: *width as usize, values: values.to_vec() })
    }
}

impl Storable for Image {
    fn store(&self) -> Result<Vec<u8>, String> {
        Ok(self.0.store())
    }

    fn restore(bytes: &[u8], _: &dyn World) -> Result<Self, String> {
        Grid::restore(bytes).map(Self)
    }
}

impl Storable for Mask {
    fn store(&self) -> Result<Vec<u8>, String> {
        Ok(self.0.store())
    }

    fn restore(bytes: &[u8], _: &dyn World) -> Result<Self, String> {
        Grid::restore(bytes).map(Self)
    }
}

/// `image.constant` and `mask.constant`: one value everywhere.
struct Constant {
    ty: &'static str,
    wrap: fn(Grid) -> Value,
}

impl Node for Constant {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let fact = Fact::of(Type::Domain(self.ty));
        Ok(Inference::new([fact.shape([inquiry.size("height"), inquiry.size("width")])], Memory::SMALL))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let (width, height) = (call.size("width")?, call.size("height")?);
        Ok(vec![(self.wrap)(Grid { width, values: vec![call.float("value")?; width * height] })])
    }
}

/// `image.mix`: two pictures by a mask.
struct Mix;

impl Node for Mix {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let shape = |input| inquiry.fact(input).and_then(|fact: &Fact| fact.shape.clone());
        match (shape("a"), shape("b")) {
            (Some(a), Some(b)) if a != b => {
                Err(vec![Mistake::at("b", "`a` and `b` are of different sizes").code(Code::WrongShape)])
            }
            (a, _) => {
                Ok(Inference::new([Fact { shape: a, ..Fact::of(Type::Domain(Image::NAME)) }], Memory::SMALL))
            }
        }
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let (a, b, mask) =
            (call.domain::<Image>("a")?, call.domain::<Image>("b")?, call.domain::<Mask>("mask")?);
        let pairs = a.0.values.iter().zip(&b.0.values).zip(&mask.0.values);
        let values = pairs.map(|((a, b), mask)| a * (1.0 - mask) + b * mask).collect();
        Ok(vec![Value::domain(Image(Grid { width: a.0.width, values }))])
    }
}

/// `image.average`: of any number of pictures.
struct Average;

impl Node for Average {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        Ok(Inference::new([Fact::of(Type::Domain(Image::NAME))], Memory::SMALL))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let Some(Value::List(items)) = call.value("images") else { return Err(NodeError::failed("no list")) };
        let images: Vec<_> = items.iter().filter_map(|item| item.downcast::<Image>()).collect();
        let first = images.first().ok_or_else(|| NodeError::failed("an empty list"))?;
        let mean =
            |at: usize| images.iter().map(|image| image.0.values[at]).sum::<f64>() / images.len() as f64;
        let values = (0..first.0.values.len()).map(mean).collect();
        Ok(vec![Value::domain(Image(Grid { width: first.0.width, values }))])
    }
}

/// `image.save`: the file is there, or the node runs again.
struct Save;

impl Node for Save {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        Ok(Inference::new([Fact::of(Type::Path)], Memory::SMALL))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let (path, image) = (call.path("path")?, call.domain::<Image>("image")?);
        call.world.write(&path, &image.0.store()).map_err(|error| NodeError::file(error.to_string()))?;
        Ok(vec![Value::path(path)])
    }

    fn is_fresh(&self, outputs: &[Value], world: &dyn World) -> bool {
        matches!(outputs, [Value::Path(path)] if world.exists(path))
    }
}

fn constant(kind: &'static str, ty: &'static str) -> NodeSpec {
    NodeSpec::new(kind, 1, "One value everywhere")
        .input(InputSpec::default("width", Type::Int, Value::Int(3), "columns"))
        .input(InputSpec::default("height", Type::Int, Value::Int(2), "rows"))
        .input(InputSpec::required("value", Type::Float, "the value"))
        .output("all", Type::Domain(ty), "the same everywhere")
}

pub(crate) fn plugin(registry: &mut Registry) {
    let image = Type::Domain(Image::NAME);
    let picture = |name| InputSpec::required(name, Type::Domain(Image::NAME), "a picture");
    registry
        .storable::<Image>()
        .storable::<Mask>()
        .add(
            constant("image.constant", Image::NAME),
            Constant { ty: Image::NAME, wrap: |grid| Value::domain(Image(grid)) },
        )
        .add(
            constant("mask.constant", Mask::NAME),
            Constant { ty: Mask::NAME, wrap: |grid| Value::domain(Mask(grid)) },
        )
        .add(
            NodeSpec::new("image.mix", 1, "Mixes two pictures")
                .input(picture("a"))
                .input(picture("b"))
                .input(InputSpec::required("mask", Type::Domain(Mask::NAME), "where `b` shows"))
                .output("mixed", image.clone(), "both"),
            Mix,
        )
        .add(
            NodeSpec::new("image.average", 1, "Averages pictures")
                .input(InputSpec::required("images", Type::list(image.clone()), "pictures"))
                .output("average", image, "their mean"),
            Average,
        )
        .add(
            NodeSpec::new("image.save", 1, "Writes a picture")
                .input(picture("image"))
                .input(InputSpec::default("path", Type::Path, Value::path("{node}.img"), "where").template())
                .output("path", Type::Path, "where it is")
                .effect(),
            Save,
        );
}

/// The values of the picture that a node gave.
#[track_caller]
pub(crate) fn values(report: &Report, node: &str) -> Vec<f64> {
    report.outputs[node][0].downcast::<Image>().unwrap().0.values.clone()
}
