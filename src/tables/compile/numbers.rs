//! Dial plans, manipulations and alternative-routing policies.

use super::Compiled;
use crate::limits::MANIPULATION_STEPS_MAX;
use crate::routing::dial_plan::{DialPlan, Extension};
use crate::routing::manipulation::{Manipulation, Step};
use crate::routing::number::Number;
use crate::routing::table::{AlternativeRouting, Cause};
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::names::Context;
use crate::tables::schema::{
    DialPlanSection, ExtensionSection, ManipulationSection, PolicySection, Schema, StepSection,
};
use crate::tables::toml_reader::Text;

pub(super) fn compile(context: &Context<'_>, schema: &Schema, compiled: &mut Compiled) {
    compiled.parts.dial_plans = schema
        .dial_plans
        .iter()
        .filter_map(|section| Some((section.name.as_str().into(), dial_plan(context, section)?)))
        .collect();
    compiled.parts.manipulations = schema
        .manipulations
        .iter()
        .map(|section| (section.name.as_str().into(), manipulation(context, section)))
        .collect();
    compiled.parts.policies = schema
        .policies
        .iter()
        .map(|section| policy(context, section))
        .collect();
}

fn dial_plan(context: &Context<'_>, section: &DialPlanSection) -> Option<DialPlan> {
    let digits = |text: &Text| digits(context, text);
    let emergency = section.emergency.as_deref().unwrap_or_default();
    Some(DialPlan {
        country_code: digits(section.country_code.as_ref()?)?,
        area_code: section.area_code.as_ref().and_then(digits),
        international_prefixes: section
            .international_prefix
            .iter()
            .filter_map(digits)
            .collect(),
        national_prefix: section.national_prefix.as_ref().and_then(digits),
        extensions: section
            .extensions
            .iter()
            .filter_map(|e| extension(context, e))
            .collect(),
        emergency: emergency
            .iter()
            .filter_map(|text| local_number(context, text))
            .collect(),
        phone_contexts: section
            .phone_context
            .iter()
            .map(|t| t.as_str().to_owned())
            .collect(),
    })
}

fn extension(context: &Context<'_>, section: &ExtensionSection) -> Option<Extension> {
    let prefix = section.prefix.as_ref()?;
    let number = Number::parse(prefix.as_str().as_bytes()).filter(Number::is_global);
    let Some(number) = number else {
        let message = format!("{} is not an international number", quoted(prefix.as_str()));
        let diagnostic = Diagnostic::error(Code::NotANumber, message)
            .help("write what stands before the extension, from the +: \"+44207183\"");
        context.push(diagnostic, prefix.spot, "");
        return None;
    };
    let first = section
        .first
        .as_ref()
        .and_then(|text| digits(context, text));
    Some(Extension {
        length: section.digits?,
        first,
        prefix: number,
    })
}

fn digits(context: &Context<'_>, text: &Text) -> Option<Number> {
    let number = Number::parse(text.as_str().as_bytes()).filter(Number::is_digits);
    if number.is_none() {
        let message = format!("{} is not a row of digits", quoted(text.as_str()));
        context.error(Code::NotANumber, text.spot, "digits only", message);
    }
    number
}

/// A number that is dialled as it is, such as 112.
fn local_number(context: &Context<'_>, text: &Text) -> Option<Number> {
    let number = Number::parse(text.as_str().as_bytes()).filter(|number| !number.is_global());
    if number.is_none() {
        let message = format!("{} is not a number as it is dialled", quoted(text.as_str()));
        context.error(Code::NotANumber, text.spot, "digits, * and # only", message);
    }
    number
}

fn manipulation(context: &Context<'_>, section: &ManipulationSection) -> Manipulation {
    let steps = |list: &[StepSection]| -> Vec<Step> {
        if list.len() > MANIPULATION_STEPS_MAX {
            let message = format!("a manipulation has at most {MANIPULATION_STEPS_MAX} steps");
            context.error(Code::OverLimit, section.name.spot, "", message);
        }
        list.iter().map(|step| self::step(context, step)).collect()
    };
    let manipulation = Manipulation {
        called: steps(&section.called),
        calling: steps(&section.calling),
    };
    if section.called.is_empty() && section.calling.is_empty() && !context.is_damaged {
        let message = format!(
            "manipulation {} changes nothing",
            quoted(section.name.as_str())
        );
        let diagnostic = Diagnostic::error(Code::KeyChoice, message)
            .help("give it steps in `called` or `calling`");
        context.push(diagnostic, section.name.spot, "");
    }
    manipulation
}

fn step(context: &Context<'_>, section: &StepSection) -> Step {
    let symbols = |text: &Option<Text>| -> Option<Number> {
        let text = text.as_ref().filter(|text| !text.as_str().is_empty())?;
        let number = Number::parse(text.as_str().as_bytes());
        if number.is_none() {
            let message = format!("{} is not a part of a number", quoted(text.as_str()));
            context.error(
                Code::NotANumber,
                text.spot,
                "+, digits, * and # only",
                message,
            );
        }
        number
    };
    Step {
        prefix: symbols(&section.prefix),
        length: section.length.clone(),
        strip: section.strip,
        strip_right: section.strip_right,
        keep_right: section.keep_right,
        prepend: symbols(&section.prepend),
        append: symbols(&section.append),
    }
}

fn policy(context: &Context<'_>, section: &PolicySection) -> AlternativeRouting {
    let causes = |list: &[Text]| -> Box<[Cause]> {
        list.iter()
            .filter_map(|text| cause(context, text))
            .collect()
    };
    let default = [
        Cause::TrunkTimeout,
        Cause::TransportError,
        Cause::Status(408),
        Cause::Status(500),
        Cause::Status(502),
        Cause::Status(503),
        Cause::Status(504),
    ];
    AlternativeRouting {
        name: section.name.as_str().into(),
        next_route_on: section
            .next_route_on
            .as_ref()
            .map_or(default.into(), |list| causes(list)),
        give_up_on: causes(&section.give_up_on),
        trunk_timeout_ms: section.trunk_timeout_ms,
        max_routes: section.max_routes,
        last_resort: section.last_resort,
    }
}

fn cause(context: &Context<'_>, text: &Text) -> Option<Cause> {
    let value = text.as_str();
    let number = |text: &str, least: u16, most: u16| {
        text.parse::<u16>()
            .ok()
            .filter(|n| (least..=most).contains(n))
    };
    let cause = match value {
        "trunk-timeout" => Some(Cause::TrunkTimeout),
        "transport-error" => Some(Cause::TransportError),
        "4xx" => Some(Cause::StatusClass(4)),
        "5xx" => Some(Cause::StatusClass(5)),
        "6xx" => Some(Cause::StatusClass(6)),
        _ => value.strip_prefix("q850:").map_or_else(
            || number(value, 300, 699).map(Cause::Status),
            |cause| number(cause, 1, 127).map(|n| Cause::Q850(n as u8)),
        ),
    };
    if cause.is_none() {
        let message = format!("{} is not a cause", quoted(value));
        let diagnostic = Diagnostic::error(Code::NotAllowed, message).help(
            "write \"trunk-timeout\", \"transport-error\", a status such as \"503\", \"4xx\", \
             \"5xx\", \"6xx\" or a Q.850 cause such as \"q850:34\"",
        );
        context.push(diagnostic, text.spot, "");
    }
    cause
}
