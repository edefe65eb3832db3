//! Teams and Genesys as far as they refuse calls, and the SBC between them and us.

use trunkline::sip::Uri;

use crate::bench::value;

/// The name Teams knows the SBC by, and that of a domain of its certificate.
pub(crate) const SBC_NAME: &str = "sbc1.contoso.example";

/// An INVITE or OPTIONS as it stands at the platform's door.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) contact: Option<String>,
    pub(crate) source: String,
}

impl Request {
    /// A request as it is, without an SBC in between.
    pub(crate) fn directly(text: &str) -> Self {
        let mut words = text.split(' ');
        let contact = text
            .contains("\r\nContact: ")
            .then(|| value(text, "Contact"));
        Self {
            method: words.next().unwrap().to_owned(),
            uri: words.next().unwrap().to_owned(),
            contact: contact.map(|contact| contact.trim_matches(['<', '>']).to_owned()),
            source: String::from("203.0.113.200"),
        }
    }

    /// The call that an SBC makes of one of ours: a B2BUA with a Contact and a host of its
    /// own, that leaves user part and parameters as they are.
    pub(crate) fn through_sbc(text: &str, host: &str) -> Self {
        let ours = Self::directly(text);
        let (scheme, rest) = ours.uri.split_once(':').unwrap();
        let (user, place) = match rest.split_once('@') {
            Some((user, place)) => (format!("{user}@"), place),
            None => (String::new(), rest),
        };
        let parameters = place.find(';').map_or("", |at| &place[at..]);
        Self {
            uri: format!("{scheme}:{user}{host}{parameters}"),
            contact: Some(format!("sip:{SBC_NAME}:5061;transport=tls")),
            ..ours
        }
    }

    fn uri(&self) -> Uri<'_> {
        Uri::parse(self.uri.as_bytes()).unwrap()
    }

    fn user(&self) -> &str {
        let user = self.uri().user;
        user.map_or("", |user| std::str::from_utf8(user.as_bytes()).unwrap())
    }
}

/// What the front door of Teams answers: the status, and 100 for a call it goes on with.
pub(crate) struct Teams {
    /// Assigned in the tenant, as `LineURI` has them.
    pub(crate) lines: &'static [&'static str],
}

impl Teams {
    pub(crate) fn answer(&self, request: &Request) -> u16 {
        let Some(contact) = &request.contact else {
            // "Record-Route and Contact headers are missing"
            return 403;
        };
        let contact = Uri::parse(contact.as_bytes()).unwrap();
        // The tenant is that of the name in the Contact; an address is no name.
        if contact.host.ip().is_some() || !contact.host_text().ends_with(b".contoso.example") {
            return 403;
        }
        if request.method == "OPTIONS" {
            return 200;
        }
        let uri = request.uri();
        if request.user().is_empty() {
            // A transfer: whom it is for stands in the parameters.
            let known = uri.param(b"x-m").is_some() && uri.param(b"x-t").is_some();
            return if known { 100 } else { 404 };
        }
        if uri.param(b"user").is_none() || !request.user().starts_with('+') {
            return 404;
        }
        if self.lines.contains(&request.user()) {
            100
        } else {
            404
        }
    }
}

/// What the front door of Genesys Cloud answers.
pub(crate) struct Genesys {
    pub(crate) domain: &'static str,
    /// Termination identifiers of the trunks.
    pub(crate) trunks: &'static [&'static str],
    /// Addresses of its access list.
    pub(crate) sources: &'static [&'static str],
    /// Numbers that some call route has.
    pub(crate) numbers: &'static [&'static str],
}

impl Genesys {
    pub(crate) fn answer(&self, request: &Request) -> u16 {
        if !self.sources.contains(&&*request.source) {
            return 403;
        }
        if request.method == "OPTIONS" {
            return 200;
        }
        let uri = request.uri();
        let label = |name: &[u8]| {
            let user = uri.user?.param(name)?;
            Some(std::str::from_utf8(user).unwrap())
        };
        let by_label = (label(b"trunk-context") == Some(self.domain))
            .then(|| label(b"tgrp"))
            .flatten();
        let host = std::str::from_utf8(uri.host_text()).unwrap();
        let by_host = host
            .strip_suffix(self.domain)
            .and_then(|own| own.strip_suffix('.'));
        let known = by_label
            .or(by_host)
            .is_some_and(|own| self.trunks.contains(&own));
        if !known {
            return 403;
        }
        let number = request.user().split(';').next().unwrap();
        if self.numbers.contains(&number) {
            100
        } else {
            404
        }
    }
}
