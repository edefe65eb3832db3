//! Dial plans: what a caller dialled becomes one E.164 number.

use std::fmt;

use crate::routing::number::Number;

/// How numbers are dialled where a call arrives. Made once from a table; applying it
/// does not allocate.
///
/// The fields hold digits only, except [`Extension::prefix`], which is global (`+…`),
/// and [`DialPlan::emergency`], which may hold any symbol; who builds a plan checks
/// that. A plan that breaks it normalises to nothing worse than [`NormaliseStep::Unchanged`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialPlan {
    /// Country code without `+`: `49`.
    pub country_code: Number,
    /// Area code without the national prefix: `30`. With it, a number dialled without
    /// any prefix is a local one.
    pub area_code: Option<Number>,
    /// What comes before a country code: `00`, `011`; the longest that fits counts.
    pub international_prefixes: Vec<Number>,
    /// What comes before an area code: `0`, in North America `1`. `None` is a closed
    /// numbering plan, where everybody always dials the whole national number.
    pub national_prefix: Option<Number>,
    /// Extensions; the first that fits counts. North American ten-digit dialling is an
    /// extension of length 10 with the prefix `+1`.
    pub extensions: Vec<Extension>,
    /// Numbers never touched, exactly as they are dialled. Where any is given, it
    /// stands instead of [`DEFAULT_EMERGENCY`].
    pub emergency: Vec<Number>,
    /// Further phone-contexts (RFC 3966 §5.1.5) whose numbers belong to this plan: a
    /// domain name, or a global prefix (`+493012`) that is then put in front.
    pub phone_contexts: Vec<String>,
}

/// Short numbers of the own exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Digits in all.
    pub length: u8,
    /// First digits, if not all of that length are extensions. Only with it may an
    /// extension start with the national or an international prefix.
    pub first: Option<Number>,
    /// Put in front of the dialled digits: `+442071838` makes 750 `+442071838750`.
    pub prefix: Number,
}

/// Emergency numbers where the plan gives none: 112 (ITU-T E.161.1, GSM) and 911.
pub const DEFAULT_EMERGENCY: [&str; 2] = ["112", "911"];

/// A dialled number, normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normalised {
    /// The number; `None` exactly if what was dialled is no number.
    pub number: Option<Number>,
    /// What was done to it.
    pub step: NormaliseStep,
}

/// What normalisation did; its `Display` is a few words for an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormaliseStep {
    /// It came with `+` and stayed.
    AlreadyGlobal,
    /// An emergency number, never touched.
    Emergency,
    /// This international prefix became `+`.
    International(Number),
    /// A national number: the national prefix, where there is one, became the country code.
    National,
    /// The extension with this index.
    Extension(usize),
    /// A local number: country code and this area code were put in front.
    Local(Number),
    /// The digits of its phone-context were put in front.
    PhoneContext,
    /// Nothing in the plan says what it is, or there is no plan.
    Unchanged,
    /// Not a number at all: letters, other bytes, nothing, or more than 31 symbols.
    NotANumber,
}

impl DialPlan {
    /// Normalises with this plan; see [`normalise`].
    #[must_use]
    pub fn normalise(&self, dialled: &[u8], phone_context: Option<&[u8]>) -> Normalised {
        normalise(Some(self), dialled, phone_context)
    }

    /// Whether this plan's emergency numbers contain exactly this one.
    #[must_use]
    pub fn is_emergency(&self, number: &Number) -> bool {
        is_emergency(Some(self), number)
    }
}

/// Makes one number of what was dialled: `dialled` is the user part as received with
/// percent-escapes decoded, `phone_context` the parameter of that name (RFC 3966 §5.1.5).
///
/// Visual separators are dropped. Without a plan that is all; with one, the first that
/// fits counts: `+`, emergency number, phone-context, international prefix, extension,
/// national prefix, area code.
#[must_use]
pub fn normalise(
    plan: Option<&DialPlan>,
    dialled: &[u8],
    phone_context: Option<&[u8]>,
) -> Normalised {
    normalise_number(plan, Number::parse_visual(dialled), phone_context)
}

