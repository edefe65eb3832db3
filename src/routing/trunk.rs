//! Trunks, trunk groups and the order in which a group's trunks are tried.

use super::number::Number;
use super::{
    Availability, DialPlanId, GroupId, ManipulationId, Origin, Outage, PolicyId, Probing, Route,
    RoutingTable, TrunkId,
};
use crate::limits::TRUNKS_PER_GROUP_MAX;
use arrayvec::ArrayVec;

/// One place calls can be sent to.
#[derive(Debug)]
pub struct Trunk {
    /// Name in the table.
    pub name: Box<str>,
    /// Where it is.
    pub target: TargetUri,
    /// Share under [`Hunt::Weighted`], at least 1.
    pub weight: u16,
    /// Calls it takes at once; `None` is no limit. Counted in proxy mode only.
    pub max_calls: Option<u32>,
    /// Calls that may begin on it in any second; `None` is no limit. Counted in proxy mode
    /// only.
    pub max_cps: Option<u16>,
    /// Whether requests of more than [`UDP_REQUEST_BYTES_MAX`] that would leave over UDP go by
    /// TCP (RFC 3261 §18.1.1). Done in proxy mode only.
    ///
    /// [`UDP_REQUEST_BYTES_MAX`]: crate::limits::UDP_REQUEST_BYTES_MAX
    pub large_over_tcp: bool,
    /// How it is probed; `None` is not at all. Done in proxy mode only.
    pub probing: Option<Probing>,
    /// The host of Contact and From in the OPTIONS it is sent; `None` is our address.
    pub options_contact: Option<Box<str>>,
    /// Where it was defined.
    pub origin: Origin,
}

/// A trunk's address, cut once into what stands before and behind the number.
#[derive(Debug, PartialEq, Eq)]
pub struct TargetUri {
    /// `sip:` or `sips:`.
    pub scheme: Box<str>,
    /// A user part that replaces the number, without parameters.
    pub fixed_user: Option<Box<str>>,
    /// Parameters of the user part with their leading `;`, e.g. `;tgrp=a;trunk-context=b`.
    pub user_parameters: Box<str>,
    /// Host, port, URI parameters.
    pub host_and_parameters: Box<str>,
}

/// The user part of a request as it leaves: a number, or what was dialled and is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User<'a> {
    /// A number, manipulated for the trunk.
    Number(Number),
    /// The user part as it was received, escapes included. May be empty.
    Raw(&'a [u8]),
}

impl User<'_> {
    /// The bytes that stand in the user part.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Number(number) => number.as_bytes(),
            Self::Raw(raw) => raw,
        }
    }

    /// Appends the user part as a URI spells it: `#` is no character of one (RFC 3261 §25.1
    /// user-unreserved).
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Raw(raw) => out.extend_from_slice(raw),
            Self::Number(number) if !number.has_hash() => {
                out.extend_from_slice(number.as_bytes());
            }
            Self::Number(number) => {
                for (index, part) in number.as_bytes().split(|byte| *byte == b'#').enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b"%23");
                    }
                    out.extend_from_slice(part);
                }
            }
        }
    }
}

impl TargetUri {
    /// The address as it stands in a table.
    #[must_use]
    pub fn address(&self) -> String {
        let user = self.fixed_user.as_deref().unwrap_or_default();
        let has_user = !user.is_empty() || !self.user_parameters.is_empty();
        let at = if has_user { "@" } else { "" };
        [
            &*self.scheme,
            user,
            &self.user_parameters,
            at,
            &self.host_and_parameters,
        ]
        .concat()
    }

    /// Appends the Request-URI of a call to `out`. `carried` are user parameters of the
    /// original request that stay behind the number (`;ext=100`), with their `;`; where there
    /// is no user part they are URI parameters (`;x-m=…`), of which those that the address has
    /// itself are left out.
    pub fn write(&self, user: User<'_>, carried: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.scheme.as_bytes());
        let start = out.len();
        if let Some(fixed) = &self.fixed_user {
            out.extend_from_slice(fixed.as_bytes());
        } else {
            user.write(out);
            // Parameters belong to a number: RFC 4904 §4, RFC 3966 §3.
            if out.len() > start {
                out.extend_from_slice(carried);
            }
        }
        let has_user = out.len() > start;
        if has_user {
            out.extend_from_slice(self.user_parameters.as_bytes());
            out.push(b'@');
        }
        out.extend_from_slice(self.host_and_parameters.as_bytes());
        if !has_user {
            self.write_uri_parameters(carried, out);
        }
    }
}

