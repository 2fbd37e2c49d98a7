//! `socklab server chat` on the command line, and in a file.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Deserializer};
use socklab::failure::cause;
use socklab::service::chat::Settings;
use socklab::service::chat::settings::{Flood, Operator, Secret};

use super::{Failure, units};

/// Bytes of a file. What is said of a day, or set, is much shorter.
const LARGEST: u64 = 1024 * 1024;

/// Options of the service chat. A file may carry the same, under the same names.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq)]
#[command(next_help_heading = "Chat (socklab server chat)")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ChatServer {
    /// Read these options from a file (TOML): `name = "irc.example.org"`, `ping-interval = "2m"`
    ///
    /// The command line wins. It is the place for passwords, which others can see in a list of
    /// processes.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// What the server calls itself [default: socklab.local]
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    #[serde(deserialize_with = "text::<Word, _>")]
    name: Option<Word>,
    /// What it says of itself in LINKS and WHOIS [default: a laboratory for sockets]
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What it calls the network, one word [default: socklab]
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    #[serde(deserialize_with = "text::<Word, _>")]
    network: Option<Word>,
    /// The message of the day
    #[arg(long, value_name = "FILE")]
    motd: Option<PathBuf>,
    /// What ADMIN tells: a place, an organization, an address. Up to three times
    #[arg(long, value_name = "TEXT")]
    admin: Vec<String>,
    /// Let in only who says this (PASS)
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
    /// Who may run the place (OPER). May be given again
    #[arg(long, value_name = "NAME:PASSWORD")]
    oper: Vec<String>,
    /// Bytes of a nickname [default: 30]
    #[arg(long, value_name = "N", value_parser = length)]
    nick_length: Option<usize>,
    /// Bytes of a channel's name [default: 64]
    #[arg(long, value_name = "N", value_parser = length)]
    channel_length: Option<usize>,
    /// Bytes of a topic, and of other texts about somebody [default: 390]
    #[arg(long, value_name = "N", value_parser = text_length)]
    topic_length: Option<usize>,
    /// Channels one client may be on [default: 50]
    #[arg(long, value_name = "N", value_parser = units::at_least::<usize>(0))]
    channels_per_client: Option<usize>,
    /// On the command line it goes with every service.
    #[arg(skip)]
    clients_per_address: Option<u32>,
    /// How long a client may take to say who it is [default: 30s]
    #[arg(long, value_name = "TIME")]
    #[serde(deserialize_with = "text::<Time, _>")]
    registration_timeout: Option<Time>,
    /// After so much silence a client is asked whether it is there [default: 90s]
    #[arg(long, value_name = "TIME")]
    #[serde(deserialize_with = "text::<Time, _>")]
    ping_interval: Option<Time>,
    /// How long it may take to answer [default: 90s]
    #[arg(long, value_name = "TIME")]
    #[serde(deserialize_with = "text::<Time, _>")]
    ping_timeout: Option<Time>,
    /// How fast a client may talk: so many lines at once, so many a second in the long run; or `off`
    /// [default: 100:10]
    ///
    /// A line that names several targets counts for each. Lines beyond that wait until it is their
    /// time, and a client that has more than --receive-queue of them waiting has to leave (Excess
    /// Flood).
    #[arg(long, value_name = "LINES:PER_SECOND")]
    #[serde(deserialize_with = "text::<Pace, _>")]
    flood: Option<Pace>,
    /// Bytes of a client's words that may wait to be heard (RecvQ) [default: 10KiB]. (What may wait
    /// for it to read, the SendQ, is --backlog-bytes.)
    #[arg(long, value_name = "SIZE")]
    #[serde(deserialize_with = "text::<Queue, _>")]
    receive_queue: Option<Queue>,
}

/// A word that can stand in the middle of a line.
#[derive(Clone, Debug, PartialEq)]
struct Word(String);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Time(Duration);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace(Option<Flood>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Queue(usize);

fn host_name(text: &str) -> Result<Word, String> {
    text.parse()
}

impl FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Word, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        match begins && text.len() <= 63 && text.bytes().all(is_plain) {
            true => Ok(Word(text.into())),
            false => Err("a name has letters, digits, dots and hyphens, 63 at most".into()),
        }
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Time, String> {
        units::patience(text).map(Time)
    }
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Pace, String> {
        if text == "off" {
            return Ok(Pace(None));
        }
        let parts = text.split_once(':').and_then(|(burst, per_second)| {
            Some(Flood { burst: burst.parse().ok()?, per_second: per_second.parse().ok()? })
        });
        match parts {
            Some(flood) if flood.burst > 0 && flood.per_second > 0.0 && flood.per_second < 1e9 => {
                Ok(Pace(Some(flood)))
            }
            _ => Err("not a pace; examples: 100:10 (100 lines at once, 10 a second), off".into()),
        }
    }
}

impl FromStr for Queue {
    type Err = String;

    fn from_str(text: &str) -> Result<Queue, String> {
        match units::size(text)? {
            bytes if bytes >= 1024 => Ok(Queue(bytes)),
            _ => Err("a receive queue has 1KiB or more".into()),
        }
    }
}

fn length(text: &str) -> Result<usize, String> {
    between(text, 2, 200)
}

