//! A proxy that is reloaded, stopped and started again while it carries calls.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use trunkline::server::{Advertised, Config, ListenerConfig, Mode, Server, StartError};
use trunkline::tables::Reload;

use crate::daemon::Daemon;
use crate::phone::Phone;
use crate::proxy::{Trunk, call, dead, free, in_dialog, lines, proxy, trunks_toml};
use crate::{Rig, tables, write};

#[test]
fn a_call_keeps_the_table_it_began_with() {
    let (first, second) = (Trunk::new(), Trunk::new());
    let gone = dead();
    let rig = proxy(&[first.address(), second.address()], 2, |_| {});
    let (old, new) = (Phone::new(rig.address()), Phone::new(rig.address()));
    call(&old, "old");
    let ringing = first.expect("INVITE ");
    // It is not silent, however long the reload takes.
    first.answer(&ringing, 100);
    write(
        rig.folder.path(),
        "trunks.toml",
        &trunks_toml(&[second.address(), gone]),
    );
    assert!(matches!(
        rig.handle.reload(),
        Reload::Swapped { generation: 2, .. }
    ));
    call(&new, "new");
    let invite = second.expect("INVITE ");
    second.answer(&invite, 200);
    assert!(new.receive().starts_with("SIP/2.0 200 "));
    first.answer(&ringing, 503);
    first.expect("ACK ");
    let moved_on = second.expect("INVITE ");
    assert!(moved_on.0.contains("Call-ID: old\r\n"), "{}", moved_on.0);
    second.answer(&moved_on, 200);
    assert!(old.receive().starts_with("SIP/2.0 200 "));
}

/// What a trunk did before a reload is known after it.
#[test]
fn a_trunk_that_is_out_stays_out_over_a_reload() {
    // It is out for two seconds: what took longer proves nothing.
    let attempts = (0..20).find_map(|_| {
        let begun = Instant::now();
        let attempts = attempts_around_a_reload();
        (begun.elapsed() < Duration::from_secs(2)).then_some(attempts)
    });
    assert_eq!(attempts, Some([2, 3, 4]));
}

/// How many there were after a call, another, and one more after a reload.
fn attempts_around_a_reload() -> [u64; 3] {
    let (gone, alive) = (dead(), Trunk::new());
    let rig = proxy(&[gone, alive.address()], 1, |_| {});
    let mut calls = 0;
    let mut attempts = |call_id: &str| {
        calls += 1;
        let phone = Phone::new(rig.address());
        call(&phone, call_id);
        let invite = alive.expect("INVITE ");
        alive.answer(&invite, 200);
        assert!(phone.receive().starts_with("SIP/2.0 200 "));
        // Counted after it was sent.
        let deadline = Instant::now() + Duration::from_secs(20);
        while rig.handle.totals().proxied.calls < calls {
            assert!(Instant::now() < deadline, "never counted");
            thread::sleep(Duration::from_millis(1));
        }
        rig.handle.totals().proxied.attempts
    };
    let before = [attempts("c1"), attempts("c2")];
    let more = crate::ROUTES.replace("premium", "other premium");
    rig.write_routes(&more.replace("Premium-rate numbers are", "Premium rate is"));
    assert!(matches!(rig.handle.reload(), Reload::Swapped { .. }));
    [before[0], before[1], attempts("c3")]
}