/// [`normalise`] of what has been read as a number, or could not be.
#[inline(always)]
pub(super) fn normalise_number(
    plan: Option<&DialPlan>,
    dialled: Option<Number>,
    phone_context: Option<&[u8]>,
) -> Normalised {
    match dialled {
        // Most are, where trunks are well set up.
        Some(number) if number.is_global() && has_digit_or_code(&number) => Normalised {
            number: Some(number),
            step: NormaliseStep::AlreadyGlobal,
        },
        _ => normalise_other(plan, dialled, phone_context),
    }
}

#[inline(never)]
fn normalise_other(
    plan: Option<&DialPlan>,
    dialled: Option<Number>,
    phone_context: Option<&[u8]>,
) -> Normalised {
    let Some(number) = dialled.filter(has_digit_or_code) else {
        return Normalised {
            number: None,
            step: NormaliseStep::NotANumber,
        };
    };
    let changed = if is_emergency(plan, &number) {
        Some((number, NormaliseStep::Emergency))
    } else {
        // `*` and `#` make feature codes (*21*…#): they belong to an exchange, not to E.164.
        plan.filter(|_| number.is_digits())
            .and_then(|plan| plan.to_global(&number, phone_context))
    };
    let (number, step) = changed.unwrap_or((number, NormaliseStep::Unchanged));
    Normalised {
        number: Some(number),
        step,
    }
}

/// Whether a number is an emergency number of the plan, or of [`DEFAULT_EMERGENCY`]
/// where there is no plan or it gives none.
#[must_use]
pub fn is_emergency(plan: Option<&DialPlan>, number: &Number) -> bool {
    match plan {
        Some(plan) if !plan.emergency.is_empty() => plan.emergency.contains(number),
        _ => DEFAULT_EMERGENCY
            .iter()
            .any(|emergency| emergency.as_bytes() == number.as_bytes()),
    }
}

/// A number and how it came about.
type Step = (Number, NormaliseStep);

/// Digits that are no emergency number, within one plan. `None` leaves them unchanged.
impl DialPlan {
    fn to_global(&self, number: &Number, phone_context: Option<&[u8]>) -> Option<Step> {
        match phone_context {
            Some(context) if context.first() == Some(&b'+') => {
                self.within_global_context(number, context)
            }
            Some(context) if !self.lists_domain(context) => None,
            _ => self.as_dialled_here(number),
        }
    }

    fn as_dialled_here(&self, number: &Number) -> Option<Step> {
        // An extension whose first digits are written down is meant, whatever else it looks like.
        if let Some(extension) = self.extension(number, |e| e.first.is_some()) {
            return Some(extension);
        }
        // A number with an international prefix is international or nothing: 00 is not
        // the national prefix 0 before an area code 0….
        if let Some(prefix) = self.international_prefix(number) {
            return self.international(number, &prefix);
        }
        self.extension(number, |e| e.first.is_none())
            .or_else(|| self.national(number))
            .or_else(|| self.local(number))
    }

    /// RFC 3966 §5.1.5: a context with `+` is the front part of the global number. The
    /// national prefix is not part of it, yet gateways send it.
    fn within_global_context(&self, number: &Number, context: &[u8]) -> Option<Step> {
        let context = Number::parse_visual(context)?;
        if !self.owns_global_context(&context) {
            return None;
        }
        if let Some(prefix) = self.international_prefix(number) {
            return self.international(number, &prefix);
        }
        let national = self
            .national_prefix
            .and_then(|prefix| number.without_prefix(prefix.as_bytes()));
        let own_country = context
            .as_bytes()
            .strip_prefix(b"+")?
            .starts_with(self.country_code.as_bytes());
        let global = match national {
            Some(national) if own_country => self.in_country(&[national.as_bytes()]),
            Some(national) => join(&[context.as_bytes(), national.as_bytes()]),
            None => join(&[context.as_bytes(), number.as_bytes()]),
        };
        Some((global?, NormaliseStep::PhoneContext))
    }

    /// Whether a global context is this plan's country, its country and area, or listed.
    fn owns_global_context(&self, context: &Number) -> bool {
        let area = self.area_code.as_ref().map_or(&[][..], Number::as_bytes);
        let listed =
            |text: &String| Number::parse_visual(text.as_bytes()).as_ref() == Some(context);
        self.in_country(&[]).as_ref() == Some(context)
            || self.in_country(&[area]).as_ref() == Some(context)
            || self.phone_contexts.iter().any(listed)
    }

