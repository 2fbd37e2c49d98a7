//! Where a file is: `http://HOST:PORT/path`, `https://…`, as people write it and as redirects do.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str};
use percent_encoding::{percent_encode, utf8_percent_encode};

/// What cannot stand in a request line, or would be taken for something else there. A `%` stays: it
/// begins what is encoded already.
const UNSAFE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// All but the unreserved characters (RFC 3986 §2.3).
const IN_A_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The address of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether it is reached over TLS.
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// 80 and 443 unless it says otherwise.
    pub port: u16,
    /// Path and query, as the request line has them; begins with a slash.
    pub target: String,
}

impl FromStr for Url {
    type Err = String;

    /// Without a scheme, `http` is meant.
    fn from_str(text: &str) -> Result<Url, String> {
        let (scheme, rest) = scheme(text).unwrap_or(("http", text));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err("only http:// and https:// are known".into()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = match rest.find(['/', '?']) {
            Some(start) => rest.split_at(start),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(
                "names and passwords are not sent; leave out what stands before the @".into()
            );
        }
        let (host, port) = authority_parts(authority)?;
        let port = match port {
            None | Some("") if tls => 443,
            None | Some("") => 80,
            Some(port) => match port.parse() {
                Ok(number) if number != 0 => number,
                _ => return Err(format!("{port:?} is not a port; ports are 1 to 65535")),
            },
        };
        Ok(Url { tls, host: host.into(), port, target: encoded(target) })
    }
}

/// The scheme, and what stands behind it. A query may have a whole URL in it, with one of its own.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.split_once("://").filter(|(scheme, _)| scheme.bytes().all(is_scheme))
}

/// Host and port. An IPv6 address stands in brackets.
fn authority_parts(authority: &str) -> Result<(&str, Option<&str>), String> {
    let example = "a URL is http://HOST:PORT/path, as in http://localhost:8000/notes.txt";
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or(example)?;
        let bare = address.split('%').next().unwrap_or(address);
        let port = match after {
            "" => None,
            _ => Some(after.strip_prefix(':').ok_or(example)?),
        };
        return match bare.parse::<Ipv6Addr>() {
            Ok(_) => Ok((address, port)),
            Err(_) => Err(format!("{address:?} is not an IPv6 address")),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if port.is_some_and(|port| port.contains(':')) {
        return Err("an IPv6 address stands in brackets, as in http://[::1]:8000/".into());
    }
    if host.is_empty() {
        return Err(example.into());
    }
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
        return Err(format!(
            "{host:?} is not the name of a host; names in other scripts are written as xn--…"
        ));
    }
    Ok((host, port))
}

