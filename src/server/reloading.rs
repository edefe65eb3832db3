//! Reading the tables again: one at a time, many requests as one, and the log of it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::daemon::service;
use crate::limits::RELOAD_DIAGNOSTICS_LOGGED_MAX;
use crate::system;
use crate::tables::diagnostic::{Report, Severity};
use crate::tables::{Reload, TableStore};

/// Starts the thread that reads tables in the background. It ends when the sender is
/// dropped. The channel holds one request: one that arrives while the files are being
/// read is kept, for what it announces may have been missed; further ones say nothing new.
pub(super) fn start(store: Arc<TableStore>) -> io::Result<SyncSender<()>> {
    let (sender, requests) = sync_channel::<()>(1);
    std::thread::Builder::new()
        .name(String::from("reload"))
        .spawn(move || {
            system::give_way_to_calls();
            while requests.recv().is_ok() {
                service::reloading();
                let outcome = reload(&store);
                service::ready(&status(&store, Some(&outcome)));
            }
        })?;
    Ok(sender)
}

/// Reads the tables again and logs how it went.
pub(super) fn reload(store: &TableStore) -> Reload {
    let outcome = store.reload();
    match &outcome {
        Reload::Swapped {
            generation,
            report,
            load_time,
            ..
        } => {
            let table = store.current();
            tracing::info!(
                "reload gen {}->{generation} dids={} rules={} took_ms={}",
                generation.saturating_sub(1),
                table.did_rows(),
                table.rules().len(),
                load_time.as_millis()
            );
            log_findings(report);
        }
        Reload::Unchanged { generation } => {
            tracing::info!("reload gen {generation} kept: the files say the same");
        }
        Reload::Refused { generation, report } => {
            tracing::error!("reload refused, gen {generation} kept: {}", summary(report));
            log_findings(report);
        }
    }
    outcome
}

/// One line a finding, as many as a log should hold.
pub(super) fn log_findings(report: &Report) {
    for finding in report
        .diagnostics
        .iter()
        .take(RELOAD_DIAGNOSTICS_LOGGED_MAX)
    {
        match finding.severity {
            Severity::Error => tracing::error!("{}", finding.short()),
            Severity::Warning => tracing::warn!("{}", finding.short()),
            Severity::Info => tracing::info!("{}", finding.short()),
        }
    }
    let told = report.diagnostics.len().min(RELOAD_DIAGNOSTICS_LOGGED_MAX) as u64;
    let untold = (report.errors + report.warnings).saturating_sub(told);
    if untold > 0 {
        tracing::warn!("{untold} more findings: run `trunkline check` to see them");
    }
}

/// What the service manager shows.
pub(super) fn status(store: &TableStore, outcome: Option<&Reload>) -> String {
    let table = store.current();
    let serving = format!(
        "table gen {}, {} DIDs, {} rules",
        table.generation(),
        table.did_rows(),
        table.rules().len()
    );
    match outcome {
        Some(Reload::Refused { report, .. }) => {
            format!("{serving}; last reload refused: {}", summary(report))
        }
        _ => serving,
    }
}

fn summary(report: &Report) -> String {
    let first = report
        .diagnostics
        .iter()
        .find(|finding| finding.severity == Severity::Error);
    let plural = if report.errors == 1 { "" } else { "s" };
    match first {
        Some(first) => format!("{} error{plural}, first {}", report.errors, first.short()),
        None => format!("{} error{plural}", report.errors),
    }
}
