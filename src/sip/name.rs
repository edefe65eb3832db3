//! Header names, and how to tell them apart without comparing one by one.

use std::fmt;

macro_rules! header_names {
    ($($name:ident $text:literal $($compact:literal)?;)*) => {
        /// The header fields we can tell apart without comparing names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum HeaderName {
            $(#[doc = concat!("`", $text, "`", $(", compact `", $compact, "`",)? ".")] $name,)*
            /// Any other field.
            Other,
        }

        impl HeaderName {
            /// Every name but [`HeaderName::Other`].
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The long form. Empty for [`HeaderName::Other`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other => "",
                }
            }

            /// The compact form, where one is registered.
            pub const fn compact(self) -> Option<char> {
                match self {
                    $($(Self::$name => Some($compact),)?)*
                    _ => None,
                }
            }
        }
    };
}

header_names! {
    Via "Via" 'v';
    From "From" 'f';
    To "To" 't';
    CallId "Call-ID" 'i';
    CSeq "CSeq";
    MaxForwards "Max-Forwards";
    ContentLength "Content-Length" 'l';
    ContentType "Content-Type" 'c';
    ContentEncoding "Content-Encoding" 'e';
    Contact "Contact" 'm';
    Route "Route";
    RecordRoute "Record-Route";
    Path "Path";
    PAssertedIdentity "P-Asserted-Identity";
    PPreferredIdentity "P-Preferred-Identity";
    RemotePartyId "Remote-Party-ID";
    Privacy "Privacy";
    Diversion "Diversion";
    HistoryInfo "History-Info";
    ReferTo "Refer-To" 'r';
    ReferredBy "Referred-By" 'b';
    Replaces "Replaces";
    Reason "Reason";
    Supported "Supported" 'k';
    Require "Require";
    ProxyRequire "Proxy-Require";
    Unsupported "Unsupported";
    Allow "Allow";
    Accept "Accept";
    AcceptContact "Accept-Contact" 'a';
    RejectContact "Reject-Contact" 'j';
    RequestDisposition "Request-Disposition" 'd';
    Event "Event" 'o';
    AllowEvents "Allow-Events" 'u';
    SessionExpires "Session-Expires" 'x';
    MinSe "Min-SE";
    Identity "Identity" 'y';
    IdentityInfo "Identity-Info" 'n';
    SessionId "Session-ID";
    UserAgent "User-Agent";
    Server "Server";
    Subject "Subject" 's';
    Date "Date";
    Expires "Expires";
    Timestamp "Timestamp";
    RetryAfter "Retry-After";
    Warning "Warning";
    Authorization "Authorization";
    ProxyAuthorization "Proxy-Authorization";
}

/// Longest known name: `P-Preferred-Identity`.
const NAME_BYTES_MAX: usize = 20;

/// The first bytes of a header line: [`NAME_BYTES_MAX`] and what ends a name fit.
pub(super) const WINDOW_BYTES: usize = 24;

/// A window as words, the first byte lowest.
pub(super) type Words = [u64; WINDOW_BYTES / 8];

/// A known name as words to compare with: `differ` has every bit of its bytes but
/// the one that tells upper from lower case in a letter.
#[derive(Clone, Copy)]
#[repr(align(64))] // One cache line, and found by a shift.
struct Known {
    name: HeaderName,
    length: u8,
    text: Words,
    differ: Words,
}

/// Known names by the letter of their compact form.
const BY_LETTER: [HeaderName; 26] = by_letter();
/// A power of two, so that a masked position is always in [`KNOWN`].
const KNOWN_MAX: usize = 64;
/// All bits of the first bytes of a word, by how many these are.
static FIRST_BYTES: [u64; WINDOW_BYTES] = first_bytes();
/// Behind the known names: what no name is equal to.
static KNOWN: [Known; KNOWN_MAX] = known();
/// Spreads the known names over [`SLOTS`], each alone in its slot.
const MULTIPLIER: u64 = multiplier();
/// Position in [`KNOWN`] by [`slot`].
static SLOTS: [u8; 256] = slots(MULTIPLIER).0;

