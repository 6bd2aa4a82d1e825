//! `export`: the partitions of a layer as files, in a folder or an archive.
//!
//! A name becomes a path below the folder, and no path that leaves it is ever written: names that could are refused
//! before the first byte. What `export` writes, `import` reads back as the same layer; user fields in archives only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use deltic_core::{Layer, Name, NameBytes, Payload, Timestamp};
use deltic_store::{Entry, KeyRange, Tree};
use serde_json::json;

use super::{layer, open};
use crate::archive::{Packing, Writer};
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

/// Writes a layer into a folder that is empty or not there yet, or into an archive that is not there yet.
pub(super) fn export(args: &args::Export, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    let snapshot = open(&args.url, args.version)?;
    let (settings, tree) = layer(&snapshot, &args.layer)?;
    if let Some(names) = args.names {
        names.check(settings)?;
    }
    let paths = Paths { settings, names: args.names.unwrap_or(TileNames::Quadkey) };
    // From before an archive is there, so that what is there of it is removed however early the command ends.
    interrupts
        .ends_by_itself("the last file may be half written", || vec!["the file that is being written".to_owned()]);
    let place = Place::prepare(&args.target, snapshot.record().created)?;
    let is_archive = matches!(place, Place::Archive(_));
    let mut target = Target { at: &args.target, place, paths: &paths, interrupts };
    let written = target.write(&tree).and_then(|with_fields| target.finish().map(|()| with_fields));
    let with_fields = written.inspect_err(|_| {
        if is_archive {
            // Part of an archive is of no use: an import takes none without its end.
            let _ = fs::remove_file(&args.target);
        }
    })?;
    let left_out = if is_archive { 0 } else { with_fields };
    out.has_done(format!("layer `{}` of version {} was exported", args.layer, snapshot.version()));
    let body = json!({
        "url": args.url,
        "version": snapshot.version(),
        "layer": args.layer,
        "partitions": tree.count(),
        "bytes": tree.bytes(),
        "without_fields": left_out,
    });
    out.result("deltic.export/1", body, || {
        let (count, size) = (partitions(tree.count()), bytes(tree.bytes()));
        let mut text = vec![format!("exported version {}: {count}, {size}", snapshot.version())];
        if left_out > 0 {
            text.push(format!(
                "note: a folder keeps no user fields, which {} had: export to a .tar to keep them",
                partitions(left_out)
            ));
        }
        text
    })
}

/// Which paths partitions have.
struct Paths<'a> {
    settings: &'a Layer,
    names: TileNames,
}

impl Paths<'_> {
    /// Where below the folder a partition goes; an error if that could lie anywhere else, or can not be a file's name.
    fn of(&self, name: &NameBytes) -> Outcome<String> {
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
                "layer `{}`: partition `{}` can not be exported: its name is no path below a folder whose \
                 parts are at most {LONGEST_PART} bytes long",
                self.settings.id,
                text.escape_debug()
            )));
        }
        Ok(text)
    }
}

/// What is written into.
enum Place {
    Folder(Below),
    Archive(Writer),
}

impl Place {
    /// Makes a folder, or finds it empty, and opens it; or makes an archive.
    fn prepare(at: &Path, time: Timestamp) -> Outcome<Place> {
        if let Some(packing) = Packing::of(at).filter(|_| !at.is_dir()) {
            let made = OpenOptions::new().write(true).create_new(true).open(at);
            return match made.and_then(|file| Writer::new(file, packing, time)) {
                Ok(writer) => Ok(Place::Archive(writer)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    Err(Failure::usage(format!("{}: the archive is there already", at.display())))
                }
                Err(error) => Err(Failure::file("the archive can not be created", at, &error)),
            };
        }
        let failed = |error: io::Error| Failure::file("the folder can not be used", at, &error);
        fs::create_dir_all(at).map_err(failed)?;
        if fs::read_dir(at).map_err(failed)?.next().is_some() {
            return Err(Failure::usage(format!("{}: the folder is not empty", at.display())));
        }
        Below::open(at).map(Place::Folder).map_err(failed)
    }
}

struct Target<'a> {
    at: &'a Path,
    place: Place,
    paths: &'a Paths<'a>,
    interrupts: &'a Interrupts,
}

