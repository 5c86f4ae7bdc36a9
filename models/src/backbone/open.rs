//! Opening a backbone from a checkpoint alone, and what a user may say beyond its shapes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::audio::{AudioFlagDit, AudioFlagDitConfig};
use super::detect::{Family, Identified};
use super::sizes::shape_of;
use super::{
    Backbone, BackboneConfig, ClassDit, ClassDitConfig, ClassDitKind, FlagDit, FlagDitConfig, NextDit,
    NextDitConfig, Preset,
};
use crate::weights::{Checkpoint, Report, verify};
use crate::{Interrupt, ModelError, Result};

/// The name of Next-DiT in diffusers.
const CLASS: &str = "LuminaNextDiT2DModel";

/// A field that is written down only where it does not follow from the others.
const WIDTH: &str = "feed_forward_size";

/// What is said of a checkpoint beyond its shapes: a published size, the fields of a config, or both, of which fields
/// count more.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The published size that it is; its sizes are taken from there and not from the shapes.
    preset: Option<&'static Preset>,
    /// The file that `fields` are from, for messages.
    path: PathBuf,
    /// Some or all fields of a config of the network, under the names that diffusers gave them.
    fields: Map<String, Value>,
}

impl Overrides {
    /// Reads the fields of a config file: JSON, or RON where the name ends in `.ron`. A field that is left out is taken
    /// from the shapes; names that begin with `_` are of no consequence, but for `_class_name`.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`] or [`ModelError::Read`]; [`ModelError::Config`] when it is not a config.
    pub fn read(path: &Path) -> Result<Self> {
        let is_ron = path.extension().is_some_and(|extension| extension == "ron");
        let fields = crate::config_file::read(path, |text| {
            let value: Value = if is_ron {
                ron::de::from_bytes(text).map_err(|error| error.to_string())?
            } else {
                serde_json::from_slice(text).map_err(|error| error.to_string())?
            };
            match value {
                Value::Object(fields) => Ok(fields),
                _ => Err("expected a map of fields".to_owned()),
            }
        })?;
        Ok(Self { preset: None, path: path.to_owned(), fields })
    }

    /// Whether the fields were written by diffusers, which names the class of the network.
    pub fn is_of_diffusers(&self) -> bool {
        self.fields.contains_key("_class_name")
    }

    /// The same with a published size.
    #[must_use]
    pub fn with_preset(self, preset: Option<&'static Preset>) -> Self {
        Self { preset, ..self }
    }

    /// The kind of a class-conditional network, where it is said.
    fn kind(&self) -> Result<Option<ClassDitKind>> {
        if let Some(kind) = self.fields.get("kind") {
            let kind = serde_json::from_value(kind.clone()).map_err(|error| self.wrong(error.to_string()))?;
            return Ok(Some(kind));
        }
        Ok(self.preset.and_then(|preset| match preset.config() {
            BackboneConfig::ClassDit(config) => Some(config.kind),
            _ => None,
        }))
    }

    /// Refuses the config of another network, where diffusers wrote its name into it.
    fn check_class(&self, family: &Family) -> Result<()> {
        match self.fields.get("_class_name") {
            Some(Value::String(class)) if class != CLASS || !matches!(family, Family::NextDit(_)) => {
                Err(self.wrong(format!("`_class_name` is `{class}`, but the weights are {}", family.name())))
            }
            _ => Ok(()),
        }
    }

