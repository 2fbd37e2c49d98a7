//! What went wrong with TLS, in the words of whoever it happened to.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, HandshakeType, PeerIncompatible};

use super::fingerprint::Fingerprint;

/// To a client that called a server `name`, which may have shown the certificate `refused`.
pub fn for_client(error: &Error, name: &str, refused: Option<Fingerprint>) -> String {
    let pin = |advice: &str| match refused {
        Some(fingerprint) => format!("{advice}, or trust it alone with --pin {fingerprint}"),
        None => advice.into(),
    };
    match error {
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            let shown = refused.map_or("another one".into(), |shown| shown.to_string());
            format!(
                "the certificate of {name} is not the one that was pinned: its fingerprint is \
                 {shown}; if that is what the server printed, give it with --pin"
            )
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => format!(
            "the certificate of {name} is not signed by an authority that is trusted here; {}",
            pin("trust its authority with --ca FILE")
        ),
        Error::InvalidCertificate(CertificateError::BadSignature) => format!(
            "the certificate of {name} is signed by a namesake of the authority that is trusted \
             here; {}",
            pin("trust its own with --ca FILE")
        ),
        Error::InvalidCertificate(error) if is_authority(error) => format!(
            "the certificate of {name} {IS_AUTHORITY}; {}",
            pin("have it sign one for the server")
        ),
        Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            expected,
            presented,
        }) => {
            let advice = "call it by a name of its certificate, or give that with --server-name";
            format!(
                "the certificate is not for {} but for {}; {advice}",
                expected.to_str(),
                names(presented)
            )
        }
        Error::InvalidCertificate(
            error @ (CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYetContext { .. }),
        ) => format!(
            "the certificate of {name} {}; {}",
            of_certificate(error),
            pin("check the clock here, or have the server get a new one")
        ),
        Error::InvalidCertificate(error) => format!(
            "the certificate of {name} {}; {}",
            of_certificate(error),
            pin("have the server get another one")
        ),
        Error::AlertReceived(AlertDescription::HandshakeFailure) => format!(
            "{name} ended the connection: nothing in common, or it demands a certificate that \
             --client-cert would give (alert: handshake failure)"
        ),
        Error::AlertReceived(AlertDescription::UnrecognisedName) => format!(
            "{name} ended the connection: it does not go by that name (alert: unrecognized name); \
             --server-name gives another"
        ),
        Error::AlertReceived(alert) => format!("{name} ended the connection: {}", of_alert(*alert)),
        // An echo sends the hello back.
        Error::InvalidMessage(_)
        | Error::InappropriateHandshakeMessage { got_type: HandshakeType::ClientHello, .. } => {
            format!("{name} does not speak TLS on this port; leave out --tls, or check the port")
        }
        error => format!("TLS with {name} failed: {}", of_error(error)),
    }
}

/// To a server, of a peer whose conversation began with the bytes `head`.
pub fn for_server(error: &Error, head: &[u8]) -> String {
    let why = match error {
        Error::InvalidMessage(_) if is_http(head) => "an HTTP request without TLS".into(),
        Error::InvalidMessage(_) if head.first().is_some_and(|first| *first != HANDSHAKE) => {
            format!("no TLS hello but \"{}\"", head.escape_ascii())
        }
        Error::NoCertificatesPresented => "it has shown no certificate, and must".into(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is not signed by an authority of --tls-client-ca".into()
        }
        Error::InvalidCertificate(error) => format!("its certificate {}", of_certificate(error)),
        Error::AlertReceived(alert) => of_alert(*alert).into(),
        error => of_error(error),
    };
    format!("TLS: {why}")
}

/// The type of a record that carries a hello (RFC 8446, 5.1).
pub const HANDSHAKE: u8 = 22;

fn is_http(head: &[u8]) -> bool {
    ["GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT "]
        .iter()
        .any(|method| head.starts_with(method.as_bytes()))
}

fn of_error(error: &Error) -> String {
    match error {
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => "no version of TLS in common".into(),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "no cipher suite in common".into()
        }
        Error::PeerIncompatible(PeerIncompatible::NoSignatureSchemesInCommon) => {
            "no signature scheme in common that fits the certificate's key".into()
        }
        Error::DecryptError => "what came cannot be decrypted".into(),
        Error::General(why) => why.clone(),
        error => error.to_string(),
    }
}

