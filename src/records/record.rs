//! One record: a row of columns, the same for every format.

use std::borrow::Cow;

use serde::Serialize;

use crate::observe::{
    AttemptDetail, CallDetail, EndDetail, LoneEnd, MaskNumbers, RouteDetail, Told,
};

/// Declares the record and the names of its columns in their order.
macro_rules! columns {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// A row. An attempt, or a whole call; what does not apply is empty.
        #[derive(Debug, Clone, Default, PartialEq, Serialize)]
        pub struct Record<'c> { $($(#[$doc])* pub $name: $type,)* }

        /// The names of all columns, in order. Columns are added at the end, none goes away.
        pub const COLUMNS: &[&str] = &[$(stringify!($name),)*];
    };
}

columns! {
    /// The name of this row: no other has it, and it is the same whenever it is sent again.
    record_id: Cow<'c, str>,
    /// `attempt`, `end` (answered and over), `fail` (never answered), `decided` (by a redirect
    /// or over HTTP), `end-only` (of a call whose beginning was not seen).
    event: &'static str,
    /// The name of the call, which its attempts share.
    call: &'c str,
    /// For an attempt: the how many-th, from 1.
    attempt: Option<u8>,
    /// When the INVITE came, RFC 3339.
    t_setup: Option<String>,
    /// When the caller heard of progress.
    t_progress: Option<String>,
    /// When it had its final answer.
    t_answer: Option<String>,
    /// When it was over.
    t_end: Option<String>,
    /// Milliseconds from the INVITE to progress.
    progress_ms: Option<u32>,
    /// Milliseconds from the INVITE to the final answer.
    answer_ms: Option<u32>,
    /// Milliseconds from the final answer to the end.
    duration_ms: Option<u64>,
    /// The Call-ID.
    call_id: &'c str,
    /// The Session-ID (RFC 7989).
    session_id: Option<&'c str>,
    /// `proxy`, `redirect` or `http`.
    answered_by: Option<&'static str>,
    /// The listener.
    listener: Option<&'c str>,
    /// `udp`, `tcp`, `tls` or `http`.
    transport: Option<&'static str>,
    /// Who sent the INVITE.
    src_ip: Option<String>,
    /// And its port.
    src_port: Option<u16>,
    /// The trunk group it arrived on.
    from_group: Option<&'c str>,
    /// The number as dialled.
    to_in: Option<Cow<'c, str>>,
    /// The called number after normalisation.
    called: Option<Cow<'c, str>>,
    /// The called number as the trunk got it.
    to_out: Option<Cow<'c, str>>,
    /// The caller as shown.
    from_in: Option<Cow<'c, str>>,
    /// The calling number after normalisation.
    calling: Option<Cow<'c, str>>,
    /// The calling number as the trunk got it.
    from_out: Option<Cow<'c, str>>,
    /// Whether it is an emergency call.
    emergency: Option<bool>,
    /// `route`, `reject`, `no_route` or `unavailable`.
    decision: Option<&'static str>,
    /// The rule that decided.
    rule: Option<&'c str>,
    /// The generation of the table that decided.
    table_gen: Option<u64>,
    /// The routes of the decision, best first: `group/trunk,group/trunk`.
    routes: Option<String>,
    /// How many attempts there were.
    attempts: Option<u8>,
    /// The trunk group: of the attempt; of a call that of the one that was answered, the last
    /// one tried, or the first of the routes.
    trunk_group: Option<&'c str>,
    /// The trunk.
    trunk: Option<&'c str>,
    /// Where it was sent.
    dst_ip: Option<String>,
    /// And the port.
    dst_port: Option<u16>,
    /// For an attempt: `status`, `timeout`, `unreachable` or `open`.
    cause: Option<&'static str>,
    /// The final status: of the attempt, of the call.
    sip_code: Option<u16>,
    /// The Q.850 cause: of the attempt's answer; of a call that of its end, else of the attempt.
    q850: Option<u8>,
    /// Whose doing the answer was: a word of the log.
    answer_by: Option<&'static str>,
    /// What ended it: `caller`, `callee`, `somebody`, `session-expired`, `nothing-heard`; empty
    /// where nobody waited for it.
    end_by: Option<&'static str>,
    /// The SIP cause in the Reason of its BYE.
    end_sip_code: Option<u16>,
    /// The text in that Reason.
    reason_text: Option<&'c str>,
    /// `seen`; or why there is no beginning: `before` this process, `missed` for want of room.
    start: &'static str,
    /// For an attempt too large for UDP: how it left.
    large: Option<&'static str>,
}

/// The rows of what was told: the attempts of a call with its answer, the call when it is over.
pub fn records_of<'c>(
    told: &'c Told,
    mask: MaskNumbers,
    wants_attempts: bool,
    mut take: impl FnMut(&Record<'c>),
) {
    let mut attempts = |call: &'c CallDetail| {
        if wants_attempts {
            for (place, attempt) in call.attempts.iter().enumerate() {
                take(&of_attempt(call, place, attempt, mask));
            }
        }
    };
    match told {
        Told::Up(call) => attempts(call),
        Told::Over(call) => {
            // Of a call that was up they were told when it was answered.
            if call.end.is_none() {
                attempts(call);
            }
            take(&of_call(call, mask));
        }
        Told::LoneEnd(end) => take(&of_lone_end(end)),
    }
}

