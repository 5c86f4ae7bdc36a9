//! One file per node kind.

mod decode;
mod encode;
mod load;
mod noise;
mod save;
mod tensor;

use lumina_engine::Registry;

use super::Image;

/// Adds the node kinds of pictures.
pub fn plugin(registry: &mut Registry) {
    registry
        .storable::<Image>()
        .add(decode::spec(), decode::ImageDecode)
        .add(encode::spec(), encode::ImageEncode)
        .add(load::spec(), load::ImageLoad)
        .add(noise::spec(), noise::ImageNoise)
        .add(save::spec(), save::ImageSave)
        .add(tensor::spec(), tensor::ImageTensor);
}
