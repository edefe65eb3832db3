//! The log in each of its forms, on each of its ways: what a line is, that no number is in any
//! of them that should be hidden, and that nobody waits for whoever takes them.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::ca::{Ca, parsed};
use crate::daemon::{Daemon, redirect};
use crate::phone::Phone;
use crate::proxy::free;
use crate::{ROUTES, tables, write};

const HIDDEN: &str = "[privacy]\nmask_numbers = \"last4\"\n";

/// A server whose log has numbers to hide wherever there can be some: calls, a Call-ID, what is
/// refused, mistakes of a table, words of an operator. Its lines, as the log has them.
fn planted(daemon: &Daemon) -> Vec<String> {
    let phone = Phone::new(daemon.address);
    phone.ask(&phone.invite("+442071838750", "c02071838750"));
    phone.ask(&phone.invite("+442071838750;phone-context=+442071838", "d1"));
    let broken = phone.invite("+442071838750", "d2");
    phone.ask(&broken.replace("CSeq: 1 INVITE", "CSeq: +442071838750 INVITE"));
    let broken = ROUTES.replace("\"+4420*\"", "\"+44207183875O\", \"020 7183 8750\"");
    write(daemon.tables(), "routes.toml", &broken);
    let reload = |message: &str| {
        Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .args(["reload", "-m", message])
            .current_dir(daemon.config_folder())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
    };
    assert!(!reload("of 02071838750").success());
    let other = ROUTES.replace("[\"teams\", \"reception\"]", "[\"teams\"]");
    write(daemon.tables(), "routes.toml", &other);
    assert!(reload("of +44 20 7183 8750").success());
    daemon.signal("TERM");
    let lines = daemon.lines_up_to("stopped");
    let calls = lines.iter().filter(|line| line.contains("teams/teams-1"));
    assert!(calls.count() >= 2, "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("T0")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("refused")));
    for line in &lines {
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        for number in ["2071838", "770090012"] {
            assert!(!digits.contains(number), "{line}");
        }
    }
    lines
}

fn config(log: &str) -> String {
    let socket = "[control]\nsocket = \"control.sock\"\n";
    redirect(&format!("{log}\n{socket}{HIDDEN}"))
}

fn to_standard_error(format: &str) -> Vec<String> {
    let config = config(&format!("[log]\nformat = \"{format}\""));
    planted(&Daemon::run(tables(), &config))
}

#[test]
fn text_has_no_number_that_is_to_be_hidden() {
    for line in to_standard_error("text") {
        let mut words = line.split(' ');
        assert!(words.next().unwrap().ends_with('Z'), "{line}");
        let level = words.next().unwrap();
        assert!(["INFO", "WARN", "ERROR"].contains(&level), "{line}");
    }
}

#[test]
fn logfmt_has_a_name_for_each_value() {
    let lines = to_standard_error("logfmt");
    for line in &lines {
        assert!(line.starts_with("ts=20"), "{line}");
        assert!(line.contains(" level=") && line.contains(" msg="), "{line}");
    }
    let call = lines
        .iter()
        .find(|line| line.contains(" event=call "))
        .unwrap();
    for part in [
        " dialled=*********8750 ",
        " from=pstn ",
        " status=302 ",
        " msg=call",
    ] {
        assert!(call.contains(part), "{call}");
    }
}

#[test]
fn json_is_an_object_a_line() {
    for line in to_standard_error("json") {
        let read: Value = serde_json::from_str(&line).unwrap();
        for key in ["timestamp", "level", "message"] {
            assert!(read[key].is_string(), "{line}");
        }
    }
}

#[test]
fn the_journal_gets_fields_of_its_own() {
    let folder = tables();
    let socket = UnixDatagram::bind(folder.path().join("journal")).unwrap();
    let lines = datagrams(move |room| socket.recv(room));
    let config = config("[log]\nformat = \"journald\"\njournal_socket = \"../journal\"");
    let records = planted(&Daemon::run_heard(folder, &config, lines));
    for record in &records {
        assert!(record.ends_with('\n'), "{record}");
        for line in record.lines() {
            let (name, _) = line.split_once('=').unwrap();
            let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
            assert!(name.chars().all(is_name), "{record}");
        }
    }
    let call = records
        .iter()
        .find(|record| record.contains("TRUNKLINE_CALL_ID="));
    let call: Vec<_> = call.unwrap().lines().collect();
    for line in [
        "PRIORITY=6",
        "SYSLOG_IDENTIFIER=trunkline",
        "MESSAGE_ID=0d7b1f6a4c0e4f5d9b1a57c2be0e6c11",
        "TRUNKLINE_DIALLED=*********8750",
        "TRUNKLINE_CALL_ID=c*******8750",
        "TRUNKLINE_STATUS=302",
    ] {
        assert!(call.contains(&line), "{line} {call:#?}");
    }
    let message = call.iter().find(|line| line.starts_with("MESSAGE="));
    assert!(message.unwrap().starts_with("MESSAGE=trunkline route "));
}

#[test]
fn a_syslog_server_gets_a_datagram_each() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = format!("address = \"{}\"", socket.local_addr().unwrap());
    let lines = datagrams(move |room| socket.recv(room));
    is_syslog(&planted(&to_syslog(tables(), &to, lines)), 134);
}

