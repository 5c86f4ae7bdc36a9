//! The residual block.

use candle_core::Tensor;

use super::{BigVganConfig, Snake, SnakeOptions};
use crate::nn::{Conv1d, Conv1dShape, WeightForm};
use crate::weights::Weights;
use crate::{Interrupt, Result};

/// Steps of activation, dilated convolution, activation, convolution, each added to its input.
///
/// Source: `AMPBlock1` of Lumina-T2X `lumina_audio/models/vocoder/bigvgan/models.py`.
#[derive(Clone, Debug)]
pub(crate) struct ResidualBlock {
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    snake1: Snake,
    conv1: Conv1d,
    snake2: Snake,
    conv2: Conv1d,
}

impl ResidualBlock {
    pub(crate) fn load(
        weights: &Weights,
        channels: usize,
        (kernel, dilations): (usize, &[usize]),
        config: &BigVganConfig,
        form: WeightForm,
    ) -> Result<Self> {
        let options = SnakeOptions { kind: config.activation, logscale: config.snake_logscale };
        let snake = |index: usize| Snake::load(&weights.under("activations").under(index), channels, options);
        let conv = |name: &str, index: usize, dilation: usize| {
            let shape = Conv1dShape::dilated(channels, channels, kernel, dilation);
            Conv1d::load(&weights.under(name).under(index), shape, form)
        };
        let steps = dilations.iter().enumerate().map(|(index, &dilation)| {
            Ok(Step {
                snake1: snake(2 * index)?,
                conv1: conv("convs1", index, dilation)?,
                snake2: snake(2 * index + 1)?,
                conv2: conv("convs2", index, 1)?,
            })
        });
        Ok(Self { steps: steps.collect::<Result<_>>()? })
    }

    /// Shows what the first activation gives to `observe`.
    pub(crate) fn forward(
        &self,
        input: &Tensor,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(&Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let mut state = input.clone();
        for (index, step) in self.steps.iter().enumerate() {
            interrupt.check()?;
            let hidden = step.snake1.forward(&state)?;
            if index == 0 {
                observe(&hidden)?;
            }
            let hidden = step.snake2.forward(&step.conv1.forward(&hidden)?)?;
            state = (state + step.conv2.forward(&hidden)?)?;
        }
        Ok(state)
    }
}
