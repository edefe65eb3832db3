//! `[hep]`: whom copies of messages, decisions and call records go to.

use std::path::{Path, PathBuf};

use super::listen::not_allowed;
use super::outlet::{Transport, read_outlet};
use crate::hep::Taken;
use crate::tables::diagnostic::{nearest, quoted};
use crate::tables::toml_reader::{Reader, Text};
use crate::transport::OutletTo;

/// The capture server, and what it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HepConfig {
    /// The capture server.
    pub to: OutletTo,
    /// The number this machine has there.
    pub capture_id: u32,
    /// The file of what it asks for, if anything.
    pub password_file: Option<PathBuf>,
    /// Of what there are copies.
    pub taken: Taken,
}

/// The number left out: what Homer's own examples begin with.
const CAPTURE_ID: u32 = 2001;
pub(super) const SIP: &str = "sip";
pub(super) const DECISION: &str = "decision";
pub(super) const RECORDS: &str = "records";

pub(super) fn read_hep(root: &mut Reader<'_>, folder: &Path) -> Option<HepConfig> {
    let mut table = root.table("hep")?;
    let to = read_outlet(&mut table, folder, Transport::Udp);
    let capture_id = table.integer("capture_id", 0..=u64::from(u32::MAX));
    let password_file = table.string("password_file");
    let what = table.strings("what");
    let mut taken = Taken {
        sip: what.is_none(),
        decisions: what.is_none(),
        // They have calls followed, which costs something: nobody gets them unasked.
        records: false,
    };
    for text in what.into_iter().flatten() {
        match text.as_str() {
            SIP => taken.sip = true,
            DECISION => taken.decisions = true,
            RECORDS => taken.records = true,
            _ => unknown(&table, &text),
        }
    }
    table.finish();
    Some(HepConfig {
        to: to?,
        capture_id: capture_id
            .and_then(|(id, _)| u32::try_from(id).ok())
            .unwrap_or(CAPTURE_ID),
        password_file: password_file.map(|text| folder.join(text.value)),
        taken,
    })
}

fn unknown(table: &Reader<'_>, text: &Text) {
    let message = format!("there are no copies of {}", quoted(text.as_str()));
    let kinds = [SIP, DECISION, RECORDS];
    let help = match nearest(text.as_str(), kinds) {
        Some(meant) => format!("did you mean {}?", quoted(meant)),
        None => format!("allowed: {}", kinds.map(quoted).join(", ")),
    };
    not_allowed(table, text.spot, message, &help);
}
