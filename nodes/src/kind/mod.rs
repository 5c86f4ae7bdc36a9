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
mod tensor_save;
mod tensor_slice;
mod text_encode;

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
        .add(tensor_save::spec(), tensor_save::TensorSave)
        .add(tensor_slice::spec(), tensor_slice::TensorSlice)
        .add(text_encode::spec(), text_encode::TextEncode);
}
