//! What is wrong with a file, where, and what to write instead.
//!
//! Every finding has a [`Code`] with a section in `docs/diagnostics.md`, a place with
//! file, line and column, and a sentence. Nothing here reads files: a [`Place`] carries
//! the one line it points at, so that a report outlives the files it speaks of.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::limits;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $title:literal;)*) => {
        /// The number of a kind of finding. Numbers never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code, in order of number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The number as printed: `T004`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $number,)* }
            }

            /// A few words for lists and headings.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The file or folder cannot be read.
    CannotRead = "T001", "cannot read file";
    /// The file is not UTF-8 text.
    NotText = "T002", "not UTF-8 text";
    /// The file is not TOML.
    TomlSyntax = "T003", "TOML syntax";
    /// A name that nothing is defined under.
    UnknownName = "T004", "unknown name";
    /// A key the language does not have.
    UnknownKey = "T005", "unknown key";
    /// A value of another type than the key takes.
    WrongType = "T006", "wrong type";
    /// A key that must be there is not.
    MissingKey = "T007", "missing key";
    /// A name or key is defined more than once.
    DefinedTwice = "T008", "defined twice";
    /// A value the key does not take.
    NotAllowed = "T009", "value not allowed";
    /// Neither a number nor a number pattern.
    NotANumber = "T010", "not a number or number pattern";
    /// A prefix without a single symbol.
    EmptyPrefix = "T011", "empty prefix";
    /// A range that is reversed or whose ends differ in length.
    BadRange = "T012", "range reversed or of unequal length";
    /// The same number, prefix or range is assigned more than once.
    AssignedTwice = "T013", "number assigned twice";
    /// Ranges overlap without one holding the other.
    RangesOverlap = "T014", "ranges overlap";
    /// The first line of a CSV file does not name the columns.
    CsvHeader = "T015", "CSV header";
    /// A CSV row cannot be read.
    CsvRow = "T016", "CSV row";
    /// More or larger than a limit allows.
    OverLimit = "T017", "over a limit";
    /// Not a SIP address.
    NotASipAddress = "T018", "not a SIP address";
    /// Not an IP address or network.
    NotANetwork = "T019", "not a network";
    /// The same network belongs to two trunk groups.
    NetworkTwice = "T020", "same network in two groups";
    /// A number that a spreadsheet has damaged.
    DamagedNumber = "T021", "number damaged by a spreadsheet";
    /// Numbers that seem to have lost their plus sign.
    LostPlus = "T022", "lost its plus";
    /// A rule that can never decide.
    NeverDecides = "T023", "rule can never decide";
    /// A name that leads back to itself.
    Circular = "T024", "circular reference";
    /// An emergency number that is not always routed.
    EmergencyNotRouted = "T025", "emergency number not routed";
    /// A trunk group without trunks is routed to, or nothing is assigned.
    NothingToRouteTo = "T026", "nothing to route to";
    /// Not an opening time.
    NotAnOpeningTime = "T027", "not an opening time";
    /// Entries whose order matters stand in more than one file.
    OrderSplit = "T028", "order split over files";
    /// The table has no rules.
    EmptyTable = "T029", "empty table";
    /// Not the name of a time zone.
    UnknownTimeZone = "T030", "unknown time zone";
    /// A case that cannot be run.
    CaseNotRun = "T031", "case cannot be run";
    /// A case whose outcome is not the expected one.
    CaseFailed = "T032", "case failed";
    /// Something that is defined and never used.
    NeverUsed = "T033", "never used";
    /// Keys that exclude each other, or of which one is needed.
    KeyChoice = "T034", "keys exclude each other or one is needed";
    /// A change that a gate of the running table does not let pass.
    OverGate = "T035", "change over a gate";
    /// An item of a rule that can never decide.
    ItemNeverDecides = "T036", "part of a rule can never decide";
    /// Assigned numbers that no rule holds for.
    InNoRulesReach = "T037", "numbers in no rule's reach";
    /// A number that is missing in a block all of which is assigned otherwise.
    Hole = "T038", "hole in a block of numbers";
    /// The same number, with + and without, assigned to two trunk groups.
    TwoForms = "T039", "number assigned in two forms";
    /// A rule that sends calls back to the group they came from.
    GoesBack = "T040", "calls go back where they came from";
    /// A schedule, or the hours of a rule, that never come.
    NeverOpen = "T041", "hours that never come";
    /// A step of a manipulation, or an extension, that never leaves a number that can be dialled.
    ImpossibleNumber = "T042", "impossible number";
    /// A step of a manipulation that is never reached.
    StepNeverApplies = "T043", "step never applies";
    /// An emergency call that may go to another country.
    EmergencyAbroad = "T044", "emergency call may leave the country";
    /// A trunk group of one trunk.
    SingleTrunk = "T045", "single trunk";
    /// Premium-rate numbers that can be called.
    PremiumRate = "T046", "premium-rate numbers can be called";
    /// A value that contradicts the profile of its trunk group.
    AgainstProfile = "T047", "value against the profile";
    /// Something that the platform of a profile needs is not there.
    ProfileLacks = "T048", "what the profile's platform needs is missing";
    /// A platform that has given a call up before we have tried all.
    ProfileTooSlow = "T049", "slower than the platform waits";
}

