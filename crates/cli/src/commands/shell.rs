//! `completions` and `man`: what shells and readers of manuals want to know of the command line.

use std::path::Path;

use crate::args;
use crate::failure::{Failure, Outcome};
use crate::out::Out;

/// Writes a script that completes commands and options, for a shell.
pub(super) fn completions(args: &args::Completions, out: &mut Out) -> Outcome {
    let mut command = args::command(std::env::args_os().next().as_ref());
    let name = args::called(std::env::args_os().next().as_ref());
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    out.bytes(&script)
}

/// Writes a page for the binary and for each of its commands into a folder that is there.
pub(super) fn man(args: &args::Man, out: &mut Out) -> Outcome {
    let name = args::called(std::env::args_os().next().as_ref());
    let mut command = args::command(std::env::args_os().next().as_ref()).display_name(&name).bin_name(&name);
    // So that each command knows its full name: `deltic-layer-add`.
    command.build();
    let mut pages = 0;
    page(&command, &name, &args.folder, &mut pages)?;
    let folder = args.folder.display().to_string();
    out.has_done(format!("{pages} pages were written into {folder}"));
    let body = serde_json::json!({ "folder": folder, "pages": pages });
    out.result("deltic.man/1", body, || format!("wrote {pages} pages into {folder}"))
}

fn page(command: &clap::Command, name: &str, folder: &Path, pages: &mut u64) -> Outcome {
    let mut text = Vec::new();
    let file = folder.join(format!("{name}.1"));
    let failed = |error: std::io::Error| Failure::file("the page can not be written", &file, &error);
    clap_mangen::Man::new(command.clone()).render(&mut text).map_err(failed)?;
    std::fs::write(&file, text).map_err(failed)?;
    *pages += 1;
    for below in command.get_subcommands().filter(|below| below.get_name() != "help" && !below.is_hide_set()) {
        page(below, &format!("{name}-{}", below.get_name()), folder, pages)?;
    }
    Ok(())
}
