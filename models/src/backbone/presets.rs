//! The sizes that Lumina-T2X defines.

use serde::{Deserialize, Serialize};

use super::audio::{AudioFlagDit, AudioFlagDitConfig};
use super::class_config::{ClassDitConfig, ClassDitKind};
use super::{ClassDit, DitSizes, FlagDit, FlagDitConfig, NextDit, NextDitConfig};
use crate::Result;
use crate::weights::Expected;

/// The sizes of any backbone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum BackboneConfig {
    /// Next-DiT for text.
    NextDit(NextDitConfig),
    /// Flag-DiT for text.
    FlagDit(FlagDitConfig),
    /// A class-conditional network.
    ClassDit(ClassDitConfig),
    /// Flag-DiT for sound.
    AudioFlagDit(AudioFlagDitConfig),
}

impl BackboneConfig {
    /// What is wrong, with the name of the field.
    ///
    /// # Errors
    /// The first mistake, in words.
    pub fn check(&self) -> std::result::Result<(), String> {
        match self {
            Self::NextDit(config) => config.check(),
            Self::FlagDit(config) => config.check(),
            Self::ClassDit(config) => config.check(),
            Self::AudioFlagDit(config) => config.check(),
        }
    }

    /// The tensors of the network, found without allocating any.
    ///
    /// # Errors
    /// [`ModelError::Input`](crate::ModelError::Input) for sizes that no network has.
    pub fn expected(&self) -> Result<Expected> {
        match self {
            Self::NextDit(config) => NextDit::expected(config),
            Self::FlagDit(config) => FlagDit::expected(config),
            Self::ClassDit(config) => ClassDit::expected(config),
            Self::AudioFlagDit(config) => AudioFlagDit::expected(config),
        }
    }
}

/// A size with a name.
#[derive(Clone, Debug)]
pub struct Preset {
    /// Family and size, such as `next-dit-2b-gqa`.
    pub name: &'static str,
    /// The constructor in Lumina-T2X, as `model_args.pth` has it; not unique among families.
    pub constructor: &'static str,
    /// Number of parameters.
    pub parameters: u64,
    size: Size,
    kind: Kind,
}

/// Width and number of blocks; all have 32 heads.
type Size = (usize, usize);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Next { key_heads: Option<usize> },
    Flag,
    Class(ClassDitKind, usize),
}

const M600: Size = (1536, 16);
const B2: Size = (2304, 24);
const B3: Size = (3072, 32);
const B7: Size = (4096, 32);

const FLAG: Kind = Kind::Class(ClassDitKind::Flag, 0);
const NEXT: Kind = Kind::Class(ClassDitKind::Next, 0);
const TIME: Kind = Kind::Class(ClassDitKind::TimeMixture, 8);
const SPACE: Kind = Kind::Class(ClassDitKind::SpaceMixture, 8);
const BOTH: Kind = Kind::Class(ClassDitKind::BothMixtures, 4);

/// Every size that Lumina-T2X defines and whose number of parameters is known.
pub const PRESETS: [Preset; 16] = [
    preset("flag-dit-5b", "DiT_Llama_5B_patch2", 5_046_643_744, B3, Kind::Flag),
    preset("next-dit-2b-gqa", "NextDiT_2B_GQA_patch2", 1_627_386_400, B2, Kind::Next { key_heads: Some(8) }),
    preset("next-dit-2b", "NextDiT_2B_patch2", 1_988_524_576, B2, Kind::Next { key_heads: None }),
    preset("flag-dit-imagenet-600m", "DiT_Llama_600M_patch2", 609_836_576, M600, FLAG),
    preset("flag-dit-imagenet-3b", "DiT_Llama_3B_patch2", 4_237_824_032, B3, FLAG),
    preset("flag-dit-imagenet-7b", "DiT_Llama_7B_patch2", 7_293_819_936, B7, FLAG),
    preset("next-dit-imagenet-600m", "DiT_Llama_600M_patch2", 559_455_776, M600, NEXT),
    preset("next-dit-imagenet-2b", "DiT_Llama_2B_patch2", 1_763_043_104, B2, NEXT),
    preset("next-dit-imagenet-3b", "DiT_Llama_3B_patch2", 4_036_300_832, B3, NEXT),
    preset("next-dit-imagenet-7b", "DiT_Llama_7B_patch2", 7_025_122_336, B7, NEXT),
    preset("next-dit-moe-time-600m", "DiT_Llama_600M_patch2", 2_673_516_064, M600, TIME),
    preset("next-dit-moe-time-2b", "DiT_Llama_2B_patch2", 8_897_750_816, B2, TIME),
    preset("next-dit-moe-time-3b", "DiT_Llama_3B_patch2", 20_947_996_704, B3, TIME),
    preset("next-dit-moe-time-7b", "DiT_Llama_7B_patch2", 37_325_036_576, B7, TIME),
    preset("next-dit-moe-space-600m", "DiT_Llama_600M_patch2_Spatial", 2_673_581_600, M600, SPACE),
    preset("next-dit-moe-both-600m", "DiT_Llama_600M_patch2_Both", 2_723_954_208, M600, BOTH),
];

