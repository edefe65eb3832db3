//! Whom a certificate is for: RFC 5922 §7.

use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{CertificateError, Error};
use webpki::EndEntityCert;

/// Whether a certificate is for this name. Its chain was checked before.
///
/// RFC 5922 §7.1: where there are `sip:` URIs among its names, they alone count; else its
/// DNS names do. The common name never does. §7.2: a wildcard matches nothing, unless
/// `wildcards` are believed; then one stands for one label, as in HTTP. `sips:` is no name
/// of a certificate.
///
/// # Errors
/// It is for somebody else, or no certificate.
pub(super) fn check(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    wildcards: bool,
) -> Result<(), Error> {
    let parsed = EndEntityCert::try_from(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let wanted = name.to_str();
    let mut has_identity = false;
    for identity in parsed.valid_uri_names().filter_map(sip_domain) {
        if identity.eq_ignore_ascii_case(&wanted) {
            return Ok(());
        }
        has_identity = true;
    }
    let is_exact = || {
        parsed
            .valid_dns_names()
            .any(|dns| dns.eq_ignore_ascii_case(&wanted))
    };
    let is_address = matches!(name, ServerName::IpAddress(_));
    let is_for = !has_identity
        && parsed.verify_is_valid_for_subject_name(name).is_ok()
        && (wildcards || is_address || is_exact());
    if is_for {
        Ok(())
    } else {
        Err(CertificateError::NotValidForName.into())
    }
}

/// The domain of a `sip:` URI without a user part (§7.1: with one, it names a user, and is
/// no identity of a domain).
fn sip_domain(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    let domain = rest.split([';', '?', ':']).next()?;
    (scheme.eq_ignore_ascii_case("sip") && !rest.contains('@')).then_some(domain)
}
