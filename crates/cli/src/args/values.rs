//! Values of options as people type them: layers, sources, versions, shares, boxes. An error names the expected form.

use std::path::PathBuf;

use deltic_core::{BoundingBox, CatalogId, Layer, LayerId, Scheme, Version};

/// How a box is written.
pub(crate) const BOX: &str = "SOUTH,WEST,NORTH,EAST";

type Parsed<T> = Result<T, String>;

fn pair<'a>(text: &'a str, form: &str) -> Parsed<(&'a str, &'a str)> {
    text.split_once('=').filter(|(_, right)| !right.is_empty()).ok_or_else(|| format!("expected {form}"))
}

pub(crate) fn layer(text: &str) -> Parsed<Layer> {
    let (id, scheme) = pair(text, "ID=SCHEME, for example `names=generic` or `topology=tile:here:12,14`")?;
    let id = LayerId::new(id).map_err(|error| error.to_string())?;
    let scheme: Scheme = scheme.parse().map_err(|error: deltic_core::Error| error.to_string())?;
    Ok(Layer { id, scheme, content_type: String::new() })
}

pub(crate) fn layer_source(text: &str) -> Parsed<(LayerId, PathBuf)> {
    let (id, source) = pair(text, "ID=SOURCE, for example `names=data/names` or `names=names.tar.zst`")?;
    Ok((LayerId::new(id).map_err(|error| error.to_string())?, PathBuf::from(source)))
}

pub(crate) fn layer_name(text: &str) -> Parsed<(LayerId, String)> {
    let (id, name) = pair(text, "ID=NAME, for example `names=de/hamm`")?;
    Ok((LayerId::new(id).map_err(|error| error.to_string())?, name.to_owned()))
}

pub(crate) fn limit(text: &str) -> Parsed<usize> {
    text.parse().map_err(|_| "expected a number, for example 10".to_owned())
}

/// A share, in millionths.
pub(crate) fn percent(text: &str) -> Parsed<u32> {
    let number = text.trim().trim_end_matches('%').trim_end().parse::<f64>().ok();
    let number = number.filter(|percent| *percent > 0.0 && *percent <= 100.0);
    let millionths = number.map(|percent| (percent * 10_000.0).ceil() as u32);
    millionths.ok_or_else(|| "expected a number up to 100, for example 1% or 0.1%".to_owned())
}

pub(crate) fn input(text: &str) -> Parsed<(CatalogId, Version)> {
    let (id, version) = pair(text, "ID=VERSION, for example `in=377`")?;
    let id = CatalogId::new(id).map_err(|error| error.to_string())?;
    Ok((id, version.parse().map_err(|error: deltic_core::Error| error.to_string())?))
}

pub(crate) fn bounding_box(text: &str) -> Parsed<BoundingBox> {
    let edges: Vec<f64> = text.split(',').filter_map(|edge| edge.trim().parse().ok()).collect();
    match edges[..] {
        [south, west, north, east] if text.split(',').count() == 4 => {
            BoundingBox::new(south, west, north, east).map_err(|error| error.to_string())
        }
        _ => Err(format!("expected four degrees {BOX}, for example 46.9,7.4,47.0,7.5")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_where_they_are_typed() {
        assert_eq!(layer("topology=tile:here:12,14").unwrap().scheme.to_string(), "tile:here:12,14");
        assert!(layer("topology").unwrap_err().contains("ID=SCHEME"));
        assert!(layer("topology=quad").unwrap_err().contains("is not a partitioning scheme"));
        assert_eq!(layer_source("a=b=c").unwrap().1, PathBuf::from("b=c"));
        assert_eq!(input("in=3").unwrap().1, Version(3));
        assert_eq!([percent("1%"), percent("0.05 %"), percent("100")], [Ok(10_000), Ok(500), Ok(1_000_000)]);
        assert!(["0%", "101%", "-1%", "one", "NaN", ""].into_iter().all(|text| percent(text).is_err()));
        assert!(input("in=three").is_err() && input("in=").is_err());
        assert!(
            bounding_box("-1, 2,3,4").is_ok() && bounding_box("1,2,3").is_err() && bounding_box("1,2,x,3,4").is_err()
        );
    }
}