impl Target<'_> {
    /// Writes all partitions, once it is known that all can be, and counts those with user fields.
    fn write(&mut self, tree: &Tree) -> Outcome<u64> {
        let mut with_fields = 0;
        for found in tree.scan(KeyRange::all()) {
            let (name, entry) = found?;
            self.go_on()?;
            self.paths.of(&name)?;
            with_fields += u64::from(!entry.meta.fields.is_empty());
        }
        let (mut batch, mut size): (Vec<(String, Entry)>, u64) = (Vec::new(), 0);
        for found in tree.scan(KeyRange::all()) {
            let (name, entry) = found?;
            let path = self.paths.of(&name)?;
            if entry.meta.len >= BATCH_BYTES {
                // An archive has its files in the layer's order, whatever their size.
                self.write_batch(tree, &mut batch)?;
                size = 0;
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
        self.write_batch(tree, &mut batch)?;
        Ok(with_fields)
    }

    fn write_batch(&mut self, tree: &Tree, batch: &mut Vec<(String, Entry)>) -> Outcome {
        let (paths, entries): (Vec<String>, Vec<Entry>) = batch.drain(..).unzip();
        let payloads = tree.read_all(&entries)?;
        for ((path, entry), payload) in paths.into_iter().zip(entries).zip(payloads) {
            self.go_on()?;
            self.write_small(&path, &entry, &payload)?;
        }
        Ok(())
    }

    fn write_small(&mut self, path: &str, entry: &Entry, payload: &Payload) -> Outcome {
        let at = self.at;
        let unwritten = |error: io::Error| Failure::file("it can not be written", &at.join(path), &error);
        match &mut self.place {
            Place::Folder(below) => create(below, at, path)?.write_all(payload.bytes()).map_err(unwritten),
            Place::Archive(writer) => {
                let mut write = || {
                    writer.begin(path, &entry.meta)?;
                    writer.write_all(payload.bytes())?;
                    writer.end(entry.meta.len)
                };
                write().map_err(unwritten)
            }
        }
    }

    fn write_big(&mut self, tree: &Tree, path: &str, entry: &Entry) -> Outcome {
        self.go_on()?;
        let mut reader = tree.open(entry)?;
        let (at, interrupts) = (self.at, self.interrupts);
        let unwritten = |error: io::Error| Failure::file("it can not be written", &at.join(path), &error);
        let go_on = || go_on(at, interrupts);
        match &mut self.place {
            Place::Folder(below) => {
                let mut file = create(below, at, path)?;
                copy(&mut reader, &mut file, &go_on, &unwritten).inspect_err(|_| {
                    // Part of it may be there, and nothing of it was checked.
                    let _ = below.remove(path);
                })
            }
            Place::Archive(writer) => {
                writer.begin(path, &entry.meta).map_err(unwritten)?;
                copy(&mut reader, writer, &go_on, &unwritten)?;
                writer.end(entry.meta.len).map_err(unwritten)
            }
        }
    }

    fn go_on(&self) -> Outcome {
        go_on(self.at, self.interrupts)
    }

    fn finish(self) -> Outcome {
        match self.place {
            Place::Folder(_) => Ok(()),
            Place::Archive(writer) => {
                writer.finish().map_err(|error| Failure::file("the archive can not be written", self.at, &error))
            }
        }
    }
}

fn go_on(at: &Path, interrupts: &Interrupts) -> Outcome {
    match (interrupts.stop().is_asked(), Packing::of(at).filter(|_| !at.is_dir())) {
        (false, _) => Ok(()),
        (true, None) => Err(Failure::stopped(format!("stopped: {} has part of the layer", at.display()))),
        (true, Some(_)) => Err(Failure::stopped(format!("stopped: {} was not written to its end", at.display()))),
    }
}

/// Copies a payload in pieces, unless the command is to stop meanwhile.
fn copy(
    from: &mut impl Read,
    to: &mut impl Write,
    go_on: &dyn Fn() -> Outcome,
    unwritten: &dyn Fn(io::Error) -> Failure,
) -> Outcome {
    let mut piece = vec![0; COPIED_BYTES];
    loop {
        go_on()?;
        match from.read(&mut piece).and_then(|read| to.write_all(&piece[..read]).map(|()| read)) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(unwritten(error)),
        }
    }
}

/// Makes a new file, and the folders it is in.
fn create(below: &Below, root: &Path, path: &str) -> Outcome<File> {
    below.create(path).map_err(|error| {
        let clash = "another partition's name is the same path, or part of it, on this file system";
        Failure::file("it can not be created", &root.join(path), &error).hint(clash)
    })
}
