//! One file per node kind. Each has a `spec` and a [`Node`](lumina_engine::Node).

mod backbone_load;
mod backbone_velocities;
mod backbone_velocity;
mod guidance_cfg;
mod guidance_combine;
mod model_open;
mod sampler_ode;
mod schedule_flow;
mod tensor_compare;
mod tensor_concat;
mod tensor_latent;
mod tensor_load;
mod tensor_reshape;
mod tensor_save;
mod tensor_slice;
mod text_encode;
mod text_hidden;
mod text_load;
mod vae_decode;
mod vae_encode;
mod vae_load;
mod vocoder_load;
mod vocoder_wave;

use lumina_engine::Registry;

use crate::value::{Conditioning, Latent, Space, TensorValue, Times};

/// Adds all node kinds of this crate.
pub fn plugin(registry: &mut Registry) {
    registry
        .storable::<Conditioning>()
        .storable::<Latent>()
        .storable::<Space>()
        .storable::<TensorValue>()
        .storable::<Times>();
    registry
        .add(backbone_load::spec(), backbone_load::BackboneLoad)
        .add(backbone_velocities::spec(), backbone_velocities::BackboneVelocities)
        .add(backbone_velocity::spec(), backbone_velocity::BackboneVelocity)
        .add(guidance_cfg::spec(), guidance_cfg::GuidanceCfg)
        .add(guidance_combine::spec(), guidance_combine::GuidanceCombine)
        .add(model_open::spec(), model_open::ModelOpen)
        .add(sampler_ode::spec(), sampler_ode::SamplerOde)
        .add(schedule_flow::spec(), schedule_flow::ScheduleFlow)
        .add(tensor_compare::spec(), tensor_compare::TensorCompare)
        .add(tensor_concat::spec(), tensor_concat::TensorConcat)
        .add(tensor_latent::spec(), tensor_latent::TensorLatent)
        .add(tensor_load::spec(), tensor_load::TensorLoad)
        .add(tensor_reshape::spec(), tensor_reshape::TensorReshape)
        .add(tensor_save::spec(), tensor_save::TensorSave)
        .add(tensor_slice::spec(), tensor_slice::TensorSlice)
        .add(text_encode::spec(), text_encode::TextEncode)
        .add(text_hidden::spec(), text_hidden::TextHidden)
        .add(text_load::spec(), text_load::TextLoad)
        .add(vae_decode::spec(), vae_decode::VaeDecode)
        .add(vae_encode::spec(), vae_encode::VaeEncode)
        .add(vae_load::spec(), vae_load::VaeLoad)
        .add(vocoder_load::spec(), vocoder_load::VocoderLoad)
        .add(vocoder_wave::spec(), vocoder_wave::VocoderWave);
}
