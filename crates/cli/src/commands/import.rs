//! `import`: makes layers equal to folders or archives; or adds and deletes partitions.
//!
//! In a generic layer, the name of a partition is the path of its file below the source. In a tile layer, it is the file's name
//! without its extension, in any folder of the source, or the end of its path: see [`file_names`](crate::tiles::file_names).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deltic_core::{Layer, LayerId, Name, Payload, Scheme};
use deltic_driver::{Import, ImportCounts, ImportLimits, ImportReport};
use deltic_store::{Catalog, Snapshot};
use rayon::prelude::*;
use serde::Serialize;

use crate::args::values::{layer_name, layer_source, percent};
use crate::catalogs::access::{layer, stores};
use crate::catalogs::race::with_latest;
use crate::files::archive::{Packing, files_of_archive};
use crate::files::folder::Folder;
use crate::files::paths::check_apart;
use crate::files::source::{Source, files_of_folder};
use crate::system::clock::now;
use crate::system::identity::new_run_id;
use crate::system::interrupts::Interrupts;
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::numbers::count;
use crate::terminal::out::Out;
use crate::terminal::progress::{Counter, Progress};
use crate::tiles::file_names::{Names, TileNames};

/// `import`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// A layer and its source: a folder, .tar, .tar.gz or .tar.zst; with `--add` also a single file
    #[arg(long = "layer", value_name = "ID=SOURCE", required_unless_present = "delete", value_parser = layer_source)]
    pub(crate) layers: Vec<(LayerId, PathBuf)>,
    /// Only add and replace partitions: those that are not in the sources stay
    #[arg(long)]
    pub(crate) add: bool,
    /// Delete a partition, which must exist
    #[arg(long, value_name = "ID=NAME", value_parser = layer_name)]
    pub(crate) delete: Vec<(LayerId, String)>,
    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Allow a source that is empty, which deletes all partitions of its layer
    #[arg(long, conflicts_with = "add", requires = "layers")]
    pub(crate) allow_empty: bool,
    /// Refuse to delete more than this share of a layer, if that is more than ten partitions
    #[arg(long, value_name = "PERCENT", default_value = "50%", value_parser = percent, conflicts_with = "add", requires = "layers")]
    pub(crate) most_deleted: u32,
    /// The form of tiles in the names of files; without it, each name must be a tile in one form only
    #[arg(long, value_name = "FORM")]
    pub(crate) names: Option<TileNames>,
    /// Take over a catalog that tasks wrote so far; the state of these tasks is deleted
    #[arg(long)]
    pub(crate) take_over: bool,
    /// A text to record with the version
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) note: String,
}

/// How many files are looked up in the base together, and imported between two checks for errors.
const BATCH_FILES: usize = 1024;

/// Bytes of payloads that are held while members of an archive wait to be looked up together; one payload may be larger.
const BATCH_BYTES: usize = 8 << 20;

/// Imports all given layers as one new version.
pub(super) fn import(args: &Args, progress: &Progress, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    let catalog = Catalog::open(&stores()?, &args.url)?;
    let base = catalog.latest()?;
    let nothing = format!("nothing was imported; the latest version is {}", base.version());
    interrupts.ends_soon(&nothing);
    let mut sources: BTreeMap<&LayerId, Vec<Source>> = BTreeMap::new();
    let mut tiles = false;
    for (id, path) in &args.layers {
        let settings = layer(&base, id)?.settings();
        if let (Some(names), Scheme::Tile(..)) = (args.names, &settings.scheme) {
            names.check(settings)?;
            tiles = true;
        }
        let source = Source::find(path, args.add)?;
        check_apart(path, &args.url)?;
        let given = sources.entry(id).or_default();
        if !args.add && !given.is_empty() {
            return Err(Failure::usage(format!("layer `{id}` is given twice: it can have only one source")));
        }
        given.push(source);
    }
    if args.names.is_some() && !tiles {
        return Err(Failure::usage("--names is for tiles, and none of these layers has tiles"));
    }
    let run = new_run_id()?;
    let work = || -> Outcome<ImportReport> {
        let begin = if args.take_over { Import::taking_over } else { Import::begin };
        let limits = ImportLimits { allow_empty: args.allow_empty, most_deleted: args.most_deleted };
        let import = begin(&base, run).map_err(explained)?.within(limits);
        let import = if args.dry_run { import.dry() } else { import };
        for (id, sources) in sources {
            let counter = progress.counter(id.as_str());
            if !args.add {
                import.replace(id)?;
            }
            let settings = import.layer(id)?;
            let layer = LayerImport { import: &import, settings, names: args.names, counter: &counter, interrupts };
            for source in sources {
                match source {
                    Source::Folder(root) => layer.files(&root, files_of_folder(&root)?)?,
                    Source::Archive(path, packing) => layer.archive(&path, packing)?,
                    Source::File(folder, name) => layer.files(&folder, vec![name])?,
                }
            }
        }
        for (id, name) in &args.delete {
            delete(&import, &base, id, name)?;
        }
        let left = format!("`deltic log {}` shows whether a version was made", args.url);
        interrupts.ends_by_itself(left, || vec!["the version to be written".to_owned()]);
        if interrupts.stop().is_requested() {
            return Err(stopped());
        }
        import.commit(now(), &args.note).map_err(explained)
    };
    let report = work().map_err(|failure| match failure.is_stopped() {
        true => Failure::stopped(format!("stopped: {nothing}")),
        false => with_latest(failure, &catalog, run, "nothing was imported"),
    })?;
    if let Some(version) = report.version {
        out.has_done(format!("version {version} was committed"));
    }
    let body = Imported { url: &args.url, dry_run: args.dry_run, report: &report };
    out.result("deltic.import/1", body, || if args.dry_run { planned(&report) } else { text(&report) })
}

