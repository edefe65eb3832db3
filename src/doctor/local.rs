//! This machine: ports, folders, limits, the clock.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::running::Running;
use super::{Check, Finding};
use crate::limits::{DESCRIPTORS_MIN, FREE_BYTES_MIN, UDP_RECEIVE_BUFFER_BYTES};
use crate::server::{self, Config, StartError};
use crate::system;

/// Where systemd puts the state of the unit.
const STATE_FOLDER: &str = "/var/lib/trunkline";

/// Whether each address is ours, or can be had.
pub(super) fn ports(config: &Config, running: Option<&Running>) -> Vec<Finding> {
    let listening = running.map_or(&[][..], |running| &running.status.listening);
    let bound = server::check_ports(config).into_iter();
    let finding = |(address, over, tried): (SocketAddr, &str, Result<(), StartError>)| {
        let subject = format!("{address} ({over})");
        match (tried, running) {
            (Ok(()), None) => Finding::ok(Check::Port, subject, "is free"),
            (Ok(()), Some(_)) => {
                let says = "the running server does not listen there";
                Finding::warning(Check::Port, subject, says)
                    .fix("a changed configuration serves from the next start on")
            }
            (
                Err(StartError::Bind { cause, .. } | StartError::Http { cause, .. }),
                Some(running),
            ) if cause.kind() == io::ErrorKind::AddrInUse
                && (listening
                    .iter()
                    .any(|here| here.starts_with(&address.to_string()))
                    || over == "http"
                    || over == "metrics") =>
            {
                let says = format!("held by the running server, pid {}", running.status.pid);
                Finding::ok(Check::Port, subject, says)
            }
            (Err(error), _) => Finding::failed(Check::Port, subject, error.to_string())
                .fix("end the other process, or correct the address in the configuration"),
        }
    };
    bound.map(finding).collect()
}

/// The state folder, where it is or will be.
pub(super) fn state(config: &Config) -> Vec<Finding> {
    let given = config.keeping.folder.clone();
    let installed = || Some(PathBuf::from(STATE_FOLDER)).filter(|folder| folder.is_dir());
    let Some(folder) = given.or_else(installed) else {
        let says = "nothing is kept: no undo, no history";
        return vec![
            Finding::warning(Check::State, "", says)
                .fix("[state] dir = \"…\", or StateDirectory= of the unit"),
        ];
    };
    let subject = folder.display().to_string();
    let mut findings = Vec::new();
    match fs::metadata(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            findings.push(Finding::ok(Check::State, subject, "is made at the start"));
        }
        Err(error) => findings.push(
            Finding::failed(Check::State, subject, error.to_string())
                .fix("ask as the server's user, or root"),
        ),
        Ok(there) if !there.is_dir() => {
            findings.push(
                Finding::failed(Check::State, subject, "is no folder").fix("another [state] dir"),
            );
        }
        Ok(there) => {
            let (owner, us) = (there.uid(), system::own_uid());
            findings.push(if us != 0 && us != owner {
                let says = format!("belongs to uid {owner}, not to uid {us}, who asks");
                Finding::warning(Check::State, subject, says)
                    .fix("ask as the server's user: runuser -u trunkline -- trunkline doctor")
            } else if there.mode() & 0o077 != 0 {
                let says = format!(
                    "has mode {:o}: others can read numbers",
                    there.mode() & 0o777
                );
                Finding::warning(Check::State, subject, says)
                    .fix(format!("chmod 700 {}", folder.display()))
            } else {
                Finding::ok(Check::State, subject, "is its owner's alone")
            });
        }
    }
    findings.extend(room(&folder));
    if let Some(logs) = config.log.file.as_deref().and_then(Path::parent) {
        findings.extend(room(logs));
    }
    findings
}

/// Room on the disk under a folder, or under what of its path is there.
fn room(folder: &Path) -> Option<Finding> {
    let there = folder.ancestors().find(|path| path.is_dir())?;
    let free = system::free_bytes(there).ok()?;
    let subject = format!("room at {}", folder.display());
    let says = format!("{} MiB free", free >> 20);
    Some(if free < FREE_BYTES_MIN {
        Finding::failed(Check::State, subject, says)
            .fix("make room: a change that cannot be kept does not serve")
    } else {
        Finding::ok(Check::State, subject, says)
    })
}

/// The secret file of the proxy listeners.
pub(super) fn secret(config: &Config) -> Vec<Finding> {
    let is_proxy = config
        .listeners
        .iter()
        .any(|l| l.mode == server::Mode::Proxy);
    if !is_proxy {
        return Vec::new();
    }
    let Some(file) = &config.proxy.secret_file else {
        let says = "none is kept: after a restart calls that are up are known by address only";
        return vec![
            Finding::warning(Check::Secret, "", says)
                .fix("secret_file = \"/var/lib/trunkline/proxy.secret\" in [proxy]"),
        ];
    };
    let subject = file.display().to_string();
    vec![match server::check_secret(file) {
        Ok(true) => Finding::ok(Check::Secret, subject, "can be read"),
        Ok(false) => Finding::ok(Check::Secret, subject, "is made at the start"),
        Err(error) => Finding::failed(Check::Secret, subject, error.to_string())
            .fix("ask as the server's user, or do what it says"),
    }]
}

/// What the system allows.
pub(super) fn limits(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let has_streams = config.listeners.iter().any(|l| l.transport.is_reliable());
    if has_streams && let Some(most) = system::descriptors_max() {
        let says = format!("{most} for who asks");
        findings.push(if most < DESCRIPTORS_MIN {
            Finding::warning(Check::Limit, "file descriptors", says)
                .fix("LimitNOFILE=65536 in the unit: each connection is one")
        } else {
            Finding::ok(Check::Limit, "file descriptors", says)
        });
    }
    let allowed = fs::read_to_string("/proc/sys/net/core/rmem_max").ok();
    let allowed = allowed.and_then(|text| text.trim().parse::<usize>().ok());
    if let Some(allowed) = allowed {
        let says = format!("{allowed} bytes");
        findings.push(if allowed < UDP_RECEIVE_BUFFER_BYTES {
            Finding::warning(Check::Limit, "net.core.rmem_max", says).fix(format!(
                "sysctl -w net.core.rmem_max={UDP_RECEIVE_BUFFER_BYTES}"
            ))
        } else {
            Finding::ok(Check::Limit, "net.core.rmem_max", says)
        });
    }
    findings
}

/// Whether the system's clock follows others.
pub(super) fn clock() -> Option<Finding> {
    let subject = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    Some(match system::clock_is_synchronised() {
        Ok(true) => Finding::ok(Check::Clock, subject, "is synchronised"),
        Ok(false) => {
            let says = "nothing keeps it right: schedules and certificates go by it";
            Finding::warning(Check::Clock, subject, says)
                .fix("timedatectl set-ntp true; in a container, that of the host counts")
        }
        Err(error) => Finding::left_out(Check::Clock, subject, error.to_string()),
    })
}
