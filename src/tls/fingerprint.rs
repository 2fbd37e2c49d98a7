//! The SHA-256 fingerprint of a certificate: what people compare, and what a client can be told to
//! trust instead of an authority.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use rustls::pki_types::CertificateDer;

/// SHA-256 over the whole certificate in DER, as `openssl x509 -fingerprint -sha256` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; SHA256_OUTPUT_LEN]);

impl Fingerprint {
    /// That of this certificate.
    pub fn of(certificate: &CertificateDer) -> Fingerprint {
        let digest = digest(&SHA256, certificate);
        Fingerprint(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

/// As openssl prints it: pairs of hexadecimal digits with colons between them.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index > 0 { ":" } else { "" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

/// 64 hexadecimal digits, with or without colons.
impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Fingerprint, String> {
        let digits: Vec<u32> = text
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16))
            .collect::<Option<_>>()
            .filter(|digits: &Vec<u32>| digits.len() == 2 * SHA256_OUTPUT_LEN)
            .ok_or("a SHA-256 fingerprint has 64 hexadecimal digits, with or without colons")?;
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = (pair[0] * 16 + pair[1]) as u8;
        }
        Ok(Fingerprint(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_tools_print_them() {
        let empty = Fingerprint::of(&CertificateDer::from(&b""[..]));
        let shown = empty.to_string();
        assert!(shown.starts_with("E3:B0:C4:42:") && shown.ends_with(":78:52:B8:55"), "{shown}");
        for text in [shown.clone(), shown.replace(':', ""), shown.to_lowercase()] {
            assert_eq!(text.parse(), Ok(empty), "{text}");
        }
        let short = &shown[..92];
        for wrong in ["", "sha256", short, &format!("{short}:0G"), &format!("{shown}:00")] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
