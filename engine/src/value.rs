//! What flows through sockets: immutable, shared, cheap to clone.

use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::key::Digest;
use crate::types::Type;
use crate::world::World;

/// A value. Large contents are shared, so a clone costs a counter.
#[derive(Clone)]
pub enum Value {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// A file or folder.
    Path(Arc<Path>),
    /// Several values.
    List(Arc<[Value]>),
    /// A value of a plugin's type.
    Domain(DomainValue),
}

/// A type that a plugin lets flow through sockets.
pub trait Domain: Any + Send + Sync {
    /// Its name in graphs and messages, for example `Latent`.
    const NAME: &'static str;

    /// Bytes of memory it holds on to, for the cache's budget.
    fn byte_size(&self) -> u64;

    /// A digest of its content, where that is at hand in the memory of the host and cheap to read. With one, an edit
    /// that makes an equal value anew stops there: what depends on it does not run again.
    fn digest(&self) -> Option<Digest> {
        None
    }
}

/// A [`Domain`] type whose values can be kept on disk.
pub trait Storable: Domain + Sized {
    /// The value as bytes.
    ///
    /// # Errors
    /// When it cannot be read back from its device; it is then not kept.
    fn store(&self) -> Result<Vec<u8>, String>;

    /// The value from its bytes, on the device of the world.
    ///
    /// # Errors
    /// When the bytes are not those of such a value; they are then taken as absent.
    fn restore(bytes: &[u8], world: &dyn World) -> Result<Self, String>;
}

/// A shared value of a [`Domain`] type.
#[derive(Clone)]
pub struct DomainValue {
    name: &'static str,
    bytes: u64,
    content: Arc<dyn Any + Send + Sync>,
    digest: fn(&(dyn Any + Send + Sync)) -> Option<Digest>,
}

impl DomainValue {
    /// The name of its type.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// A digest of its content, where that is at hand.
    pub(crate) fn digest(&self) -> Option<Digest> {
        (self.digest)(&*self.content)
    }
}

impl Value {
    /// Wraps a value of a domain type.
    pub fn domain<T: Domain>(value: T) -> Self {
        let bytes = value.byte_size();
        let digest = |content: &(dyn Any + Send + Sync)| content.downcast_ref::<T>()?.digest();
        Value::Domain(DomainValue { name: T::NAME, bytes, content: Arc::new(value), digest })
    }

    /// A text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Value::Text(text.into())
    }

    /// A path.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Value::Path(path.into().into())
    }

    /// The value as a domain type, if that is what it is.
    pub fn downcast<T: Domain>(&self) -> Option<Arc<T>> {
        match self {
            Value::Domain(domain) => Arc::clone(&domain.content).downcast().ok(),
            _ => None,
        }
    }

    /// The name of its domain type, if it has one.
    pub(crate) fn domain_name(&self) -> Option<&'static str> {
        match self {
            Value::Domain(domain) => Some(domain.name),
            _ => None,
        }
    }

    /// Its type; a list has the type of its first item.
    pub fn ty(&self) -> Type {
        match self {
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Float(_) => Type::Float,
            Value::Text(_) => Type::Text,
            Value::Path(_) => Type::Path,
            Value::List(items) => Type::list(items.first().map_or(Type::Any, Value::ty)),
            Value::Domain(domain) => Type::Domain(domain.name),
        }
    }

    /// An item of a list, or of a list in it: positions, outermost list first.
    pub(crate) fn item(&self, at: &[usize]) -> Option<&Value> {
        at.iter().try_fold(self, |value, index| match value {
            Value::List(items) => items.get(*index),
            _ => None,
        })
    }

    /// Bytes of memory it holds on to.
    pub fn byte_size(&self) -> u64 {
        match self {
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => 8,
            Value::Text(text) => text.len() as u64,
            Value::Path(path) => path.as_os_str().len() as u64,
            Value::List(items) => items.iter().map(Value::byte_size).sum(),
            Value::Domain(domain) => domain.bytes,
        }
    }

    /// Converts to a socket's type where that loses nothing: whole number to number, text to path.
    pub fn coerce(self, to: &Type) -> Self {
        match (self, to) {
            (Value::Int(value), Type::Float) => Value::Float(value as f64),
            (Value::Text(text), Type::Path) => Value::path(&*text),
            (Value::List(items), Type::List(item)) => {
                Value::List(items.iter().map(|value| value.clone().coerce(item)).collect())
            }
            (value, Type::OneOf(types)) => {
                let given = value.ty();
                match types.iter().find(|ty| ty.accepts(&given)) {
                    Some(ty) => value.coerce(ty),
                    None => value,
                }
            }
            (value, _) => value,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => value.fmt(formatter),
            Value::Int(value) => value.fmt(formatter),
            Value::Float(value) => value.fmt(formatter),
            Value::Text(value) => value.fmt(formatter),
            Value::Path(value) => value.fmt(formatter),
            Value::List(items) => formatter.debug_list().entries(items.iter()).finish(),
            Value::Domain(domain) => write!(formatter, "<{}>", domain.name),
        }
    }
}

/// Two values are equal when they print alike; domain values only when they are the same object.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Path(a), Value::Path(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Domain(a), Value::Domain(b)) => Arc::ptr_eq(&a.content, &b.content),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sound;
    impl Domain for Sound {
        const NAME: &'static str = "Sound";
        fn byte_size(&self) -> u64 {
            44
        }
    }

    #[test]
    fn a_domain_value_comes_back_as_what_it_was() {
        let value = Value::domain(Sound);
        assert_eq!(value.ty(), Type::Domain("Sound"));
        assert_eq!(value.byte_size(), 44);
        assert!(value.downcast::<Sound>().is_some());
        assert!(Value::Int(1).downcast::<Sound>().is_none());
    }

    #[test]
    fn coercion_reaches_into_lists() {
        let list = Value::List([Value::Int(1)].into());
        assert_eq!(list.coerce(&Type::list(Type::Float)), Value::List([Value::Float(1.0)].into()));
    }
}
