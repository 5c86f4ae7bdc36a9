//! `image.noise`: where sampling begins.

use lumina_engine::{
    Call, Code, Dimension, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec,
    Type, Value,
};
use lumina_models::noise::Generator;
use lumina_nodes::value::{Latent, Medium, Space, type_of};
use lumina_nodes::{Compute, node_error};

pub(crate) struct ImageNoise;

pub(crate) fn spec() -> NodeSpec {
    let side = |name, doc| InputSpec::default(name, Type::Int, Value::Int(1024), doc).min(8.0).max(16384.0);
    NodeSpec::new(
        "image.noise",
        1,
        "Noise of the size of a picture\n\n\
         The noise is made on the host in f32, so a seed gives the same picture on every device. `philox` numbers every\n\
         element for itself; `torch-cpu` gives the numbers of `torch.manual_seed(seed); torch.randn(...)`.",
    )
    .input(InputSpec::required("space", type_of::<Space>(), "the convention of the model's latents"))
    .input(side("width", "pixels"))
    .input(side("height", "pixels"))
    .input(InputSpec::default("seed", Type::Int, Value::Int(0), "the same seed gives the same noise").min(0.0))
    .input(InputSpec::default("batch", Type::Int, Value::Int(1), "pictures").min(1.0).max(4096.0))
    .input(
        InputSpec::default("generator", Type::Text, Value::text("philox"), "where the numbers come from")
            .choices(&["philox", "torch-cpu"]),
    )
    .output("latent", type_of::<Latent>(), "the noise")
    .device()
    .example(r#""noise": Node(kind: "image.noise", with: { "space": Link("model.space"), "width": 1024, "height": 1024, "seed": Param("seed") })"#)
}

impl Node for ImageNoise {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        if let Some(mistake) = Medium::Image.mistake("space", inquiry.fact("space")) {
            return Err(vec![mistake]);
        }
        let mut fact = inquiry.fact("space").cloned().unwrap_or_else(|| Fact::of(type_of::<Latent>()));
        fact.ty = type_of::<Latent>();
        let known = |fact: &Fact, name| fact.int(name).and_then(|value| usize::try_from(value).ok());
        let (Some(downscale), Some(patch)) = (known(&fact, "downscale"), known(&fact, "patch")) else {
            return Ok(Inference::new([fact], Memory::UNKNOWN));
        };
        let granularity = downscale * patch;
        let mistakes: Vec<Mistake> = ["width", "height"]
            .into_iter()
            .filter_map(|name| {
                let size = inquiry.size(name).filter(|size| size % granularity != 0)?;
                let below = (size / granularity * granularity).max(granularity);
                let message =
                    format!("`{name}` must be a multiple of {granularity} for this model, found {size}");
                let help = format!("the nearest are {below} and {}", below + granularity);
                Some(Mistake::at(name, message).code(Code::OutOfRange).help(help))
            })
            .collect();
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let cells = |name| Dimension::from(inquiry.size(name).map(|size| size / downscale));
        let shape =
            [inquiry.size("batch").into(), known(&fact, "channels").into(), cells("height"), cells("width")];
        let fact = fact.shape(shape);
        let bytes = fact.elements().unwrap_or(0) * 4;
        Ok(Inference::new([fact], Memory::kept(bytes)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let space = call.domain::<Space>("space")?;
        let (width, height) = (call.size("width")?, call.size("height")?);
        let granularity = space.granularity();
        if width % granularity != 0 || height % granularity != 0 || width * height == 0 {
            let message =
                format!("width and height must be multiples of {granularity}, found {width} x {height}");
            return Err(NodeError::failed(message));
        }
        let generator = match call.text("generator")? {
            "torch-cpu" => Generator::TorchCpu,
            _ => Generator::Philox,
        };
        let shape = [call.size("batch")?, space.channels, height / space.downscale, width / space.downscale];
        let seed = u64::try_from(call.int("seed")?).unwrap_or(0);
        let tensor = generator.normal(seed, &shape, &Compute::of(call.world).device).map_err(node_error)?;
        Ok(vec![Value::domain(Latent { tensor, space: (*space).clone() })])
    }
}