    /// Domain names compare without case (RFC 3966 §5.1.5).
    fn lists_domain(&self, context: &[u8]) -> bool {
        self.phone_contexts
            .iter()
            .any(|listed| listed.as_bytes().eq_ignore_ascii_case(context))
    }

    /// The longest international prefix the number starts with.
    fn international_prefix(&self, number: &Number) -> Option<Number> {
        let prefixes = self.international_prefixes.iter().copied();
        prefixes
            .filter(|prefix| number.starts_with(prefix.as_bytes()))
            .max_by_key(Number::len)
    }

    fn international(&self, number: &Number, prefix: &Number) -> Option<Step> {
        let rest = number.without_prefix(prefix.as_bytes())?;
        // No country code starts with 0 (ITU-T E.164 annex A).
        if rest.starts_with(b"0") {
            return None;
        }
        let global = join(&[b"+", rest.as_bytes()])?;
        Some((global, NormaliseStep::International(*prefix)))
    }

    fn extension(&self, number: &Number, among: impl Fn(&Extension) -> bool) -> Option<Step> {
        let is_national = self.starts_national(number);
        let (index, extension) = self.extensions.iter().enumerate().find(|(_, extension)| {
            let first_fits = extension
                .first
                .map_or(!is_national, |first| number.starts_with(first.as_bytes()));
            among(extension) && first_fits && usize::from(extension.length) == number.len()
        })?;
        let global = join(&[extension.prefix.as_bytes(), number.as_bytes()])?;
        Some((global, NormaliseStep::Extension(index)))
    }

    fn national(&self, number: &Number) -> Option<Step> {
        let national = match self.national_prefix {
            Some(prefix) => number.without_prefix(prefix.as_bytes())?,
            None if self.area_code.is_some() => return None,
            None => Some(*number).filter(|n| {
                n.len() >= CLOSED_PLAN_DIGITS_MIN && n.len() > self.longest_extension()
            })?,
        };
        let global = self.in_country(&[national.as_bytes()])?;
        Some((global, NormaliseStep::National))
    }

    fn local(&self, number: &Number) -> Option<Step> {
        let area = self.area_code?;
        if self.starts_national(number)
            || number.len() < LOCAL_DIGITS_MIN
            || number.len() <= self.longest_extension()
        {
            return None;
        }
        let global = self.in_country(&[area.as_bytes(), number.as_bytes()])?;
        Some((global, NormaliseStep::Local(area)))
    }

    fn starts_national(&self, number: &Number) -> bool {
        self.national_prefix
            .is_some_and(|prefix| number.starts_with(prefix.as_bytes()))
    }

    fn longest_extension(&self) -> usize {
        let lengths = self.extensions.iter().map(|extension| extension.length);
        usize::from(lengths.max().unwrap_or(0))
    }

    /// `+`, the country code and these digits.
    fn in_country(&self, digits: &[&[u8]]) -> Option<Number> {
        let parts = [&b"+"[..], self.country_code.as_bytes()];
        join_all(parts.iter().chain(digits))
    }
}

/// The parts as one number, if they make one.
fn join(parts: &[&[u8]]) -> Option<Number> {
    join_all(parts.iter())
}

fn join_all<'a>(parts: impl Iterator<Item = &'a &'a [u8]>) -> Option<Number> {
    Number::collect(parts.flat_map(|part| part.iter().copied()))
}

/// A lone `+`, or `+` before a feature code, calls nobody.
fn has_digit_or_code(number: &Number) -> bool {
    match number.as_bytes() {
        [b'+', rest @ ..] => rest.first().is_some_and(u8::is_ascii_digit),
        _ => true,
    }
}

