//! The header of a `.npy` file: a magic, a version, and a Python dict of three keys.
//!
//! The grammar is the part of Python that `numpy.lib.format` writes, and a little more: any order of keys, any white
//! space, either quote, a comma at the end. Anything else is an error that says where.

use std::result;

use super::dense::Dense;
use super::file::DataFile;
use crate::{DType, Error, Result};

/// numpy itself stops at 10,000 bytes unless told otherwise; a header is never allocated for a length beyond this.
const MAX_HEADER: u64 = 1 << 20;

/// Where a header is read from: a file, or what stands for one.
pub(crate) trait Input {
    /// How many bytes there are.
    fn len(&self) -> u64;
    fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()>;
    fn broken(&self, message: String) -> Error;
    fn unsupported(&self, message: String) -> Error;
}

impl Input for DataFile {
    fn len(&self) -> u64 {
        self.len()
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        self.read_at(out, offset)
    }

    fn broken(&self, message: String) -> Error {
        self.broken(message)
    }

    fn unsupported(&self, message: String) -> Error {
        self.unsupported(message)
    }
}

/// A file in memory.
#[cfg(fuzzing)]
pub(crate) struct Memory<'a>(pub(crate) &'a [u8]);

#[cfg(fuzzing)]
impl Input for Memory<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        out.copy_from_slice(&self.0[offset as usize..][..out.len()]);
        Ok(())
    }

    fn broken(&self, message: String) -> Error {
        Error::format("memory", message)
    }

    fn unsupported(&self, message: String) -> Error {
        Error::unsupported("memory", message)
    }
}

/// Reads the header of a file, and checks that the data it speaks of are there.
pub(crate) fn read(file: &impl Input) -> Result<Dense> {
    let mut head = vec![0; file.len().min(12) as usize];
    file.read_at(&mut head, 0)?;
    if !head.starts_with(b"\x93NUMPY") {
        return Err(file.broken("not a .npy file: expected it to start with \"\\x93NUMPY\"".to_owned()));
    }
    let (length, start) = match head[6..] {
        [1, 0, a, b, ..] => (u64::from(u16::from_le_bytes([a, b])), 10),
        [2 | 3, 0, a, b, c, d] => (u64::from(u32::from_le_bytes([a, b, c, d])), 12),
        [1..=3, 0, ..] | [] | [_] => return Err(file.broken("the file ends within its header".to_owned())),
        [major, minor, ..] => {
            return Err(file.unsupported(format!(".npy version {major}.{minor}: expected 1.0, 2.0 or 3.0")));
        }
    };
    let data = start + length;
    if data > file.len() {
        return Err(file.broken(format!("a header of {length} bytes, but the file has {}", file.len())));
    }
    if length > MAX_HEADER {
        return Err(file.broken(format!("a header of {length} bytes: expected at most {MAX_HEADER}")));
    }
    let mut text = vec![0; length as usize];
    file.read_at(&mut text, start)?;
    let (descr, fortran, shape) = Parser { text: &text, at: 0 }
        .dict()
        .map_err(|(at, message)| file.broken(format!("bad .npy header, byte {}: {message}", start + at as u64)))?;
    let (dtype, swapped) = dtype(&descr)
        .map_err(|what| file.unsupported(format!("dtype {descr:?} is {what}: expected numbers or bool")))?;
    let array = Dense { dtype, swapped, fortran, shape, data };
    array.bytes_within(file.len()).map_err(|message| file.broken(message))?;
    Ok(array)
}

