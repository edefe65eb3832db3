//! What valgrind says of a run of the program itself.

use std::env;
use std::process::Command;

/// The number behind `label` in what valgrind, given `options`, says of this program run with
/// `arguments`.
///
/// # Errors
/// All that valgrind said, where there is no such number.
pub(crate) fn told(options: &[&str], arguments: &[&str], label: &str) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let run = Command::new("valgrind")
        .args(options)
        .arg(program)
        .args(arguments)
        .output();
    let run = run.map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&run.stderr);
    let found = said.lines().find_map(|line| line.split_once(label));
    let number = found.and_then(|(_, number)| number.split_whitespace().next());
    let number = number.and_then(|number| number.replace(',', "").parse().ok());
    number.ok_or_else(|| said.into_owned())
}

/// Instructions of a run; only those inside functions whose name fits `inside`, if there is
/// one.
///
/// # Errors
/// As [`told`].
pub(crate) fn instructions(inside: Option<&str>, arguments: &[&str]) -> Result<u64, String> {
    let inside = inside.map(|inside| format!("--toggle-collect={inside}"));
    let mut options = vec!["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    options.extend(inside.as_deref());
    told(&options, arguments, "Collected :")
}
