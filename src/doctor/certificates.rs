//! Certificates of ours, from their files.

use std::path::Path;

use jiff::Timestamp;

use super::{Check, Finding};
use crate::limits::CERTIFICATE_END_S_MIN;
use crate::server::Config;
use crate::transport::{Authority, CertificateFacts, Clients, TlsListener, TlsPeers};

/// What a certificate is shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// By who is connected to.
    AsServer,
    /// By who connects.
    AsClient,
}

/// Those the listeners and the proxy show; and whether the CAs that are believed can be read.
pub(super) fn ours(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for listener in &config.listeners {
        let Some(files) = &listener.tls else { continue };
        let subject = format!("{} for {}", files.certificate.display(), listener.address);
        findings.push(match TlsListener::open(files.clone()) {
            Err(error) => Finding::failed(Check::Certificate, subject, error.to_string())
                .fix("repair the file; the server's user has to be able to read it"),
            Ok(_) => of_file(subject, &files.certificate, Shown::AsServer),
        });
        if files.clients == Clients::Unasked {
            let subject = format!("clients of {}", listener.address);
            let says = "no certificate is asked for: anybody may connect";
            findings.push(
                Finding::warning(Check::Certificate, subject, says)
                    .fix("client_ca in [[listen]], where the peers have certificates"),
            );
        }
    }
    for peer in &config.tls_peers {
        let believed = match &peer.authority {
            Authority::System => String::from("the CAs of the system"),
            Authority::File(file) => file.display().to_string(),
        };
        let subject = format!("{} by {believed}", peer.name.to_str());
        findings.push(match TlsPeers::open(vec![peer.clone()]) {
            Err(error) => Finding::failed(Check::Certificate, subject, error.to_string())
                .fix("repair the file; the server's user has to be able to read it"),
            Ok(_) => Finding::ok(Check::Certificate, subject, "can be read"),
        });
        if let Some((certificate, _)) = &peer.own {
            let subject = format!("{} to {}", certificate.display(), peer.name.to_str());
            findings.push(of_file(subject, certificate, Shown::AsClient));
        }
    }
    findings
}

fn of_file(subject: String, file: &Path, shown: Shown) -> Finding {
    match CertificateFacts::of_file(file) {
        Err(error) => Finding::failed(Check::Certificate, subject, error.to_string())
            .fix("the chain as PEM, our own certificate first"),
        Ok(chain) => judged(Check::Certificate, subject, &chain, shown),
    }
}

/// What is to be said of a chain: the first thing that is wrong with it.
pub(super) fn judged(
    check: Check,
    subject: String,
    chain: &[CertificateFacts],
    shown: Shown,
) -> Finding {
    let now_s = Timestamp::now().as_second();
    let Some(own) = chain.first() else {
        return Finding::failed(check, subject, "there is no certificate");
    };
    if let Some(early) = chain.iter().find(|one| one.not_before_s > now_s) {
        let says = format!(
            "{} is not valid before {}",
            early.subject,
            day(early.not_before_s)
        );
        return Finding::failed(check, subject, says).fix("is the clock right?");
    }
    let end_s = chain.iter().map(|one| one.not_after_s).min().unwrap_or(0);
    if end_s < now_s {
        return Finding::failed(check, subject, format!("expired {}", day(end_s)))
            .fix("a new certificate, then: trunkline reload");
    }
    let (is_for, purpose) = match shown {
        Shown::AsServer => (own.for_servers, "serverAuth"),
        Shown::AsClient => (own.for_clients, "clientAuth"),
    };
    if !is_for {
        let says = format!("its extended key usage does not hold {purpose}");
        return Finding::failed(check, subject, says)
            .fix("a certificate for this purpose; peers refuse this one");
    }
    if own.names.is_empty() {
        return Finding::failed(check, subject, "it has no subject alternative name")
            .fix("a certificate with its name as DNS name: the common name never counts");
    }
    if let Some((one, _)) = chain
        .iter()
        .zip(chain.iter().skip(1))
        .find(|(one, next)| !one.is_by(next))
    {
        let says = format!(
            "behind {} stands another certificate than its CA's",
            one.subject
        );
        return Finding::failed(check, subject, says)
            .fix("our own certificate first, then its CA's, then that one's CA's");
    }
    let names = own.names.join(", ");
    let until = day(end_s);
    if end_s.saturating_sub(now_s) < CERTIFICATE_END_S_MIN {
        return Finding::warning(check, subject, format!("{names}, until {until}"))
            .fix("a new certificate, then: trunkline reload");
    }
    if chain.len() == 1 && !own.is_by(own) {
        let says = format!("{names}, until {until}; its CA's certificate is not in the chain");
        return Finding::warning(check, subject, says)
            .fix("append it, unless every peer has it: most do not");
    }
    Finding::ok(check, subject, format!("{names}, until {until}"))
}

fn day(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(
        |_| second.to_string(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}