/// The type behind a `descr`, and whether its bytes are swapped; or else what the `descr` stands for.
pub(super) fn dtype(descr: &str) -> result::Result<(DType, bool), &'static str> {
    let (order, kind) = match descr.as_bytes().first() {
        Some(b'<' | b'>' | b'=' | b'|') => descr.split_at(1),
        _ => ("=", descr),
    };
    let dtype = match kind {
        "b1" | "?" => DType::Bool,
        "u1" => DType::U8,
        "u2" => DType::U16,
        "u4" => DType::U32,
        "u8" => DType::U64,
        "i1" => DType::I8,
        "i2" => DType::I16,
        "i4" => DType::I32,
        "i8" => DType::I64,
        "f2" => DType::F16,
        "f4" => DType::F32,
        "f8" => DType::F64,
        _ => {
            return Err(match kind.as_bytes().first() {
                Some(b'O') => "Python objects",
                Some(b'c') => "complex",
                Some(b'S' | b'U' | b'a') => "text",
                Some(b'M' | b'm') => "dates or times",
                Some(b'V') => "raw bytes",
                Some(b'f') => "a float of a size that no other format has",
                Some(b'[') => "structured",
                _ => "unknown",
            });
        }
    };
    let swapped = match order {
        "<" => cfg!(target_endian = "big"),
        ">" => cfg!(target_endian = "little"),
        _ => false,
    };
    Ok((dtype, swapped && dtype.size() > 1))
}