fn of_call(call: &CallDetail, mask: MaskNumbers) -> Record<'_> {
    let attempt = call.last_attempt();
    let end = call.end.as_ref();
    let was_up = call.was_up();
    let route = attempt
        .map(|attempt| &attempt.route)
        .or(call.routes.first());
    let mut record = Record {
        event: match (attempt, was_up) {
            _ if call.answered_by != crate::observe::AnsweredBy::Proxy => "decided",
            (_, true) => "end",
            (_, false) => "fail",
        },
        record_id: Cow::Borrowed(&call.id),
        t_progress: after(call, call.progress_ms.map(u64::from)),
        t_answer: after(call, Some(call.answer_ms.into())),
        progress_ms: call.progress_ms,
        answer_ms: Some(call.answer_ms),
        attempts: u8::try_from(call.attempts.len()).ok(),
        sip_code: Some(call.status),
        q850: end
            .and_then(|end| end.q850)
            .or(attempt.and_then(|a| a.q850)),
        answer_by: Some(call.ended_by),
        ..common(call, mask)
    };
    if let Some(route) = route {
        set_route(&mut record, route, mask);
    }
    if let Some(to) = attempt.and_then(|attempt| attempt.sent_to) {
        (record.dst_ip, record.dst_port) = (Some(to.ip().to_string()), Some(to.port()));
    }
    match end {
        Some(end) => set_end(&mut record, end),
        // Its end came with its answer, unless nobody follows it.
        None if !was_up => record.t_end.clone_from(&record.t_answer),
        None => {}
    }
    record
}

fn of_attempt<'c>(
    call: &'c CallDetail,
    place: usize,
    attempt: &'c AttemptDetail,
    mask: MaskNumbers,
) -> Record<'c> {
    let number = u8::try_from(place + 1).unwrap_or(u8::MAX);
    let mut record = Record {
        event: "attempt",
        record_id: Cow::Owned(format!("{}.{number}", call.id)),
        attempt: Some(number),
        answer_ms: attempt
            .ended_ms
            .map(|ended| ended.saturating_sub(attempt.begun_ms)),
        t_answer: after(call, attempt.ended_ms.map(u64::from)),
        cause: Some(attempt.cause),
        sip_code: attempt.status,
        q850: attempt.q850,
        large: attempt.large,
        ..common(call, mask)
    };
    record.t_setup = after(call, Some(attempt.begun_ms.into()));
    set_route(&mut record, &attempt.route, mask);
    if let Some(to) = attempt.sent_to {
        (record.dst_ip, record.dst_port) = (Some(to.ip().to_string()), Some(to.port()));
    }
    record
}

fn of_lone_end(end: &LoneEnd) -> Record<'_> {
    let mut record = Record {
        record_id: Cow::Borrowed(&end.id),
        event: "end-only",
        call: &end.id,
        call_id: &end.call_id,
        session_id: end.session_id.as_deref(),
        answered_by: Some("proxy"),
        q850: end.end.q850,
        start: end.why.as_str(),
        ..Record::default()
    };
    if let Some(source) = end.end.source {
        (record.src_ip, record.src_port) = (Some(source.ip().to_string()), Some(source.port()));
    }
    set_end(&mut record, &end.end);
    record
}

/// What a call and its attempts have in common.
fn common(call: &CallDetail, mask: MaskNumbers) -> Record<'_> {
    let masked = |number: &'_ Option<Box<str>>| {
        number
            .as_deref()
            .map(|n| mask.number(n).into_owned().into())
    };
    Record {
        call: &call.id,
        t_setup: Some(stamp(call.at)),
        call_id: &call.call_id,
        session_id: call.session_id.as_deref(),
        answered_by: Some(call.answered_by.as_str()),
        listener: Some(&*call.listener).filter(|name| !name.is_empty()),
        transport: Some(call.transport),
        src_ip: Some(call.source.ip().to_string()),
        src_port: Some(call.source.port()),
        from_group: Some(&call.from),
        to_in: Some(mask.number(&call.dialled)),
        called: masked(&call.called),
        from_in: masked(&call.shown),
        calling: masked(&call.calling),
        emergency: Some(call.emergency),
        decision: Some(call.decision),
        rule: call.rule.as_deref(),
        table_gen: Some(call.generation),
        routes: Some(routes(call)).filter(|routes| !routes.is_empty()),
        start: "seen",
        ..Record::default()
    }
}

fn set_route<'c>(record: &mut Record<'c>, route: &'c RouteDetail, mask: MaskNumbers) {
    record.trunk_group = Some(&route.trunk_group);
    record.trunk = Some(&route.trunk);
    record.to_out = Some(mask.number(&route.called));
    record.from_out = route.calling.as_deref().map(|number| mask.number(number));
}

fn set_end<'c>(record: &mut Record<'c>, end: &'c EndDetail) {
    record.t_end = Some(stamp(end.at));
    record.duration_ms = end.up_ms;
    record.end_by = end.by.map(crate::proxy::CallEnd::as_str);
    record.end_sip_code = end.sip;
    record.reason_text = end.text.as_deref();
}

fn routes(call: &CallDetail) -> String {
    let names = call.routes.iter();
    let names: Vec<_> = names
        .map(|route| format!("{}/{}", route.trunk_group, route.trunk))
        .collect();
    names.join(",")
}

fn after(call: &CallDetail, ms: Option<u64>) -> Option<String> {
    let ms = i64::try_from(ms?).ok()?;
    let at = call.at.checked_add(jiff::SignedDuration::from_millis(ms));
    at.ok().map(stamp)
}

fn stamp(at: jiff::Timestamp) -> String {
    format!("{at:.3}")
}