impl TargetUri {
    /// RFC 3261 §19.1.1: a parameter stands in a URI once.
    fn write_uri_parameters(&self, carried: &[u8], out: &mut Vec<u8>) {
        fn name(parameter: &[u8]) -> &[u8] {
            parameter.split(|byte| *byte == b'=').next().unwrap_or(&[])
        }
        for parameter in carried.split(|byte| *byte == b';').skip(1) {
            let mut own = self.host_and_parameters.split(';').skip(1);
            let is_own = own.any(|own| name(own.as_bytes()).eq_ignore_ascii_case(name(parameter)));
            if !is_own && !parameter.is_empty() {
                out.push(b';');
                out.extend_from_slice(parameter);
            }
        }
    }
}

/// The order in which a group's trunks are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hunt {
    /// As written.
    TopDown,
    /// Drawn by weight from the call's hash: the same call gets the same order.
    Weighted,
    /// Fewest calls in progress first; equal ones share by the call's hash.
    LeastLoaded,
}

/// A named set of trunks that calls arrive on and are routed to.
#[derive(Debug)]
pub struct TrunkGroup {
    /// Name in the table.
    pub name: Box<str>,
    /// Its trunks as written; may be empty for a group that is only called from.
    pub trunks: Box<[TrunkId]>,
    /// The order of trying them.
    pub hunt: Hunt,
    /// Calls its trunks take at once for it; `None` is no limit. Counted in proxy mode only.
    pub max_calls: Option<u32>,
    /// How its callers write numbers.
    pub dial_plan: Option<DialPlanId>,
    /// Manipulations of numbers that arrive here, in order.
    pub inbound: Box<[ManipulationId]>,
    /// Manipulations of numbers that leave here, in order.
    pub outbound: Box<[ManipulationId]>,
    /// This group, then its overflow groups and theirs, each once.
    pub search: Box<[GroupId]>,
    /// Which causes move a call to its next route; `None` is the default policy.
    pub alternative_routing: Option<PolicyId>,
    /// Whether a call that arrived on it may be sent back to it. An emergency call may.
    pub send_back: bool,
    /// Where calls that arrive on it without a user part go, whatever the rules say.
    pub transfers_to: Option<GroupId>,
    /// Where it was defined.
    pub origin: Origin,
}

#[cfg(test)]
impl TrunkGroup {
    /// A group with a name and nothing else, for tests.
    pub(crate) fn bare(name: &str) -> Self {
        Self {
            name: name.into(),
            trunks: Box::default(),
            hunt: Hunt::TopDown,
            max_calls: None,
            dial_plan: None,
            inbound: Box::default(),
            outbound: Box::default(),
            search: Box::default(),
            alternative_routing: None,
            send_back: true,
            transfers_to: None,
            origin: Origin { file: 0, line: 1 },
        }
    }
}

/// Whether a trunk may be tried, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrunkState {
    /// It may be tried.
    InService,
    /// It is out of service, and why.
    OutOfService(Outage),
    /// The call arrived on its group, which takes none of its own back.
    SentIt,
    /// It, or its group, carries as many calls as it may, or began as many in this second.
    Full,
}

/// Trunks of `group` in the order to try them for the call with hash `call_hash`, where
/// they are not tried as written. Order only; [`state`] says which of them may be tried.
pub(super) fn drawn_order(
    table: &RoutingTable,
    availability: &Availability,
    group: &TrunkGroup,
    call_hash: u64,
) -> ArrayVec<TrunkId, TRUNKS_PER_GROUP_MAX> {
    let mut order: ArrayVec<TrunkId, TRUNKS_PER_GROUP_MAX> = group
        .trunks
        .iter()
        .copied()
        .take(TRUNKS_PER_GROUP_MAX)
        .collect();
    match group.hunt {
        Hunt::TopDown => {}
        Hunt::Weighted => order.sort_by(|a, b| {
            let key = |id: &TrunkId| {
                let weight = table.trunk(*id).map_or(1, |trunk| trunk.weight);
                arrival_time(call_hash, *id, weight)
            };
            key(a).total_cmp(&key(b))
        }),
        Hunt::LeastLoaded => {
            order.sort_by_key(|id| (availability.calls_in_progress(*id), mix(call_hash, *id)));
        }
    }
    order
}

