//! How trunks are probed with OPTIONS.

use crate::routing::{AliveAnswers, Answers, Probing};
use crate::sip::{Scheme, Uri};
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::names::Context;
use crate::tables::schema::{ProbingSection, TrunkSection};
use crate::tables::toml_reader::Text;

/// `None` when the trunk is not to be probed.
pub(super) fn compile(context: &Context<'_>, trunk: &TrunkSection) -> Option<Probing> {
    let section = &trunk.probing;
    for (key, spot) in &section.details {
        let message = format!("{key} says how to probe a trunk that is not probed");
        let diagnostic = Diagnostic::error(Code::KeyChoice, message)
            .help("write options = \"30s\" beside it, or \"off\" to keep it for later");
        context.push(diagnostic, *spot, "");
    }
    let alive = alive(context, section);
    let (Some(interval_ms), spot) = section.interval_ms? else {
        return None;
    };
    if let Some(why) = trunk.address.as_ref().and_then(not_probed) {
        let message = format!(
            "trunk {} is never probed: {why}",
            quoted(trunk.name.as_str())
        );
        let diagnostic = Diagnostic::warning(Code::NeverUsed, message)
            .help("OPTIONS are sent over UDP, TCP and TLS, and so are calls in proxy mode");
        context.push(diagnostic, spot, "");
    }
    Some(Probing {
        interval_ms,
        misses: section.misses,
        hits: section.hits,
        alive,
    })
}

/// Why nobody can probe this address.
fn not_probed(address: &Text) -> Option<&'static str> {
    // What is no address was reported as such.
    let uri = Uri::parse(address.as_str().as_bytes()).ok()?;
    let transport = uri.param(b"transport")?;
    let is = |name: &&[u8]| transport.eq_ignore_ascii_case(name);
    let spoken: &[&[u8]] = match uri.scheme {
        Scheme::Sips => &[b"tcp", b"tls"],
        _ => &[b"udp", b"tcp", b"tls"],
    };
    (!spoken.iter().any(is)).then_some("its transport is none we speak")
}

fn alive(context: &Context<'_>, section: &ProbingSection) -> AliveAnswers {
    if let Some(spot) = section.empty_alive {
        let message = "options_alive is an empty list, so the trunk could never be alive";
        let diagnostic = Diagnostic::error(Code::NotAllowed, message)
            .help("leave options_alive out, or name answers such as \"2xx\"");
        context.push(diagnostic, spot, "");
    }
    let Some(list) = &section.alive else {
        return AliveAnswers::default();
    };
    let (mut any_of, mut none_of) = (Vec::new(), Vec::new());
    for text in list {
        let (item, side) = match text.as_str().strip_prefix('!') {
            Some(item) => (item, &mut none_of),
            None => (text.as_str(), &mut any_of),
        };
        match answers(item) {
            Some(answers) => side.push(answers),
            None => not_answers(context, text),
        }
    }
    if any_of.is_empty() {
        // As in every list: what only excludes leaves all the rest.
        any_of.push(Answers::All);
    }
    let alive = AliveAnswers {
        any_of: any_of.into(),
        none_of: none_of.into(),
    };
    if let Some(last) = list
        .last()
        .filter(|_| !(200..700).any(|one| alive.hold(one)))
    {
        let message = "options_alive excludes every answer, so the trunk could never be alive";
        context.error(Code::NotAllowed, last.spot, "", message);
    }
    alive
}

fn not_answers(context: &Context<'_>, text: &Text) {
    let message = format!("{} is no final answer", quoted(text.as_str()));
    let diagnostic = Diagnostic::error(Code::NotAllowed, message).help(
        "write a status such as \"404\", a class from \"2xx\" to \"6xx\", or \"*\", each with a ! \
         before it to exclude it",
    );
    context.push(diagnostic, text.spot, "");
}

fn answers(item: &str) -> Option<Answers> {
    match item.as_bytes() {
        b"*" => Some(Answers::All),
        [class @ b'2'..=b'6', b'x', b'x'] => Some(Answers::Class(class - b'0')),
        [b'2'..=b'6', b'0'..=b'9', b'0'..=b'9'] => item.parse().ok().map(Answers::Status),
        _ => None,
    }
}
