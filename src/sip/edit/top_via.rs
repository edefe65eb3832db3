//! A response on its way back: it loses its top Via and nothing else.

use memchr::memchr;

use super::Edit;
use crate::sip::{HeaderName, Message, scan};

impl Message<'_> {
    /// Appends the message without the first value of Via: RFC 3261 §16.7 step 3. The same
    /// bytes as [`Edit::pop_via`] makes; where that value has a line of its own, which is how
    /// proxies write theirs, by leaving the line out.
    ///
    /// Whether there was a Via; without one nothing is written.
    pub fn write_without_top_via(&self, out: &mut Vec<u8>) -> bool {
        let own_line = self.line(HeaderName::Via).and_then(|top| {
            let is_alone = !top.value.is_empty() && memchr(b',', top.value).is_none();
            top.whole.filter(|_| is_alone)
        });
        let Some(line) = own_line else {
            let mut edit = Edit::new(self);
            let popped = edit.pop_via().is_ok();
            if popped {
                edit.write(out);
            }
            return popped;
        };
        let bytes = self.bytes();
        let at = scan::offset_in(bytes, line);
        out.reserve(bytes.len());
        out.extend_from_slice(bytes.get(..at).unwrap_or_default());
        out.extend_from_slice(bytes.get(at + line.len()..).unwrap_or_default());
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    /// However the Vias stand in the message, the short way and the long way agree.
    #[test]
    fn a_line_left_out_is_a_via_taken_off() {
        const VIAS: [&str; 12] = [
            "Via: SIP/2.0/UDP a;branch=1\r\n",
            "Via: SIP/2.0/UDP a;branch=1\r\nVia: SIP/2.0/UDP b\r\n",
            "Via: SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b\r\nVia: SIP/2.0/UDP c\r\n",
            "v: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\n",
            "VIA : SIP/2.0/UDP a  \r\nVia: SIP/2.0/UDP b\r\n",
            "Via:SIP/2.0/UDP a\t\r\nVia: SIP/2.0/UDP b\r\n",
            "Via: SIP/2.0/UDP a;\r\n branch=1\r\nVia: SIP/2.0/UDP b\r\n",
            "Via: SIP/2.0/UDP a;x=\"1, 2\"\r\nVia: SIP/2.0/UDP b\r\n",
            "Via: , SIP/2.0/UDP a\r\n",
            "Via: \r\nVia: SIP/2.0/UDP a\r\n",
            "Via:\r\n",
            "",
        ];
        for vias in VIAS {
            for before in ["", "Call-ID: 1\r\n", "Server: x\r\n  y\r\n"] {
                let text = format!("SIP/2.0 200 OK\r\n{before}{vias}CSeq: 1 BYE\r\n\r\nbody");
                let message = Message::parse_datagram(text.as_bytes()).unwrap();
                let mut edit = Edit::new(&message);
                let mut long = Vec::new();
                if edit.pop_via().is_ok() {
                    edit.write(&mut long);
                }
                let mut short = Vec::new();
                let written = message.write_without_top_via(&mut short);
                assert_eq!((written, &short), (!long.is_empty(), &long), "{text:?}");
            }
        }
    }
}