/// The numbers of an import, done or planned.
#[derive(Serialize)]
struct Imported<'a> {
    url: &'a str,
    dry_run: bool,
    #[serde(flatten)]
    report: &'a ImportReport,
}

/// Deletes a partition that must exist: a mistyped name must not look like a successful deletion.
fn delete(import: &Import, base: &Snapshot, id: &LayerId, text: &str) -> Outcome {
    let settings = layer(base, id)?.settings();
    if import.delete(id, &settings.parse_name(text)?)? {
        return Ok(());
    }
    let url = base.catalog().url();
    let failure = format!("{url}: there is no partition `{text}` in layer `{id}` at version {}", base.version());
    Err(Failure::failed(failure).hint(format!("`deltic ls {url} {id}` lists the partitions")))
}

/// The error that ends the work of an import that must stop.
fn stopped() -> Failure {
    Failure::stopped("stopped")
}

/// An error with advice how to continue.
fn explained(error: deltic_driver::Error) -> Failure {
    use deltic_driver::ErrorKind::{Guarded, Owned};
    let hint = match error.kind() {
        Owned { .. } => {
            "import into a separate catalog and let tasks read that; to replace the content of this one, add `--take-over`"
        }
        Guarded { is_empty: true, .. } => "is the source complete? If you want this, add `--allow-empty`",
        Guarded { .. } => {
            "is the source complete? If you want this, add `--most-deleted 100%`; `--add` adds and replaces partitions, and \
             deletes none"
        }
        _ => return error.into(),
    };
    Failure::from(error).hint(hint)
}

fn planned(report: &ImportReport) -> String {
    let ImportCounts { added, modified, deleted, .. } = report.counts;
    match added + modified + deleted {
        0 => format!("would change nothing: version {} is up to date", report.base),
        _ => format!("would add {}, modify {}, delete {}", count(added), count(modified), count(deleted)),
    }
}

fn text(report: &ImportReport) -> String {
    match report.version {
        None => format!("nothing changed: version {} is up to date", report.base),
        Some(version) => format!(
            "committed version {version}: {} added, {} modified, {} deleted",
            count(report.counts.added),
            count(report.counts.modified),
            count(report.counts.deleted)
        ),
    }
}

/// A layer while it is imported.
struct LayerImport<'a> {
    import: &'a Import,
    settings: &'a Layer,
    names: Option<TileNames>,
    counter: &'a Counter,
    interrupts: &'a Interrupts,
}

impl LayerImport<'_> {
    fn files(&self, root: &Path, files: Vec<String>) -> Outcome {
        let folder = Folder::open(root).map_err(|error| Failure::file("the folder can not be read", root, &error))?;
        let mut names = Names::new(self.settings, self.names);
        let mut named: Vec<(Name, String)> =
            files.into_iter().map(|file| Ok((self.name(&mut names, &file, root)?, file))).collect::<Outcome<_>>()?;
        // In the order of the base, so that the names of a batch are neighbours there.
        named.sort_by_cached_key(|(name, _)| name.to_bytes());
        for batch in named.chunks(BATCH_FILES) {
            self.import.look_up(&self.settings.id, batch.iter().map(|(name, _)| name))?;
            let put = |(name, file): &(Name, String)| {
                let unreadable = |error| Failure::file("it can not be read", &root.join(file), &error);
                let bytes = folder.read(file).map_err(unreadable)?;
                self.put(name, &Payload::new(bytes), file, root)
            };
            let done: Vec<Outcome> = batch.par_iter().map(put).collect();
            // Of several errors, always the same one is reported.
            done.into_iter().collect::<Outcome>()?;
        }
        Ok(())
    }

    fn archive(&self, path: &Path, packing: Packing) -> Outcome {
        let mut names = Names::new(self.settings, self.names);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let read = files_of_archive(path, packing, &mut |member, read| {
            let name = self.name(&mut names, &member.path, path)?;
            let payload = Payload::new(read()?).with_fields(member.fields);
            bytes += payload.bytes().len();
            batch.push((name, payload, member.path));
            if batch.len() < BATCH_FILES && bytes < BATCH_BYTES {
                return Ok(());
            }
            bytes = 0;
            self.put_all(&std::mem::take(&mut batch), path)
        });
        // Files that were read before the error may have errors too, which come first.
        self.put_all(&batch, path)?;
        read
    }

    fn put_all(&self, batch: &[(Name, Payload, String)], source: &Path) -> Outcome {
        self.import.look_up(&self.settings.id, batch.iter().map(|(name, ..)| name))?;
        batch.iter().try_for_each(|(name, payload, file)| self.put(name, payload, file, source))
    }

    fn put(&self, name: &Name, payload: &Payload, file: &str, source: &Path) -> Outcome {
        if self.interrupts.stop().is_requested() {
            return Err(stopped());
        }
        self.import.put(&self.settings.id, name, payload).map_err(|error| match error.kind() {
            deltic_driver::ErrorKind::InvalidInput { what, .. } => self.refused(file, source, what),
            _ => error.into(),
        })?;
        self.counter.tick();
        Ok(())
    }

    fn name(&self, names: &mut Names<'_>, file: &str, source: &Path) -> Outcome<Name> {
        names.read(file).map_err(|no_name| {
            let refused = self.refused(file, source, &no_name.why);
            no_name.hint.into_iter().fold(refused, Failure::hint)
        })
    }

    fn refused(&self, file: &str, source: &Path, why: &str) -> Failure {
        Failure::failed(format!("{}: {file}: {why}", source.display()))
    }
}
