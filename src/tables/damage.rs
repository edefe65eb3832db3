//! What spreadsheets and copying do to telephone numbers.

use super::diagnostic::{is_invisible, quoted};
use crate::routing::number::Number;

/// How a number was damaged, and what it probably was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What happened to it.
    pub kind: DamageKind,
    /// The number before, where that can be told.
    pub likely: Option<String>,
}

/// The kinds of damage that are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// `4.42072E+11`, with a point or a comma: digits are lost.
    Scientific,
    /// `442071838750.0`.
    PointZero,
    /// `#NAME?`, `#N/A`: a formula failed.
    FormulaError,
    /// `="+442071838750"`.
    Formula,
    /// `'+442071838750`.
    Apostrophe,
    /// Quotes left over.
    Quotes,
    /// `+44 (0)20 …`: the 0 is not dialled behind the country code.
    TrunkZero,
    /// Digits or a plus of another script or width.
    ForeignDigits,
    /// Spaces that are no spaces, or marks that cannot be seen.
    Invisible,
    /// A dash that is no hyphen.
    Dash,
    /// O for 0, l or I for 1.
    Letters,
    /// `442,071,838,750`.
    Thousands,
    /// `-442071838750`.
    Minus,
}

impl Damage {
    pub(super) fn reason(&self) -> String {
        let what = match self.kind {
            DamageKind::Scientific => "was rounded to scientific notation by a spreadsheet",
            DamageKind::PointZero => "was turned into a decimal number by a spreadsheet",
            DamageKind::FormulaError => "is what a spreadsheet shows when a formula fails",
            DamageKind::Formula => "begins with = as a spreadsheet formula does",
            DamageKind::Apostrophe => "begins with the apostrophe a spreadsheet puts before text",
            DamageKind::Quotes => "has quotes left in it",
            DamageKind::TrunkZero => {
                "has a (0) in it, which is not dialled behind the country code"
            }
            DamageKind::ForeignDigits => "has digits that are not the ASCII digits 0 to 9",
            DamageKind::Invisible => {
                "has a character in it that looks like a space, or like nothing"
            }
            DamageKind::Dash => "has a dash in it that is not a hyphen",
            DamageKind::Letters => "has a letter in it that looks like a digit",
            DamageKind::Thousands => "has commas in it, as a spreadsheet groups thousands",
            DamageKind::Minus => "begins with a minus sign",
        };
        what.to_owned()
    }

    pub(super) fn help(&self) -> Option<String> {
        if let Some(likely) = &self.likely {
            return Some(format!("probably {}", quoted(likely)));
        }
        let lost = matches!(self.kind, DamageKind::Scientific | DamageKind::FormulaError);
        lost.then(|| String::from("digits are lost: set the column to text where the list comes from and export it again"))
    }
}

/// The damage of a text that should be one number; `None` for a sound one, and for one
/// that is wrong in a way nobody's spreadsheet makes it.
pub(super) fn of(text: &str) -> Option<Damage> {
    if text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'+' || byte == b' ')
    {
        return None;
    }
    let kind = kind_of(text)?;
    let lost = matches!(kind, DamageKind::Scientific | DamageKind::FormulaError);
    let likely = if lost {
        None
    } else {
        Number::parse_visual(cleaned(text).as_bytes())
    };
    // A few symbols with strange ones between them are not worth a guess.
    let likely = likely
        .filter(|number| number.len() >= 3)
        .map(|number| number.to_string());
    // Letters are only taken for digits where nothing else keeps it from being a number.
    (likely.is_some()
        || !matches!(
            kind,
            DamageKind::Letters | DamageKind::Thousands | DamageKind::Dash
        ))
    .then_some(Damage { kind, likely })
}

