//! `[state]` and `[control]`: what is kept, and who may ask.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Config;
use crate::control::accounts::{Accounts, id_of, listed};
use crate::generations::Keeping;
use crate::limits::GENERATIONS_KEPT_MAX;
use crate::records::Target;
use crate::tables::diagnostic::{Code, Diagnostic, nearest, quoted};
use crate::tables::toml_reader::{Reader, Text};

/// `[control]`: the socket, and who besides root and the server's own user may change what
/// serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlConfig {
    /// Where; no socket without one.
    pub socket: Option<PathBuf>,
    /// User ids.
    pub users: Vec<u32>,
    /// Group ids.
    pub groups: Vec<u32>,
}

/// Where a server that is installed has its socket, and where commands look for it.
pub const CONTROL_SOCKET: &str = "/run/trunkline/control.sock";

impl Config {
    /// This configuration with the folders a service manager gives (`$STATE_DIRECTORY` and
    /// `$RUNTIME_DIRECTORY` of systemd.exec(5)) where it names none of its own: an installed
    /// server keeps its history and has its socket, one run by hand writes nothing unasked.
    #[must_use]
    pub fn in_folders(mut self, state: Option<OsString>, runtime: Option<OsString>) -> Self {
        let first = |folders: Option<OsString>| {
            let folders = folders?;
            let first = folders
                .as_encoded_bytes()
                .split(|byte| *byte == b':')
                .next()?;
            let first = str::from_utf8(first).ok()?;
            (!first.is_empty()).then(|| PathBuf::from(first))
        };
        if self.keeping.folder.is_none() {
            self.keeping.folder = first(state);
        }
        let runtime = first(runtime);
        // A spool without a folder of its own is in the state folder.
        if let Some(state) = self.keeping.folder.clone() {
            for sink in &mut self.records.sinks {
                if let Target::Postgres(_, spool) = &mut sink.target
                    && spool.folder.parent() == Some(Path::new(""))
                {
                    spool.folder = state.join(&spool.folder);
                }
            }
        }
        if self.control.socket.is_none() {
            self.control.socket = runtime.as_ref().map(|folder| folder.join("control.sock"));
        }
        if self.api.socket.is_none() {
            self.api.socket = runtime.map(|folder| folder.join("api.sock"));
        }
        self
    }
}

pub(super) fn read_state(root: &mut Reader<'_>, folder: &Path) -> Keeping {
    let mut keeping = Keeping::default();
    let Some(mut table) = root.table("state") else {
        return keeping;
    };
    keeping.folder = table.string("dir").map(|text| folder.join(text.value));
    if let Some((keep, _)) = table.integer("keep", 2..=GENERATIONS_KEPT_MAX as u64) {
        keeping.keep = usize::try_from(keep).unwrap_or(GENERATIONS_KEPT_MAX);
    }
    table.finish();
    keeping
}

pub(super) fn read_control(root: &mut Reader<'_>, folder: &Path) -> ControlConfig {
    let mut config = ControlConfig::default();
    let Some(mut table) = root.table("control") else {
        return config;
    };
    config.socket = table.string("socket").map(|text| folder.join(text.value));
    for (key, accounts) in [("users", Accounts::Users), ("groups", Accounts::Groups)] {
        let names = table.strings(key).unwrap_or_default();
        let ids = names
            .iter()
            .filter_map(|name| account(&table, accounts, name))
            .collect();
        match accounts {
            Accounts::Users => config.users = ids,
            Accounts::Groups => config.groups = ids,
        }
    }
    table.finish();
    config
}

fn account(table: &Reader<'_>, accounts: Accounts, name: &Text) -> Option<u32> {
    let found = id_of(accounts, name.as_str());
    if found.is_some() {
        return found;
    }
    let (what, file) = match accounts {
        Accounts::Users => ("user", "/etc/passwd"),
        Accounts::Groups => ("group", "/etc/group"),
    };
    let known = listed(accounts);
    let meant = nearest(name.as_str(), known.iter().map(|(known, _)| &**known));
    let message = format!("{} is no {what} of {file}", quoted(name.as_str()));
    let help = match meant {
        Some(meant) => format!("did you mean {}?", quoted(meant)),
        None => format!("write a name of {file}, or the number as text: \"1001\""),
    };
    table.report(
        Diagnostic::error(Code::UnknownName, message)
            .at(table.place(name.spot, ""))
            .help(help),
    );
    None
}
