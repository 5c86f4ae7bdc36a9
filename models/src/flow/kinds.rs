//! Kinds of solvers and schedules by name, with the settings each of them has.

use std::collections::BTreeMap;
use std::fmt;

use crate::{ModelError, Result};

/// What a parameter may be set to, with its default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Domain {
    /// A number of `least..=most`.
    Number {
        /// What it is when it is not set.
        default: f64,
        /// The smallest that is allowed.
        least: f64,
        /// The largest that is allowed.
        most: f64,
    },
    /// A whole number of `least..=most`.
    Count {
        /// What it is when it is not set.
        default: usize,
        /// The smallest that is allowed.
        least: usize,
        /// The largest that is allowed.
        most: usize,
    },
    /// One of these words, the first when it is not set.
    Choice(&'static [&'static str]),
    /// A list of finite numbers, which must be set.
    Numbers,
}

/// A parameter of a kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// The name it is set by.
    pub name: &'static str,
    /// What it does, in a phrase.
    pub about: &'static str,
    /// What it may be set to.
    pub domain: Domain,
}

/// A value for a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// For [`Domain::Number`] and [`Domain::Count`].
    Number(f64),
    /// For [`Domain::Choice`].
    Word(String),
    /// For [`Domain::Numbers`].
    Numbers(Vec<f64>),
}

/// Values for parameters by name. What is not set has its default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    values: BTreeMap<String, Setting>,
}

impl Settings {
    /// None set.
    pub fn new() -> Self {
        Self::default()
    }

    /// With `name` set.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: Setting) -> Self {
        self.values.insert(name.into(), value);
        self
    }

    /// With `name` set to a number.
    #[must_use]
    pub fn number(self, name: impl Into<String>, value: f64) -> Self {
        self.with(name, Setting::Number(value))
    }

    /// With `name` set to a word.
    #[must_use]
    pub fn word(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(name, Setting::Word(value.into()))
    }
}

/// The settings of one kind, checked against its parameters.
///
/// A parameter that the kind does not declare reads as 0, an empty word or an empty list.
#[derive(Debug)]
pub struct Checked<'a> {
    parameters: &'a [Parameter],
    settings: &'a Settings,
}

impl Checked<'_> {
    /// The value of a [`Domain::Number`].
    pub fn number(&self, name: &str) -> f64 {
        match (self.settings.values.get(name), self.domain(name)) {
            (Some(Setting::Number(value)), _) => *value,
            (_, Some(Domain::Number { default, .. })) => default,
            (_, Some(Domain::Count { default, .. })) => default as f64,
            _ => 0.0,
        }
    }

    /// The value of a [`Domain::Count`].
    pub fn count(&self, name: &str) -> usize {
        self.number(name) as usize
    }

    /// The value of a [`Domain::Choice`].
    pub fn word(&self, name: &str) -> &str {
        match (self.settings.values.get(name), self.domain(name)) {
            (Some(Setting::Word(value)), _) => value,
            (_, Some(Domain::Choice(choices))) => choices.first().copied().unwrap_or_default(),
            _ => "",
        }
    }

    /// The value of [`Domain::Numbers`].
    pub fn numbers(&self, name: &str) -> &[f64] {
        match self.settings.values.get(name) {
            Some(Setting::Numbers(values)) => values,
            _ => &[],
        }
    }

    fn domain(&self, name: &str) -> Option<Domain> {
        self.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.domain)
    }
}

/// A kind of solver or schedule.
pub struct Kind<T: ?Sized> {
    /// The name that graphs use.
    pub name: &'static str,
    /// What it is, in a phrase.
    pub about: &'static str,
    /// What can be set.
    pub parameters: &'static [Parameter],
    /// Makes one from settings that fit the parameters.
    pub build: fn(&Checked<'_>) -> Box<T>,
}

impl<T: ?Sized> Clone for Kind<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Kind<T> {}

impl<T: ?Sized> fmt::Debug for Kind<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Kind")
            .field("name", &self.name)
            .field("parameters", &self.parameters)
            .finish()
    }
}

/// All kinds that can be asked for by name.
#[derive(Clone, Debug)]
pub struct Kinds<T: ?Sized> {
    what: &'static str,
    kinds: Vec<Kind<T>>,
}

impl<T: ?Sized> Kinds<T> {
    pub(super) fn of(what: &'static str, kinds: &[Kind<T>]) -> Self {
        Self { what, kinds: kinds.to_vec() }
    }

