//! What user agents say inside and about a dialog.

/// The lines of a message with this name.
pub(crate) fn lines<'m>(message: &'m str, name: &str) -> Vec<&'m str> {
    let head = message.split("\r\n\r\n").next().unwrap();
    head.split("\r\n")
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .collect()
}

pub(crate) fn response(request: &str, status: u16, contact: impl std::fmt::Display) -> String {
    let mut text = format!("SIP/2.0 {status} Whatever\r\n");
    for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
        for value in lines(request, name) {
            let tag = if name == "To" && !value.contains(";tag=") && status > 100 {
                ";tag=callee"
            } else {
                ""
            };
            text += &format!("{name}: {value}{tag}\r\n");
        }
    }
    text + &format!("Contact: <sip:{contact}>\r\nContent-Length: 0\r\n\r\n")
}

/// A request of the caller inside the dialog of this answer.
pub(crate) fn in_dialog(
    answer: &str,
    method: &str,
    number: u32,
    me: impl std::fmt::Display,
) -> String {
    let contact = lines(answer, "Contact")[0].trim_matches(['<', '>']);
    let routes: String = lines(answer, "Record-Route")
        .iter()
        .rev()
        .map(|route| format!("Route: {route}\r\n"))
        .collect();
    let (from, to, call_id) = (
        lines(answer, "From")[0],
        lines(answer, "To")[0],
        lines(answer, "Call-ID")[0],
    );
    format!(
        "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{method}{number}{call_id};rport\r\n\
         Max-Forwards: 70\r\n{routes}From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
         CSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n"
    )
}