/// Where in the text something is wrong, and what.
type Wrong = (usize, String);

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    /// The whole header: a dict with the three keys in any order, and nothing after it.
    fn dict(&mut self) -> result::Result<(String, bool, Vec<u64>), Wrong> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.expect(b'{')?;
        while !self.take(b'}') {
            self.space();
            let start = self.at;
            let key = self.string()?;
            self.expect(b':')?;
            let again = match key.as_str() {
                "descr" => descr.replace(self.descr()?).is_some(),
                "fortran_order" => fortran.replace(self.boolean()?).is_some(),
                "shape" => shape.replace(self.tuple()?).is_some(),
                _ => return Err((start, format!("key {key:?}: expected descr, fortran_order or shape"))),
            };
            if again {
                return Err((start, format!("key {key:?} a second time")));
            }
            if !self.take(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        self.space();
        if self.text[self.at..].iter().any(|&c| c != 0) {
            return self.wrong("the end of the header");
        }
        let missing = |key: &str| (self.at, format!("no key {key:?}"));
        Ok((
            descr.ok_or_else(|| missing("descr"))?,
            fortran.ok_or_else(|| missing("fortran_order"))?,
            shape.ok_or_else(|| missing("shape"))?,
        ))
    }

    /// A type as text. A list is a structured type: only its first characters are kept, for the error to come.
    fn descr(&mut self) -> result::Result<String, Wrong> {
        self.space();
        if self.text.get(self.at) != Some(&b'[') {
            return self.string();
        }
        let rest = &self.text[self.at..];
        let shown = String::from_utf8_lossy(&rest[..rest.len().min(40)]).into_owned();
        let mut depth = 0usize;
        while let Some(&c) = self.text.get(self.at) {
            match c {
                b'\'' | b'"' => {
                    self.string()?;
                    continue;
                }
                b'[' | b'(' => depth += 1,
                b']' | b')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(shown);
            }
        }
        self.wrong("']'")
    }

    fn boolean(&mut self) -> result::Result<bool, Wrong> {
        self.space();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.wrong("True or False")
    }

    fn tuple(&mut self) -> result::Result<Vec<u64>, Wrong> {
        let mut shape = Vec::new();
        self.expect(b'(')?;
        while !self.take(b')') {
            shape.push(self.number()?);
            if !self.take(b',') {
                // `(3)` is no tuple in Python.
                if shape.len() == 1 {
                    return self.wrong("','");
                }
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn number(&mut self) -> result::Result<u64, Wrong> {
        self.space();
        let digits = self.text[self.at..].iter().take_while(|c| c.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.text[self.at..self.at + digits]).unwrap_or_default();
        let Ok(number) = text.parse() else {
            return self.wrong("the length of an axis");
        };
        self.at += digits;
        // Python 2 wrote long integers with an L.
        if self.text.get(self.at) == Some(&b'L') {
            self.at += 1;
        }
        Ok(number)
    }

    fn string(&mut self) -> result::Result<String, Wrong> {
        self.space();
        let Some(&quote @ (b'\'' | b'"')) = self.text.get(self.at) else {
            return self.wrong("a quoted string");
        };
        let rest = &self.text[self.at + 1..];
        let Some(length) = rest.iter().position(|&c| c == quote) else {
            return Err((self.at, "a string without an end".to_owned()));
        };
        self.at += length + 2;
        Ok(String::from_utf8_lossy(&rest[..length]).into_owned())
    }

    fn expect(&mut self, c: u8) -> result::Result<(), Wrong> {
        if self.take(c) { Ok(()) } else { self.wrong(&format!("'{}'", c as char)) }
    }

    fn take(&mut self, c: u8) -> bool {
        self.space();
        let found = self.text.get(self.at) == Some(&c);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        self.at += self.text[self.at..].iter().take_while(|c| c.is_ascii_whitespace()).count();
    }

    fn wrong<T>(&self, expected: &str) -> result::Result<T, Wrong> {
        let rest = &self.text[self.at..];
        let got = rest[..rest.len().min(12)].escape_ascii();
        Err((self.at, format!("got \"{got}\": expected {expected}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> result::Result<(String, bool, Vec<u64>), Wrong> {
        Parser { text: text.as_bytes(), at: 0 }.dict()
    }

    #[test]
    fn any_python_that_means_the_same_is_read() {
        let expected = ("<f4".to_owned(), false, vec![3, 40]);
        for text in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 40), }          \n",
            "{'descr':'<f4','fortran_order':False,'shape':(3,40)}",
            " { \"shape\" : ( 3 , 40 , ) ,\n \"fortran_order\" : False , \"descr\" : \"<f4\" } ",
            "{'shape': (3L, 40L), 'descr': '<f4', 'fortran_order': False}\0\0",
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        assert_eq!(parse("{'descr': '|b1', 'fortran_order': True, 'shape': (7,)}").unwrap().2, [7]);
        assert!(parse("{'descr': '|b1', 'fortran_order': True, 'shape': ()}").unwrap().2.is_empty());
    }

    #[test]
    fn anything_else_says_where_and_what_was_expected() {
        for (text, at, part) in [
            ("", 0, "expected '{'"),
            ("{", 1, "quoted string"),
            ("{'descr': '<f4', 'fortran_order': False}", 40, "no key \"shape\""),
            ("{'descr': '<f4', 'descr': '<f4'}", 17, "a second time"),
            ("{'order': 'C'}", 1, "\"order\""),
            ("{'shape': (3)}", 12, "expected ','"),
            ("{'shape': (3, -4)}", 14, "length of an axis"),
            ("{'shape': (3, 99999999999999999999)}", 14, "length of an axis"),
            ("{'shape': [3, 4]}", 10, "expected '('"),
            ("{'fortran_order': 0}", 18, "True or False"),
            ("{'descr': '<f4", 10, "without an end"),
            ("{'descr': [('a', '<f4'", 22, "expected ']'"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", 54, "end of the header"),
        ] {
            let (got, message) = parse(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
            assert_eq!(got, at, "{text}: {message}");
        }
    }

    #[test]
    fn types_by_numpys_names() {
        for (name, expected) in [("|b1", DType::Bool), ("|u1", DType::U8), ("<f2", DType::F16), ("<i8", DType::I64)] {
            assert_eq!(dtype(name), Ok((expected, cfg!(target_endian = "big") && name.starts_with('<'))));
        }
        assert_eq!(dtype(">u2"), Ok((DType::U16, cfg!(target_endian = "little"))));
        assert_eq!(dtype(">u1"), Ok((DType::U8, false)));
        for (name, part) in [
            ("|O", "objects"),
            ("<c8", "complex"),
            ("<U7", "text"),
            ("|S3", "text"),
            ("<M8[ns]", "dates"),
            ("<f16", "float"),
        ] {
            assert!(dtype(name).unwrap_err().contains(part), "{name}");
        }
        assert_eq!(
            parse("{'descr': [('a', '<f4'), (\"]\", '|u1', (2,))], 'fortran_order': False, 'shape': (1,)}").unwrap().2,
            [1]
        );
        assert_eq!(dtype("[('a', '<f4')]"), Err("structured"));
    }
}
