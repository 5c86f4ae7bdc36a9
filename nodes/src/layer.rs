//! The input `layer`: which hidden state of a text encoder counts.

use lumina_engine::{Code, InputSpec, Mistake, Type, Value};
use lumina_models::text::HiddenState;

/// The texts that name a hidden state.
const NAMES: [&str; 2] = ["last", "second_to_last"];

/// The input, which may be absent.
pub(crate) fn layer_input(doc: &'static str) -> InputSpec {
    InputSpec::optional("layer", Type::OneOf(vec![Type::Text, Type::Int]), doc).choices(&NAMES).min(0.0)
}

/// The hidden state that a value of the input means.
pub(crate) fn hidden_state(value: Option<&Value>) -> Option<HiddenState> {
    match value? {
        Value::Int(index) => usize::try_from(*index).ok().map(HiddenState::At),
        Value::Text(name) if **name == *NAMES[0] => Some(HiddenState::Last),
        Value::Text(name) if **name == *NAMES[1] => Some(HiddenState::SecondToLast),
        _ => None,
    }
}

/// The number of layers before a hidden state of a network of `layers` layers.
///
/// # Errors
/// A mistake when there are not as many.
pub(crate) fn layer_index(state: HiddenState, layers: usize) -> Result<usize, Box<Mistake>> {
    state.index(layers).map_err(|_| {
        let found = match state {
            HiddenState::At(index) => index.to_string(),
            HiddenState::Last | HiddenState::SecondToLast => "a name".to_owned(),
        };
        let message = format!("`layer` is {found}, expected at most {layers}, the number of layers");
        Box::new(Mistake::at("layer", message).code(Code::OutOfRange))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_a_number_or_a_name() {
        assert_eq!(hidden_state(Some(&Value::Int(3))), Some(HiddenState::At(3)));
        assert_eq!(hidden_state(Some(&Value::text("last"))), Some(HiddenState::Last));
        assert_eq!(hidden_state(Some(&Value::text("second_to_last"))), Some(HiddenState::SecondToLast));
        assert_eq!(hidden_state(Some(&Value::Int(-1))), None);
        assert_eq!(hidden_state(None), None);
    }
}
