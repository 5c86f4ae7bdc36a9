//! A parameter's value with its type: in lock files and in JSON a number is a number.

use std::fmt;

use lumina_engine::{Document, Type};
use serde::{Deserialize, Serialize};

/// A plain value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Scalar {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text or path.
    Text(String),
}

impl Scalar {
    /// A value from the text that `--set` takes; a text where the text is none of the type.
    pub(crate) fn of(ty: &Type, text: &str) -> Self {
        let parsed = match ty {
            Type::Bool => text.trim().parse().ok().map(Scalar::Bool),
            Type::Int => text.trim().parse().ok().map(Scalar::Int),
            // Neither JSON nor people can read a number that is none.
            Type::Float => {
                text.trim().parse().ok().filter(|value: &f64| value.is_finite()).map(Scalar::Float)
            }
            Type::OneOf(types) => types.iter().map(|ty| Scalar::of(ty, text)).find(Scalar::is_no_text),
            _ => None,
        };
        parsed.unwrap_or_else(|| Scalar::Text(text.to_owned()))
    }

    /// The value of a graph's parameter, of the type the graph declares.
    pub(crate) fn of_param(document: &Document, name: &str, text: &str) -> Self {
        let declared = document.params.iter().find(|param| param.name.value == name);
        Scalar::of(declared.map_or(&Type::Text, |param| &param.ty), text)
    }

    fn is_no_text(&self) -> bool {
        !matches!(self, Scalar::Text(_))
    }
}

/// As `--set` takes it.
impl fmt::Display for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Bool(value) => value.fmt(formatter),
            Scalar::Int(value) => value.fmt(formatter),
            // `3.0` stays a number with a fraction.
            Scalar::Float(value) => fmt::Debug::fmt(value, formatter),
            Scalar::Text(text) => formatter.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_from_ron_as_it_was() {
        for scalar in [
            Scalar::Bool(true),
            Scalar::Int(i64::MAX),
            Scalar::Int(i64::MIN),
            Scalar::Float(0.1),
            Scalar::Float(3.0),
            Scalar::Float(1e300),
            Scalar::Text("true \"é\" \n 3".into()),
        ] {
            let text = ron::to_string(&scalar).unwrap();
            assert_eq!(ron::from_str::<Scalar>(&text).unwrap(), scalar, "{text}");
        }
    }

    #[test]
    fn a_value_has_the_type_it_is_declared_with() {
        assert_eq!(Scalar::of(&Type::Int, "7"), Scalar::Int(7));
        assert_eq!(Scalar::of(&Type::Text, "7"), Scalar::Text("7".into()));
        assert_eq!(Scalar::of(&Type::Float, "7").to_string(), "7.0");
        assert_eq!(Scalar::of(&Type::Float, "NaN"), Scalar::Text("NaN".into()));
        let number_or_text = Type::OneOf(vec![Type::Text, Type::Float]);
        assert_eq!(Scalar::of(&number_or_text, "1.5"), Scalar::Float(1.5));
    }
}
