//! What a backbone reads and writes, known from its sizes alone.

use std::fmt;

use candle_core::{DType, Device};

use super::class_config::ClassDitKind;
use super::presets::BackboneConfig;

/// What a backbone is told to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Text features of this width, with a mask.
    Caption {
        /// Channels of the features.
        width: usize,
    },
    /// Features of this width, of which every token counts.
    Context {
        /// Channels of the features.
        width: usize,
    },
    /// One of so many classes, or none.
    Classes {
        /// The number of classes; as a label it stands for none of them.
        count: usize,
    },
}

impl fmt::Display for Wants {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caption { width } => write!(formatter, "a caption of {width} channels"),
            Self::Context { width } => write!(formatter, "a context of {width} channels"),
            Self::Classes { count } => write!(formatter, "classes from 0 to {count}"),
        }
    }
}

/// What a backbone reads and writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// What it is, in words: `a Next-DiT for text`.
    pub name: &'static str,
    /// What it is told.
    pub wants: Wants,
    /// Latent channels.
    pub in_channels: usize,
    /// Channels of its raw output, of which the first `in_channels` are the velocity.
    pub out_channels: usize,
    /// Latent cells per token, along each axis.
    pub patch_size: usize,
    /// Axes of a latent after batch and channels: 2 for pictures, 1 for sound.
    pub axes: usize,
    /// Side of the latents that it was trained on.
    pub sample_size: Option<usize>,
    /// Whether it reads latents of that size only.
    pub only_sample_size: bool,
    /// The value of [`ForwardOptions::base_sequence_length`](super::ForwardOptions) for proportional attention.
    pub base_sequence_length: Option<usize>,
    /// Whether positions run along the sequence, not along the axes.
    pub in_line: bool,
    /// Whether it takes latents of different sizes at once.
    pub mixed_sizes: bool,
    /// Whether it heeds the options that are about the size of pictures: rotary factors and proportional attention.
    pub stretches: bool,
}

impl BackboneConfig {
    /// What a network of these sizes reads and writes.
    pub fn profile(&self) -> Profile {
        match self {
            Self::NextDit(config) => Profile {
                name: "a Next-DiT for text",
                wants: Wants::Caption { width: config.cross_attention_dim },
                in_channels: config.in_channels,
                out_channels: config.out_channels(),
                patch_size: config.patch_size,
                axes: 2,
                sample_size: Some(config.sample_size),
                only_sample_size: false,
                base_sequence_length: Some(config.base_sequence_length()),
                in_line: false,
                mixed_sizes: true,
                stretches: true,
            },
            Self::FlagDit(config) => Profile {
                name: "a Flag-DiT of Lumina-T2I",
                wants: Wants::Caption { width: config.cross_attention_dim },
                in_channels: config.sizes.in_channels,
                out_channels: config.sizes.out_channels(),
                patch_size: config.sizes.patch_size,
                axes: 2,
                sample_size: Some(config.image_size / 8),
                only_sample_size: false,
                base_sequence_length: Some(config.base_sequence_length()),
                in_line: true,
                mixed_sizes: true,
                stretches: true,
            },
            Self::ClassDit(config) => Profile {
                name: config.kind.name(),
                wants: Wants::Classes { count: config.num_classes },
                in_channels: config.sizes.in_channels,
                out_channels: config.sizes.out_channels(),
                patch_size: config.sizes.patch_size,
                axes: 2,
                sample_size: Some(config.sample_size),
                only_sample_size: config.kind == ClassDitKind::Flag,
                base_sequence_length: None,
                in_line: config.kind == ClassDitKind::Flag,
                mixed_sizes: false,
                stretches: true,
            },
            Self::AudioFlagDit(config) => Profile {
                name: "a Flag-DiT of Lumina's audio and music",
                wants: Wants::Context { width: config.context_dim },
                in_channels: config.in_channels,
                out_channels: config.in_channels,
                patch_size: 1,
                axes: 1,
                sample_size: None,
                only_sample_size: false,
                base_sequence_length: None,
                in_line: true,
                mixed_sizes: false,
                stretches: false,
            },
        }
    }

    /// Tokens of a latent with these sides, one for each of [`Profile::axes`].
    pub fn tokens(&self, sides: &[usize]) -> Option<usize> {
        match (self, sides) {
            (Self::NextDit(config), [height, width]) => Some(config.tokens(*height, *width)),
            (Self::FlagDit(config), [height, width]) => Some(config.tokens(*height, *width)),
            (Self::ClassDit(config), [height, width]) => Some(config.sizes.tokens(*height, *width)),
            (Self::AudioFlagDit(_), [length]) => Some(*length),
            _ => None,
        }
    }

    /// Bytes of what is prepared of `batch` captions or contexts of `tokens` tokens, or of as many labels.
    pub fn prepared_bytes(&self, batch: usize, tokens: usize, dtype: DType) -> u64 {
        match self {
            Self::NextDit(config) => config.caption_bytes(batch, tokens, dtype),
            Self::FlagDit(config) => config.caption_bytes(batch, tokens, dtype),
            Self::ClassDit(_) => (batch * size_of::<u32>()) as u64,
            Self::AudioFlagDit(config) => config.context_bytes(batch, tokens, dtype),
        }
    }

    /// Bytes that one evaluation of `batch` latents of `tokens` tokens takes with a caption or context of `caption`
    /// tokens.
    pub fn forward_bytes(
        &self,
        batch: usize,
        tokens: usize,
        caption: usize,
        dtype: DType,
        device: &Device,
    ) -> u64 {
        match self {
            Self::NextDit(config) => config.forward_bytes(batch, tokens, caption, dtype, device),
            Self::FlagDit(config) => config.forward_bytes(batch, tokens, caption, dtype, device),
            Self::ClassDit(config) => config.forward_bytes(batch, tokens, dtype, device),
            Self::AudioFlagDit(config) => config.forward_bytes(batch, tokens, caption, dtype, device),
        }
    }
}
