//! The calls of the story, and whether they end where the table says.

use anyhow::Context as _;
use jiff::Timestamp;

use super::sbc::{Call, Placed, Side};
use crate::proxy::call_hash;
use crate::routing::explanation::Report;
use crate::routing::{Dialled, Explanation, RequestFacts, Snapshot};

/// A call and what it shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene {
    /// A sentence.
    pub(super) title: &'static str,
    /// What is dialled.
    pub(super) call: Call,
    /// How it ends.
    pub(super) ends: End,
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// This agent answers it.
    With(&'static str),
    /// Trunkline refuses it with this status.
    Refused(u16),
    /// It depends on the hour.
    ByTheClock,
}

const CALLER: &str = "+447700900123";

/// Whose number is moved.
pub(super) const CAROL: Call = Call {
    from: Side::CarrierA,
    calling: CALLER,
    dialled: "02079460125",
};

/// The calls that need nothing but the table.
pub(super) const SCENES: [Scene; 8] = [
    Scene {
        title: "Alice has moved to Teams; the block around her number has not",
        call: Call {
            from: Side::CarrierA,
            calling: CALLER,
            dialled: "02079460123",
        },
        ends: End::With("Teams"),
    },
    Scene {
        title: "Carol, two numbers on, is still on Genesys; the label says over which trunk",
        call: CAROL,
        ends: End::With("Genesys"),
    },
    Scene {
        title: "The London service desk",
        call: Call {
            from: Side::CarrierA,
            calling: CALLER,
            dialled: "02079460100",
        },
        ends: End::ByTheClock,
    },
    Scene {
        title: "A Genesys agent dials Alice's extension",
        call: Call {
            from: Side::GenesysLondon,
            calling: "+442079460122",
            dialled: "0123",
        },
        ends: End::With("Teams"),
    },
    Scene {
        title: "Genesys hands out a number that lives on Genesys: it must not come back",
        call: Call {
            from: Side::GenesysLondon,
            calling: "+442079460122",
            dialled: "+442079460130",
        },
        ends: End::Refused(482),
    },
    Scene {
        title: "A premium-rate number",
        call: Call {
            from: Side::Teams,
            calling: "+442079460123",
            dialled: "+449098790000",
        },
        ends: End::Refused(403),
    },
    Scene {
        title: "An emergency call by Clara, who is in Berlin: not to London",
        call: Call {
            from: Side::Teams,
            calling: "+493023125042",
            dialled: "112",
        },
        ends: End::With("Carrier B Berlin"),
    },
    Scene {
        title: "A call to Germany leaves in Berlin, written as the carrier there wants it",
        call: Call {
            from: Side::Teams,
            calling: "+442079460123",
            dialled: "+494066969000",
        },
        ends: End::With("Carrier B Berlin"),
    },
];

/// A call to the outside while both data centres of carrier A are down.
pub(super) const OUTAGE: Scene = Scene {
    title: "Carrier A: one data centre answers 503, the other is dead",
    call: Call {
        from: Side::Teams,
        calling: "+442079460123",
        dialled: "+441214960000",
    },
    ends: End::With("Carrier B Berlin"),
};

/// What the table says about a call at a time: the same walk as the server's.
///
/// # Errors
/// The table does not know the group the call comes from.
pub(super) fn table_says(
    snapshot: &Snapshot,
    call: &Call,
    call_id: &str,
    at: Timestamp,
) -> anyhow::Result<Report> {
    let group = call.from.trunk_group();
    let from = snapshot.table.group_named(group);
    let from = from.with_context(|| format!("the table has no trunk group \"{group}\""))?;
    let dialled = |number: &'static str| Dialled {
        number: number.as_bytes(),
        raw: number.as_bytes(),
        phone_context: None,
    };
    let facts = RequestFacts {
        from,
        called: dialled(call.dialled),
        calling: Some(dialled(call.calling)),
        host: b"127.0.0.1",
        tgrp: None,
        at,
        call_hash: call_hash(call_id.as_bytes()),
    };
    Ok(Explanation::of(snapshot, &facts, b"").1)
}

/// Whether a call went as the table says, Contact for Contact, and ended as it should.
///
/// # Errors
/// A sentence that says what came instead.
pub(super) fn judge(ends: End, placed: &Placed, report: &Report) -> Result<(), String> {
    let status = report.status.unwrap_or(302);
    if placed.status != Some(status) {
        let came = placed.status.map_or_else(
            || String::from("nothing"),
            |came| format!("{came} {}", placed.reason),
        );
        return Err(format!("the table says {status}, and {came} came"));
    }
    let routes = report
        .routes
        .iter()
        .filter(|route| route.position.is_some());
    let demanded: Vec<&str> = routes.map(|route| &*route.request_uri).collect();
    let contacts: Vec<&str> = placed.targets.iter().map(|target| &*target.text).collect();
    if demanded != contacts {
        let (demanded, contacts) = (demanded.join(", "), contacts.join(", "));
        return Err(format!("the table says {demanded}, and {contacts} came"));
    }
    let (wanted, came) = match ends {
        End::With(agent) => (Some(agent), placed.answered_by),
        End::Refused(wanted) => {
            return if status == wanted {
                Ok(())
            } else {
                Err(format!("{wanted} was to come, and {status} came"))
            };
        }
        End::ByTheClock => (Some("somebody"), placed.answered_by.map(|_| "somebody")),
    };
    if wanted == came {
        return Ok(());
    }
    let name = |agent: Option<&'static str>| agent.unwrap_or("nobody");
    Err(format!(
        "{} was to answer, and {} did",
        name(wanted),
        name(placed.answered_by)
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::table::TableCopy;
    use super::*;
    use crate::tables;

    fn snapshot() -> Snapshot {
        let copy = TableCopy::write().unwrap();
        Snapshot::new(Arc::new(tables::load(&copy.tables()).table.unwrap()))
    }

    fn placed(status: u16, answered_by: Option<&'static str>) -> Placed {
        Placed {
            call_id: String::from("x"),
            status: Some(status),
            reason: String::from("Because"),
            targets: Vec::new(),
            attempts: Vec::new(),
            answered_by,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn the_table_refuses_what_the_story_says_it_refuses() {
        let snapshot = snapshot();
        for scene in SCENES.iter().chain([&OUTAGE]) {
            let report = table_says(&snapshot, &scene.call, "x", Timestamp::UNIX_EPOCH).unwrap();
            let refused = match scene.ends {
                End::Refused(status) => Some(status),
                End::With(_) | End::ByTheClock => None,
            };
            assert_eq!(report.status, refused, "{}", scene.title);
        }
    }

    #[test]
    fn a_call_that_ends_elsewhere_is_told() {
        let snapshot = snapshot();
        let says = |call| table_says(&snapshot, call, "x", Timestamp::UNIX_EPOCH).unwrap();
        let barred = says(&SCENES[5].call);
        assert!(judge(End::Refused(403), &placed(403, None), &barred).is_ok());
        let told = judge(End::Refused(403), &placed(404, None), &barred).unwrap_err();
        assert_eq!(told, "the table says 403, and 404 Because came");
        let alice = says(&SCENES[0].call);
        let told = judge(End::With("Teams"), &placed(302, Some("Teams")), &alice).unwrap_err();
        assert!(
            told.contains("sip:+442079460123@teams.route;user=phone"),
            "{told}"
        );
    }
}
