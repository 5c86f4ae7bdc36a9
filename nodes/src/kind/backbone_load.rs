//! `backbone.load`: a backbone alone, from its weights.

use std::path::{Path, PathBuf};

use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::ModelError;
use lumina_models::backbone::{Identified, Overrides, PRESET_NAMES, Preset, Profile, identify_with};
use lumina_models::weights::Checkpoint;

use crate::error::mistakes;
use crate::loading::{loading, unused};
use crate::value::{BackboneValue, Space, type_of};
use crate::{Compute, interrupt, mistake, node_error, warn};

pub(crate) struct BackboneLoad;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "backbone.load",
        1,
        "Opens a backbone alone\n\n\
         Which network it is and of which size is found from the names and shapes of its tensors. What those do not tell\n\
         (the heads of attention without a gate, the size of the training, how a narrow mixture of experts is routed) has\n\
         its published value, unless `preset` or `config` says otherwise.",
    )
    .input(InputSpec::required(
        "path",
        Type::Path,
        "a weight file, an index of shards, or a folder with one of them; the `config.json` that diffusers writes beside \
         weights counts as `config`",
    ))
    .input(
        InputSpec::optional("preset", Type::Text, "the published size that it is; every tensor is held against it")
            .choices(&PRESET_NAMES),
    )
    .input(InputSpec::optional(
        "config",
        Type::Path,
        "a JSON or RON file with some or all fields of the network's config",
    ))
    .input(InputSpec::optional(
        "space",
        type_of::<Space>(),
        "the convention of the autoencoder that the backbone was trained with; when absent a cell of a latent counts as a \
         pixel, and numbers are taken as they are",
    ))
    .output("backbone", type_of::<BackboneValue>(), "the network")
    .output("space", type_of::<Space>(), "the convention of its latents")
    .device()
    .example(r#""network": Node(kind: "backbone.load", with: { "path": "weights/lumina-next-tiny/transformer" })"#)
}

impl Node for BackboneLoad {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let path = inquiry.find("path", "checkpoint")?;
        let config = inquiry.find("config", "config file")?;
        let known = |input: &str, found: bool| found || inquiry.fact(input).is_none();
        let preset = inquiry.text("preset");
        let (Some(path), true, true) =
            (path, known("config", config.is_some()), known("preset", preset.is_some()))
        else {
            let unknown = [Fact::of(type_of::<BackboneValue>()), Fact::of(type_of::<Space>())];
            return Ok(Inference::new(unknown, Memory::UNKNOWN));
        };
        let Opened { checkpoint, identified, files } = Opened::read(&path, config.as_deref(), preset)
            .map_err(|error| vec![mistake(blamed(&error, config.as_deref()), &error)])?;
        let report = identified.verify(&checkpoint).map_err(|error| vec![mistake("path", &error)])?;
        if !report.is_loadable() {
            return Err(mistakes("path", &report.errors()));
        }
        let profile = identified.config.profile();
        let latents = latents(inquiry, &profile).map_err(|mistake| vec![*mistake])?;
        let Compute { device, dtype, .. } = Compute::of(inquiry.world);
        let kept = identified
            .loaded_bytes(&checkpoint, dtype, &device)
            .map_err(|error| vec![mistake("path", &error)])?;
        // Which of several files was taken, for example.
        let notes = checkpoint.notes().iter();
        let notes: Vec<Mistake> =
            notes.map(|note| Mistake::at("path", note.as_str()).code(Code::UnusedContent)).collect();
        let outputs = [BackboneValue::fact(&identified.config, &latents), latents];
        Ok(Inference::new(outputs, loading(&checkpoint, kept))
            .files(files)
            .warnings(unused("path", report))
            .warnings(notes))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let path = call.find("path")?;
        let config = call.value("config").map(|_| call.find("config")).transpose()?;
        let preset = call.value("preset").map(|_| call.text("preset")).transpose()?;
        let opened = Opened::read(&path, config.as_deref(), preset).map_err(node_error)?;
        let identified = &opened.identified;
        let profile = identified.config.profile();
        let space = match call.optional_domain::<Space>("space")? {
            None => Space::plain(profile.in_channels, profile.patch_size),
            Some(space) if space.channels == profile.in_channels => {
                Space { patch: profile.patch_size, ..(*space).clone() }
            }
            Some(space) => return Err(NodeError::failed(other_channels(space.channels, &profile))),
        };
        let Compute { device, dtype, .. } = Compute::of(call.world);
        let bytes = identified.loaded_bytes(&opened.checkpoint, dtype, &device).map_err(node_error)?;
        let stop = interrupt(call.cancel);
        let network = identified.load(&opened.checkpoint, dtype, &device, &stop).map_err(node_error)?;
        warn(call, &stop);
        Ok(vec![Value::domain(BackboneValue { network, space: space.clone(), bytes }), Value::domain(space)])
    }
}

/// A checkpoint, and what it is.
struct Opened {
    checkpoint: Checkpoint,
    identified: Identified,
    files: Vec<PathBuf>,
}

impl Opened {
    fn read(path: &Path, config: Option<&Path>, preset: Option<&str>) -> Result<Self, ModelError> {
        let checkpoint = Checkpoint::open_any(path)?;
        let beside = path.join("config.json");
        let (config, overrides) = match config {
            Some(config) => (Some(config.to_owned()), Overrides::read(config)?),
            None if path.is_dir() && beside.is_file() => {
                let overrides = Overrides::read(&beside)?;
                // Files of that name are written by others as well, with other things in them.
                if overrides.is_of_diffusers() {
                    (Some(beside), overrides)
                } else {
                    (None, Overrides::default())
                }
            }
            None => (None, Overrides::default()),
        };
        let overrides = overrides.with_preset(preset.and_then(Preset::find));
        let identified = identify_with(&checkpoint, &overrides)?;
        let mut files = checkpoint.files().to_vec();
        files.extend(config);
        let index = checkpoint.path();
        if index.is_file() && !files.iter().any(|file| file == index) {
            files.push(index.to_owned());
        }
        Ok(Self { checkpoint, identified, files })
    }
}

/// The input that an error is about.
fn blamed(error: &ModelError, config: Option<&Path>) -> &'static str {
    match error {
        ModelError::Config { path, .. } if Some(path.as_path()) == config => "config",
        _ => "path",
    }
}

/// What is known of latents in the space of the network.
fn latents(inquiry: &Inquiry<'_>, profile: &Profile) -> Result<Fact, Box<Mistake>> {
    let Some(space) = inquiry.fact("space") else {
        return Ok(Space::plain(profile.in_channels, profile.patch_size).fact(type_of::<Space>()));
    };
    match space.int("channels").and_then(|channels| usize::try_from(channels).ok()) {
        Some(channels) if channels != profile.in_channels => {
            let mistake = Mistake::at("space", other_channels(channels, profile));
            Err(Box::new(mistake.also("path", profile.name)))
        }
        _ => Ok(space.clone().with("channels", profile.in_channels).with("patch", profile.patch_size)),
    }
}

fn other_channels(found: usize, profile: &Profile) -> String {
    format!("latents of this space have {found} channels, the network reads {}", profile.in_channels)
}
