//! Bytes as people type them on a command line: text with escapes.

/// Bytes given as text.
#[derive(Clone)]
pub struct Bytes(pub Vec<u8>);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Reads them; the error says what is wrong with `text`.
pub fn escaped(text: &str) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        if letter != '\\' {
            bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match rest.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                let mut digit = || rest.next()?.to_digit(16).map(|digit| digit as u8);
                let digits = digit().zip(digit());
                digits
                    .map(|(high, low)| high << 4 | low)
                    .ok_or("\\x needs two hexadecimal digits")?
            }
            _ => return Err("a backslash stands before r, n, t, 0, x or another one".into()),
        });
    }
    match bytes.is_empty() {
        true => Err("it is empty".into()),
        false => Ok(Bytes(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_understood() {
        let read = |text| escaped(text).ok().map(|Bytes(bytes)| bytes);
        assert_eq!(read(r"PING\r\n"), Some(b"PING\r\n".to_vec()));
        assert_eq!(read(r"\x00\xff\\é"), Some(b"\x00\xff\\\xc3\xa9".to_vec()));
        for wrong in ["", r"\", r"\q", r"\x1", r"\xzz", r"\x+1"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
