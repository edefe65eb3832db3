//! `trunkline calls`: the calls that are up.

use super::server::{self, Server};
use crate::control::{Answer, LiveCall, Request};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

/// Show the calls that are up on a running server, the oldest first.
///
/// The server follows calls where its configuration has `[records]` with a sink or with
/// `live_calls = true`. Calls that began before it was started are not listed. Exits with 69
/// when no server answers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline calls
  trunkline calls -w --group pstn      # again every second, until you press Ctrl-C
  trunkline calls --mask --json")]
pub(super) struct Calls {
    /// Show them again every second
    #[arg(long, short)]
    watch: bool,
    /// Only calls in which this trunk group has part
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// At most so many
    #[arg(long, short, value_name = "N", default_value_t = 50)]
    number: usize,
    /// Only the last four symbols of telephone numbers
    #[arg(long)]
    mask: bool,
    #[command(flatten)]
    server: Server,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

impl Calls {
    pub(super) fn execute(&self) -> ExitCode {
        let request = Request::Calls {
            group: self.group.clone(),
            number: Some(self.number),
            mask: self.mask,
        };
        loop {
            let answer = match self.server.ask(&request) {
                Ok(answer) => answer,
                Err(code) => return code,
            };
            let goes_on = self.watch && matches!(answer, Answer::Calls { .. });
            if goes_on && !self.json && io::stdout().is_terminal() {
                // To the corner of an empty screen.
                let _ = io::stdout().write_all(b"\x1b[2J\x1b[H");
            }
            let code = server::print(answer, self.json, |answer| match answer {
                Answer::Calls { count, calls } => page(*count, calls),
                other => server::unexpected(other),
            });
            if !goes_on {
                return code;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn page(count: usize, calls: &[LiveCall]) -> String {
    let mut text = String::new();
    let _ = match count {
        1 => writeln!(text, "1 call is up"),
        _ => writeln!(text, "{count} calls are up"),
    };
    let rows: Vec<[String; 4]> = calls.iter().map(row).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    for [up, from, to, rest] in &rows {
        let [a, b, c] = widths;
        let _ = writeln!(text, "{up:>a$}  {from:<b$}  {to:<c$}  {rest}");
    }
    if let Some(more @ 1..) = count.checked_sub(calls.len()) {
        let _ = writeln!(text, "… and {more} more");
    }
    text
}

fn row(call: &LiveCall) -> [String; 4] {
    let (minutes, seconds) = (call.up_s / 60, call.up_s % 60);
    let up = match minutes {
        0..60 => format!("{minutes}:{seconds:02}"),
        _ => format!("{}:{:02}:{seconds:02}", minutes / 60, minutes % 60),
    };
    let to = match (&call.trunk_group, &call.trunk) {
        (Some(group), Some(trunk)) => format!("{group}/{trunk}"),
        _ => String::from("-"),
    };
    let calling = call.calling.as_deref().unwrap_or("anonymous");
    let numbers = format!("{calling} -> {}", call.called);
    [up, call.from.clone(), to, numbers]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_stand_in_columns() {
        let call = |up_s, to: &str| LiveCall {
            up_s,
            from: String::from("sbc"),
            called: String::from("+442071838750"),
            trunk_group: Some(String::from("carriers")),
            trunk: Some(to.to_owned()),
            ..LiveCall::default()
        };
        let calls = [call(3_723, "slough"), call(9, "docklands")];
        assert_eq!(
            page(3, &calls),
            "3 calls are up\n\
             1:02:03  sbc  carriers/slough     anonymous -> +442071838750\n   \
             0:09  sbc  carriers/docklands  anonymous -> +442071838750\n\
             … and 1 more\n"
        );
        assert_eq!(page(0, &[]), "0 calls are up\n");
    }
}
