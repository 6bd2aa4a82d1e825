//! `export`: the partitions of a layer as files.
//!
//! A name becomes a path below the folder, and no path that leaves it is ever written: names that could are refused
//! before the first byte. What `export` writes, `import` reads back as the same layer.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use deltic_core::{Layer, Name, NameBytes};
use deltic_store::{Entry, KeyRange, Tree};
use serde_json::json;

use super::{layer, open};
use crate::args;
use crate::below::Below;
use crate::failure::{Failure, Outcome};
use crate::human::{bytes, partitions};
use crate::interrupt::Interrupts;
use crate::out::Out;
use crate::tile_names::TileNames;

/// How much is read at once.
const BATCH_BYTES: u64 = 8 << 20;
const BATCH_PARTITIONS: usize = 256;

/// How much is copied between two looks at whether to stop.
const COPIED_BYTES: usize = 1 << 20;

/// The longest name of a file or folder that file systems take, in bytes.
const LONGEST_PART: usize = 255;

/// Writes a layer into a folder that is empty or not there yet.
pub(super) fn export(args: &args::Export, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    let snapshot = open(&args.url, args.version)?;
    let (settings, tree) = layer(&snapshot, &args.layer)?;
    if let Some(names) = args.names {
        names.check(settings)?;
    }
    let below = prepare(&args.folder)?;
    let names = args.names.unwrap_or(TileNames::Quadkey);
    let target = Target { root: &args.folder, below, settings, names, interrupts };
    for found in tree.scan(KeyRange::all()) {
        target.path_of(&found?.0)?;
    }
    interrupts
        .ends_by_itself("the last file may be half written", || vec!["the file that is being written".to_owned()]);
    target.write(&tree)?;
    let body = json!({
        "url": args.url,
        "version": snapshot.version(),
        "layer": args.layer,
        "partitions": tree.count(),
        "bytes": tree.bytes(),
    });
    out.result("deltic.export/1", body, || {
        format!("exported version {}: {}, {}", snapshot.version(), partitions(tree.count()), bytes(tree.bytes()))
    })
}

/// Makes a folder, or finds it empty, and opens it.
fn prepare(root: &Path) -> Outcome<Below> {
    let failed = |error: std::io::Error| Failure::file("the folder can not be used", root, &error);
    fs::create_dir_all(root).map_err(failed)?;
    if fs::read_dir(root).map_err(failed)?.next().is_some() {
        return Err(Failure::usage(format!("{}: the folder is not empty", root.display())));
    }
    Below::open(root).map_err(failed)
}

struct Target<'a> {
    root: &'a Path,
    below: Below,
    settings: &'a Layer,
    names: TileNames,
    interrupts: &'a Interrupts,
}

impl Target<'_> {
    /// Where below the folder a partition goes; an error if that could lie anywhere else, or can not be a file's name.
    fn path_of(&self, name: &NameBytes) -> Outcome<String> {
        let name = self.settings.name_from_bytes(name).map_err(|error| Failure::failed(error.to_string()))?;
        let text = match &name {
            Name::Tile(tile) => self.names.write(*tile),
            name @ Name::Generic(_) => name.to_string(),
        };
        let harmless = |part: &str| {
            let foreign = cfg!(windows) && part.contains(['\\', ':', '<', '>', '"', '|', '?', '*']);
            !matches!(part, "" | "." | "..") && !foreign && part.len() <= LONGEST_PART
        };
        if !text.split('/').all(harmless) {
            return Err(Failure::failed(format!(
                "layer `{}`: partition `{text}` can not be exported: its name is no path below a folder whose \
                 parts are at most {LONGEST_PART} bytes long",
                self.settings.id
            )));
        }
        Ok(text)
    }

    fn write(&self, tree: &Tree) -> Outcome {
        let (mut batch, mut size): (Vec<(String, Entry)>, u64) = (Vec::new(), 0);
        for found in tree.scan(KeyRange::all()) {
            let (name, entry) = found?;
            let path = self.path_of(&name)?;
            if entry.meta.len >= BATCH_BYTES {
                self.write_big(tree, &path, &entry)?;
                continue;
            }
            size += entry.meta.len;
            batch.push((path, entry));
            if size >= BATCH_BYTES || batch.len() >= BATCH_PARTITIONS {
                self.write_batch(tree, &mut batch)?;
                size = 0;
            }
        }
        self.write_batch(tree, &mut batch)
    }

    fn write_batch(&self, tree: &Tree, batch: &mut Vec<(String, Entry)>) -> Outcome {
        let (paths, entries): (Vec<String>, Vec<Entry>) = batch.drain(..).unzip();
        for (path, payload) in paths.into_iter().zip(tree.read_all(&entries)?) {
            self.go_on()?;
            let written = self.create(&path)?.write_all(payload.bytes());
            written.map_err(|error| Failure::file("it can not be written", &self.root.join(path), &error))?;
        }
        Ok(())
    }

    fn write_big(&self, tree: &Tree, path: &str, entry: &Entry) -> Outcome {
        self.go_on()?;
        let mut reader = tree.open(entry)?;
        let mut file = self.create(path)?;
        self.copy(&mut reader, &mut file, path).inspect_err(|_| {
            // Part of it may be there, and nothing of it was checked.
            let _ = self.below.remove(path);
        })
    }

    /// Copies a payload in pieces, unless the command is to stop meanwhile.
    fn copy(&self, from: &mut impl Read, to: &mut File, path: &str) -> Outcome {
        let mut piece = vec![0; COPIED_BYTES];
        loop {
            self.go_on()?;
            let copied = from.read(&mut piece).and_then(|read| to.write_all(&piece[..read]).map(|()| read));
            match copied {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(Failure::file("it can not be written", &self.root.join(path), &error)),
            }
        }
    }

    fn go_on(&self) -> Outcome {
        match self.interrupts.stop().is_asked() {
            true => Err(Failure::stopped(format!("stopped: {} has part of the layer", self.root.display()))),
            false => Ok(()),
        }
    }

    /// Makes a new file, and the folders it is in.
    fn create(&self, path: &str) -> Outcome<File> {
        self.below.create(path).map_err(|error| {
            let clash = "another partition's name is the same path, or part of it, on this file system";
            Failure::file("it can not be created", &self.root.join(path), &error).hint(clash)
        })
    }
}
