//! Trunks that go out of service and come back, for people.

use std::fmt;

use crate::limits::TRUNKS_TOLD_MAX;
use crate::proxy::ProbeReport;
use crate::routing::{Outage, Snapshot, TrunkId, Turn};

/// Logs a probe that turned its trunk; all others are only counted.
pub fn tell_turn(report: &ProbeReport) {
    let trunk = &report.trunk;
    match report.turn {
        Some(Turn::Out(misses)) => {
            let last = report.miss.as_ref().map(ToString::to_string);
            let last = last.as_deref().unwrap_or_default();
            tracing::warn!("trunk {trunk} is out: {misses} OPTIONS missed, the last {last}");
        }
        Some(Turn::Back(hits)) => {
            tracing::info!("trunk {trunk} is back: {hits} OPTIONS answered");
        }
        None => {}
    }
}

/// The trunks of a snapshot that are out of service, and why: `out pstn-lon=probes
/// pstn-man=12s`, at most [`TRUNKS_TOLD_MAX`] of them; `out none`.
#[derive(Debug)]
pub struct TrunksOut<'s>(pub &'s Snapshot);

impl fmt::Display for TrunksOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trunks = (0..=u16::MAX).map(TrunkId).zip(self.0.table.trunks());
        let mut out = trunks
            .filter_map(|(id, trunk)| Some((trunk, self.0.availability.outage(id)?)))
            .peekable();
        f.write_str("out")?;
        if out.peek().is_none() {
            return f.write_str(" none");
        }
        for (trunk, outage) in out.by_ref().take(TRUNKS_TOLD_MAX) {
            let name = &trunk.name;
            match outage {
                Outage::Draining => write!(f, " {name}=draining")?,
                Outage::Maintenance => write!(f, " {name}=maintenance")?,
                Outage::Probes => write!(f, " {name}=probes")?,
                Outage::Calls { left_ms } => write!(f, " {name}={}s", left_ms.div_ceil(1_000))?,
            }
        }
        match out.count() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::table::TableParts;
    use crate::routing::trunk::TargetUri;
    use crate::routing::{Order, Origin, RoutingTable, Trunk};
    use std::sync::Arc;

    #[test]
    fn the_report_names_what_is_out_and_why() {
        let trunk = |number: usize| Trunk {
            name: format!("t{number}").into(),
            target: TargetUri {
                scheme: "sip:".into(),
                fixed_user: None,
                user_parameters: "".into(),
                host_and_parameters: "192.0.2.1".into(),
            },
            weight: 1,
            max_calls: None,
            max_cps: None,
            large_over_tcp: false,
            probing: None,
            options_contact: None,
            origin: Origin { file: 0, line: 1 },
        };
        let snapshot = Snapshot::new(Arc::new(RoutingTable::new(TableParts {
            trunks: (0..TRUNKS_TOLD_MAX + 2).map(trunk).collect(),
            ..TableParts::default()
        })));
        assert_eq!(TrunksOut(&snapshot).to_string(), "out none");
        let trunks = &snapshot.availability;
        trunks.set_out_by_probes(TrunkId(1), true);
        trunks.order(TrunkId(2), Order::Maint);
        trunks.retry_after(TrunkId(4), 12);
        assert_eq!(
            TrunksOut(&snapshot).to_string(),
            "out t1=probes t2=maintenance t4=12s"
        );
        for id in 0..=u16::MAX {
            trunks.set_out_by_probes(TrunkId(id), true);
        }
        let told = TrunksOut(&snapshot).to_string();
        assert!(told.ends_with(" t49=probes and 2 more"), "{told}");
    }
}