/// A trunk that stops answering OPTIONS is out after as many misses as its table says, and
/// back after as many hits; no new call goes to it in between, and SIGHUP changes nothing.
#[test]
fn a_trunk_is_out_while_it_does_not_answer_options() {
    const PROBES: &str = "options = \"1s\"\noptions_misses = 2\noptions_hits = 2\n[trunk.t1]";
    let (probed, other) = (Trunk::new(), Trunk::new());
    let folder = tables();
    let trunks = trunks_toml(&[probed.address(), other.address()]);
    write(
        folder.path(),
        "trunks.toml",
        &trunks.replace("[trunk.t1]", PROBES),
    );
    let routes = folder.path().join("routes.toml");
    let config = "tables = \"..\"\nworkers = 2\n[[listen]]\naddress = \"127.0.0.1:0\"\ntransport = \"udp\"\nmode = \"proxy\"\n";
    let daemon = Daemon::run(folder, config);
    let first_probe = probed.expect("OPTIONS sip:127.0.0.1:");
    let call_goes_to = |trunk: &Trunk, call_id: &str| {
        let phone = Phone::new(daemon.address);
        call(&phone, call_id);
        loop {
            let (request, from) = trunk.expect("");
            if request.starts_with("INVITE ") {
                trunk.answer(&(request, from), 200);
                assert!(phone.receive().starts_with("SIP/2.0 200 "));
                return;
            }
            assert!(request.starts_with("OPTIONS "), "{request}");
        }
    };
    call_goes_to(&probed, "before");
    probed.answer(&first_probe, 200);
    let line = daemon.line_with("trunk t0 is ");
    assert!(
        line.contains("out: 2 OPTIONS missed, the last unanswered"),
        "{line}"
    );
    call_goes_to(&other, "out");
    let more = fs::read_to_string(&routes)
        .unwrap()
        .replace("Premium-rate", "Premium");
    fs::write(&routes, more).unwrap();
    daemon.signal("HUP");
    daemon.line_with("reload gen 1->2 ");
    daemon.signal("USR2");
    daemon.line_with("trunks out t0=probes");
    call_goes_to(&other, "still-out");
    // It answers again, whatever it is asked: both workers' sockets may hear it.
    let is_back = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_back.load(Ordering::Relaxed) {
                let probe = probed.expect("OPTIONS ");
                probed.answer(&probe, 200);
            }
        });
        let line = daemon.line_with("trunk t0 is ");
        assert!(line.contains("back: 2 OPTIONS answered"), "{line}");
        is_back.store(true, Ordering::Relaxed);
    });
    call_goes_to(&probed, "back");
    daemon.signal("USR2");
    let totals = daemon.line_with("; proxied ");
    assert!(totals.contains(" trunks-out=1"), "{totals}");
    daemon.line_with("trunks out none");
}

