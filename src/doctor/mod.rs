//! What is in the way of a server that should answer calls: each thing looked at, what is wrong
//! with it, and its remedy.
//!
//! Nothing is changed and nothing is kept. What a start reads is read by the code of the start,
//! names are asked by the proxy's resolver, and TLS peers are met as the proxy meets them.

mod certificates;
mod local;
mod peers;
mod running;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::server::{CONTROL_SOCKET, Config};
use crate::tables;

/// What to look at.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The configuration.
    pub config: PathBuf,
    /// Whether trunks are spoken to: TLS handshakes, and OPTIONS where no server runs.
    pub connect: bool,
}

/// All that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Name and version of this form; within a version keys are added, never taken away.
    pub schema: &'static str,
    /// Whether nothing is broken.
    pub ok: bool,
    /// In the order in which a call depends on them.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// How it is.
    pub verdict: Verdict,
    /// Which of them.
    pub subject: String,
    /// What is so.
    pub says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Where to read on, in docs.
    pub page: &'static str,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and wants to be looked at.
    Warning,
    /// Broken.
    Failed,
    /// Not looked at, and why.
    LeftOut,
}

macro_rules! checks {
    ($($name:ident $word:literal $page:literal: $what:literal)*) => {
        /// What can be looked at. The words are a closed list; docs/cli.md explains them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Check {
            $(#[doc = $what] $name,)*
        }

        impl Check {
            /// All of them, in the order of a report.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As it stands in a report.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Where to read on, in docs.
            #[must_use]
            pub const fn page(self) -> &'static str {
                match self { $(Self::$name => $page,)* }
            }
        }
    };
}

checks! {
    Configuration "configuration" "operations.md#configuration": "The configuration file."
    Table "table" "diagnostics.md": "The table folder."
    Server "server" "operations.md#changing-tables": "The server that runs, and what it serves."
    Port "port" "operations.md#addresses": "The addresses to listen on."
    Certificate "certificate" "operations.md#tls": "Certificates and keys of ours."
    State "state" "control.md#the-state-folder": "The state folder."
    Secret "secret" "operations.md#proxy-listeners": "The secret of the proxy listeners."
    Limit "limit" "operations.md#sizing": "What the system allows."
    Clock "clock" "operations.md#when-something-is-wrong": "The clock."
    Source "source" "operations.md#addresses": "Who sends calls, and the way back to them."
    Name "name" "operations.md#configuration": "Names of trunks in DNS."
    Trunk "trunk" "operations.md#trunks-that-go-and-come": "Trunks."
    Group "group" "operations.md#trunks-that-go-and-come": "Trunk groups."
    PeerCertificate "peer_certificate" "operations.md#tls": "Certificates of the peers."
}

impl Finding {
    fn new(
        check: Check,
        verdict: Verdict,
        subject: impl Into<String>,
        says: impl Into<String>,
    ) -> Self {
        Self {
            check,
            verdict,
            subject: subject.into(),
            says: says.into(),
            fix: None,
            page: check.page(),
        }
    }

    fn ok(check: Check, subject: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, subject, says)
    }

    fn warning(check: Check, subject: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(check, Verdict::Warning, subject, says)
    }

    fn failed(check: Check, subject: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(check, Verdict::Failed, subject, says)
    }

    fn left_out(check: Check, subject: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(check, Verdict::LeftOut, subject, says)
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// Looks at everything. Takes as long as the slowest name server and trunk are waited for: a few
/// seconds.
#[must_use]
pub fn examine(asked: &Asked) -> Report {
    let mut findings = Vec::new();
    match Config::read(&asked.config) {
        Ok(config) => {
            let shown = asked.config.display().to_string();
            findings.push(Finding::ok(Check::Configuration, shown, "can be read"));
            look_at(&config, asked, &mut findings);
        }
        Err(report) => findings.push(
            Finding::failed(
                Check::Configuration,
                asked.config.display().to_string(),
                first_line(&report.short()),
            )
            .fix(format!(
                "trunkline check --config {}",
                asked.config.display()
            )),
        ),
    }
    findings.extend(local::clock());
    let place = |finding: &Finding| Check::ALL.iter().position(|check| *check == finding.check);
    findings.sort_by_key(place);
    Report {
        schema: "trunkline.doctor/1",
        ok: findings
            .iter()
            .all(|finding| finding.verdict != Verdict::Failed),
        findings,
    }
}

fn look_at(config: &Config, asked: &Asked, findings: &mut Vec<Finding>) {
    let folder = config.tables.display().to_string();
    let loaded = tables::load(&config.tables);
    let socket = config.control.socket.as_deref();
    let server = running::ask(socket.unwrap_or(Path::new(CONTROL_SOCKET)));
    match &loaded.table {
        Some(table) => {
            let count = (table.did_rows(), table.rules().len());
            let says = format!("{} DIDs, {} rules", count.0, count.1);
            findings.push(match loaded.report.warnings {
                0 => Finding::ok(Check::Table, folder, says),
                n => Finding::warning(Check::Table, folder, format!("{says}, warnings: {n}"))
                    .fix(format!("trunkline check {}", config.tables.display())),
            });
        }
        None => findings.push(
            Finding::failed(Check::Table, folder, first_line(&loaded.report.short()))
                .fix(format!("trunkline check {}", config.tables.display())),
        ),
    }
    findings.extend(running::server(server.as_ref(), loaded.table.as_ref()));
    findings.extend(local::ports(config, server.as_ref().ok()));
    findings.extend(certificates::ours(config));
    findings.extend(local::state(config));
    findings.extend(local::secret(config));
    findings.extend(local::limits(config));
    if let Some(table) = &loaded.table {
        findings.extend(peers::sources(config, table));
        findings.extend(peers::trunks(config, table, asked, server.as_ref().ok()));
    }
}

impl Report {
    /// For people: one line each, and under what is not well its remedy and the page.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let subject = |finding: &Finding| finding.subject.chars().count();
        let width = self.findings.iter().map(subject).max().unwrap_or(0).min(48);
        for finding in &self.findings {
            let word = match finding.verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "WARN",
                Verdict::Failed => "FAIL",
                Verdict::LeftOut => "--",
            };
            let (check, subject) = (finding.check.as_str(), &finding.subject);
            let line = format!("{word:<5} {check:<17} {subject:<width$}  {}", finding.says);
            let _ = writeln!(text, "{}", line.trim_end());
            if let Some(fix) = &finding.fix {
                let _ = writeln!(text, "      fix: {fix}");
                let _ = writeln!(text, "      see: docs/{}", finding.page);
            }
        }
        let count = |verdict| {
            self.findings
                .iter()
                .filter(|f| f.verdict == verdict)
                .count()
        };
        let _ = writeln!(
            text,
            "{} looked at: {} broken, {} to look at, {} left out",
            self.findings.len(),
            count(Verdict::Failed),
            count(Verdict::Warning),
            count(Verdict::LeftOut)
        );
        text
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
