//! `import`: layers become exactly what folders or archives hold; or partitions are added and deleted.
//!
//! In a generic layer a partition is named as its file is, by the path below the source; in a tile layer by the file's
//! name without its extension, wherever in the source it lies, or by the end of its path: see
//! [`file_names`](crate::tiles::file_names).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deltic_core::{Layer, LayerId, Name, Payload, Scheme};
use deltic_driver::{Import, ImportCounts, ImportLimits, ImportReport};
use deltic_store::{Catalog, Snapshot};
use rayon::prelude::*;
use serde::Serialize;

use crate::args::values::{layer_name, layer_source, percent};
use crate::catalogs::access::{layer, stores};
use crate::catalogs::race::stands;
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
    /// A layer and the folder, .tar, .tar.gz or .tar.zst that it becomes; with `--add` also a single file
    #[arg(long = "layer", value_name = "ID=SOURCE", required_unless_present = "delete", value_parser = layer_source)]
    pub(crate) layers: Vec<(LayerId, PathBuf)>,
    /// Only put what the sources hold: the other partitions of their layers stay
    #[arg(long)]
    pub(crate) add: bool,
    /// Delete a partition; it must be there
    #[arg(long, value_name = "ID=NAME", value_parser = layer_name)]
    pub(crate) delete: Vec<(LayerId, String)>,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Replace a layer by a source that is empty
    #[arg(long, conflicts_with = "add", requires = "layers")]
    pub(crate) allow_empty: bool,
    /// Refuse to replace a layer where more of it would be deleted, and more than ten partitions
    #[arg(long, value_name = "PERCENT", default_value = "50%", value_parser = percent, conflicts_with = "add", requires = "layers")]
    pub(crate) most_deleted: u32,
    /// How tiles are written in the names of files; without it, each name must be a tile in one way only
    #[arg(long, value_name = "FORM")]
    pub(crate) names: Option<TileNames>,
    /// Write to a catalog that tasks write to so far; what they remember of it goes
    #[arg(long)]
    pub(crate) take_over: bool,
    /// A text to record with the version
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) note: String,
}

/// How many files are looked up in the base together, and worked on between two looks for errors.
const BATCH_FILES: usize = 1024;

/// Bytes of payloads that are held while members of an archive are waiting to be looked up together; one may be larger.
const BATCH_BYTES: usize = 8 << 20;

/// Imports all layers named as one new version.
pub(super) fn import(args: &Args, progress: &Progress, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    let catalog = Catalog::open(&stores()?, &args.url)?;
    let base = catalog.latest()?;
    let nothing = format!("nothing was imported; version {} stands", base.version());
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
            return Err(Failure::usage(format!("layer `{id}` is given twice: it can become only one source")));
        }
        given.push(source);
    }
    if args.names.is_some() && !tiles {
        return Err(Failure::usage("--names says how tiles are written, and none of these layers has tiles"));
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
        let left = format!("whether a version was made says `deltic log {}`", args.url);
        interrupts.ends_by_itself(left, || vec!["the version to be written".to_owned()]);
        if interrupts.stop().is_requested() {
            return Err(stopped());
        }
        import.commit(now(), &args.note).map_err(explained)
    };
    let report = work().map_err(|failure| match failure.is_stopped() {
        true => Failure::stopped(format!("stopped: {nothing}")),
        false => stands(failure, &catalog, run, "nothing was imported"),
    })?;
    if let Some(version) = report.version {
        out.has_done(format!("version {version} was committed"));
    }
    let body = Imported { url: &args.url, dry_run: args.dry_run, report: &report };
    out.result("deltic.import/1", body, || if args.dry_run { planned(&report) } else { text(&report) })
}

/// What an import did, or would do.
#[derive(Serialize)]
struct Imported<'a> {
    url: &'a str,
    dry_run: bool,
    #[serde(flatten)]
    report: &'a ImportReport,
}

/// Deletes a partition that has to be there: a slip in a name is not to pass for work that was done.
fn delete(import: &Import, base: &Snapshot, id: &LayerId, text: &str) -> Outcome {
    let settings = layer(base, id)?.settings();
    if import.delete(id, &settings.parse_name(text)?)? {
        return Ok(());
    }
    let url = base.catalog().url();
    let failure = format!("{url}: there is no partition `{text}` in layer `{id}` at version {}", base.version());
    Err(Failure::failed(failure).hint(format!("`deltic ls {url} {id}` lists those there are")))
}

/// What ends the work of an import that is to stop.
fn stopped() -> Failure {
    Failure::stopped("stopped")
}

/// An error with how to go on.
fn explained(error: deltic_driver::Error) -> Failure {
    use deltic_driver::ErrorKind::{Guarded, Owned};
    let hint = match error.kind() {
        Owned { .. } => {
            "import into a catalog of its own and let tasks read that; to replace what is there add `--take-over`"
        }
        Guarded { is_empty: true, .. } => "is the source complete? If this is meant, add `--allow-empty`",
        Guarded { .. } => {
            "is the source complete? If this is meant, add `--most-deleted 100%`; with `--add` what the source holds is put, and \
             nothing is deleted"
        }
        _ => return error.into(),
    };
    Failure::from(error).hint(hint)
}

fn planned(report: &ImportReport) -> String {
    let ImportCounts { added, modified, deleted, .. } = report.counts;
    match added + modified + deleted {
        0 => format!("would change nothing: version {} stands", report.base),
        _ => format!("would add {}, modify {}, delete {}", count(added), count(modified), count(deleted)),
    }
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

/// One layer being imported.
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
        // As they are in the base, where those of a batch are neighbours then.
        named.sort_by_cached_key(|(name, _)| name.to_bytes());
        for batch in named.chunks(BATCH_FILES) {
            self.import.look_up(&self.settings.id, batch.iter().map(|(name, _)| name))?;
            let put = |(name, file): &(Name, String)| {
                let unreadable = |error| Failure::file("it can not be read", &root.join(file), &error);
                let bytes = folder.read(file).map_err(unreadable)?;
                self.put(name, &Payload::new(bytes), file, root)
            };
            let done: Vec<Outcome> = batch.par_iter().map(put).collect();
            // Of several errors, always the same one is told.
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
        // What was read before an error may have one of its own, and is before it.
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
