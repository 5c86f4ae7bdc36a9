//! What one look at a backbone is told besides the latent: the same for latents of one size and of several.

use candle_core::{DType, Tensor};
use lumina_engine::{Call, Code, Fact, InputSpec, Inquiry, Mistake, NodeError, NodeSpec, Type, Value};
use lumina_models::backbone::{
    Backbone, BackboneConfig, Conditioning, ForwardOptions, Profile, RopeFactors, Wants,
};
use lumina_models::text::TextFeatures;

use crate::value::{self, TensorValue, as_tensor, given, tensor_type, type_of};
use crate::{interrupt, node_error, sizes};

/// The sockets of nodes that evaluate a backbone, after the latent.
pub(crate) fn sockets(spec: NodeSpec) -> NodeSpec {
    let classes = vec![Type::list(Type::Int), Type::Int, type_of::<TensorValue>()];
    let times = vec![Type::Float, Type::list(Type::Float), type_of::<TensorValue>()];
    spec.input(InputSpec::required(
        "time",
        Type::OneOf(times),
        "from 0 (noise) to 1 (data); one for all, or one for each latent",
    ))
    .input(InputSpec::optional(
        "features",
        tensor_type(),
        "[batch, tokens, width], for networks that read text or a context",
    ))
    .input(InputSpec::optional(
        "mask",
        type_of::<TensorValue>(),
        "[batch, tokens], 1 for tokens that count; that of a conditioning or all when absent; for networks that read text",
    ))
    .input(InputSpec::optional(
        "classes",
        Type::OneOf(classes),
        "a class for each latent, for networks that read classes; their number stands for none of them",
    ))
    .input(InputSpec::default("linear", Type::Float, Value::Float(1.0), "rotary frequencies are divided by this").min(0.001).max(1000.0))
    .input(InputSpec::default("ntk", Type::Float, Value::Float(1.0), "the rotary base is multiplied by this").min(0.001).max(1000.0))
    .input(InputSpec::optional("base_sequence_length", Type::Int, "tokens at the training size, for proportional attention").min(2.0))
    .input(InputSpec::default("raw", Type::Bool, Value::Bool(false), "give all output channels, with those that are never used"))
}

/// What an evaluation is told besides the latent.
pub(crate) struct Evaluation {
    pub(crate) time: Vec<f64>,
    pub(crate) conditioning: Conditioning,
    pub(crate) options: ForwardOptions,
    pub(crate) raw: bool,
}

impl Evaluation {
    pub(crate) fn of(call: &Call<'_>, network: &dyn Backbone) -> Result<Self, NodeError> {
        let profile = network.profile();
        let has = |input: &str| call.value(input).is_some();
        let number = |input: &str| call.float(input).ok();
        if let Some(mistake) = not_taken(&profile, has, number).into_iter().next() {
            return Err(NodeError::failed(mistake.message));
        }
        let length =
            call.value("base_sequence_length").map(|_| call.size("base_sequence_length")).transpose()?;
        Ok(Self {
            time: times(given(call, "time")?)?,
            conditioning: conditioning(call, profile.wants)?,
            options: ForwardOptions {
                rope: RopeFactors { linear: call.float("linear")?, ntk: call.float("ntk")? }.into(),
                base_sequence_length: length,
                interrupt: interrupt(call.cancel),
            },
            raw: call.bool("raw")?,
        })
    }
}

/// What is known of the network of an evaluation before it runs; nothing of networks of plugins.
pub(crate) fn profile(inquiry: &Inquiry<'_>) -> Option<Profile> {
    sizes(inquiry.fact("backbone")).map(|config: BackboneConfig| config.profile())
}

/// What of the inputs does not go with the network.
pub(crate) fn mistakes(inquiry: &Inquiry<'_>, profile: &Profile) -> Vec<Mistake> {
    let given = |input: &str| inquiry.fact(input).is_some();
    let mut mistakes = not_taken(profile, given, |input| inquiry.float(input));
    let last = |input: &str| {
        let fact = inquiry.fact(input)?;
        fact.dimension(fact.shape.as_ref()?.len().checked_sub(1)?)
    };
    match profile.wants {
        Wants::Caption { width } | Wants::Context { width } => {
            if let Some(found) = last("features").filter(|found| *found != width) {
                let message = format!("the features have {found} channels, the network reads {width}");
                mistakes.push(
                    Mistake::at("features", message).code(Code::WrongShape).also("backbone", profile.name),
                );
            }
        }
        Wants::Classes { count } => {
            let known = inquiry.fact("classes").and_then(|fact| labels(fact.value.as_ref()?));
            let beyond = known
                .into_iter()
                .flatten()
                .find(|label| usize::try_from(*label).is_ok_and(|l| l > count) || *label < 0);
            if let Some(label) = beyond {
                let message =
                    format!("{label} is no class: the network has 0 to {}, and {count} for none", count - 1);
                mistakes.push(
                    Mistake::at("classes", message).code(Code::OutOfRange).also("backbone", profile.name),
                );
            }
        }
    }
    mistakes
}

