//! The dial plan: tags of numbers, by which rows are chosen and calls routed.

use super::Reader;
use crate::import::dial_plan::{self, Prefix};
use crate::import::original::{DialPlan, DialRule, Tag, Target};

/// The name of a tag that has none.
const DEFAULT: &str = "default";

impl Reader<'_, '_> {
    /// Reads the plan that IP groups name. A table has one number space, so there is one plan.
    pub(super) fn dial_plan(&mut self) {
        let groups = self.original.groups.iter();
        let named = groups.filter(|group| !group.dial_plan.is_empty());
        let named: Vec<(String, u32)> = named
            .map(|group| (group.dial_plan.clone(), group.line))
            .collect();
        for (plans, plan) in self.table("DialPlan") {
            let name = plans.value(plan, "Name");
            if !named.iter().any(|(used, _)| used == name) {
                let message = format!("dial plan {name:?} is left out: no IP group uses it");
                self.say(plan.line, message);
            }
        }
        let Some((name, line)) = named.first() else {
            return;
        };
        for (other, line) in named.iter().filter(|(other, _)| other != name) {
            let message = format!("dial plan {other:?} is left out: a table has one, {name:?}");
            self.say(*line, message);
        }
        let mut plan = DialPlan {
            name: name.clone(),
            line: *line,
            ..DialPlan::default()
        };
        let mut index = None;
        for (plans, row) in self.table("DialPlan") {
            if plans.value(row, "Name") == name {
                (plan.line, index) = (row.line, Some(row.index.to_string()));
            }
        }
        let mut is_there = index.is_some();
        for (table, row) in self.table("DialPlanRule") {
            let of = ["DialPlanName", "DialPlanId", "DialPlan"]
                .map(|column| table.value(row, column))
                .into_iter()
                .find(|value| !value.is_empty())
                .unwrap_or_default();
            if of != name && index.as_deref() != Some(of) {
                continue;
            }
            is_there = true;
            let text = table.value(row, "Prefix");
            match Prefix::parse(text) {
                Ok(prefix) => plan.rules.push(DialRule {
                    line: row.line,
                    name: table.value(row, "Name").to_owned(),
                    prefix,
                    tags: tags(table.value(row, "Tag")),
                }),
                Err(why) => {
                    let message = format!("dial plan rule {text:?} is left out: {why}");
                    self.say(row.line, message);
                }
            }
        }
        if !is_there {
            self.say(*line, format!("dial plan {name:?} is not there"));
        }
        self.write_out(&mut plan);
        self.original.plan = plan;
    }

    /// Leaves out the rules that no list can say.
    fn write_out(&mut self, plan: &mut DialPlan) {
        loop {
            let prefixes: Vec<&Prefix> = plan.rules.iter().map(|rule| &rule.prefix).collect();
            match dial_plan::rows(&prefixes) {
                Ok(items) => {
                    plan.items = items;
                    return;
                }
                Err(dial_plan::TooMuch::Rule(at, why)) if at < plan.rules.len() => {
                    let rule = plan.rules.remove(at);
                    self.say(rule.line, format!("dial plan rule is left out: {why}"));
                }
                Err(_) => {
                    let message = "its rules are too intertwined to be written as a list";
                    self.say(
                        plan.line,
                        format!("dial plan {:?} is left out: {message}", plan.name),
                    );
                    plan.rules.clear();
                    plan.items.clear();
                    return;
                }
            }
        }
    }

    /// The groups whose calls have tags, of those a row is for.
    pub(super) fn tagged(&self, from: &[String]) -> Result<Vec<String>, String> {
        let plan = &self.original.plan.name;
        let groups = self.original.groups.iter();
        let tagged = groups.filter(|group| !plan.is_empty() && group.dial_plan == *plan);
        let tagged = tagged.map(|group| group.name.clone());
        let tagged: Vec<String> = tagged
            .filter(|name| from.is_empty() || from.contains(name))
            .collect();
        match tagged.is_empty() {
            true => {
                Err("it asks for tags, and its calls have no dial plan that is imported".into())
            }
            false => Ok(tagged),
        }
    }

    /// Routes a call by its tag of this name.
    pub(super) fn by_tag(&mut self, name: &str) -> Result<Target, String> {
        let name = match name.trim() {
            "" => String::from(DEFAULT),
            name => name.to_ascii_lowercase(),
        };
        let known = self.original.plan.routed_by.get_or_insert(name.clone());
        match *known == name {
            true => Ok(Target::Assigned),
            false => Err(format!(
                "it is routed by tag {name:?}, and other rows are by {known:?}"
            )),
        }
    }
}

/// `name=value;value`: tags with their names, in lower case.
pub(super) fn tags(text: &str) -> Vec<Tag> {
    let tags = text.split(';').map(str::trim).filter(|tag| !tag.is_empty());
    tags.map(|tag| {
        let (name, value) = tag.split_once('=').unwrap_or((DEFAULT, tag));
        (
            name.trim().to_ascii_lowercase(),
            value.trim().to_ascii_lowercase(),
        )
    })
    .collect()
}

/// The tag a row asks for.
pub(super) fn only_tag(text: &str) -> Result<Option<Tag>, String> {
    match &*tags(text) {
        [] => Ok(None),
        [(name, value)] if value == "-1" && name == DEFAULT => Ok(None),
        [tag] => Ok(Some(tag.clone())),
        _ => Err(format!("it asks for several tags: {text:?}")),
    }
}
