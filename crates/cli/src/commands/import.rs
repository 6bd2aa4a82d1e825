//! `import`: layers become exactly what folders or archives hold.
//!
//! In a generic layer a partition is named as its file is, by the path below the source. In a tile layer it is named
//! by the file's name without its extension, wherever in the source it lies: quadkey digits if all files of the source
//! are named by these, else HERE tile ids.

use std::collections::BTreeMap;
use std::path::Path;

use deltic_core::{Layer, LayerId, Name, Payload, Scheme, Tile};
use deltic_driver::{Import, ImportReport};
use deltic_store::{Catalog, Stores};
use rayon::prelude::*;

use super::layer;
use crate::args;
use crate::below::Below;
use crate::failure::{Failure, Outcome};
use crate::human::count;
use crate::interrupt::Interrupts;
use crate::out::Out;
use crate::progress::{Counter, Progress};
use crate::source::{Source, check_apart, files_of_archive, files_of_folder};

/// How many files are worked on between two looks for errors.
const BATCH_FILES: usize = 512;

/// Imports all layers named as one new version.
pub(super) fn import(args: &args::Import, progress: &Progress, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    let catalog = Catalog::open(&Stores::new(), &args.url)?;
    let base = catalog.latest()?;
    let nothing = format!("nothing was imported; version {} stands", base.version());
    interrupts.ends_soon(&nothing);
    let mut sources: BTreeMap<&LayerId, Source> = BTreeMap::new();
    for (id, path) in &args.layers {
        layer(&base, id)?;
        let source = Source::find(path)?;
        check_apart(&source, &args.url)?;
        if sources.insert(id, source).is_some() {
            return Err(Failure::usage(format!("layer `{id}` is given twice: it can become only one source")));
        }
    }
    // Asked for again: if the import was overtaken, another version stands than the one it began with.
    let stands = |failure: Failure| match catalog.latest() {
        Ok(now) => failure.hint(format!("nothing was imported; version {} stands", now.version())),
        Err(_) => failure,
    };
    let work = || -> Outcome<ImportReport> {
        let import = Import::begin(&base, crate::edge::new_run_id()?)?;
        for (id, source) in sources {
            let counter = progress.counter(id.as_str());
            import.replace(id)?;
            let layer = LayerImport { import: &import, settings: import.layer(id)?, counter: &counter, interrupts };
            match source {
                Source::Folder(root) => layer.folder(&root)?,
                Source::Archive(path, packing) => layer.archive(&path, packing)?,
            }
        }
        let left = format!("whether a version was made says `deltic log {}`", args.url);
        interrupts.ends_by_itself(left, || vec!["the version to be written".to_owned()]);
        if interrupts.stop().is_asked() {
            return Err(stopped());
        }
        Ok(import.commit(crate::edge::now(), &args.note)?)
    };
    let report = work().map_err(|failure| match failure.is_stopped() {
        true => Failure::stopped(format!("stopped: {nothing}")),
        false => stands(failure),
    })?;
    if let Some(version) = report.version {
        out.has_done(format!("version {version} was committed"));
    }
    out.result("deltic.import/1", &report, || text(&report))
}

/// What ends the work of an import that is to stop.
fn stopped() -> Failure {
    Failure::stopped("stopped")
}

fn text(report: &ImportReport) -> String {
    match report.version {
        None => format!("nothing changed: version {} stands", report.base),
        Some(version) => format!(
            "committed version {version}: {} added, {} modified, {} deleted",
            count(report.counts.added),
            count(report.counts.modified),
            count(report.counts.deleted)
        ),
    }
}

/// How the tiles of a source are written.
#[derive(Clone, Copy)]
enum TileNames {
    Quadkey,
    HereId,
}

/// One layer being imported.
struct LayerImport<'a> {
    import: &'a Import,
    settings: &'a Layer,
    counter: &'a Counter,
    interrupts: &'a Interrupts,
}

impl LayerImport<'_> {
    fn folder(&self, root: &Path) -> Outcome {
        let files = files_of_folder(root)?;
        let below = Below::open(root).map_err(|error| Failure::file("the folder can not be read", root, &error))?;
        let tiles = self.tile_names(root, &files)?;
        for batch in files.chunks(BATCH_FILES) {
            let put = |file: &String| {
                let name = self.name(file, tiles, root)?;
                let unreadable = |error| Failure::file("it can not be read", &root.join(file), &error);
                let bytes = below.read(file).map_err(unreadable)?;
                self.put(&name, bytes, file, root)
            };
            let done: Vec<Outcome> = batch.par_iter().map(put).collect();
            // Of several errors, always the same one is told.
            done.into_iter().collect::<Outcome>()?;
        }
        Ok(())
    }

    fn archive(&self, path: &Path, packing: crate::source::Packing) -> Outcome {
        let tiles = match self.settings.scheme {
            Scheme::Generic => TileNames::Quadkey,
            // How tiles are written shows in all names together, so these are read first.
            Scheme::Tile(..) => {
                let mut files = Vec::new();
                files_of_archive(path, packing, &mut |file, _| {
                    files.push(file);
                    Ok(())
                })?;
                self.tile_names(path, &files)?
            }
        };
        files_of_archive(path, packing, &mut |file, read| {
            let name = self.name(&file, tiles, path)?;
            self.put(&name, read()?, &file, path)
        })
    }

    fn put(&self, name: &Name, bytes: Vec<u8>, file: &str, source: &Path) -> Outcome {
        if self.interrupts.stop().is_asked() {
            return Err(stopped());
        }
        self.import.put(&self.settings.id, name, &Payload::new(bytes)).map_err(|error| match error {
            deltic_driver::Error::Publish { message, .. } => self.refused(file, source, &message),
            error => error.into(),
        })?;
        self.counter.tick();
        Ok(())
    }

    /// Finds out how the tiles of a source are written, from the names of all its files.
    fn tile_names(&self, source: &Path, files: &[String]) -> Outcome<TileNames> {
        if self.settings.scheme == Scheme::Generic {
            return Ok(TileNames::Quadkey);
        }
        let first_bad =
            |names: TileNames| files.iter().find_map(|file| self.tile(file, names).err().map(|e| (file, e)));
        match (first_bad(TileNames::Quadkey), first_bad(TileNames::HereId)) {
            (None, _) => Ok(TileNames::Quadkey),
            (_, None) => Ok(TileNames::HereId),
            (Some((file, error)), Some(_)) => Err(self
                .refused(file, source, &error.to_string())
                .hint("all files of a tile layer are named by quadkey digits, or all by HERE tile ids")),
        }
    }

    fn name(&self, file: &str, tiles: TileNames, source: &Path) -> Outcome<Name> {
        let name = match self.settings.scheme {
            Scheme::Generic => self.settings.parse_name(file),
            Scheme::Tile(..) => self.tile(file, tiles),
        };
        name.map_err(|error| self.refused(file, source, &error.to_string()))
    }

    fn tile(&self, file: &str, names: TileNames) -> deltic_core::Result<Name> {
        let last = file.rsplit('/').next().unwrap_or(file);
        let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
        match names {
            TileNames::Quadkey => self.settings.parse_name(stem),
            TileNames::HereId => {
                let name = Name::Tile(Tile::parse_here_id(stem)?);
                self.settings.check(&name)?;
                Ok(name)
            }
        }
    }

    fn refused(&self, file: &str, source: &Path, why: &str) -> Failure {
        Failure::failed(format!("{}: {file}: {why}", source.display()))
    }
}