fn text_length(text: &str) -> Result<usize, String> {
    between(text, 1, 400)
}

/// What leaves room in a line for the rest of it.
fn between(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let length = text.parse().ok().filter(|length| (least..=most).contains(length));
    length.ok_or_else(|| format!("a length from {least} to {most}"))
}

/// In a file such values are text, as on the command line; numbers may go without quotes.
fn text<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: FromStr<Err = String>,
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(i64),
        Text(String),
    }
    let text = match Written::deserialize(deserializer)? {
        Written::Number(number) => number.to_string(),
        Written::Text(text) => text,
    };
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

impl ChatServer {
    /// What the service is to be told, `secure` where it is behind TLS, and how many connections the
    /// file lets an address have. An error is one line.
    pub fn settings(self, secure: bool) -> Result<(Settings, Option<u32>), Failure> {
        let file = match &self.config {
            Some(path) => read(path)?,
            None => ChatServer::default(),
        };
        let defaults = Settings::default();
        let motd = self.motd.or(file.motd).map(|path| lines(&path)).transpose()?;
        let mut admin = defaults.admin;
        let told = if self.admin.is_empty() { file.admin } else { self.admin };
        if told.len() > admin.len() {
            return Err("--admin is given three times at most".into());
        }
        for (line, told) in admin.iter_mut().zip(told) {
            *line = told;
        }
        let description = self.description.or(file.description).unwrap_or(defaults.description);
        if admin.iter().chain([&description]).any(|text| text.contains(['\r', '\n', '\0'])) {
            return Err("--admin and --description are one line each".into());
        }
        let oper = if self.oper.is_empty() { file.oper } else { self.oper };
        let nick_length = self.nick_length.or(file.nick_length);
        let channel_length = self.channel_length.or(file.channel_length);
        let topic_length = self.topic_length.or(file.topic_length);
        let settings = Settings {
            name: self.name.or(file.name).map_or(defaults.name, |Word(name)| name),
            description,
            network: self.network.or(file.network).map_or(defaults.network, |Word(name)| name),
            motd,
            admin,
            password: self.password.or(file.password).map(|password| Secret::new(&password)),
            operators: oper.iter().map(|oper| operator(oper)).collect::<Result<_, _>>()?,
            secure,
            nick_length: nick_length.unwrap_or(defaults.nick_length),
            channel_length: channel_length.unwrap_or(defaults.channel_length),
            topic_length: topic_length.unwrap_or(defaults.topic_length),
            channels_per_client: self
                .channels_per_client
                .or(file.channels_per_client)
                .unwrap_or(defaults.channels_per_client),
            registration_timeout: self
                .registration_timeout
                .or(file.registration_timeout)
                .map_or(defaults.registration_timeout, |Time(time)| time),
            ping_interval: self
                .ping_interval
                .or(file.ping_interval)
                .map_or(defaults.ping_interval, |Time(time)| time),
            ping_timeout: self
                .ping_timeout
                .or(file.ping_timeout)
                .map_or(defaults.ping_timeout, |Time(time)| time),
            flood: self.flood.or(file.flood).map_or(defaults.flood, |Pace(flood)| flood),
            receive_queue: self
                .receive_queue
                .or(file.receive_queue)
                .map_or(defaults.receive_queue, |Queue(bytes)| bytes),
        };
        Ok((settings, file.clients_per_address))
    }
}

fn read(path: &Path) -> Result<ChatServer, Failure> {
    let text = contents(path)?;
    let file: ChatServer = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        format!("{}, line {line}: {}", path.display(), without_value(error.message()))
    })?;
    for (name, value, range) in [
        ("nick-length", file.nick_length, (2, 200)),
        ("channel-length", file.channel_length, (2, 200)),
        ("topic-length", file.topic_length, (1, 400)),
    ] {
        if let Some(value) = value
            && let Err(why) = between(&value.to_string(), range.0, range.1)
        {
            return Err(format!("{}: {name} is {why}, not {value}", path.display()).into());
        }
    }
    Ok(file)
}

/// What is wrong, without the value itself: it may be a password.
fn without_value(message: &str) -> Cow<'_, str> {
    match message.rsplit_once(", expected ") {
        Some((told, expected)) if told.starts_with("invalid type: ") => {
            format!("wrong type, expected {expected}").into()
        }
        _ => message.into(),
    }
}

/// All of a file, unless it has no end.
fn contents(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {}: {}", path.display(), cause(&error)))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("cannot read {}: it is larger than 1 MiB", path.display()).into());
    }
    String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()).into())
}

fn lines(path: &Path) -> Result<Vec<String>, Failure> {
    let is_plain = |character: &char| !"\0\r".contains(*character);
    Ok(contents(path)?.lines().map(|line| line.chars().filter(is_plain).collect()).collect())
}

fn operator(text: &str) -> Result<Operator, Failure> {
    match text.split_once(':') {
        Some((name, password)) if !name.is_empty() && !password.is_empty() => {
            Ok(Operator { name: name.into(), password: Secret::new(password) })
        }
        // Not what was written: there may be a password in it.
        _ => Err("--oper is NAME:PASSWORD".into()),
    }
}