/// Latents of other channels or with other axes than the network reads. `leading` axes come before the channels.
pub(crate) fn wrong_latent(latent: &Fact, profile: &Profile, leading: usize) -> Option<Mistake> {
    let shape = latent.shape.as_ref()?;
    let channels = latent.dimension(leading);
    let side = |index: usize| latent.dimension(leading + 1 + index);
    let whole = (0..profile.axes)
        .all(|axis| side(axis).is_none_or(|side| side > 0 && side.is_multiple_of(profile.patch_size.max(1))));
    let trained = profile.sample_size.filter(|_| profile.only_sample_size);
    let sized = trained
        .is_none_or(|trained| (0..profile.axes).all(|axis| side(axis).is_none_or(|side| side == trained)));
    let fits = shape.len() == leading + 1 + profile.axes
        && channels.is_none_or(|found| found == profile.in_channels);
    if fits && whole && sized {
        return None;
    }
    let batch = if leading > 0 { "batch, " } else { "" };
    let axes = match (profile.axes, trained) {
        (1, _) => "length".to_owned(),
        (_, Some(side)) => format!("{side}, {side}"),
        _ => "height, width".to_owned(),
    };
    let sides = match profile.patch_size {
        0 | 1 => String::new(),
        _ if trained.is_some() => String::new(),
        patch => format!(" with sides that {patch} divides"),
    };
    let message = format!("a latent here is [{batch}{}, {axes}]{sides}", profile.in_channels);
    Some(
        Mistake::at("latent", message)
            .code(Code::WrongShape)
            .label(latent.to_string())
            .also("backbone", profile.name),
    )
}

/// What is given and not taken, or taken and not given.
fn not_taken(
    profile: &Profile,
    given: impl Fn(&str) -> bool,
    number: impl Fn(&str) -> Option<f64>,
) -> Vec<Mistake> {
    let Profile { name, wants, .. } = profile;
    let reads = format!("{name}, which reads {wants}");
    let (needed, refused): (&str, &[&str]) = match wants {
        Wants::Caption { .. } => ("features", &["classes"]),
        Wants::Context { .. } => ("features", &["mask", "classes"]),
        Wants::Classes { .. } => ("classes", &["features", "mask"]),
    };
    let mut mistakes = Vec::new();
    if !given(needed) {
        let message = format!("`{needed}` is not given, but the backbone is {reads}");
        mistakes.push(Mistake::at("backbone", message).label(format!("needs `{needed}`")));
    }
    let refused = refused.iter().filter(|input| given(input)).map(|input| {
        Mistake::at(*input, format!("`{input}` is given, but the backbone is {reads}")).label("not taken")
    });
    mistakes.extend(refused);
    if !profile.stretches {
        let changed = |input: &&str| number(input).is_some_and(|factor| factor != 1.0);
        let factors = ["linear", "ntk"].into_iter().filter(changed);
        let length = ["base_sequence_length"].into_iter().filter(|input| given(input));
        mistakes.extend(factors.chain(length).map(|input| {
            let message =
                format!("`{input}` is given, but the backbone is {name}, which reads every length alike");
            Mistake::at(input, message).label("not taken")
        }));
    }
    mistakes
}

fn conditioning(call: &Call<'_>, wants: Wants) -> Result<Conditioning, NodeError> {
    match wants {
        Wants::Classes { .. } => {
            let labels = match given(call, "classes")? {
                Value::Domain(_) => whole_numbers(&as_tensor(given(call, "classes")?)?)?,
                plain => labels(plain).unwrap_or_default(),
            };
            let labels = labels.into_iter().map(|label| {
                u32::try_from(label).map_err(|_| NodeError::failed(format!("{label} is no class")))
            });
            Ok(Conditioning::Classes(labels.collect::<Result<_, _>>()?))
        }
        Wants::Context { .. } => Ok(Conditioning::Context(as_tensor(given(call, "features")?)?)),
        Wants::Caption { .. } => {
            let value = given(call, "features")?;
            let features = as_tensor(value)?;
            let mask = match (call.value("mask"), value.downcast::<value::Conditioning>()) {
                (Some(mask), _) => as_tensor(mask)?,
                (None, Some(conditioning)) => conditioning.features.mask.clone(),
                (None, None) => {
                    let (batch, tokens, _) = features.dims3().map_err(failed)?;
                    Tensor::ones((batch, tokens), DType::U32, features.device()).map_err(failed)?
                }
            };
            Ok(Conditioning::Caption(TextFeatures::new(features, &mask).map_err(node_error)?))
        }
    }
}

fn times(value: &Value) -> Result<Vec<f64>, NodeError> {
    let number = |value: &Value| match value {
        Value::Float(value) => Some(*value),
        Value::Int(value) => Some(*value as f64),
        _ => None,
    };
    match value {
        Value::List(times) => Ok(times.iter().filter_map(number).collect()),
        value => match number(value) {
            Some(time) => Ok(vec![time]),
            None => as_tensor(value)?
                .to_dtype(DType::F64)
                .and_then(|time| time.flatten_all()?.to_vec1())
                .map_err(failed),
        },
    }
}

/// Labels that are written in the graph.
fn labels(value: &Value) -> Option<Vec<i64>> {
    match value {
        Value::Int(label) => Some(vec![*label]),
        Value::List(labels) => labels
            .iter()
            .map(|label| if let Value::Int(label) = label { Some(*label) } else { None })
            .collect(),
        _ => None,
    }
}

fn whole_numbers(tensor: &Tensor) -> Result<Vec<i64>, NodeError> {
    tensor.flatten_all().and_then(|tensor| tensor.to_dtype(DType::I64)?.to_vec1()).map_err(failed)
}

pub(crate) fn failed(error: candle_core::Error) -> NodeError {
    NodeError::failed(error.to_string())
}
