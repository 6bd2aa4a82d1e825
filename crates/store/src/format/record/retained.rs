//! Sets of versions as ranges of numbers, as a record lists the versions that can be read. The ranges are sorted, and neither
//! overlap nor touch. A record may name ranges of any length, so nothing here iterates over one.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use deltic_core::Version;

/// Adds a version to a retained set, keeping its ranges sorted and apart.
pub(crate) fn retain(retained: &[(Version, Version)], version: Version) -> Vec<(Version, Version)> {
    let mut ranges: Vec<RangeInclusive<u64>> = retained.iter().map(|(first, last)| first.0..=last.0).collect();
    ranges.push(version.0..=version.0);
    ranges.sort_by_key(|range| *range.start());
    let mut merged: Vec<(Version, Version)> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some((_, last)) if *range.start() <= last.0.saturating_add(1) => last.0 = last.0.max(*range.end()),
            _ => merged.push((Version(*range.start()), Version(*range.end()))),
        }
    }
    merged
}

/// Versions as sorted ranges, neither overlapping nor touching.
pub(crate) fn ranges(versions: impl IntoIterator<Item = Version>) -> Vec<(Version, Version)> {
    let versions: BTreeSet<Version> = versions.into_iter().collect();
    let mut ranges: Vec<(Version, Version)> = Vec::new();
    for version in versions {
        match ranges.last_mut() {
            Some((_, last)) if last.next() == version => *last = version,
            _ => ranges.push((version, version)),
        }
    }
    ranges
}

/// What sorted ranges hold that other sorted ranges do not.
pub(crate) fn minus(ranges: &[(Version, Version)], others: &[(Version, Version)]) -> Vec<(Version, Version)> {
    let mut left = Vec::new();
    for &(first, last) in ranges {
        let from = others.partition_point(|(_, to)| *to < first);
        // Where what is left of the range begins; none after the greatest number.
        let mut begin = Some(first);
        for &(from, to) in others[from..].iter().take_while(|(from, _)| *from <= last) {
            left.extend(begin.filter(|begin| *begin < from).map(|begin| (begin, Version(from.0 - 1))));
            begin = to.0.checked_add(1).map(Version);
        }
        left.extend(begin.filter(|begin| *begin <= last).map(|begin| (begin, last)));
    }
    left
}

pub(super) fn are_ranges(ranges: &[(Version, Version)]) -> bool {
    ranges.iter().all(|(first, last)| first <= last)
        && ranges.windows(2).all(|pair| pair[0].1.0.saturating_add(1) < pair[1].0.0)
}

/// Ranges of versions as people read them: `3, 5-7`.
pub(crate) fn show(ranges: &[(Version, Version)]) -> String {
    let one = |(first, last): &(Version, Version)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retained_ranges_merge() {
        let ranges = |pairs: &[(u64, u64)]| pairs.iter().map(|&(a, b)| (Version(a), Version(b))).collect::<Vec<_>>();
        assert_eq!(retain(&[], Version(0)), ranges(&[(0, 0)]));
        assert_eq!(retain(&ranges(&[(0, 3)]), Version(4)), ranges(&[(0, 4)]));
        assert_eq!(retain(&ranges(&[(0, 3)]), Version(9)), ranges(&[(0, 3), (9, 9)]));
        assert_eq!(retain(&ranges(&[(0, 3), (5, 6)]), Version(4)), ranges(&[(0, 6)]));
        assert_eq!(retain(&ranges(&[(0, 3)]), Version(2)), ranges(&[(0, 3)]));
    }

    #[test]
    fn what_is_taken_from_ranges_is_gone() {
        let pairs = |pairs: &[(u64, u64)]| pairs.iter().map(|&(a, b)| (Version(a), Version(b))).collect::<Vec<_>>();
        let end = u64::MAX;
        for (all, without, left) in [
            (&[(0, 1 << 62)][..], &[(5, 5), (9, 1 << 62)][..], &[(0, 4), (6, 8)][..]),
            (&[(0, end)], &[(end, end)], &[(0, end - 1)]),
            (&[(3, 9)], &[(0, 20)], &[]),
            (&[(3, 9)], &[], &[(3, 9)]),
            (&[(3, 9)], &[(0, 3), (9, 9)], &[(4, 8)]),
            (&[(0, 2), (4, 6), (8, 9)], &[(1, 4), (6, 8)], &[(0, 0), (5, 5), (9, 9)]),
        ] {
            assert_eq!(minus(&pairs(all), &pairs(without)), pairs(left), "{all:?} without {without:?}");
        }
        // Against sets, for all small ranges.
        let subsets = || (0..1u32 << 7).map(|bits| ranges((0..7).filter(move |n| bits >> n & 1 == 1).map(Version)));
        let set = |ranges: &[(Version, Version)]| -> BTreeSet<u64> {
            ranges.iter().flat_map(|(first, last)| first.0..=last.0).collect()
        };
        for one in subsets() {
            for two in subsets() {
                let left = minus(&one, &two);
                assert!(are_ranges(&left), "{one:?} {two:?} {left:?}");
                assert_eq!(set(&left), set(&one).difference(&set(&two)).copied().collect::<BTreeSet<_>>());
            }
        }
    }

    #[test]
    fn ranges_are_sorted_and_apart() {
        let found = ranges([7, 3, 5, 6, 5].map(Version));
        assert_eq!(found, [(Version(3), Version(3)), (Version(5), Version(7))]);
        assert!(are_ranges(&found) && show(&found) == "3, 5-7");
        for bad in [[(5, 4), (7, 7)], [(3, 5), (6, 7)], [(6, 7), (3, 3)], [(3, u64::MAX), (5, 5)]] {
            assert!(!are_ranges(&bad.map(|(a, b)| (Version(a), Version(b)))), "{bad:?}");
        }
    }
}
