//! Calls looked at before they are decided, so that their waits for memory overlap.

use super::did_map::Lookups;
use super::{Dialled, End, GroupId, Number, RoutingTable, read_number};

/// The numbers of several calls, guessed at before their requests are read.
///
/// A guess may be wrong or missing: nothing is decided by it, the call then waits as it
/// would have without.
#[derive(Debug)]
pub struct Foresight<'t> {
    table: &'t RoutingTable,
    lookups: Lookups<'t>,
}

impl<'t> Foresight<'t> {
    /// `None` for a table whose numbers are near anyhow.
    #[must_use]
    pub fn new(table: &'t RoutingTable) -> Option<Self> {
        table.is_far().then(|| Self {
            table,
            lookups: Lookups::default(),
        })
    }

    /// One more call to this user part; `from` says what it arrives on, if that is known,
    /// and is asked only for numbers that are not global: what manipulations make of those
    /// is not guessed. When there are as many as are looked at together, they are.
    pub fn add(&mut self, dialled: &[u8], from: impl FnOnce() -> Option<GroupId>) {
        let global = Number::parse(dialled).filter(Number::is_global);
        let number = global.or_else(|| {
            let dialled = Dialled {
                number: dialled,
                raw: dialled,
                phone_context: None,
            };
            read_number(self.table, from()?, &dialled, End::Called, &mut ()).0
        });
        let Some(number) = number else { return };
        if !self.lookups.add(self.table.dids(), &number) {
            self.lookups.bring_near();
        }
    }

    /// Looks at the calls that were added since the last time.
    pub fn look(&mut self) {
        self.lookups.bring_near();
    }
}
