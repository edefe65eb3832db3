//! What a running server says of itself.

use std::path::Path;

use super::{Check, Finding};
use crate::control::{self, Answer, NoAnswer, Request, Status, TrunkStatus};
use crate::routing::RoutingTable;

/// A server that answered.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) status: Status,
    pub(super) trunks: Vec<TrunkStatus>,
}

/// Asks the server behind a socket. Why there is no answer is a sentence.
pub(super) fn ask(socket: &Path) -> Result<Running, NoAnswer> {
    let odd = |answer: Answer| match answer {
        Answer::Refused(refused) => NoAnswer::Broken(refused.message),
        _ => NoAnswer::Broken(String::from("an answer to another question")),
    };
    let status = match control::ask(socket, &Request::Status {})? {
        Answer::Status(status) => *status,
        other => return Err(odd(other)),
    };
    match control::ask(socket, &Request::Trunks {})? {
        Answer::Trunks { trunks } => Ok(Running { status, trunks }),
        other => Err(odd(other)),
    }
}

/// Whether one runs, and what waits for somebody.
pub(super) fn server(
    running: Result<&Running, &NoAnswer>,
    folder: Option<&RoutingTable>,
) -> Vec<Finding> {
    let Running { status, .. } = match running {
        Ok(running) => running,
        Err(why @ NoAnswer::Unreachable { .. }) => {
            return vec![
                Finding::warning(Check::Server, "", why.to_string())
                    .fix("systemctl start trunkline"),
            ];
        }
        Err(why @ NoAnswer::Broken(_)) => {
            return vec![
                Finding::failed(Check::Server, "", why.to_string())
                    .fix("is it the same version? trunkline --version"),
            ];
        }
    };
    let subject = format!("pid {}", status.pid);
    let generation = &status.generation;
    let says = format!("{} serves gen {}", status.version, generation.number);
    let mut findings = vec![Finding::ok(Check::Server, &subject, says)];
    let mut remark = |says: String, fix: &str| {
        findings.push(Finding::warning(Check::Server, &subject, says).fix(fix));
    };
    if status.version != env!("CARGO_PKG_VERSION") {
        let installed = env!("CARGO_PKG_VERSION");
        let says = format!("{} runs, {installed} is installed", status.version);
        remark(says, "systemctl restart trunkline, when it suits");
    }
    if let Some(trial) = &status.trial {
        let says = format!(
            "on trial: returns to gen {} in {} s",
            trial.return_to, trial.left_s
        );
        remark(says, "trunkline confirm, or trunkline undo");
    }
    if let Some(refused) = &status.refused {
        let says = format!(
            "the last change was refused at {}: {}",
            refused.at, refused.why
        );
        remark(says, "trunkline check, repair, trunkline reload");
    }
    let is_other = folder.is_some_and(|table| table.hash().to_string() != generation.sha256);
    if status.held {
        let says = String::from("an older table serves; the folder says something else");
        remark(
            says,
            "repair the folder, then trunkline reload: the next one reads it",
        );
    } else if is_other {
        let says = String::from("the folder has changes that do not serve");
        remark(
            says,
            "trunkline plan FOLDER shows them, trunkline reload serves them",
        );
    }
    findings
}