    /// Refuses fields that the network does not have.
    fn check_names(&self, family: &Family) -> Result<()> {
        let default = match family {
            Family::NextDit(_) => serde_json::to_value(NextDitConfig::default()),
            Family::FlagDit => serde_json::to_value(FlagDitConfig::default()),
            Family::ClassDit(_) => serde_json::to_value(ClassDitConfig::default()),
            Family::AudioFlagDit => serde_json::to_value(AudioFlagDitConfig::lumina()),
        };
        let Ok(Value::Object(known)) = default else { return Ok(()) };
        let is_known = |name: &str| known.contains_key(name) || name == WIDTH || name.starts_with('_');
        match self.fields.keys().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => {
                let names: Vec<String> = known.keys().map(|name| format!("`{name}`")).collect();
                Err(self.wrong(format!("the network has no field `{name}`, it has {}", names.join(", "))))
            }
        }
    }

    /// A field that is a whole number.
    fn size(&self, name: &str) -> Option<usize> {
        usize::try_from(self.fields.get(name)?.as_u64()?).ok()
    }

    /// A config with the fields in the place of its own.
    fn over<T: Serialize + DeserializeOwned>(&self, config: T) -> Result<T> {
        if self.fields.is_empty() {
            return Ok(config);
        }
        let own = serde_json::to_value(&config).map_err(|error| self.wrong(error.to_string()))?;
        let Value::Object(mut merged) = own else { return Ok(config) };
        // Left out where it follows from a formula, whose numbers the file may have.
        if ["multiple_of", "ffn_dim_multiplier"].iter().any(|name| self.fields.contains_key(*name)) {
            merged.insert(WIDTH.to_owned(), Value::Null);
        }
        for (name, value) in self.fields.iter().filter(|(name, _)| !name.starts_with('_')) {
            merged.insert(name.clone(), value.clone());
        }
        serde_json::from_value(Value::Object(merged)).map_err(|error| self.wrong(error.to_string()))
    }

    fn wrong(&self, reason: String) -> ModelError {
        ModelError::config(&self.path, reason)
    }
}

/// As [`identify`](super::identify), with what is said beyond shapes.
///
/// What neither shapes nor overrides tell has its published value: 32 heads where attention has no gate, patches of 2,
/// epsilon 1e-5, the size of the training.
///
/// # Errors
/// As [`identify`](super::identify); [`ModelError::Config`] when the checkpoint is another network than the preset,
/// and for fields that the network does not have or that do not fit together.
pub fn identify_with(checkpoint: &Checkpoint, overrides: &Overrides) -> Result<Identified> {
    let given = overrides.kind()?;
    let family = Family::detect_with(checkpoint, given)?;
    if let (Family::ClassDit(found), Some(given)) = (&family, given)
        && *found != given
    {
        return Err(family.not(given.name(), checkpoint));
    }
    overrides.check_class(&family)?;
    overrides.check_names(&family)?;
    let base = match overrides.preset {
        Some(preset) => published(&family, preset, checkpoint)?,
        None => from_shapes(&family, checkpoint, overrides)?,
    };
    let config = match base {
        BackboneConfig::NextDit(config) => BackboneConfig::NextDit(overrides.over(config)?),
        BackboneConfig::FlagDit(config) => BackboneConfig::FlagDit(overrides.over(config)?),
        BackboneConfig::ClassDit(config) => BackboneConfig::ClassDit(overrides.over(config)?),
        BackboneConfig::AudioFlagDit(config) => BackboneConfig::AudioFlagDit(overrides.over(config)?),
    };
    config.check().map_err(|reason| {
        let path = if overrides.fields.is_empty() { checkpoint.path() } else { &overrides.path };
        ModelError::config(path, reason)
    })?;
    let preset = Preset::matching(&config)?.map(|preset| preset.name);
    Ok(Identified { family, config, preset })
}

/// Loads whatever backbone a checkpoint is.
///
/// # Errors
/// As [`identify_with`] and [`Weights::tensor`](crate::weights::Weights::tensor).
pub fn open_backbone(
    checkpoint: &Checkpoint,
    overrides: &Overrides,
    dtype: DType,
    device: &Device,
    interrupt: &Interrupt,
) -> Result<Arc<dyn Backbone>> {
    identify_with(checkpoint, overrides)?.load(checkpoint, dtype, device, interrupt)
}

impl Identified {
    /// Compares the checkpoint with what the network needs, from headers alone.
    ///
    /// # Errors
    /// As [`BackboneConfig::expected`].
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<Report> {
        let ignorable =
            |name: &str| self.family == Family::AudioFlagDit && AudioFlagDit::is_ignorable(checkpoint, name);
        Ok(verify(checkpoint, &self.family.key_map(checkpoint), &self.config.expected()?, &ignorable))
    }