/// The page every code has a section of.
const MANUAL: &str = include_str!("../../docs/diagnostics.md");

impl Code {
    /// The code that is printed so, case apart.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let same = |code: &&Self| code.as_str().eq_ignore_ascii_case(text.trim());
        Self::ALL.iter().find(same).copied()
    }

    /// Its section of `docs/diagnostics.md`, from the heading to the next one.
    #[must_use]
    pub fn manual(self) -> &'static str {
        let heading = format!("## {} ", self.as_str());
        let start = MANUAL.find(&heading).unwrap_or(MANUAL.len());
        let section = MANUAL.get(start..).unwrap_or_default();
        let end = section.get(1..).and_then(|rest| rest.find("\n## "));
        section
            .get(..end.map_or(section.len(), |end| end + 1))
            .unwrap_or_default()
            .trim()
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The table is refused.
    Error,
    /// The table is served; someone should look.
    Warning,
    /// Nothing is wrong; shown to who asks for it.
    Info,
}

impl Severity {
    /// `error`, `warning` or `info`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Where in a file something stands, with the line it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, relative to the folder that was read, or as it was given.
    pub file: String,
    /// Line, counted from 1; 0 for a place that is a whole file or folder.
    pub line: u32,
    /// Column in characters, counted from 1; 0 where `line` is 0.
    pub column: u32,
    /// Characters from `column` on, at least 1 and never beyond the end of the line.
    pub length: u32,
    /// The line without its line end. A huge line is cut to the part around the place.
    pub line_text: String,
    /// Column of the first character of `line_text`: more than 1 where it was cut.
    pub text_column: u32,
    /// What is said under the caret; may be empty.
    pub label: String,
}

impl Place {
    /// A file or folder as a whole: one that could not be opened has no lines.
    #[must_use]
    pub fn whole_file(file: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            length: 1,
            line_text: String::new(),
            text_column: 0,
            label: String::new(),
        }
    }

    /// Whether the place is a file or folder as a whole.
    #[must_use]
    pub const fn is_whole_file(&self) -> bool {
        self.line == 0
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its kind.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub message: String,
    /// The first place is where it is wrong; the others are what it collides with.
    pub places: Vec<Place>,
    /// What to do about it.
    pub help: Option<String>,
    /// Why it matters, or more about it.
    pub note: Option<String>,
}

impl Diagnostic {
    /// A finding for which the table is refused.
    #[must_use]
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message.into())
    }

    /// A finding with which the table is served.
    #[must_use]
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message.into())
    }

    /// A finding that is no mistake.
    #[must_use]
    pub fn info(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Info, message.into())
    }

    const fn new(code: Code, severity: Severity, message: String) -> Self {
        Self {
            code,
            severity,
            message,
            places: Vec::new(),
            help: None,
            note: None,
        }
    }

    /// Adds a place; the first one added is the primary place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to do about it, where that is known.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// Says why it matters.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Where it is wrong, if it is wrong somewhere.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.places.first()
    }
}

/// Collects findings while files are read.
///
/// Many readers of one document share a collector, so it takes findings through a
/// shared reference. It keeps [`limits::DIAGNOSTICS_MAX`] of them and counts the rest;
/// an error is never dropped in favour of a warning, and the first finding of a kind
/// not in favour of the many hundredth of another.
#[derive(Debug, Default)]
pub struct Diagnostics {
    inner: RefCell<Collected>,
}

#[derive(Debug, Default)]
struct Collected {
    kept: Vec<Diagnostic>,
    infos: Vec<Diagnostic>,
    kept_of: BTreeMap<Code, usize>,
    left_out: BTreeMap<Code, u64>,
    errors: u64,
    warnings: u64,
}

impl Diagnostics {
    /// An empty collector.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a finding, or counts it when there is no room.
    pub fn push(&self, diagnostic: Diagnostic) {
        let (code, severity) = (diagnostic.code, diagnostic.severity);
        self.push_with(code, severity, || diagnostic);
    }