#[test]
fn a_syslog_server_gets_counted_octets_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!(
        "address = \"{}\"\ntransport = \"tcp\"\nfacility = \"local7\"",
        listener.local_addr().unwrap()
    );
    let lines = frames(move || listener.accept().unwrap().0);
    is_syslog(&planted(&to_syslog(tables(), &to, lines)), 190);
}

#[test]
fn a_syslog_server_gets_counted_octets_over_tls() {
    let (ca, folder) = (Ca::new(), tables());
    let identity = ca.issue("logs.example");
    std::fs::create_dir_all(folder.path().join("config")).unwrap();
    ca.write(&folder.path().join("config"), "logs", &identity);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!(
        "address = \"{}\"\ntransport = \"tls\"\nname = \"logs.example\"\nca = \"ca.pem\"",
        listener.local_addr().unwrap()
    );
    let (chain, key) = parsed(&identity);
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let server = Arc::new(server);
    let lines = frames(move || {
        let connection = ServerConnection::new(Arc::clone(&server)).unwrap();
        StreamOwned::new(connection, listener.accept().unwrap().0)
    });
    is_syslog(&planted(&to_syslog(folder, &to, lines)), 134);
}

/// A log that nobody takes costs no call anything, and no stop.
#[test]
fn a_log_that_nobody_takes_makes_nobody_wait() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!(
        "[log]\nformat = \"syslog\"\n[log.syslog]\naddress = \"{}\"\ntransport = \"tcp\"\n",
        silent.local_addr().unwrap()
    );
    drop(silent);
    let port = free();
    let folder = tables();
    let config = redirect(&to).replace("127.0.0.1:0", &port.to_string());
    let mut process = Daemon::command(folder.path(), &config).spawn().unwrap();
    let phone = Phone::new(port);
    let began = Instant::now();
    phone.send(phone.invite("+442071838750", "first").as_bytes());
    // It may not listen yet.
    phone
        .socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    while phone.socket.peek(&mut [0; 1]).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20));
        phone.send(phone.invite("+442071838750", "first").as_bytes());
    }
    phone
        .socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    for call in 0..500 {
        assert!(
            phone
                .ask(&phone.invite("+442071838750", &format!("c{call}")))
                .starts_with("SIP/2.0 302")
        );
    }
    let stopped = Instant::now();
    crate::daemon::signal(&process, "TERM");
    assert!(process.wait().unwrap().success());
    assert!(stopped.elapsed() < Duration::from_secs(60));
}

fn to_syslog(folder: TempDir, to: &str, lines: Receiver<String>) -> Daemon {
    let config = config(&format!("[log]\nformat = \"syslog\"\n[log.syslog]\n{to}"));
    Daemon::run_heard(folder, &config, lines)
}

/// RFC 5424 §6: `<PRI>1 TIME HOST trunkline PID MSGID STRUCTURED-DATA MSG`.
fn is_syslog(messages: &[String], of_a_call: u8) {
    for message in messages {
        let words: Vec<_> = message.splitn(8, ' ').collect();
        assert!(words.len() == 8, "{message}");
        assert!(
            words[0].starts_with('<') && words[0].ends_with(">1"),
            "{message}"
        );
        assert!(
            words[1].ends_with('Z') && words[3] == "trunkline",
            "{message}"
        );
        assert!(words[4].parse::<u32>().is_ok(), "{message}");
        assert!(
            words[6] == "-" || words[6] == "[trunkline@32473",
            "{message}"
        );
        assert!(!message.contains(char::is_control), "{message}");
    }
    let call = messages
        .iter()
        .find(|message| message.contains(" CALL "))
        .unwrap();
    assert!(call.starts_with(&format!("<{of_a_call}>1 ")), "{call}");
    assert!(
        call.contains(" call_id=\"c*******8750\"] trunkline route "),
        "{call}"
    );
}

/// What comes one datagram at a time.
fn datagrams(
    mut receive: impl FnMut(&mut [u8]) -> std::io::Result<usize> + Send + 'static,
) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut room = vec![0; 65_536];
        while let Ok(length) = receive(&mut room) {
            let line = String::from_utf8(room[..length].to_vec()).unwrap();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// What comes on a connection: `LENGTH SP MESSAGE`, again and again.
fn frames<S: Read>(accept: impl FnOnce() -> S + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut stream = BufReader::new(accept());
        loop {
            let mut length = Vec::new();
            if stream.read_until(b' ', &mut length).unwrap_or(0) == 0 {
                return;
            }
            let length = str::from_utf8(&length).unwrap().trim().parse().unwrap();
            let mut message = vec![0; length];
            stream.read_exact(&mut message).unwrap();
            if sender.send(String::from_utf8(message).unwrap()).is_err() {
                return;
            }
        }
    });
    lines
}
