//! Numbers, sizes and times in the form for people.

use std::time::{Duration, UNIX_EPOCH};

use deltic_core::Timestamp;

/// A count with separated thousands: `3,434`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of partitions: `1 partition`, `3,434 partitions`.
pub(crate) fn partitions(number: u64) -> String {
    format!("{} partition{}", count(number), if number == 1 { "" } else { "s" })
}

/// A number of bytes: `11 KiB`, `1.5 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let (mut size, mut unit) = (number as f64 / 1024.0, 0);
    while size >= 1023.5 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(size < 9.95);
    format!("{size:.decimals$} {}", UNITS[unit])
}

/// A duration given in milliseconds: `9 ms`, `1.3 s`.
pub(crate) fn milliseconds(number: f64) -> String {
    match number {
        n if n < 9.95 => format!("{n:.1} ms"),
        n if n < 999.5 => format!("{n:.0} ms"),
        n => format!("{:.1} s", n / 1000.0),
    }
}

/// A time to the second, UTC: `2026-11-20T23:00:13Z`.
pub(crate) fn time(time: Timestamp) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(time.0));
    time.map_or_else(|| "after the end of time".to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 12, 999, 1000, 3_434, 1_234_567].map(count), ["0", "12", "999", "1,000", "3,434", "1,234,567"]);
        assert_eq!(
            [0, 1023, 1024, 11_000, 1_048_575, 1_572_864].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "11 KiB", "1.0 MiB", "1.5 MiB"]
        );
        assert_eq!([0.04, 9.0, 412.3, 61_000.0].map(milliseconds), ["0.0 ms", "9.0 ms", "412 ms", "61.0 s"]);
        assert_eq!(time(Timestamp(0)), "1970-01-01T00:00:00Z");
    }
}
