//! What stands in a certificate, for whoever looks after it. What is believed of one is not
//! decided here.

use std::path::Path;

use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::files::{self, TlsFileError};

/// What stands in one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whom it is about, as it writes it.
    pub subject: String,
    /// Its DNS names, URIs and IP addresses.
    pub names: Vec<String>,
    /// The first second since 1970 in which it is valid.
    pub not_before_s: i64,
    /// The last one.
    pub not_after_s: i64,
    /// Whether who is connected to may show it: its extended key usage says serverAuth, or
    /// there is none.
    pub for_servers: bool,
    /// Whether who connects may show it: clientAuth.
    pub for_clients: bool,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
}

impl CertificateFacts {
    /// Those of a PEM file, in its order.
    ///
    /// # Errors
    /// The file cannot be read, or one in it is no certificate.
    pub fn of_file(path: &Path) -> Result<Vec<Self>, TlsFileError> {
        let chain = files::certificates(path)?;
        let read = |certificate| {
            Self::of(certificate)
                .ok_or_else(|| TlsFileError::new(path, "holds what is no certificate"))
        };
        chain.iter().map(read).collect()
    }

    /// Those of one; `None` where it is no certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, read) = X509Certificate::from_der(certificate).ok()?;
        let names = read.subject_alternative_name().ok().flatten();
        let names = names.map_or(&[][..], |names| &names.value.general_names);
        let usage = read.extended_key_usage().ok().flatten();
        let is_for = |word: bool, any: bool| word || any;
        Some(Self {
            subject: read.subject().to_string(),
            names: names.iter().filter_map(name).collect(),
            not_before_s: read.validity().not_before.timestamp(),
            not_after_s: read.validity().not_after.timestamp(),
            for_servers: (usage.as_ref())
                .is_none_or(|usage| is_for(usage.value.server_auth, usage.value.any)),
            for_clients: (usage.as_ref())
                .is_none_or(|usage| is_for(usage.value.client_auth, usage.value.any)),
            subject_der: read.subject().as_raw().to_vec(),
            issuer_der: read.issuer().as_raw().to_vec(),
        })
    }

    /// Whether `other` says it has issued this one.
    #[must_use]
    pub fn is_by(&self, other: &Self) -> bool {
        self.issuer_der == other.subject_der
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let address =
                four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_stands_in_a_certificate() {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec![
            String::from("sip.carrier.example"),
            String::from("192.0.2.7"),
        ];
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2031, 2, 3);
        parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = parameters.self_signed(&key).unwrap();
        let facts = CertificateFacts::of(certificate.der()).unwrap();
        assert_eq!(facts.names, ["sip.carrier.example", "192.0.2.7"]);
        assert_eq!(facts.not_after_s, 1_927_843_200);
        assert!(facts.for_servers && !facts.for_clients);
        assert!(facts.is_by(&facts));
        parameters.extended_key_usages.clear();
        let certificate = parameters.self_signed(&key).unwrap();
        let facts = CertificateFacts::of(certificate.der()).unwrap();
        assert!(facts.for_servers && facts.for_clients);
    }

    proptest! {
        #[test]
        fn what_is_none_is_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(CertificateFacts::of(&CertificateDer::from(bytes)), None);
        }
    }
}
