//! `get`: the bytes of one partition.

use std::io::Read;

use deltic_core::LayerId;

use crate::catalogs::access::{layer, open};
use crate::catalogs::version::Which;
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::out::{Format, Out};

/// `get`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// The layer
    pub(crate) layer: LayerId,
    /// The partition: a name, a tile's quadkey digits, or `here:` and a HERE tile id
    pub(crate) name: String,
    /// The version, or how far back, such as -1; without it, the latest
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) version: Option<Which>,
}

/// Payloads from here on are streamed: they reach the output before their last byte has been checked.
const STREAMED_BYTES: u64 = 8 << 20;

/// Writes the bytes of a partition to standard output, whatever the format: they are the result.
pub(super) fn get(args: &Args, out: &mut Out) -> Outcome {
    if out.format == Format::Json {
        return Err(Failure::usage("`get` writes the bytes of the partition: it takes no --format json"));
    }
    let snapshot = open(&args.url, args.version)?;
    let layer = layer(&snapshot, &args.layer)?;
    let name = layer.settings().parse_name(&args.name)?;
    let Some(entry) = layer.get(&name)? else {
        return Err(Failure::failed(format!(
            "{}: there is no partition `{name}` in layer `{}` at version {}",
            args.url,
            args.layer,
            snapshot.version()
        )));
    };
    if entry.meta.len < STREAMED_BYTES {
        return out.bytes(layer.tree().read(&entry)?.bytes());
    }
    let mut reader = layer.tree().open(&entry)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => out.bytes(&buffer[..read])?,
            Err(error) => {
                let message =
                    format!("{}: {}/{name}: what was written so far is not usable: {error}", args.url, args.layer);
                return Err(Failure::failed(message));
            }
        }
    }
}
