//! What the newcomer sees.

use std::io::Write as _;

use super::message::Target;
use super::sbc::{Call, Came, Placed, TRUNK_WAIT};

/// A call that needs more is shown on two lines.
const LINE_WIDTH: usize = 95;

/// Standard output, in colour or not. A closed pipe is no reason to complain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    pub(super) color: bool,
}

impl Screen {
    /// A heading with an empty line above it.
    pub(super) fn chapter(self, text: &str) {
        self.write(&format!("\n{}\n", self.paint("1", text)));
    }

    /// What the next call is about.
    pub(super) fn title(self, text: &str) {
        self.write(&format!("  {text}\n"));
    }

    /// One line under a title.
    pub(super) fn line(self, text: &str) {
        self.write(&format!("     {text}\n"));
    }

    /// A line that is not as it should be.
    pub(super) fn trouble(self, text: &str) {
        self.write(&format!("     {}\n", self.paint("1;31", text)));
    }

    /// A call in one line: who called what, what Trunkline said, who answered.
    pub(super) fn call(self, call: &Call, placed: &Placed) {
        let (from, dialled) = (call.from.name(), call.dialled);
        let asked = format!("{from} calls {dialled}: {}", trunkline_said(placed));
        let ended = outcome(placed);
        let took_ms = placed.took.as_secs_f64() * 1e3;
        let room = LINE_WIDTH.saturating_sub(asked.chars().count() + ended.chars().count());
        let between = if room > 0 { " " } else { "\n       " };
        let ended = self.paint("32", &ended);
        self.line(&format!("{asked}{between}→ {ended}, {took_ms:.1} ms"));
    }

    /// Text of several lines, as it is.
    pub(super) fn block(self, text: &str) {
        for line in text.lines() {
            self.write(&format!("  {line}\n"));
        }
    }

    fn paint(self, style: &str, text: &str) -> String {
        if self.color {
            format!("\x1b[{style}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn write(self, text: &str) {
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
}

/// `302 teams.route, +442079460500@teams.route`, or a refusal with its reason.
fn trunkline_said(placed: &Placed) -> String {
    let Some(status) = placed.status else {
        return String::from("no answer");
    };
    let mut contacts: Vec<String> = Vec::new();
    let mut rest = placed.targets.as_slice();
    while let [target, behind @ ..] = rest {
        let alike = behind.iter().take_while(|other| is_alike(target, other));
        let alike = alike.count();
        contacts.push(contact(target, placed.targets.first(), alike));
        rest = behind.get(alike..).unwrap_or_default();
    }
    if contacts.is_empty() {
        format!("{status} {}", placed.reason)
    } else {
        format!("{status} {}", contacts.join(", "))
    }
}

/// Whether only the labels differ.
fn is_alike(one: &Target, other: &Target) -> bool {
    one.host == other.host && one.number == other.number && other.tgrp.is_some()
}

/// The host with its label; the number where it is not that of the first Contact.
fn contact(target: &Target, first: Option<&Target>, alike: usize) -> String {
    let number = match first {
        Some(first) if first.number == target.number => String::new(),
        _ => format!("{}@", target.number),
    };
    let tgrp = target.tgrp.as_ref();
    let label = tgrp.map_or_else(String::new, |tgrp| format!(";tgrp={tgrp}"));
    let more = match alike {
        0 => String::new(),
        alike => format!(" and {alike} more labels"),
    };
    format!("{number}{}{label}{more}", target.host)
}

/// `Teams answers +442079460123`, with what was tried before.
fn outcome(placed: &Placed) -> String {
    let mut text = String::new();
    for (target, came) in placed.targets.iter().zip(&placed.attempts) {
        let host = &target.host;
        match came {
            Came::Answered => {
                let name = placed.answered_by.unwrap_or_default();
                text.push_str(&format!("{name} answers {}", target.number));
            }
            Came::Status(status) => text.push_str(&format!("{host} says {status}, ")),
            Came::Silence => {
                text.push_str(&format!(
                    "{host} silent for {} ms, ",
                    TRUNK_WAIT.as_millis()
                ));
            }
            Came::NoRow => text.push_str(&format!("no row for {host}, ")),
        }
    }
    if placed.answered_by.is_none() {
        let end = if placed.targets.is_empty() {
            "refused"
        } else {
            "nobody answers"
        };
        text.push_str(end);
    }
    text
}