/// The names of all presets.
pub const PRESET_NAMES: [&str; PRESETS.len()] = {
    let mut names = [""; PRESETS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = PRESETS[index].name;
        index += 1;
    }
    names
};

const fn preset(
    name: &'static str,
    constructor: &'static str,
    parameters: u64,
    size: Size,
    kind: Kind,
) -> Preset {
    Preset { name, constructor, parameters, size, kind }
}

impl Preset {
    /// The preset of a name.
    pub fn find(name: &str) -> Option<&'static Self> {
        const ALL: &[Preset] = &PRESETS;
        ALL.iter().find(|preset| preset.name == name)
    }

    /// The preset that has the same tensors as `config`.
    ///
    /// # Errors
    /// As [`BackboneConfig::expected`].
    pub fn matching(config: &BackboneConfig) -> Result<Option<&'static Self>> {
        const ALL: &[Preset] = &PRESETS;
        let expected = config.expected()?;
        for preset in ALL {
            let other = preset.config();
            // Before all names are compared, as some networks have thousands.
            let same_kind = match (config, &other) {
                (BackboneConfig::ClassDit(a), BackboneConfig::ClassDit(b)) => a.kind == b.kind,
                (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
            };
            if same_kind && preset.parameters == expected.parameters() && other.expected()? == expected {
                return Ok(Some(preset));
            }
        }
        Ok(None)
    }

    /// Its sizes.
    pub fn config(&self) -> BackboneConfig {
        let (hidden_size, num_layers) = self.size;
        let sizes = DitSizes { hidden_size, num_layers, ..DitSizes::default() };
        match self.kind {
            Kind::Flag => BackboneConfig::FlagDit(FlagDitConfig { sizes, ..FlagDitConfig::default() }),
            Kind::Next { key_heads } => BackboneConfig::NextDit(NextDitConfig {
                hidden_size,
                num_layers,
                num_kv_heads: key_heads,
                ..NextDitConfig::default()
            }),
            Kind::Class(kind, num_experts) => BackboneConfig::ClassDit(ClassDitConfig {
                kind,
                sizes,
                num_experts,
                ..ClassDitConfig::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_the_published_number_of_parameters() {
        for preset in &PRESETS {
            let found = preset.config().expected().unwrap().parameters();
            assert_eq!(found, preset.parameters, "{}", preset.name);
        }
    }

    #[test]
    fn every_preset_has_the_published_number_of_tensors() {
        let tensors = |name| Preset::find(name).unwrap().config().expected().unwrap().required.len();
        assert_eq!(tensors("flag-dit-5b"), 688);
        assert_eq!(tensors("next-dit-2b-gqa"), 567);
        assert_eq!(tensors("flag-dit-imagenet-600m"), 251);
        assert_eq!(tensors("next-dit-imagenet-600m"), 251);
        assert_eq!(tensors("next-dit-moe-time-600m"), 603);
        assert_eq!(tensors("next-dit-moe-both-600m"), 635);
    }

    #[test]
    fn diffusers_stores_the_queries_of_next_dit_twice() {
        let expected = Preset::find("next-dit-2b-gqa").unwrap().config().expected().unwrap();
        let twice: u64 = expected
            .optional
            .iter()
            .map(|(_, shape)| shape.iter().map(|&size| size as u64).product::<u64>())
            .sum();
        assert_eq!(expected.parameters() + twice, 1_754_898_976);
    }

    #[test]
    fn a_preset_is_found_by_its_tensors() {
        for preset in &PRESETS {
            assert_eq!(Preset::matching(&preset.config()).unwrap().unwrap().name, preset.name);
        }
        let other = NextDitConfig { hidden_size: 1024, ..NextDitConfig::default() };
        assert!(Preset::matching(&BackboneConfig::NextDit(other)).unwrap().is_none());
    }
}