    /// With one more kind, or another in place of one of the same name.
    #[must_use]
    pub fn with(mut self, kind: Kind<T>) -> Self {
        self.kinds.retain(|other| other.name != kind.name);
        self.kinds.push(kind);
        self
    }

    /// All of them, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Kind<T>> {
        self.kinds.iter()
    }

    /// Their names.
    pub fn names(&self) -> Vec<&'static str> {
        self.kinds.iter().map(|kind| kind.name).collect()
    }

    /// The kind of this name.
    pub fn find(&self, name: &str) -> Option<&Kind<T>> {
        self.kinds.iter().find(|kind| kind.name == name)
    }

    /// One of the kind `name`.
    ///
    /// # Errors
    /// [`ModelError::Input`] for a name that is not known, a setting that the kind does not have, and a value that its
    /// parameter does not allow.
    pub fn build(&self, name: &str, settings: &Settings) -> Result<Box<T>> {
        let kind = self.find(name).ok_or_else(|| {
            let names = self.names();
            let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            ModelError::input(
                format!("the {}", self.what),
                format!("one of {}", list.join(", ")),
                quoted(name),
            )
        })?;
        for (setting, value) in &settings.values {
            let Some(parameter) = kind.parameters.iter().find(|parameter| parameter.name == setting) else {
                let list: Vec<String> =
                    kind.parameters.iter().map(|known| format!("`{}`", known.name)).collect();
                let known = if list.is_empty() { "no settings".to_owned() } else { list.join(", ") };
                return Err(ModelError::input(format!("a setting of `{name}`"), known, quoted(setting)));
            };
            parameter.check(name, value)?;
        }
        let missing = kind.parameters.iter().find(|parameter| {
            parameter.domain == Domain::Numbers && !settings.values.contains_key(parameter.name)
        });
        if let Some(parameter) = missing {
            let what = format!("`{}` of `{name}`", parameter.name);
            return Err(ModelError::input(what, "a list of numbers", "not set"));
        }
        Ok((kind.build)(&Checked { parameters: kind.parameters, settings }))
    }
}

impl Parameter {
    /// A number of `least..=most`.
    pub const fn number(
        name: &'static str,
        about: &'static str,
        default: f64,
        least: f64,
        most: f64,
    ) -> Self {
        Self { name, about, domain: Domain::Number { default, least, most } }
    }

    /// A whole number of `least..=most`.
    pub const fn count(
        name: &'static str,
        about: &'static str,
        default: usize,
        least: usize,
        most: usize,
    ) -> Self {
        Self { name, about, domain: Domain::Count { default, least, most } }
    }

    /// One of `choices`, the first by default.
    pub const fn choice(name: &'static str, about: &'static str, choices: &'static [&'static str]) -> Self {
        Self { name, about, domain: Domain::Choice(choices) }
    }

    fn check(&self, kind: &str, value: &Setting) -> Result<()> {
        let (expected, fits) = match (self.domain, value) {
            (Domain::Number { least, most, .. }, Setting::Number(number)) => {
                (format!("{least} to {most}"), (least..=most).contains(number))
            }
            (Domain::Count { least, most, .. }, Setting::Number(number)) => {
                let fits = number.fract() == 0.0 && (least as f64..=most as f64).contains(number);
                (format!("a whole number of {least} to {most}"), fits)
            }
            (Domain::Choice(choices), Setting::Word(word)) => {
                let list: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
                (format!("one of {}", list.join(", ")), choices.contains(&word.as_str()))
            }
            (Domain::Numbers, Setting::Numbers(numbers)) => {
                ("finite numbers".to_owned(), numbers.iter().all(|number| number.is_finite()))
            }
            (Domain::Number { .. } | Domain::Count { .. }, _) => ("a number".to_owned(), false),
            (Domain::Choice(_), _) => ("a word".to_owned(), false),
            (Domain::Numbers, _) => ("a list of numbers".to_owned(), false),
        };
        if fits {
            return Ok(());
        }
        let found = match value {
            Setting::Number(number) => number.to_string(),
            Setting::Word(word) => quoted(word),
            Setting::Numbers(numbers) => format!("{numbers:?}"),
        };
        Err(ModelError::input(format!("`{}` of `{kind}`", self.name), expected, found))
    }
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}