const _: () = assert!(HeaderName::ALL.len() < KNOWN_MAX);

const fn by_letter() -> [HeaderName; 26] {
    let mut table = [HeaderName::Other; 26];
    let mut i = 0;
    while i < HeaderName::ALL.len() {
        if let Some(letter) = HeaderName::ALL[i].compact() {
            table[(letter as u8 - b'a') as usize] = HeaderName::ALL[i];
        }
        i += 1;
    }
    table
}

const fn first_bytes() -> [u64; WINDOW_BYTES] {
    let mut masks = [u64::MAX; WINDOW_BYTES];
    let mut length = 0;
    while length < 8 {
        masks[length] = (1 << (8 * length)) - 1;
        length += 1;
    }
    masks
}

const fn known() -> [Known; KNOWN_MAX] {
    let other = Known {
        name: HeaderName::Other,
        length: 0,
        text: [0; 3],
        differ: [0; 3],
    };
    let mut table = [other; KNOWN_MAX];
    let mut i = 0;
    while i < HeaderName::ALL.len() {
        let text = HeaderName::ALL[i].as_str().as_bytes();
        assert!(text.len() <= NAME_BYTES_MAX);
        table[i].name = HeaderName::ALL[i];
        table[i].length = text.len() as u8;
        let mut at = 0;
        while at < text.len() {
            let differ = if text[at].is_ascii_alphabetic() {
                0xdf
            } else {
                0xff
            };
            table[i].text[at / 8] |= (text[at] as u64) << (at % 8 * 8);
            table[i].differ[at / 8] |= differ << (at % 8 * 8);
            at += 1;
        }
        i += 1;
    }
    table
}

/// Where a name of that length with that first word is looked up. Case does not
/// count, nor what stands behind the name.
#[inline]
const fn slot(first: u64, length: usize, multiplier: u64) -> u8 {
    let folded = first | 0x2020_2020_2020_2020;
    (folded.wrapping_add(length as u64).wrapping_mul(multiplier) >> 56) as u8
}

/// The slots under a multiplier, and whether no two names share one.
const fn slots(multiplier: u64) -> ([u8; 256], bool) {
    let mut table = [KNOWN_MAX as u8 - 1; 256];
    let known = known();
    let mut i = 0;
    while i < HeaderName::ALL.len() {
        let at = slot(known[i].text[0], known[i].length as usize, multiplier) as usize;
        if table[at] < i as u8 {
            return (table, false);
        }
        table[at] = i as u8;
        i += 1;
    }
    (table, true)
}

const fn multiplier() -> u64 {
    let mut multiplier = 0x9e37_79b9_7f4a_7c15_u64;
    while !slots(multiplier).1 {
        multiplier = multiplier.wrapping_mul(0x5851_f42d_4c95_7f2d) | 1;
    }
    multiplier
}

const _: () = assert!(HeaderName::COUNT <= u64::BITS as usize);

impl HeaderName {
    /// How many names there are, [`HeaderName::Other`] included.
    pub(super) const COUNT: usize = Self::ALL.len() + 1;

    /// The field these bytes name, in any case, long or compact
    /// (RFC 3261 §7.3.1, §7.3.3 and the IANA registry).
    pub fn from_bytes(name: &[u8]) -> Self {
        let mut window = [0; WINDOW_BYTES];
        match window.get_mut(..name.len()) {
            Some(start) => start.copy_from_slice(name),
            None => return Self::Other,
        }
        Self::from_words(&words(&window), name.len())
    }

    /// The field that the first `length` bytes of a window name. What stands behind
    /// them does not matter.
    #[inline]
    pub(super) fn from_words(words: &Words, length: usize) -> Self {
        Self::known_from_words(words, length).unwrap_or(Self::Other)
    }