    /// Bytes that the network holds once it is loaded in `dtype`; quantised matrices stay as they are.
    ///
    /// # Errors
    /// As [`BackboneConfig::expected`].
    pub fn loaded_bytes(&self, checkpoint: &Checkpoint, dtype: DType, device: &Device) -> Result<u64> {
        let keys = self.family.key_map(checkpoint);
        let stored = |name: &str| keys.resolve(name, checkpoint).and_then(|key| checkpoint.get(&key));
        let expected = self.config.expected()?.required;
        Ok(expected
            .iter()
            .map(|(name, shape)| match stored(name) {
                Some(tensor) => tensor.loaded_bytes(dtype, device),
                None => (shape.iter().product::<usize>() * dtype.size_in_bytes()) as u64,
            })
            .sum())
    }

    /// Loads the network.
    ///
    /// # Errors
    /// As [`Weights::tensor`](crate::weights::Weights::tensor).
    pub fn load(
        &self,
        checkpoint: &Checkpoint,
        dtype: DType,
        device: &Device,
        interrupt: &Interrupt,
    ) -> Result<Arc<dyn Backbone>> {
        Ok(match &self.config {
            BackboneConfig::NextDit(config) => {
                Arc::new(NextDit::load(checkpoint, config, dtype, device, interrupt)?)
            }
            BackboneConfig::FlagDit(config) => {
                Arc::new(FlagDit::load(checkpoint, config, dtype, device, interrupt)?)
            }
            BackboneConfig::ClassDit(config) => {
                Arc::new(ClassDit::load(checkpoint, config, dtype, device, interrupt)?)
            }
            BackboneConfig::AudioFlagDit(config) => {
                Arc::new(AudioFlagDit::load(checkpoint, config, dtype, device, interrupt)?)
            }
        })
    }
}

/// The sizes of a preset, if the checkpoint is a network of its family.
fn published(family: &Family, preset: &Preset, checkpoint: &Checkpoint) -> Result<BackboneConfig> {
    let config = preset.config();
    let same = match (&config, family) {
        (BackboneConfig::NextDit(_), Family::NextDit(_)) | (BackboneConfig::FlagDit(_), Family::FlagDit) => {
            true
        }
        (BackboneConfig::ClassDit(config), Family::ClassDit(kind)) => config.kind == *kind,
        _ => false,
    };
    if same {
        return Ok(config);
    }
    Err(family.not(&format!("`{}`, {}", preset.name, config.profile().name), checkpoint))
}

/// The sizes that the shapes of a checkpoint imply.
fn from_shapes(family: &Family, checkpoint: &Checkpoint, overrides: &Overrides) -> Result<BackboneConfig> {
    let mut config = match family {
        Family::NextDit(_) => BackboneConfig::NextDit(NextDitConfig::from_checkpoint(checkpoint)?),
        Family::FlagDit => BackboneConfig::FlagDit(FlagDitConfig::from_checkpoint(checkpoint)?),
        Family::ClassDit(kind) => {
            let heads = overrides.size("num_attention_heads");
            BackboneConfig::ClassDit(ClassDitConfig::of_kind(checkpoint, *kind, heads)?)
        }
        Family::AudioFlagDit => {
            BackboneConfig::AudioFlagDit(AudioFlagDitConfig::from_checkpoint(checkpoint)?)
        }
    };
    // How many channels there are depends on the patch, which no shape tells.
    if let Some(side) = overrides.size("patch_size").filter(|side| (1..1 << 10).contains(side)) {
        let keys = family.key_map(checkpoint);
        let channels = || -> Result<usize> {
            Ok(shape_of(checkpoint, &keys, "x_embedder.weight", 2)?[1] / (side * side))
        };
        match &mut config {
            BackboneConfig::NextDit(config) => config.in_channels = channels()?,
            BackboneConfig::FlagDit(config) => config.sizes.in_channels = channels()?,
            BackboneConfig::ClassDit(config) => config.sizes.in_channels = channels()?,
            BackboneConfig::AudioFlagDit(_) => {}
        }
    }
    Ok(config)
}