    /// Adds a finding that is only written down when there is room for it: a damaged
    /// file of a million rows costs a million counts, not a million sentences.
    pub fn push_with(&self, code: Code, severity: Severity, write: impl FnOnce() -> Diagnostic) {
        if self.inner.borrow_mut().make_room(code, severity) {
            // Not borrowed while the caller's code runs: it may look at the collector.
            let diagnostic = write();
            let inner = &mut *self.inner.borrow_mut();
            if diagnostic.severity == Severity::Info {
                inner.infos.push(diagnostic);
                return;
            }
            *inner.kept_of.entry(diagnostic.code).or_default() += 1;
            inner.kept.push(diagnostic);
        }
    }

    /// Whether the table must be refused.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.inner.borrow().errors > 0
    }

    /// Whether there is a finding of this kind.
    #[must_use]
    pub fn has(&self, code: Code) -> bool {
        let inner = self.inner.borrow();
        inner.kept_of.get(&code).is_some_and(|count| *count > 0)
            || inner.left_out.contains_key(&code)
    }

    /// Errors so far, those not kept included.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.inner.borrow().errors
    }

    /// The findings in order of file and line.
    #[must_use]
    pub fn into_report(self) -> Report {
        let Collected {
            mut kept,
            mut infos,
            left_out,
            errors,
            warnings,
            ..
        } = self.inner.into_inner();
        kept.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        infos.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        Report {
            diagnostics: kept,
            infos,
            left_out: left_out.into_iter().collect(),
            errors,
            warnings,
        }
    }
}

fn sort_key(diagnostic: &Diagnostic) -> (&str, u32, u32, Code) {
    match diagnostic.place() {
        Some(place) => (&place.file, place.line, place.column, diagnostic.code),
        None => ("", 0, 0, diagnostic.code),
    }
}

impl Collected {
    /// Counts a finding and says whether it is to be kept, throwing out a lesser one
    /// when the room is full.
    fn make_room(&mut self, code: Code, severity: Severity) -> bool {
        match severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
            // Beyond the limit nobody reads them; they are not counted.
            Severity::Info => return self.infos.len() < limits::DIAGNOSTICS_MAX,
        }
        if self.kept.len() < limits::DIAGNOSTICS_MAX {
            return true;
        }
        match self.lesser_than(code, severity) {
            Some(victim) => {
                let gone = self.kept.remove(victim);
                if let Some(count) = self.kept_of.get_mut(&gone.code) {
                    *count = count.saturating_sub(1);
                }
                *self.left_out.entry(gone.code).or_default() += 1;
                true
            }
            None => {
                *self.left_out.entry(code).or_default() += 1;
                false
            }
        }
    }

    /// The kept finding that gives way: any warning to an error, and the last of the
    /// most frequent kind to the first of its kind.
    fn lesser_than(&self, code: Code, severity: Severity) -> Option<usize> {
        if severity == Severity::Error
            && self.warnings > 0
            && let Some(warning) = self
                .kept
                .iter()
                .rposition(|d| d.severity == Severity::Warning)
        {
            return Some(warning);
        }
        if self.kept_of.get(&code).is_some_and(|count| *count > 0) {
            return None;
        }
        let (most, _) = self.kept_of.iter().max_by_key(|(_, count)| **count)?;
        self.kept
            .iter()
            .rposition(|d| d.code == *most && d.severity >= severity)
    }
}

/// What a check found, in order of file and line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The errors and warnings that were kept.
    pub diagnostics: Vec<Diagnostic>,
    /// What is no mistake but worth to know; neither counted nor rendered with the others.
    pub infos: Vec<Diagnostic>,
    /// How many more of each kind there were.
    pub left_out: Vec<(Code, u64)>,
    /// Errors, those not kept included.
    pub errors: u64,
    /// Warnings, those not kept included.
    pub warnings: u64,
}

impl Report {
    /// Lines of rules that are refused because they can never decide.
    #[must_use]
    pub fn dead_rules(&self) -> Vec<u32> {
        let refused = self
            .diagnostics
            .iter()
            .filter(|found| found.code == Code::NeverDecides && found.severity == Severity::Error);
        let lines = refused.filter_map(|found| Some(found.place()?.line));
        lines.collect()
    }

    /// Whether the table must be refused.
    #[must_use]
    pub const fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether there is neither an error nor a warning.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.errors == 0 && self.warnings == 0
    }
}

