//! The sizes of a network as a property of its fact, so that nodes further on can say how much memory they need.

use lumina_engine::Fact;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The name of the property; its text is JSON.
const SIZES: &str = "sizes";

/// A fact with the sizes of its network.
pub(crate) fn with_sizes(fact: Fact, config: &impl Serialize) -> Fact {
    match serde_json::to_string(config) {
        Ok(text) => fact.with(SIZES, text),
        Err(_) => fact,
    }
}

/// The sizes of the network that a fact is about; `None` when nothing is known of it.
pub fn sizes<T: DeserializeOwned>(fact: Option<&Fact>) -> Option<T> {
    serde_json::from_str(fact?.text(SIZES)?).ok()
}

#[cfg(test)]
mod tests {
    use lumina_engine::Type;
    use lumina_models::backbone::NextDitConfig;

    use super::*;

    #[test]
    fn sizes_survive_the_way_through_a_fact() {
        let config = NextDitConfig { num_layers: 5, ..NextDitConfig::default() };
        let fact = with_sizes(Fact::of(Type::Any), &config);
        assert_eq!(sizes::<NextDitConfig>(Some(&fact)), Some(config));
        assert_eq!(sizes::<NextDitConfig>(Some(&Fact::of(Type::Any))), None);
    }
}