/// Path and query for a request line. Dot segments are settled here, as servers and proxies may
/// disagree on them (RFC 3986 §5.2.4).
fn encoded(target: &str) -> String {
    let (path, query) = match target.find('?') {
        Some(start) => target.split_at(start),
        None => (target, ""),
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    let path = kept.join("/");
    format!("/{}{}", utf8_percent_encode(&path, UNSAFE), utf8_percent_encode(query, UNSAFE))
}

impl Url {
    /// Where a `Location` leads that was found here.
    pub fn join(&self, location: &str) -> Result<Url, String> {
        if scheme(location).is_some() {
            return location.parse();
        }
        if let Some(rest) = location.strip_prefix("//") {
            return format!("{}://{rest}", self.scheme()).parse();
        }
        let location = location.split('#').next().unwrap_or_default();
        let path = self.path();
        let target = match location.chars().next() {
            None => self.target.clone(),
            Some('/') => location.into(),
            Some('?') => format!("{path}{location}"),
            _ => {
                let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
                format!("{folder}{location}")
            }
        };
        Ok(Url { target: encoded(&target), ..self.clone() })
    }

    /// The same folder's file of this name. For URLs that end in a slash.
    pub fn with_name(&self, name: &[u8]) -> Url {
        let target = format!("{}{}", self.path(), percent_encode(name, IN_A_NAME));
        Url { target, ..self.clone() }
    }

    /// Whether it ends in a slash, and so is for what has a name of its own.
    pub fn is_folder(&self) -> bool {
        self.path().ends_with('/')
    }

    /// The last segment as the name of a file: never a path, never `.` or `..`, and without
    /// characters that do something to terminals. `None` where there is no name in it.
    pub fn file_name(&self) -> Option<String> {
        let segment = self.path().rsplit('/').next().unwrap_or_default();
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        let safe = |letter: char| match letter {
            '/' | '\\' => '_',
            letter if letter.is_control() => '_',
            letter => letter,
        };
        let name: String = decoded.chars().map(safe).collect();
        match name.as_str() {
            "" | "." | ".." => None,
            _ => Some(name),
        }
    }

    /// Whether both are one server's.
    pub fn same_server(&self, other: &Url) -> bool {
        (self.tls, self.port) == (other.tls, other.port)
            && self.host.eq_ignore_ascii_case(&other.host)
    }

    /// The server as its header field `Host` has it.
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            // A zone is this machine's business.
            true => format!("[{}]", self.host.split('%').next().unwrap_or(&self.host)),
            false => self.host.clone(),
        };
        match (self.tls, self.port) {
            (false, 80) | (true, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or(&self.target)
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Url {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn urls_are_read_as_people_write_them() {
        for (text, shown) in [
            ("http://localhost:8000/a", "http://localhost:8000/a"),
            ("localhost:8000/a", "http://localhost:8000/a"),
            ("localhost", "http://localhost/"),
            ("HTTPS://localhost:443", "https://localhost/"),
            ("http://[::1]:8000/a?b=/c#d", "http://[::1]:8000/a?b=/c"),
            ("http://host?q", "http://host/?q"),
            ("host/a b/你", "http://host/a%20b/%E4%BD%A0"),
            ("host/a%20b", "http://host/a%20b"),
            ("host/a/../../b/./c/..", "http://host/b/"),
            ("host/a//b", "http://host/a//b"),
            ("host/x?u=http://other/", "http://host/x?u=http://other/"),
            ("host/\r\nX: y", "http://host/%0D%0AX:%20y"),
        ] {
            assert_eq!(read(text).to_string(), shown, "{text}");
        }
        for wrong in [
            "",
            "http://",
            "/path",
            "ftp://a/b",
            "http://a:0/",
            "http://a:x/",
            "::1/a",
            "[::1/a",
            "[zz]/",
            "http://me:pw@host/",
            "http://a b/",
            "http://你/",
            "http://a\r\n/",
        ] {
            assert!(wrong.parse::<Url>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn redirects_lead_where_browsers_go() {
        let here = read("http://h:8000/a/b?q");
        for (location, there) in [
            ("https://other/x", "https://other/x"),
            ("//other/x", "http://other/x"),
            ("/x?u=http://e/", "http://h:8000/x?u=http://e/"),
            ("c", "http://h:8000/a/c"),
            ("../c/", "http://h:8000/c/"),
            ("?z", "http://h:8000/a/b?z"),
            ("", "http://h:8000/a/b?q"),
            ("c?u=a://b", "http://h:8000/a/c?u=a://b"),
        ] {
            assert_eq!(
                here.join(location).map(|url| url.to_string()),
                Ok(there.into()),
                "{location}"
            );
        }
    }

    #[test]
    fn a_name_from_a_url_is_never_a_path() {
        for (url, name) in [
            ("h/a/b.txt?x=/y", Some("b.txt")),
            ("h/a%20b", Some("a b")),
            ("h/..%2F..%2Fetc%2Fpasswd", Some(".._.._etc_passwd")),
            ("h/%2e%2e", None),
            ("h/a/", None),
            ("h", None),
            ("h/%1b%5B2J%00", Some("_[2J_")),
        ] {
            assert_eq!(read(url).file_name().as_deref(), name, "{url}");
        }
    }

    #[test]
    fn a_file_keeps_its_name_in_a_folder() {
        let folder = read("h/in/");
        assert_eq!(folder.with_name(b"a b?c#d%/e").target, "/in/a%20b%3Fc%23d%25%2Fe");
        assert!(folder.is_folder() && !read("h/in").is_folder());
    }
}
