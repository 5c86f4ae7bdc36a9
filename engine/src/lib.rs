//! What a graph is and how it is evaluated.
//!
//! A graph goes through four stages, each a type:
//!
//! - [`Document`]: a file as it is written, with the place of everything ([`parse`]).
//! - [`Graph`]: every name looked up, every literal converted, facts about every output inferred ([`check()`]).
//!   The check reports all mistakes at once and reads headers of files, never weights.
//! - [`Plan`]: which nodes are needed, which are in the cache, in which order, with how much memory.
//! - [`Report`]: what ran, what came from the cache, what failed, and the outputs ([`Engine::run`]).
//!
//! The engine knows no network and no modality: node kinds come from [`Plugin`]s. It does no input or output
//! of its own: files and devices come in through [`World`]. Everything that walks a graph is a loop.

#![forbid(unsafe_code)]

mod cache;
mod call;
mod cancel;
mod check;
mod control;
mod diagnostic;
mod document;
mod done;
mod engine;
mod event;
mod expand;
mod explain;
mod fact;
mod graph;
mod inquiry;
mod key;
mod memory_need;
mod mistake;
mod node;
mod node_error;
mod plan;
mod provenance;
mod registry;
mod render;
mod run;
mod source;
mod spec;
mod store;
mod suggest;
mod template;
mod types;
mod value;
mod world;

pub use cache::{Cache, DiskCache, MemoryCache, Outputs};
pub use call::Call;
pub use cancel::Cancel;
pub use check::{Checked, Overrides, Sweep, check};
pub use control::Control;
pub use diagnostic::{Class, Code, Diagnostic, any_error};
pub use document::{
    CacheMode, Difference, Document, Expression, FORMAT, GraphBuilder, NodeBuilder, NodeDeclaration,
    ParamDeclaration, Values, diff, dot, format, link, param, parse, parse_values, restore,
};
pub use engine::{Engine, RunOptions};
pub use event::{Event, Events, Picture, Silent};
pub use explain::{Cause, Explanation, Ingredient, Kept, Reason, Recipe, explain};
pub use fact::{Dimension, Fact, Property, Shape};
pub use graph::{Graph, GraphNode, Input, Instance};
pub use inquiry::Inquiry;
pub use key::{Digest, Digester, Key};
pub use memory_need::{Memory, Thrifty};
pub use mistake::Mistake;
pub use node::{Inference, Node};
pub use node_error::NodeError;
pub use plan::{Action, Plan, Refusal, Step};
pub use provenance::Provenance;
pub use registry::{Kind, Plugin, Registry};
pub use render::render;
pub use run::{Outcome, Report};
pub use source::{Source, Span, Spanned};
pub use spec::{InputSpec, NodeSpec, OutputSpec, Presence};
pub use store::{Store, Stored};
pub use suggest::suggest;
pub use template::Piece;
pub use types::Type;
pub use value::{Domain, DomainValue, Storable, Value};
pub use world::{NotFound, Resources, World};
