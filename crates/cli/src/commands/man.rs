//! `man`: manual pages, one for the binary and one for each of its commands.

use std::path::{Path, PathBuf};

use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::out::Out;

/// `man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder to write them into; it must exist
    pub(crate) folder: PathBuf,
}

/// Writes a page for the binary and for each of its commands into an existing folder.
pub(super) fn man(args: &Args, of: clap::Command, out: &mut Out) -> Outcome {
    let name = of.get_name().to_owned();
    let mut command = of.display_name(&name).bin_name(&name);
    // So that each command knows its full name: `deltic-layer-add`.
    command.build();
    let mut pages = 0;
    page(&command, &name, &args.folder, &mut pages)?;
    let folder = args.folder.display().to_string();
    out.has_done(format!("{pages} pages were written to {folder}"));
    let body = serde_json::json!({ "folder": folder, "pages": pages });
    out.result("deltic.man/1", body, || format!("wrote {pages} pages to {folder}"))
}

fn page(command: &clap::Command, name: &str, folder: &Path, pages: &mut u64) -> Outcome {
    let mut text = Vec::new();
    let file = folder.join(format!("{name}.1"));
    let failed = |error: std::io::Error| Failure::file("the page can not be written", &file, &error);
    clap_mangen::Man::new(command.clone()).render(&mut text).map_err(failed)?;
    std::fs::write(&file, text).map_err(failed)?;
    *pages += 1;
    for one in command.get_subcommands().filter(|one| one.get_name() != "help" && !one.is_hide_set()) {
        page(one, &format!("{name}-{}", one.get_name()), folder, pages)?;
    }
    Ok(())
}
