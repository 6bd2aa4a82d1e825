//! Deltic: incremental compilation of versioned, partitioned data.
//!
//! Input catalogs hold layers of partitions; compilers turn input layers into output layers; a run compiles and
//! publishes again only what a change can affect, and the result is, bit for bit, that of a build from scratch.
//!
//! | to | use |
//! |---|---|
//! | write a compiler | [`prelude`], [`compiler`] |
//! | make a driver binary of compilers | [`main()`] |
//! | run tasks from a program of your own | [`driver::Job`], with [`now`], [`new_run_id`], [`checkpoint`] and [`code_identity`] |
//! | read or write catalogs | [`store`], [`driver::Import`] |
//! | test a compiler on histories | the crate `deltic-testkit` |
//!
//! Features, both on by default; a library of compilers needs neither (`default-features = false`):
//!
//! | feature | gives |
//! |---|---|
//! | `cli` | [`main()`] and the binary `deltic`; what only the machine knows: [`now`], [`new_run_id`], [`new_catalog`], [`checkpoint`], [`code_identity`]; [`report`] |
//! | `mimalloc` | [`Allocator`], which a program may choose; nothing here chooses it |
//!
//! ```no_run
//! use deltic::prelude::*;
//!
//! /// Upper-cases every text.
//! struct Shout;
//!
//! impl HasLayers for Shout {
//!     fn layers(&self) -> Result<Layers> {
//!         Ok(Layers::new().input_layers(["notes/text"]).output_layers([Layer::generic("loud")?]))
//!     }
//! }
//!
//! impl DirectCompiler for Shout {
//!     fn map_key(&self, key: &Key, out: &mut Outputs) {
//!         out.add("loud", &key.name);
//!     }
//!
//!     fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context) -> Result<Option<Payload>> {
//!         Ok(Some(inputs[0].text()?.to_uppercase().into()))
//!     }
//! }
//!
//! # #[cfg(feature = "cli")]
//! fn main() -> ExitCode {
//!     deltic::main(|setup| setup.task("shout", Direct(Shout)))
//! }
//! # #[cfg(not(feature = "cli"))]
//! # fn main() {}
//! ```

#[cfg(feature = "cli")]
pub use deltic_cli::{checkpoint, code_identity, main, main_with_version, new_catalog, new_run_id, now, report, stock};
pub use deltic_compiler as compiler;
pub use deltic_core as core;
pub use deltic_driver as driver;
pub use deltic_store as store;

/// An allocator for programs that run tasks: workers allocate and free payloads all the time, and a full build takes a tenth less
/// CPU with it than with that of glibc. A program, not a library, chooses it:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: deltic::Allocator = deltic::Allocator;
/// # fn main() {}
/// ```
#[cfg(feature = "mimalloc")]
pub use mimalloc::MiMalloc as Allocator;

/// Everything that is needed to write compilers and the `main` of a driver binary.
///
/// Functions of your own return [`Result`](prelude::Result); any error becomes its [`Error`](prelude::Error) by `?`, and
/// `bail!`, `ensure!` and `context` make one. The error of a compiler is reported with its task and partition.
///
/// ```
/// use deltic::prelude::*;
///
/// /// The degrees in a text such as `7.44 E`.
/// fn degrees(text: &str) -> Result<f64> {
///     let (number, side) = text.split_once(' ').ok_or_else(|| anyhow!("`{text}` has no side"))?;
///     let degrees: f64 = number.parse().with_context(|| format!("`{number}` is no number"))?;
///     ensure!((0.0..=180.0).contains(&degrees), "{degrees} is no degree of longitude");
///     match side {
///         "E" => Ok(degrees),
///         "W" => Ok(-degrees),
///         other => bail!("`{other}` is neither E nor W"),
///     }
/// }
///
/// /// The full message: each error with its cause.
/// fn in_full(error: &Error) -> String {
///     format!("{error:#}")
/// }
///
/// assert_eq!(degrees("7.5 W").ok(), Some(-7.5));
/// let error = degrees("x E").expect_err("`x` is no number");
/// assert_eq!(in_full(&error), "`x` is no number: invalid float literal");
/// ```
pub mod prelude {
    pub use deltic_compiler::prelude::*;
    pub use std::process::ExitCode;
}
