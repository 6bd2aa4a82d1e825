//! `export`: the partitions of a layer as files, in a folder or an archive.
//!
//! A name becomes a path below the folder, and no path outside of it is ever written. All names of a layer are checked before
//! anything is created. `import` reads the files back as the same layer. Only archives keep user fields, and names that no folder
//! can hold.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::builder::UnknownArgumentValueParser;

use deltic_core::{Layer, LayerId, Name, NameBytes, Payload, Timestamp};
use deltic_store::{Entry, KeyRange, Tree};
use serde_json::json;

use crate::catalogs::access::{layer, open};
use crate::catalogs::version::Which;
use crate::files::archive::{KNOWN, Packing, Writer};
use crate::files::folder::Folder;
use crate::files::paths::{check_apart, check_typed};
use crate::system::interrupts::Interrupts;
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::numbers::{bytes, partitions};
use crate::terminal::out::Out;
use crate::tiles::file_names::TileNames;

/// `export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// The layer
    pub(crate) layer: LayerId,
    /// The place of the layer in earlier versions of the command
    #[arg(
        long = "layer",
        value_name = "ID",
        hide = true,
        value_parser = UnknownArgumentValueParser::suggest("the layer comes before the target: `export URL LAYER TARGET`")
    )]
    no_layer: Option<String>,
    /// The folder to write, which is empty or does not exist yet; or a .tar, .tar.gz or .tar.zst, which keeps user fields
    pub(crate) target: PathBuf,
    /// The form of tiles in the names of files; the default is quadkeys
    #[arg(long, value_name = "FORM")]
    pub(crate) names: Option<TileNames>,
    /// The version, such as 98 or -1; the default is the latest
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) version: Option<Which>,
}

/// How much is read at once.
const BATCH_BYTES: u64 = 8 << 20;
const BATCH_PARTITIONS: usize = 256;

/// How much is copied between two checks whether to stop.
const COPIED_BYTES: usize = 1 << 20;

/// The longest name of a file or folder in file systems, in bytes. Archives hold longer ones.
const LONGEST_PART: usize = 255;

/// Writes a layer into an empty or new folder, or into a new archive.
pub(super) fn export(args: &Args, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    check_typed(&args.target)?;
    let snapshot = open(&args.url, args.version)?;
    let layer = layer(&snapshot, &args.layer)?;
    let (settings, tree) = (layer.settings(), layer.tree());
    if let Some(names) = args.names {
        names.check(settings)?;
    }
    check_apart(&args.target, &args.url)?;
    let packing = Packing::of(&args.target).filter(|_| !args.target.is_dir());
    if Packing::is_unknown(&args.target) && !args.target.is_dir() {
        let message = format!("{}: archives of this form can not be written", args.target.display());
        return Err(Failure::usage(message).hint(format!("write {KNOWN}, or create a folder with that name first")));
    }
    Place::check(&args.target, packing)?;
    let paths = Paths { settings, names: args.names.unwrap_or(TileNames::Quadkey), is_archive: packing.is_some() };
    // Before the archive is created, so that a partial archive is removed however early the command ends.
    interrupts.ends_by_itself("the last file may be incomplete", || vec!["the current file to be written".to_owned()]);
    let go_on = || go_on(&args.target, packing, interrupts);
    let look_on = || match interrupts.stop().is_requested() {
        true => Err(Failure::stopped("stopped: nothing was written")),
        false => Ok(()),
    };
    let Found { with_fields, clash } = paths.look_through(tree, &look_on)?;
    let folder = if packing.is_some() { args.target.parent().unwrap_or(Path::new("")) } else { &args.target };
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| is_missing(folder)).collect();
    // If they are still empty.
    let remove_made = || missing.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    let place = Place::prepare(&args.target, folder, packing, snapshot.record().created);
    let place = place.inspect_err(|_| remove_made())?;
    let mut target = Target { at: &args.target, place, paths: &paths, go_on: &go_on };
    target.write(tree).and_then(|()| target.finish()).inspect_err(|_| {
        if packing.is_some() {
            // A partial archive is useless: an import accepts none without its end.
            let _ = fs::remove_file(&args.target);
        }
        remove_made();
    })?;
    let left_out = if packing.is_some() { 0 } else { with_fields };
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
                "note: a folder does not keep user fields, and {} had some: export to a .tar to keep them",
                partitions(left_out)
            ));
        }
        if let Some((folder, file)) = clash {
            text.push(format!(
                "note: the archive holds `{folder}` and `{file}`: `import` reads both, but no program can unpack it, because \
                 `{folder}` would be a file and a folder"
            ));
        }
        text
    })
}

