//! What may flow through a socket.

use std::fmt;

/// The type of a socket: scalars, lists, and an open set of named domain types that plugins add.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// A truth value.
    Bool,
    /// A 64-bit whole number.
    Int,
    /// A 64-bit floating point number.
    Float,
    /// Unicode text.
    Text,
    /// A file or folder.
    Path,
    /// Any number of values of one type.
    List(Box<Type>),
    /// A type of a plugin or of the built-in modalities, for example `Latent`.
    Domain(&'static str),
    /// One of several types.
    OneOf(Vec<Type>),
    /// Anything.
    Any,
}

impl Type {
    /// A list of this type.
    pub fn list(item: Type) -> Self {
        Type::List(Box::new(item))
    }

    /// Does a value of type `given` fit into a socket of this type?
    ///
    /// A whole number fits where a number is expected and a text where a path is; nothing else is converted.
    pub fn accepts(&self, given: &Type) -> bool {
        match (self, given) {
            (Type::Any, _) => true,
            // All that may come has to fit; this before the types of the socket are tried one by one.
            (_, Type::OneOf(given)) => given.iter().all(|given| self.accepts(given)),
            (Type::OneOf(types), _) => types.iter().any(|ty| ty.accepts(given)),
            (Type::Float, Type::Int) | (Type::Path, Type::Text) => true,
            (Type::List(item), Type::List(given)) => item.accepts(given),
            _ => self == given,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Bool => formatter.write_str("Bool"),
            Type::Int => formatter.write_str("Int"),
            Type::Float => formatter.write_str("Float"),
            Type::Text => formatter.write_str("Text"),
            Type::Path => formatter.write_str("Path"),
            Type::List(item) => write!(formatter, "List<{item}>"),
            Type::Domain(name) => formatter.write_str(name),
            Type::OneOf(types) => {
                for (index, ty) in types.iter().enumerate() {
                    write!(formatter, "{}{ty}", if index == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
            Type::Any => formatter.write_str("Any"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_fit_where_numbers_are_expected_and_not_the_other_way_round() {
        assert!(Type::Float.accepts(&Type::Int));
        assert!(!Type::Int.accepts(&Type::Float));
        assert!(Type::list(Type::Float).accepts(&Type::list(Type::Int)));
    }

    #[test]
    fn one_of_takes_what_any_of_its_types_takes() {
        let prompt = Type::OneOf(vec![Type::Text, Type::list(Type::Text)]);
        assert!(prompt.accepts(&Type::list(Type::Text)));
        assert!(!prompt.accepts(&Type::Int));
        assert_eq!(prompt.to_string(), "Text or List<Text>");
    }
}
