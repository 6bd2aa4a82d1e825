//! Records of pax extended headers: `LENGTH KEY=VALUE` and a line feed. The length includes all of these.

use deltic_core::Fields;

/// The prefix of the keys of user fields; the name of the field follows, with `%` and `=` written as `%25` and `%3D`.
const FIELD: &str = "DELTIC.field.";

/// Marks a member that looks like metadata of macOS as an ordinary file.
pub(super) const FILE: &str = "DELTIC.file";

/// The prefix of all keys for these programs.
const VENDOR: &str = "DELTIC.";

/// The records of one header, in order.
#[derive(Default)]
pub(super) struct Records(Vec<(String, Vec<u8>)>);

/// A value, or why it can not be read.
type Checked<T> = Result<T, String>;

impl Records {
    /// Reads the content of a header.
    pub(super) fn parse(mut bytes: &[u8]) -> Checked<Records> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or("its extended header is damaged")?;
            if let Some(why) = unknown(&key, value) {
                return Err(why);
            }
            records.push((key, value.to_vec()));
            bytes = rest;
        }
        Ok(Records(records))
    }

    /// Checks a header for all following members: no record in it may be about a single member.
    pub(super) fn check_global(&self) -> Checked<()> {
        let one =
            |key: &str| matches!(key, "path" | "size") || key.starts_with("GNU.sparse.") || key.starts_with(VENDOR);
        match self.0.iter().find(|(key, _)| one(key)) {
            Some((key, _)) => Err(format!("a header for all members has a `{key}`, which can only be for one")),
            None => Ok(()),
        }
    }

    /// The value of a key; none if there is no such record, or an empty one, which removes the value.
    pub(super) fn one(&self, key: &str) -> Checked<Option<&[u8]>> {
        let mut values = self.all(key);
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            return Err(format!("its extended header has two values for `{key}`"));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// The value of a key that is a number.
    pub(super) fn number(&self, key: &str) -> Checked<Option<u64>> {
        let Some(value) = self.one(key)? else { return Ok(None) };
        let number = decimal(value).filter(|number| *number <= u64::MAX >> 1);
        number.map(Some).ok_or_else(|| format!("`{key}` of its extended header is no number"))
    }

    /// All records of a key.
    pub(super) fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(known, _)| known == key).map(|(_, value)| &**value)
    }

    /// All records, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Whether they are about a file with holes.
    pub(super) fn is_sparse(&self) -> bool {
        self.0.iter().any(|(key, _)| key.starts_with("GNU.sparse."))
    }

    /// The user fields.
    pub(super) fn fields(&self) -> Checked<Fields> {
        let mut fields = Fields::default();
        for (key, value) in self.iter() {
            let Some(name) = key.strip_prefix(FIELD) else { continue };
            let bad = |why: &str| format!("user field `{name}`: {why}");
            let (name, value) = (decoded(name), std::str::from_utf8(value));
            let (Some(name), Ok(value)) = (name, value) else {
                return Err(bad("it is not in the form that `export` writes"));
            };
            if fields.get(&name).is_some() {
                return Err(bad("it is given twice"));
            }
            fields.set(&name, value).map_err(|error| bad(&error.to_string()))?;
        }
        Ok(fields)
    }
}

/// Writes a record.
pub(super) fn write(into: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    // The length counts its own digits.
    let length = (1..).map(|digits| rest + digits).find(|length| rest + length.to_string().len() == *length);
    into.extend_from_slice(format!("{} {key}=", length.unwrap_or(rest)).as_bytes());
    into.extend_from_slice(value);
    into.push(b'\n');
}

/// Writes the records of user fields.
pub(super) fn write_fields(into: &mut Vec<u8>, fields: &Fields) {
    for (name, value) in fields.iter() {
        let name = name.replace('%', "%25").replace('=', "%3D");
        write(into, &format!("{FIELD}{name}"), value.as_bytes());
    }
}

/// A number in decimal digits.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// The first record, as key and value, and the bytes after it.
fn record(bytes: &[u8]) -> Option<(String, &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let text = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
    Some((std::str::from_utf8(&text[..equals]).ok()?.to_owned(), &text[equals + 1..], rest))
}

/// Why a record can not be ignored, if it may describe the content in a way that is not known here.
fn unknown(key: &str, value: &[u8]) -> Option<String> {
    let known = match key {
        "hdrcharset" => matches!(value, b"" | b"ISO-IR 10646 2000 UTF-8" | b"BINARY"),
        "GNU.volume.label" => true,
        "SCHILY.filetype" => value != b"sparse",
        "SCHILY.realsize" | "SUN.holesdata" | "GNU.dumpdir" => false,
        key if key.starts_with("GNU.volume.") => false,
        key if key.starts_with(VENDOR) => key.starts_with(FIELD) || key == FILE,
        _ => true,
    };
    (!known).then(|| {
        let value = String::from_utf8_lossy(&value[..value.len().min(40)]);
        format!("`{key}={value}` of its extended header is unknown, and may change the content")
    })
}

/// The name of a user field, decoded from its key; none if the key is not in that form.
fn decoded(name: &str) -> Option<String> {
    let mut parts = name.split('%');
    let mut decoded = parts.next()?.to_owned();
    for part in parts {
        let (character, rest) = match part.get(..2)? {
            "25" => ('%', &part[2..]),
            "3D" => ('=', &part[2..]),
            _ => return None,
        };
        decoded.push(character);
        decoded.push_str(rest);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Checked<Vec<(String, Vec<u8>)>> {
        Records::parse(bytes).map(|records| records.0)
    }

    #[test]
    fn records_are_cut_by_their_length() {
        let mut bytes = Vec::new();
        // Around the lengths at which the length itself takes a digit more.
        let values: Vec<Vec<u8>> = (0..120).chain(985..1005).map(|length| vec![b'\n'; length]).collect();
        values.iter().for_each(|value| write(&mut bytes, "k", value));
        let read = parse(&bytes).unwrap();
        assert_eq!(read.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), values);
        for bad in ["", "6 a=b", "6 a=b\n7", "5 a=b\n", "06", "x a=b\n", "5 =b\n", "99999999999999999999999 a=b\n"] {
            assert_eq!(parse(bad.as_bytes()).is_ok(), bad.is_empty(), "{bad:?}");
        }
    }

    #[test]
    fn two_values_are_none() {
        let records = |text: &str| Records::parse(text.as_bytes()).unwrap();
        assert_eq!(records("10 path=a\n10 path=a\n").one("path").unwrap(), Some(&b"a"[..]));
        assert!(records("10 path=a\n10 path=b\n").one("path").unwrap_err().contains("two values"));
        assert_eq!(records("8 path=\n").one("path").unwrap(), None, "an empty value takes the value back");
        assert!(records("10 size=+\n").number("size").is_err());
    }

    #[test]
    fn fields_come_back() {
        let mut fields = Fields::default();
        for (name, value) in [("a=b%25", "=\u{e9}"), ("%3D", ""), ("ä", "1 2")] {
            fields.set(name, value).unwrap();
        }
        let mut bytes = Vec::new();
        write_fields(&mut bytes, &fields);
        assert_eq!(Records::parse(&bytes).unwrap().fields().unwrap(), fields);
        for bad in ["DELTIC.field.=x", "DELTIC.field.%41=x", "DELTIC.field.%=x", "DELTIC.field.a=\u{1}"] {
            let (key, value) = bad.split_once('=').unwrap();
            let mut bytes = Vec::new();
            write(&mut bytes, key, value.as_bytes());
            assert!(Records::parse(&bytes).unwrap().fields().is_err(), "{bad}");
        }
    }
}
