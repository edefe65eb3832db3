//! Ids instead of names: small integers that are valid for one table generation.

/// Declares an id type: an index into one vector of a [`RoutingTable`](super::RoutingTable).
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        /// Valid for the table generation it came from.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u16);

        impl $name {
            /// Position in the table's vector.
            #[must_use]
            pub fn index(self) -> usize {
                usize::from(self.0)
            }
        }
    };
}

id!(
    /// A trunk: one place calls can be sent to.
    TrunkId
);
id!(
    /// A trunk group: what calls arrive on and are routed to.
    GroupId
);
id!(
    /// A rule, in the order of the table.
    RuleId
);
id!(
    /// A schedule.
    ScheduleId
);
id!(
    /// A DID list.
    ListId
);
id!(
    /// A dial plan.
    DialPlanId
);
id!(
    /// A manipulation.
    ManipulationId
);
id!(
    /// An alternative-routing policy.
    PolicyId
);

/// Where in the table's files something was defined, for explanations and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Index into [`RoutingTable::file_name`](super::RoutingTable::file_name).
    pub file: u16,
    /// Line, counted from 1.
    pub line: u32,
}