fn kind_of(text: &str) -> Option<DamageKind> {
    let has = |wanted: fn(char) -> bool| text.contains(wanted);
    let kinds = [
        (is_formula_error(text), DamageKind::FormulaError),
        (text.starts_with('='), DamageKind::Formula),
        (
            text.starts_with(['\'', '\u{2019}', '\u{2018}', '`', '\u{b4}']),
            DamageKind::Apostrophe,
        ),
        (has(is_quote), DamageKind::Quotes),
        (is_scientific(text), DamageKind::Scientific),
        (without_point_zero(text).is_some(), DamageKind::PointZero),
        (trunk_zero(text).is_some(), DamageKind::TrunkZero),
        (has(|c| ascii_of(c).is_some()), DamageKind::ForeignDigits),
        (has(|c| is_invisible(c) || c == '\t'), DamageKind::Invisible),
        (has(is_dash), DamageKind::Dash),
        (text.starts_with('-'), DamageKind::Minus),
        (has(|c| digit_like(c).is_some()), DamageKind::Letters),
        (text.contains(','), DamageKind::Thousands),
    ];
    kinds
        .into_iter()
        .find_map(|(found, kind)| found.then_some(kind))
}

/// The text as it probably was before any of the damages.
fn cleaned(text: &str) -> String {
    // Before commas are dropped: one of them may be the decimal comma.
    let text = without_point_zero(text).unwrap_or(text);
    let text: String = text.chars().filter_map(sound).collect();
    let text = match trunk_zero(&text) {
        Some((before, after)) => format!("{before}{after}"),
        None => text,
    };
    without_point_zero(&text).map(str::to_owned).unwrap_or(text)
}

/// A character as it probably was; `None` for one that was not there.
fn sound(c: char) -> Option<char> {
    match c {
        '=' | '\'' | '\u{2019}' | '\u{2018}' | '`' | '\u{b4}' | ',' | '\t' => None,
        c if is_quote(c) || is_invisible(c) || is_dash(c) => None,
        c => Some(ascii_of(c).or_else(|| digit_like(c)).unwrap_or(c)),
    }
}

const fn is_quote(c: char) -> bool {
    matches!(
        c,
        '"' | '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}'
    )
}

const fn is_dash(c: char) -> bool {
    matches!(
        c,
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'
    )
}

/// The ASCII digit or `+` a character of another width or script stands for.
fn ascii_of(c: char) -> Option<char> {
    let zero = match c {
        '\u{ff0b}' | '\u{fe62}' | '\u{207a}' => return Some('+'),
        '\u{ff10}'..='\u{ff19}' => 0xff10,
        '\u{660}'..='\u{669}' => 0x660,
        '\u{6f0}'..='\u{6f9}' => 0x6f0,
        '\u{966}'..='\u{96f}' => 0x966,
        _ => return None,
    };
    char::from_digit(u32::from(c) - zero, 10)
}

const fn digit_like(c: char) -> Option<char> {
    match c {
        'O' | 'o' => Some('0'),
        'l' | 'I' | '|' => Some('1'),
        _ => None,
    }
}

fn is_formula_error(text: &str) -> bool {
    const ERRORS: [&str; 8] = [
        "#NAME?", "#N/A", "#REF!", "#VALUE!", "#NUM!", "#DIV/0!", "#NULL!", "###",
    ];
    ERRORS.iter().any(|error| text.starts_with(error))
}

/// Digits with one point or comma, then `E` and an exponent, in any locale.
fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa = mantissa
        .strip_prefix(['+', '-'])
        .unwrap_or(mantissa)
        .trim_ascii_end();
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    digits(whole) && digits(fraction) && digits(exponent)
}

/// `442071838750` of `442071838750.0`: one point or comma in the whole text, and only
/// one or two zeros behind it.
fn without_point_zero(text: &str) -> Option<&str> {
    let (whole, zeros) = text.split_once(['.', ','])?;
    let digits = whole.strip_prefix('+').unwrap_or(whole);
    let number = digits.len() >= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    (number && matches!(zeros, "0" | "00")).then_some(whole)
}

/// What stands before and behind the `(0)` of a number that begins with a country code.
fn trunk_zero(text: &str) -> Option<(&str, &str)> {
    let (before, after) = text.split_once("(0)")?;
    (before.contains('+') || before.trim_start().starts_with("00")).then_some((before, after))
}