/// The kernel spreads the answers over the workers' sockets, and only one worker probes.
#[test]
fn answers_to_probes_find_the_worker_that_asks() {
    let trunks: Vec<Trunk> = (0..12).map(|_| Trunk::new()).collect();
    let addresses: Vec<_> = trunks.iter().map(Trunk::address).collect();
    let probed = trunks_toml(&addresses).replace("address = ", "options = \"4s\"\naddress = ");
    let rig = Rig::with_tables(
        |folder| write(folder, "trunks.toml", &probed),
        &["127.0.0.1:0"],
        4,
        |config| config.listeners[0].mode = Mode::Proxy,
    );
    thread::scope(|scope| {
        for trunk in &trunks {
            scope.spawn(|| {
                let probe = trunk.expect("OPTIONS ");
                trunk.answer(&probe, 200);
            });
        }
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    while rig.handle.totals().proxied.probes < 12 {
        assert!(Instant::now() < deadline, "an answer was lost");
        thread::sleep(Duration::from_millis(5));
    }
    let totals = rig.handle.shutdown();
    let answered = totals.proxied.probes - totals.proxied.probe_misses;
    assert!(answered >= 12, "{totals}");
}

#[test]
fn a_stopping_proxy_takes_no_new_calls_and_finishes_those_it_has() {
    let trunk = Trunk::new();
    let rig = proxy(&[trunk.address()], 2, |config| {
        config.drain_timeout = Duration::from_secs(60);
    });
    let address = rig.address();
    let ringing = Phone::new(address);
    call(&ringing, "rings");
    let invite = trunk.expect("INVITE ");
    trunk.answer(&invite, 180);
    assert!(ringing.receive().starts_with("SIP/2.0 180 "));
    let Rig {
        handle,
        folder: _folder,
    } = rig;
    let stopping = thread::spawn(move || handle.shutdown());
    // Both workers still answer, each for its own callers, until the last call is over.
    let mut refused = 0;
    for n in 0..50 {
        let phone = Phone::new(address);
        let answer = phone.ask(&phone.invite("+442071838750", &format!("n{n}")));
        if answer.starts_with("SIP/2.0 100 ") {
            // The order to stop had not come yet.
            let early = trunk.expect("INVITE ");
            trunk.answer(&early, 404);
            trunk.expect("ACK ");
            continue;
        }
        assert!(answer.starts_with("SIP/2.0 503 "), "{answer}");
        assert_eq!(lines(&answer, "Retry-After").len(), 1, "{answer}");
        refused += 1;
    }
    assert!(refused > 0, "never drained");
    assert!(!stopping.is_finished());
    trunk.answer(&invite, 200);
    assert!(ringing.receive().starts_with("SIP/2.0 200 "));
    let answered = Instant::now();
    let totals = stopping.join().unwrap();
    assert!(answered.elapsed() < Duration::from_secs(20));
    assert_eq!(totals.refusals["draining"], refused, "{totals}");
}

#[test]
fn a_stop_waits_no_longer_than_it_may() {
    let trunk = Trunk::new();
    let rig = proxy(&[trunk.address()], 2, |config| {
        config.drain_timeout = Duration::from_millis(300);
    });
    let phone = Phone::new(rig.address());
    call(&phone, "rings");
    let begun = Instant::now();
    let _ = rig.handle.shutdown();
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(20),
        "{took:?}"
    );
}

#[test]
fn a_second_interrupt_ends_a_proxy_now() {
    let trunk = Trunk::new();
    let folder = tables();
    write_trunks(folder.path(), &trunk);
    let slow_to_stop = format!("drain_timeout = \"60s\"\n{}", config("127.0.0.1:0", ""));
    let mut daemon = Daemon::run(folder, &slow_to_stop);
    let phone = Phone::new(daemon.address);
    call(&phone, "rings");
    daemon.signal("INT");
    daemon.line_with("stopping");
    daemon.signal("INT");
    let begun = Instant::now();
    assert_eq!(daemon.exit_code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// A call that is up keeps no state here, and its route set is known again by the secret
/// of the file: who was connected before the proxy was killed can hang up after.
#[test]
fn a_call_that_is_up_survives_the_death_of_the_proxy() {
    let trunk = Trunk::new();
    let own = free().to_string();
    let secret = "[proxy]\nsecret_file = \"proxy.secret\"\n";
    let mut daemon = proxy_daemon(&trunk, &own, secret);
    let phone = Phone::new(daemon.address);
    let me = phone.socket.local_addr().unwrap();
    call(&phone, "c1");
    let invite = trunk.expect("INVITE ");
    // The callee is at an address no table knows: only the mark of the dialog allows it.
    let callee = Trunk::bound("127.0.0.9:0");
    trunk.answer_as(&invite, 200, callee.address());
    let answer = phone.receive();
    phone.send(in_dialog(&answer, "ACK", 1, me).as_bytes());
    callee.expect("ACK ");
    daemon.kill();
    daemon.start_again();
    phone.send(in_dialog(&answer, "BYE", 2, me).as_bytes());
    let bye = callee.expect("BYE ");
    callee.answer(&bye, 200);
    assert!(phone.receive().starts_with("SIP/2.0 200 "));
    // With another secret that address is nobody's.
    daemon.kill();
    fs::remove_file(daemon.config_folder().join("proxy.secret")).unwrap();
    daemon.start_again();
    let refused = phone.ask(&in_dialog(&answer, "BYE", 3, me));
    assert!(refused.starts_with("SIP/2.0 403 "), "{refused}");
}

#[test]
fn a_proxied_call_is_a_line_with_every_attempt() {
    let (full, free) = (Trunk::new(), Trunk::new());
    let folder = tables();
    let trunks = trunks_toml(&[full.address(), free.address(), dead()]);
    write(folder.path(), "trunks.toml", &trunks);
    let daemon = Daemon::run(folder, &config("127.0.0.1:0", ""));
    let phone = Phone::new(daemon.address);
    let me = phone.socket.local_addr().unwrap();
    let invite = phone.invite("+442071838750", "c1");
    phone.ask(&invite.replace("Call-ID: c1", "Call-ID: x';reboot;'@h"));
    let invite = full.expect("INVITE ");
    full.answer(&invite, 503);
    let invite = free.expect("INVITE ");
    free.answer(&invite, 180);
    free.answer(&invite, 486);
    free.expect("ACK ");
    let line = daemon.line_with("trunkline route ");
    let (command, tail) = line.split_once(" # ").unwrap();
    assert!(
        command.contains("trunkline route +442071838750 --from pstn --calling +447700900123 --at "),
        "{line}"
    );
    let (told, times) = tail.split_once(" progress-ms=").unwrap();
    assert_eq!(
        told,
        "486 teams/t0=503,teams/t1=486 rule=\"London\" called=+442071838750 ended=not-listed"
    );
    assert!(times.contains(" answer-ms="), "{line}");
    assert!(
        times.ends_with(&format!(" gen=1 src={me} cid='x\\x27;reboot;\\x27@h'")),
        "{line}"
    );
    let (code, explained) = daemon.paste(&line);
    assert!(code == Some(0) && explained.contains("t1"), "{explained}");
    let phone = Phone::new(daemon.address);
    let barred = phone.ask(&phone.invite("+449061234567", "barred"));
    assert!(barred.starts_with("SIP/2.0 403 "), "{barred}");
    let line = daemon.line_with("trunkline route ");
    assert!(line.contains(" # 403 rejected rule=\"Premium"), "{line}");
    assert!(line.contains(" ended=table answer-ms="), "{line}");
}

#[test]
fn a_proxied_call_as_json_and_its_counters() {
    let trunk = Trunk::new();
    let folder = tables();
    let trunks = trunks_toml(&[dead(), trunk.address()]);
    write(folder.path(), "trunks.toml", &trunks);
    let more = "name = \"inside\"\n[log]\nformat = \"json\"\n[privacy]\nmask_numbers = \"last4\"\n";
    let mut daemon = Daemon::run(folder, &config("127.0.0.1:0", more));
    let phone = Phone::new(daemon.address);
    call(&phone, "j1");
    let invite = trunk.expect("INVITE ");
    trunk.answer(&invite, 200);
    let line = daemon.line_with("\"event\":\"proxied-call\"");
    for field in [
        "\"dialled\":\"*********8750\"",
        "\"from\":\"pstn\"",
        "\"status\":200",
        "\"ended\":\"answer\"",
        "\"attempts\":\"teams/t0=unreachable,teams/t1=200\"",
        "\"rule\":\"London\"",
        "\"emergency\":false",
        "\"answer_ms\":",
        "\"generation\":1",
        "\"listener\":\"inside\"",
        "\"call_id\":\"j1\"",
    ] {
        assert!(line.contains(field), "{field} in {line}");
    }
    assert!(!line.contains("7700900123"), "{line}");
    phone.receive();
    daemon.signal("TERM");
    let line = daemon.line_with("requests ");
    assert!(
        line.contains("proxied calls=1 attempts=2 failovers=1 trunk-timeouts=0 trunk-errors=1 "),
        "{line}"
    );
    assert_eq!(daemon.exit_code(), Some(0));
}

#[test]
fn a_wildcard_proxy_says_the_address_it_is_told_and_answers_from_the_one_that_was_asked() {
    let trunk = Trunk::new();
    let rig = proxy(&[trunk.address()], 2, |config| {
        let listener = &mut config.listeners[0];
        listener.address = "0.0.0.0:0".parse().unwrap();
        listener.advertise = Some(Advertised {
            ip: "127.0.0.3".parse().unwrap(),
            port: None,
        });
    });
    let port = rig.address().port();
    let asked = std::net::SocketAddr::new("127.0.0.2".parse().unwrap(), port);
    let phone = Phone::new(asked);
    phone.send(phone.invite("+442071838750", "c1").as_bytes());
    let (trying, from) = phone.receive_from();
    assert!(trying.starts_with("SIP/2.0 100 "), "{trying}");
    assert_eq!(from, asked);
    let invite = trunk.expect("INVITE ");
    let advertised = format!("127.0.0.3:{port}");
    assert!(lines(&invite.0, "Via")[0].contains(&advertised));
    assert!(lines(&invite.0, "Record-Route")[0].contains(&advertised));
    trunk.answer(&invite, 200);
    let (answer, from) = phone.receive_from();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert_eq!(from, asked);
}

/// The example of the docs is a configuration, and its table is one.
#[test]
fn the_example_of_a_proxy_is_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = Config::read(&root.join("docs/trunkline-proxy.toml")).unwrap();
    let modes: Vec<Mode> = config.listeners.iter().map(|l| l.mode).collect();
    assert_eq!(modes, [Mode::Proxy, Mode::Proxy, Mode::Redirect]);
    assert!(config.proxy.secret_file.is_some());
    let loaded = trunkline::tables::load(&config.tables);
    assert!(loaded.table.is_some(), "{:?}", loaded.report);
}

#[test]
fn a_secret_that_others_can_read_keeps_it_from_starting() {
    let folder = tables();
    let file = folder.path().join("proxy.secret");
    fs::write(&file, "0".repeat(32)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let listener = ListenerConfig::proxy("127.0.0.1:0".parse().unwrap());
    let mut config = Config::new(folder.path(), vec![listener]);
    config.proxy.secret_file = Some(file);
    let error = Server::start(&config).unwrap_err();
    assert!(
        matches!(error, StartError::Secret(_)) && error.to_string().contains("chmod 600"),
        "{error}"
    );
}

fn proxy_daemon(trunk: &Trunk, address: &str, more: &str) -> Daemon {
    let folder = tables();
    write_trunks(folder.path(), trunk);
    Daemon::run(folder, &config(address, more))
}

fn write_trunks(folder: &Path, trunk: &Trunk) {
    write(folder, "trunks.toml", &trunks_toml(&[trunk.address()]));
}

fn config(address: &str, more: &str) -> String {
    format!(
        "tables = \"..\"\nworkers = 2\n[[listen]]\naddress = \"{address}\"\ntransport = \"udp\"\nmode = \"proxy\"\n{more}"
    )
}
