//! Comparison with what the reference implementations compute; `tests/golden/README.md` says where the data is from.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]
#![expect(clippy::print_stdout, reason = "a comparison shows how close it was")]

mod anagram;
mod audio_autoencoder;
mod audio_cfm;
mod audio_flag_dit;
mod audio_vocoder;
mod autoencoder;
mod backbone_cases;
mod backbone_faults;
mod backbone_frames;
mod backbone_memory;
mod class_backbones;
mod common;
mod compositional;
mod faults;
mod flow_ode;
mod flow_schedulers;
mod flow_schedules;
mod flow_sde;
mod flow_start;
mod folder;
mod formula;
mod formula_backbones;
mod gemma;
mod gguf;
mod gguf_faults;
mod gguf_files;
mod hostile;
mod layouts;
mod next_dit;
mod open_backbone;
mod pipeline;
mod precision;
mod precision_table;
mod text_backbones;
mod text_encoders;
mod text_folders;
mod text_precision;
mod text_prompts;
mod torch_files;
mod transformer;