    /// As [`HeaderName::from_words`]; `None` for any other field.
    #[inline(always)]
    pub(super) fn known_from_words(words: &Words, length: usize) -> Option<Self> {
        let [first, second, third] = *words;
        if length <= 1 {
            let index = (first as u8).to_ascii_lowercase().wrapping_sub(b'a');
            let letter = BY_LETTER.get(usize::from(index)).filter(|_| length == 1);
            return letter.copied().filter(|name| *name != Self::Other);
        }
        // The first word without what stands behind the name.
        let first = first & FIRST_BYTES.get(length).copied().unwrap_or(u64::MAX);
        let at = SLOTS.get(usize::from(slot(first, length, MULTIPLIER)));
        let at = usize::from(at.copied().unwrap_or_default()) % KNOWN_MAX;
        let known = KNOWN.get(at)?;
        let ([text, text_2, text_3], [differ, differ_2, differ_3]) = (known.text, known.differ);
        let different =
            (first ^ text) & differ | (second ^ text_2) & differ_2 | (third ^ text_3) & differ_3;
        (different == 0 && usize::from(known.length) == length).then_some(known.name)
    }

    /// Position of the name in tables of [`HeaderName::COUNT`] entries.
    #[inline]
    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// The bit of the name in a set of names.
    #[inline]
    pub(super) const fn bit(self) -> u64 {
        1 << self.index()
    }
}

/// The window as words.
#[inline]
pub(super) fn words(window: &[u8; WINDOW_BYTES]) -> Words {
    let word = |at: usize| {
        let bytes = window.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    [word(0), word(8), word(16)]
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the table replaces.
    fn naive(name: &[u8]) -> HeaderName {
        let spells = |known: &&HeaderName| match (name, known.compact()) {
            ([letter], Some(compact)) => letter.eq_ignore_ascii_case(&(compact as u8)),
            _ => name.eq_ignore_ascii_case(known.as_str().as_bytes()),
        };
        HeaderName::ALL
            .iter()
            .find(spells)
            .copied()
            .unwrap_or(HeaderName::Other)
    }

    #[test]
    fn names_are_known_long_and_compact_in_any_case() {
        for name in HeaderName::ALL {
            assert_eq!(HeaderName::from_bytes(name.as_str().as_bytes()), *name);
            assert_eq!(
                HeaderName::from_bytes(name.as_str().to_uppercase().as_bytes()),
                *name
            );
            if let Some(letter) = name.compact() {
                assert_eq!(HeaderName::from_bytes(&[letter as u8]), *name);
                assert_eq!(
                    HeaderName::from_bytes(&[letter.to_ascii_uppercase() as u8]),
                    *name
                );
            }
        }
        for other in [
            &b""[..],
            b"X-Anything",
            b"Viaa",
            b"z",
            b"~",
            b"P-Preferred-Identity2",
        ] {
            assert_eq!(HeaderName::from_bytes(other), HeaderName::Other);
        }
    }

    #[test]
    fn the_registered_letters_are_the_compact_forms() {
        let letters: String = ('a'..='z')
            .filter(|l| HeaderName::from_bytes(&[*l as u8]) != HeaderName::Other)
            .collect();
        assert_eq!(letters, "abcdefijklmnorstuvxy");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn names_are_told_apart_as_by_comparing_each(
            known in prop::sample::select(HeaderName::ALL.to_vec()), at in 0_usize..24, byte: u8, cut in 0_usize..24, flip: u32
        ) {
            let mut name = known.as_str().as_bytes().to_vec();
            for (at, byte) in name.iter_mut().enumerate().filter(|(at, _)| flip >> at & 1 == 1) {
                let _ = at;
                if byte.is_ascii_alphabetic() { *byte ^= 0x20; }
            }
            prop_assert_eq!(HeaderName::from_bytes(&name), known);
            if let Some(damaged) = name.get_mut(at) { *damaged = byte; }
            prop_assert_eq!(HeaderName::from_bytes(&name), naive(&name));
            name.truncate(cut);
            prop_assert_eq!(HeaderName::from_bytes(&name), naive(&name));
            name.push(byte);
            prop_assert_eq!(HeaderName::from_bytes(&name), naive(&name));
        }

        #[test]
        fn any_bytes_are_some_name(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(HeaderName::from_bytes(&name), naive(&name));
        }
    }
}