const IS_AUTHORITY: &str = "is an authority's own (CA:TRUE), which nobody else may show";

/// What webpki says of one, and rustls hands on as text.
fn is_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity")
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("has expired: it was valid until {}", time(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is not valid before {}", time(*not_before))
        }
        CertificateError::BadEncoding => "is not encoded as X.509 should be".into(),
        CertificateError::BadSignature => "is not signed by the key of its issuer".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is for another purpose (extended key usage)".into()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "is signed in a way that is not known here".into()
        }
        CertificateError::Other(_) if is_authority(error) => IS_AUTHORITY.into(),
        error => format!("is not accepted: {error}"),
    }
}

/// What a peer says when it gives up (RFC 8446, 6.2).
fn of_alert(alert: AlertDescription) -> Cow<'static, str> {
    let why = match alert {
        AlertDescription::UnknownCA => {
            "it does not trust who signed the certificate (alert: unknown CA)"
        }
        AlertDescription::BadCertificate => {
            "it does not accept the certificate (alert: bad certificate)"
        }
        AlertDescription::CertificateUnknown => {
            "it does not accept the certificate (alert: certificate unknown)"
        }
        AlertDescription::CertificateExpired => {
            "to it the certificate has expired (alert: certificate expired)"
        }
        AlertDescription::CertificateRevoked => {
            "to it the certificate is revoked (alert: certificate revoked)"
        }
        AlertDescription::UnsupportedCertificate => {
            "it cannot use the certificate (alert: unsupported certificate)"
        }
        AlertDescription::AccessDenied => {
            "it does not accept the certificate; it may have pinned another (alert: access denied)"
        }
        AlertDescription::CertificateRequired => {
            "it demands a certificate (alert: certificate required); --client-cert and --client-key \
             give one"
        }
        AlertDescription::ProtocolVersion => {
            "no version of TLS in common (alert: protocol version)"
        }
        AlertDescription::HandshakeFailure => "nothing in common (alert: handshake failure)",
        AlertDescription::NoApplicationProtocol => {
            "no protocol in common (alert: no application protocol)"
        }
        AlertDescription::UserCanceled => "it gave up (alert: user canceled)",
        AlertDescription::InternalError => "it failed (alert: internal error)",
        AlertDescription::DecodeError => "it did not understand (alert: decode error)",
        AlertDescription::BadRecordMac => "it could not decrypt what came (alert: bad record MAC)",
        AlertDescription::DecryptError => {
            "a signature or a key was wrong to it (alert: decrypt error)"
        }
        AlertDescription::UnexpectedMessage => {
            "it did not expect what came (alert: unexpected message)"
        }
        other => return format!("it gave up (alert: {other:?})").into(),
    };
    why.into()
}

fn time(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs());
    humantime::format_rfc3339_seconds(time).to_string()
}

/// A line has room for so many names of a certificate, which may have hundreds.
const NAMES: usize = 5;

/// What a certificate is for. The server wrote it, so no byte goes to a terminal as it is.
fn names(presented: &[String]) -> String {
    let mut shown: Vec<String> =
        presented.iter().take(NAMES).map(|name| plain(name).escape_debug().to_string()).collect();
    match presented.len() {
        0 => return "no name at all (a common name does not count)".into(),
        all if all > NAMES => shown.push(format!("{} more", all - NAMES)),
        _ => {}
    }
    shown.join(", ")
}

/// A name as people write it: rustls has `DnsName("a.example")` and `IpAddress(127.0.0.1)`.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn names_that_a_server_has_thought_up_do_nothing_to_a_terminal() {
        let error = Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("a.example").expect("it is a name"),
            presented: vec!["DnsName(\"\x1b[2J\nb\")".into(), "IpAddress(192.0.2.1)".into()],
        });
        let told = for_client(&error, "a.example", None);
        let start = "the certificate is not for a.example but for \\u{1b}[2J\\nb, 192.0.2.1; ";
        assert!(told.starts_with(start), "{told}");
    }
}