/// The candidate that is probably meant by `name`: at most a third of it mistyped
/// (swapped neighbours count once), case and `-` for `_` apart.
#[must_use]
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Distances are quadratic in length; nobody mistypes a name this long into one we have.
    if name.len() > NEAREST_BYTES_MAX {
        return None;
    }
    let wanted = folded(name);
    let allowed = (wanted.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= NEAREST_BYTES_MAX)
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&wanted, &folded(candidate)),
                candidate,
            )
        })
        .filter(|(distance, candidate)| {
            *distance <= allowed && *distance < candidate.chars().count()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

const NEAREST_BYTES_MAX: usize = 64;

fn folded(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c == '-' {
                '_'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// A value as it may be shown: in quotes, control characters escaped, cut when long.
#[must_use]
pub fn quoted(value: &str) -> String {
    let mut shown = String::from('"');
    for (index, c) in value.chars().enumerate() {
        if index == QUOTED_CHARS_MAX {
            shown.push('…');
            break;
        }
        if c.is_control() || is_invisible(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown.push('"');
    shown
}

const QUOTED_CHARS_MAX: usize = 80;

/// Whether a character cannot be seen, or turns the reading direction of what follows.
pub(crate) const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{2000}'..='\u{200f}'
        | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}' | '\u{3000}' | '\u{feff}')
}

/// Words in a row: `a, b or c`.
#[must_use]
pub fn either<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    match words.split_last() {
        None => String::from("nothing"),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name_is_the_one_meant() {
        let groups = ["reception", "pstn", "teams", "trunk_group"];
        for (typed, meant) in [
            ("recepton", Some("reception")),
            ("Teams", Some("teams")),
            ("taems", Some("teams")),
            ("trunk-grup", Some("trunk_group")),
            ("psnt", Some("pstn")),
            ("voicemail", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, groups), meant, "{typed}");
        }
        assert_eq!(nearest(&"a".repeat(1 << 20), groups), None);
    }

    #[test]
    fn codes_count_from_one_without_gaps() {
        for (index, code) in (1..).zip(Code::ALL) {
            assert_eq!(code.as_str(), format!("T{index:03}"));
            assert!(!code.title().is_empty());
        }
    }

    #[test]
    fn every_code_has_its_section_in_the_manual() {
        for code in Code::ALL {
            let section = code.manual();
            assert!(section.starts_with(&format!("## {} {}\n", code.as_str(), code.title())));
            assert!(section.lines().count() > 2, "{section}");
            assert_eq!(section.matches("## T").count(), 1, "{section}");
            assert_eq!(Code::named(&code.as_str().to_lowercase()), Some(*code));
        }
        assert_eq!(Code::named("T999"), None);
        let headings: Vec<&str> = MANUAL
            .lines()
            .filter_map(|line| line.strip_prefix("## T"))
            .collect();
        let expected: Vec<String> = Code::ALL
            .iter()
            .map(|code| format!("{} {}", &code.as_str()[1..], code.title()))
            .collect();
        assert_eq!(headings, expected);
    }

    fn numbered(code: Code, severity: Severity, number: usize) -> Diagnostic {
        Diagnostic::new(code, severity, number.to_string())
    }

    #[test]
    fn an_error_is_kept_when_warnings_fill_the_room() {
        let diagnostics = Diagnostics::new();
        for number in 0..limits::DIAGNOSTICS_MAX * 2 {
            diagnostics.push(numbered(Code::NeverUsed, Severity::Warning, number));
        }
        diagnostics.push(numbered(Code::CaseFailed, Severity::Error, 0));
        let report = diagnostics.into_report();
        assert!(report.has_errors());
        assert!(
            report
                .diagnostics
                .iter()
                .any(|d| d.code == Code::CaseFailed)
        );
        assert_eq!(report.diagnostics.len(), limits::DIAGNOSTICS_MAX);
        assert_eq!(
            report.left_out,
            [(Code::NeverUsed, limits::DIAGNOSTICS_MAX as u64 + 1)]
        );
    }

    #[test]
    fn a_flood_of_one_kind_does_not_hide_the_first_of_another() {
        let diagnostics = Diagnostics::new();
        for number in 0..limits::DIAGNOSTICS_MAX * 3 {
            diagnostics.push(numbered(Code::DamagedNumber, Severity::Error, number));
        }
        diagnostics.push(numbered(Code::UnknownName, Severity::Error, 0));
        let report = diagnostics.into_report();
        assert!(
            report
                .diagnostics
                .iter()
                .any(|d| d.code == Code::UnknownName)
        );
        assert_eq!(report.errors, limits::DIAGNOSTICS_MAX as u64 * 3 + 1);
        let left_out: u64 = report.left_out.iter().map(|(_, count)| count).sum();
        assert_eq!(report.errors, left_out + report.diagnostics.len() as u64);
    }

    #[test]
    fn quoted_values_fit_one_line() {
        assert_eq!(quoted("a\nb\u{202e}"), "\"a\\u{a}b\\u{202e}\"");
        assert!(quoted(&"x".repeat(1_000)).chars().count() < 100);
        assert_eq!(either(["a", "b", "c"]), "\"a\", \"b\" or \"c\"");
    }
}