impl fmt::Display for NormaliseStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyGlobal => f.write_str("already global"),
            Self::Emergency => f.write_str("emergency number, untouched"),
            Self::International(prefix) => write!(f, "international prefix {prefix}"),
            Self::National => f.write_str("national number"),
            Self::Extension(index) => write!(f, "extension {}", index + 1),
            Self::Local(area) => write!(f, "local number in area {area}"),
            Self::PhoneContext => f.write_str("phone-context put in front"),
            Self::Unchanged => f.write_str("unchanged"),
            Self::NotANumber => f.write_str("not a number"),
        }
    }
}

/// Up to three digits are service codes everywhere (E.164 knows them as such), never a
/// subscriber.
const LOCAL_DIGITS_MIN: usize = 4;

/// Shorter numbers of a closed plan are service codes (116117, 02800): seven digits is
/// the shortest national number of any country that dials without a prefix.
const CLOSED_PLAN_DIGITS_MIN: usize = 7;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text.as_bytes()).unwrap()
    }

    fn berlin() -> DialPlan {
        DialPlan {
            country_code: number("49"),
            area_code: Some(number("30")),
            international_prefixes: vec![number("00"), number("000")],
            national_prefix: Some(number("0")),
            extensions: vec![
                Extension {
                    length: 3,
                    first: None,
                    prefix: number("+49301234"),
                },
                Extension {
                    length: 4,
                    first: Some(number("07")),
                    prefix: number("+49309876"),
                },
            ],
            emergency: vec![number("110"), number("112")],
            phone_contexts: vec![
                "pbx.example.com".to_owned(),
                "+49 30 1234".to_owned(),
                "+43".to_owned(),
            ],
        }
    }

    fn madrid() -> DialPlan {
        DialPlan {
            country_code: number("34"),
            area_code: None,
            international_prefixes: vec![number("00")],
            national_prefix: None,
            extensions: Vec::new(),
            emergency: Vec::new(),
            phone_contexts: Vec::new(),
        }
    }

    fn new_york() -> DialPlan {
        DialPlan {
            country_code: number("1"),
            area_code: None,
            international_prefixes: vec![number("011")],
            national_prefix: Some(number("1")),
            extensions: vec![
                Extension {
                    length: 10,
                    first: None,
                    prefix: number("+1"),
                },
                Extension {
                    length: 7,
                    first: None,
                    prefix: number("+1212"),
                },
            ],
            emergency: Vec::new(),
            phone_contexts: Vec::new(),
        }
    }

    /// Cases are: dialled, what comes out, the step.
    fn check(
        plan: Option<&DialPlan>,
        context: Option<&str>,
        cases: &[(&str, &str, NormaliseStep)],
    ) {
        for (dialled, expected, step) in cases {
            let normalised = normalise(plan, dialled.as_bytes(), context.map(str::as_bytes));
            assert_eq!(
                normalised.number,
                Some(number(expected)),
                "{dialled}, {context:?}"
            );
            assert_eq!(normalised.step, *step, "{dialled}, {context:?}");
        }
    }

    use NormaliseStep::{
        AlreadyGlobal, Emergency, Extension as Ext, International, Local, National, NotANumber,
        PhoneContext, Unchanged,
    };

    #[test]
    fn berlin_dials() {
        let intl = International(number("00"));
        let local = Local(number("30"));
        check(
            Some(&berlin()),
            None,
            &[
                ("+44 (20) 7183-8750", "+442071838750", AlreadyGlobal),
                ("112", "112", Emergency),
                ("110", "110", Emergency),
                ("0044 20 7183 8750", "+442071838750", intl),
                (
                    "000442071838750",
                    "+442071838750",
                    International(number("000")),
                ),
                ("00", "00", Unchanged),
                ("0000", "0000", Unchanged),
                ("089 1234567", "+49891234567", National),
                ("750", "+49301234750", Ext(0)),
                // 911 is an extension here: the plan names its own emergency numbers.
                ("911", "+49301234911", Ext(0)),
                ("0711", "+493098760711", Ext(1)),
                ("0811", "+49811", National),
                ("089", "+4989", National),
                ("12345", "+493012345", local),
                ("7500", "7500", Unchanged),
                ("0", "0", Unchanged),
                ("*21*089#", "*21*089#", Unchanged),
            ],
        );
    }

    #[test]
    fn closed_plans_dial_the_whole_number() {
        check(
            Some(&madrid()),
            None,
            &[
                ("912 345 678", "+34912345678", National),
                ("116117", "116117", Unchanged),
                ("0049301234", "+49301234", International(number("00"))),
                ("911", "911", Emergency),
            ],
        );
    }

    #[test]
    fn north_america_dials() {
        check(
            Some(&new_york()),
            None,
            &[
                ("1 (312) 555-0100", "+13125550100", National),
                ("312-555-0100", "+13125550100", Ext(0)),
                ("555-0100", "+12125550100", Ext(1)),
                (
                    "011 44 20 7183 8750",
                    "+442071838750",
                    International(number("011")),
                ),
                ("911", "911", Emergency),
            ],
        );
    }

    #[test]
    fn phone_contexts() {
        let plan = berlin();
        let with = |context, cases: &[_]| check(Some(&plan), Some(context), cases);
        with(
            "+49",
            &[
                ("30123456", "+4930123456", PhoneContext),
                ("030123456", "+4930123456", PhoneContext),
                ("112", "112", Emergency),
                ("+44207", "+44207", AlreadyGlobal),
                ("0044207", "+44207", International(number("00"))),
            ],
        );
        with(
            "+49-30",
            &[
                ("123456", "+4930123456", PhoneContext),
                ("089123456", "+4989123456", PhoneContext),
            ],
        );
        with("+49301234", &[("750", "+49301234750", PhoneContext)]);
        with(
            "+43",
            &[
                ("1234567", "+431234567", PhoneContext),
                ("01234567", "+431234567", PhoneContext),
            ],
        );
        // A domain says where the number was dialled: here, so it is dialled here.
        with("PBX.example.com", &[("750", "+49301234750", Ext(0))]);
        for unknown in ["+44", "+4930123", "other.example.com", "", "+", "+49x"] {
            with(unknown, &[("089123456", "089123456", Unchanged)]);
        }
        check(None, Some("+49"), &[("089123456", "089123456", Unchanged)]);
    }

    #[test]
    fn without_a_plan_only_separators_go() {
        check(
            None,
            None,
            &[
                ("+44 20", "+4420", AlreadyGlobal),
                ("(0)44", "044", Unchanged),
                ("112", "112", Emergency),
                ("911", "911", Emergency),
                ("110", "110", Unchanged),
            ],
        );
    }

    #[test]
    fn what_is_no_number() {
        let too_long = "1".repeat(32);
        let texts = [
            "alice", "", " ", "+", "+*12", "++49", "４９", "12\u{0}3", "1\r\n2", "0x10", "1,2",
            &too_long,
        ];
        for text in texts {
            for plan in [None, Some(&berlin())] {
                let normalised = normalise(plan, text.as_bytes(), None);
                assert_eq!(
                    (normalised.number, normalised.step),
                    (None, NotANumber),
                    "{text:?}"
                );
            }
        }
    }

    #[test]
    fn a_result_that_is_too_long_stays_as_dialled() {
        let dialled = format!("0{}", "1".repeat(30));
        check(Some(&berlin()), None, &[(&dialled, &dialled, Unchanged)]);
        let longest = "1".repeat(31);
        check(Some(&berlin()), None, &[(&longest, &longest, Unchanged)]);
    }

    proptest! {
        #[test]
        fn always_an_answer_that_stays(
            dialled in prop_oneof!["[+0-9*#() .-]{0,34}", "\\PC{0,10}"],
            context in prop::option::of(prop_oneof!["\\+?[0-9]{0,5}", "\\PC{0,10}"]),
        ) {
            let context = context.as_deref().map(str::as_bytes);
            for plan in [berlin(), madrid(), new_york()] {
                let once = plan.normalise(dialled.as_bytes(), context);
                prop_assert_eq!(once.number.is_none(), once.step == NotANumber);
                let Some(number) = once.number else { continue };
                let settled = !matches!(once.step, Unchanged | Emergency);
                prop_assert_eq!(number.is_global(), settled);
                // What has been normalised stays what it is.
                if settled {
                    let twice = plan.normalise(number.as_bytes(), context);
                    prop_assert_eq!((twice.number, twice.step), (Some(number), AlreadyGlobal));
                }
            }
        }
    }
}