/// The paths of partitions.
struct Paths<'a> {
    settings: &'a Layer,
    names: TileNames,
    is_archive: bool,
}

/// The result of the check of a layer before it is written.
#[derive(Default)]
struct Found {
    /// How many partitions have user fields.
    with_fields: u64,
    /// A path and another path below it, if there is such a pair.
    clash: Option<(String, String)>,
}

impl Paths<'_> {
    /// Checks that all partitions can be written, each alone and together with the others.
    fn look_through(&self, tree: &Tree, go_on: &dyn Fn() -> Outcome) -> Outcome<Found> {
        let mut found = Found::default();
        // The paths that the current one begins with. Names are in the order of their bytes, so between a path and the paths
        // below it come only paths that begin with it.
        let mut above: Vec<String> = Vec::new();
        for entry in tree.scan(KeyRange::all()) {
            let (name, entry) = entry?;
            go_on()?;
            let path = self.of(&name)?;
            found.with_fields += u64::from(!entry.meta.fields.is_empty());
            above.truncate(above.iter().take_while(|above| path.starts_with(above.as_str())).count());
            let folder = above.iter().find(|above| path[above.len()..].starts_with('/'));
            if let Some(folder) = folder.filter(|_| found.clash.is_none()) {
                if !self.is_archive {
                    return Err(Failure::failed(format!(
                        "layer `{}`: partitions `{folder}` and `{path}` can not both be files: `{folder}` would be a file and \
                         a folder",
                        self.settings.id
                    ))
                    .hint("an archive can hold both: export to a .tar, .tar.gz or .tar.zst"));
                }
                found.clash = Some((folder.clone(), path.clone()));
            }
            above.push(path);
        }
        Ok(found)
    }

    /// The path of a partition below the folder; an error if it would lie outside, or can not be the name of a file.
    fn of(&self, name: &NameBytes) -> Outcome<String> {
        let name = self.settings.name_from_bytes(name).map_err(|error| Failure::failed(error.to_string()))?;
        let text = match &name {
            Name::Tile(tile) => self.names.write(*tile),
            name @ Name::Generic(_) => name.to_string(),
        };
        let harmless = |part: &str| !matches!(part, "" | "." | "..");
        let refused = |why: &str| {
            Failure::failed(format!("layer `{}`: partition `{text}` can not be exported: {why}", self.settings.id))
        };
        if !text.split('/').all(harmless) {
            return Err(refused("its name is not a path inside a folder"));
        }
        if !self.is_archive {
            let foreign = |part: &str| cfg!(windows) && part.contains(['\\', ':', '<', '>', '"', '|', '?', '*']);
            if text.split('/').any(|part| part.len() > LONGEST_PART || foreign(part)) {
                let why = format!("each part of its path must be a legal file name of at most {LONGEST_PART} bytes");
                return Err(refused(&why).hint("an archive can hold it: export to a .tar, .tar.gz or .tar.zst"));
            }
        }
        Ok(text)
    }
}

/// The target of an export.
enum Place {
    Folder(Folder),
    Archive(Writer),
}

