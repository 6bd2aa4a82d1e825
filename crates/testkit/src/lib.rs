//! Testing compilers: run them over histories, see which partitions ran, prove that incremental equals scratch.
//!
//! | to | use |
//! |---|---|
//! | write a test of a few edits and state what ran | [`Lab`] |
//! | prove incremental = scratch over a history | [`check_incremental`] |
//! | make histories | [`RandomHistory`] |
//! | fail store requests one by one, or at random | [`Faults`] |
//! | count store requests, or fail those a closure picks | [`store`] |
//!
//! ```
//! use deltic_compiler::prelude::*;
//! use deltic_testkit::Lab;
//! # struct Shout;
//! # impl HasLayers for Shout {
//! #     fn layers(&self) -> Result<Layers> {
//! #         Ok(Layers::new().input_layers(["notes/text"]).output_layers([Layer::generic("loud")?]))
//! #     }
//! # }
//! # impl DirectCompiler for Shout {
//! #     fn map_key(&self, key: &Key, out: &mut Outputs) { out.add("loud", &key.name); }
//! #     fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context) -> Result<Option<Payload>> {
//! #         Ok(Some(inputs[0].text()?.to_uppercase().into()))
//! #     }
//! # }
//! # fn main() -> Result<()> {
//! let mut lab = Lab::new(vec![Task::new("shout", Direct(Shout))?.version("1")]);
//! lab.put("notes/text", "a", "hello");
//! lab.put("notes/text", "b", "world");
//! lab.run();
//!
//! lab.put("notes/text", "b", "moon");
//! lab.run().assert_ran(&["back shout loud/b"]);
//! assert_eq!(lab.text("loud", "b").as_deref(), Some("MOON"));
//! lab.assert_equals_scratch();
//! # Ok(())
//! # }
//! ```
//!
//! Most functions return no errors: a failure fails the test, with a message.

#![expect(clippy::panic, reason = "a failed check must fail the test that asked for it")]

mod check;
mod faults;
mod lab;
mod log;
mod random;

pub use check::{Edit, Step, check_incremental};
pub use deltic_store::testing as store;
pub use deltic_store::testing::{Fault, When};
pub use faults::{Faults, Happened, Stalled};
pub use lab::{Lab, LabRun};
pub use log::RunLog;
pub use random::{Random, RandomHistory};
