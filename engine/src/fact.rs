//! What is known of a value before anything runs: its type, maybe its value, its shape, its properties.

use std::collections::BTreeMap;
use std::fmt;

use crate::types::Type;
use crate::value::Value;

/// One dimension of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// A known size.
    Known(usize),
    /// A size that has a name but no number yet, for example `tokens`.
    Named(&'static str),
}

/// The dimensions of a tensor, outermost first.
pub type Shape = Vec<Dimension>;

/// What is known about a value that does not exist yet. Everything but the type may be unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Its type.
    pub ty: Type,
    /// The value itself, where it is written in the graph.
    pub value: Option<Value>,
    /// Its shape.
    pub shape: Option<Shape>,
    /// Properties by name that other nodes compare, for example the `space` of a latent.
    pub properties: BTreeMap<&'static str, Property>,
}

/// A named property of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Property {
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
}

impl Fact {
    /// Only the type is known.
    pub fn of(ty: Type) -> Self {
        Self { ty, value: None, shape: None, properties: BTreeMap::new() }
    }

    /// The value is known.
    pub fn constant(value: Value) -> Self {
        Self { ty: value.ty(), value: Some(value), shape: None, properties: BTreeMap::new() }
    }

    /// Adds a shape.
    pub fn shape(mut self, shape: impl IntoIterator<Item = impl Into<Dimension>>) -> Self {
        self.shape = Some(shape.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a property.
    pub fn with(mut self, name: &'static str, property: impl Into<Property>) -> Self {
        self.properties.insert(name, property.into());
        self
    }

    /// A property that is a number.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.properties.get(name) {
            Some(Property::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// A property that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.properties.get(name) {
            Some(Property::Text(value)) => Some(value),
            _ => None,
        }
    }

    /// A dimension of the shape, if it is known.
    pub fn dimension(&self, index: usize) -> Option<usize> {
        match self.shape.as_ref()?.get(index)? {
            Dimension::Known(size) => Some(*size),
            Dimension::Named(_) => None,
        }
    }

    /// The number of elements, if every dimension is known.
    pub fn elements(&self) -> Option<u64> {
        self.shape.as_ref()?.iter().try_fold(1u64, |product, dimension| match dimension {
            Dimension::Known(size) => product.checked_mul(*size as u64),
            Dimension::Named(_) => None,
        })
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.ty)?;
        if let Some(shape) = &self.shape {
            let shape: Vec<String> = shape.iter().map(Dimension::to_string).collect();
            write!(formatter, " [{}]", shape.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dimension::Known(size) => size.fmt(formatter),
            Dimension::Named(name) => formatter.write_str(name),
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Property::Int(value) => value.fmt(formatter),
            Property::Text(value) => value.fmt(formatter),
        }
    }
}

impl From<usize> for Dimension {
    fn from(size: usize) -> Self {
        Dimension::Known(size)
    }
}

impl From<Option<usize>> for Dimension {
    fn from(size: Option<usize>) -> Self {
        size.map_or(Dimension::Named("?"), Dimension::Known)
    }
}

impl From<i64> for Property {
    fn from(value: i64) -> Self {
        Property::Int(value)
    }
}

impl From<usize> for Property {
    fn from(value: usize) -> Self {
        Property::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<String> for Property {
    fn from(value: String) -> Self {
        Property::Text(value)
    }
}

impl From<&str> for Property {
    fn from(value: &str) -> Self {
        Property::Text(value.into())
    }
}
