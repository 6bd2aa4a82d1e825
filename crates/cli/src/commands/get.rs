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
    /// The partition: a name, the quadkey of a tile, or `here:` and a HERE tile id
    pub(crate) name: String,
    /// The version, such as 98 or -1; the default is the latest
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) version: Option<Which>,
}

/// Payloads of at least this size are streamed: output begins before the last byte was checked.
const STREAMED_BYTES: u64 = 8 << 20;

/// Writes the bytes of a partition to standard output. They are the result, in any format.
pub(super) fn get(args: &Args, out: &mut Out) -> Outcome {
    if out.format == Format::Json {
        return Err(Failure::usage("`get` writes the bytes of the partition, and does not support --format json"));
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
                    format!("{}: {}/{name}: do not use the bytes that were written: {error}", args.url, args.layer);
                return Err(Failure::failed(message));
            }
        }
    }
}