impl Place {
    /// Refuses a target that exists and is not empty.
    fn check(at: &Path, packing: Option<Packing>) -> Outcome {
        if packing.is_some() {
            return match fs::symlink_metadata(at) {
                Ok(_) => Err(Place::is_there(at)),
                Err(_) => Ok(()),
            };
        }
        let failed = |error: io::Error| Failure::file("the folder can not be used", at, &error);
        match fs::read_dir(at).map(|mut entries| entries.next().is_some()) {
            Ok(false) => Ok(()),
            Ok(true) => Err(Failure::usage(format!("{}: the folder is not empty", at.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Opens a folder, which it creates if necessary; or creates an archive in it.
    fn prepare(at: &Path, folder: &Path, packing: Option<Packing>, time: Timestamp) -> Outcome<Place> {
        let failed = |error: io::Error| Failure::file("the folder can not be used", folder, &error);
        if !folder.as_os_str().is_empty() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        if let Some(packing) = packing {
            let made = OpenOptions::new().write(true).create_new(true).open(at);
            return match made.and_then(|file| Writer::new(file, packing, time)) {
                Ok(writer) => Ok(Place::Archive(writer)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Place::is_there(at)),
                Err(error) => Err(Failure::file("the archive can not be created", at, &error)),
            };
        }
        Folder::open(folder).map(Place::Folder).map_err(failed)
    }

    fn is_there(at: &Path) -> Failure {
        Failure::usage(format!("{}: the archive exists already", at.display()))
    }
}

/// Whether a path does not exist and must be created. The current folder always exists.
fn is_missing(folder: &Path) -> bool {
    !folder.as_os_str().is_empty() && fs::symlink_metadata(folder).is_err()
}

struct Target<'a> {
    at: &'a Path,
    place: Place,
    paths: &'a Paths<'a>,
    go_on: &'a dyn Fn() -> Outcome,
}

impl Target<'_> {
    /// Writes all partitions.
    fn write(&mut self, tree: &Tree) -> Outcome {
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
        self.write_batch(tree, &mut batch)
    }

    fn write_batch(&mut self, tree: &Tree, batch: &mut Vec<(String, Entry)>) -> Outcome {
        let (paths, entries): (Vec<String>, Vec<Entry>) = batch.drain(..).unzip();
        let payloads = tree.read_all(&entries)?;
        for ((path, entry), payload) in paths.into_iter().zip(entries).zip(payloads) {
            (self.go_on)()?;
            self.write_small(&path, &entry, &payload)?;
        }
        Ok(())
    }

    fn write_small(&mut self, path: &str, entry: &Entry, payload: &Payload) -> Outcome {
        let at = self.at;
        let unwritten = |error: io::Error| Failure::file("it can not be written", &at.join(path), &error);
        match &mut self.place {
            Place::Folder(folder) => create(folder, at, path)?.write_all(payload.bytes()).map_err(unwritten),
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
        (self.go_on)()?;
        let mut reader = tree.open(entry)?;
        let (at, go_on) = (self.at, self.go_on);
        let unwritten = |error: io::Error| Failure::file("it can not be written", &at.join(path), &error);
        match &mut self.place {
            Place::Folder(folder) => {
                let mut file = create(folder, at, path)?;
                copy(&mut reader, &mut file, go_on, &unwritten).inspect_err(|_| {
                    // Part of it may be there, and nothing of it was checked.
                    let _ = folder.remove(path);
                })
            }
            Place::Archive(writer) => {
                writer.begin(path, &entry.meta).map_err(unwritten)?;
                copy(&mut reader, writer, go_on, &unwritten)?;
                writer.end(entry.meta.len).map_err(unwritten)
            }
        }
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

fn go_on(at: &Path, packing: Option<Packing>, interrupts: &Interrupts) -> Outcome {
    match (interrupts.stop().is_requested(), packing) {
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
fn create(folder: &Folder, root: &Path, path: &str) -> Outcome<File> {
    folder.create(path).map_err(|error| {
        let clash = "another partition's name is the same path, or part of it, on this file system";
        Failure::file("it can not be created", &root.join(path), &error).hint(clash)
    })
}
