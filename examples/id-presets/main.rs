//! Compiles the forms of 1,003 versions of the presets of the editor iD, each incrementally, and proves at the end that
//! the result equals a build from scratch.
//!
//! `cargo run --release --bin id-presets -- --help`

use anyhow::Result;
use deltic_examples::id_presets::{EXAMPLE, Form};
use deltic_examples::replay;

fn main() -> Result<()> {
    let replayed = replay::main(&EXAMPLE)?;
    let (mut forms, mut fields, mut problems) = (0, 0, Vec::new());
    for (name, form) in replayed.partitions("forms")? {
        let form: Form = form.json()?;
        forms += 1;
        fields += form.fields.len();
        problems.extend(form.problems.iter().map(|problem| format!("  {name}: {problem}")));
    }
    println!("\n{forms} forms show {fields} fields; problems in the last version: {}", problems.len());
    problems.iter().take(10).for_each(|problem| println!("{problem}"));
    Ok(())
}
