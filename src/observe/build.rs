//! What the program was built from.

/// The commit, where whoever built it said so in `TRUNKLINE_COMMIT`.
pub const COMMIT: Option<&str> = match option_env!("TRUNKLINE_COMMIT") {
    Some(commit) if !commit.is_empty() => Some(commit),
    _ => None,
};