/// Whether the trunk may be tried now.
pub(super) fn state(table: &RoutingTable, route: Route, availability: &Availability) -> TrunkState {
    if availability.is_full(table, route) {
        return TrunkState::Full;
    }
    match availability.outage(route.trunk) {
        None => TrunkState::InService,
        Some(outage) => TrunkState::OutOfService(outage),
    }
}

/// Key of an exponential race: sorting by it draws without replacement in proportion to
/// `weight`, and taking one trunk away leaves the order of the others as it was.
fn arrival_time(call_hash: u64, id: TrunkId, weight: u16) -> f64 {
    // 53 random bits in (0, 1]: ln never sees zero.
    let unit = ((mix(call_hash, id) >> 11) + 1) as f64 / (1u64 << 53) as f64;
    -unit.ln() / f64::from(weight.max(1))
}

/// SplitMix64's finaliser over the call's hash and the trunk.
fn mix(call_hash: u64, id: TrunkId) -> u64 {
    let mut z = call_hash ^ (u64::from(id.0) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(fixed: Option<&str>, parameters: &str) -> TargetUri {
        TargetUri {
            scheme: "sip:".into(),
            fixed_user: fixed.map(Into::into),
            user_parameters: parameters.into(),
            host_and_parameters: "sbc.example:5060;user=phone".into(),
        }
    }

    fn written(uri: &TargetUri, user: User<'_>, carried: &str) -> String {
        let mut out = Vec::new();
        uri.write(user, carried.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn a_request_uri_carries_the_number_and_its_parameters() {
        let number = User::Number(Number::parse(b"+4420").expect("a number"));
        assert_eq!(
            written(&uri(None, ""), number, ""),
            "sip:+4420@sbc.example:5060;user=phone"
        );
        assert_eq!(
            written(&uri(None, ";tgrp=a;trunk-context=b"), number, ";ext=7"),
            "sip:+4420;ext=7;tgrp=a;trunk-context=b@sbc.example:5060;user=phone"
        );
        assert_eq!(
            written(&uri(Some("voicemail"), ""), number, ";ext=7"),
            "sip:voicemail@sbc.example:5060;user=phone"
        );
        let code = User::Number(Number::parse(b"*31#").expect("a number"));
        assert_eq!(
            written(&uri(None, ""), code, ""),
            "sip:*31%23@sbc.example:5060;user=phone"
        );
        assert_eq!(
            written(
                &uri(None, ""),
                User::Raw(b""),
                ";x-m=8:orgid:1;User=ip;x-t=2"
            ),
            "sip:sbc.example:5060;user=phone;x-m=8:orgid:1;x-t=2"
        );
        for (fixed, parameters, address) in [
            (None, "", "sip:sbc.example:5060;user=phone"),
            (None, ";tgrp=a", "sip:;tgrp=a@sbc.example:5060;user=phone"),
            (Some("vm"), "", "sip:vm@sbc.example:5060;user=phone"),
        ] {
            assert_eq!(uri(fixed, parameters).address(), address);
        }
    }

    #[test]
    fn weights_are_kept_over_many_calls() {
        // Three trunks with weights 1, 2, 7: the share of first places follows them.
        let weights = [1u16, 2, 7];
        let mut first = [0u32; 3];
        for call in 0..20_000u64 {
            let hash = call.wrapping_mul(0xD6E8_FEB8_6659_FD93);
            let winner = (0..3u16)
                .min_by(|a, b| {
                    let key = |i: u16| arrival_time(hash, TrunkId(i), weights[usize::from(i)]);
                    key(*a).total_cmp(&key(*b))
                })
                .unwrap_or(0);
            first[usize::from(winner)] += 1;
        }
        for (count, expected) in first.iter().zip([2_000u32, 4_000, 14_000]) {
            assert!(count.abs_diff(expected) < 400, "{first:?}");
        }
    }
}
