#![allow(clippy::unwrap_used)] // a test may fail loudly
use tracing::level_filters::LevelFilter;

use super::*;
use crate::observe::LogFormat;
use crate::records::{Format, PostgresTls, Target, WhenFull};
use crate::transport::{Authority, Clients, PeerAt};

fn read(text: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trunkline.toml");
    std::fs::write(&path, text).unwrap();
    let folder = folder.path().display().to_string();
    Config::read(&path).map_err(|report| report.text(false).replace(&format!("{folder}/"), ""))
}

const LISTEN: &str =
    "[[listen]]\naddress = \"127.0.0.1:5060\"\ntransport = \"udp\"\nmode = \"redirect\"\n";

#[test]
fn reads_what_is_needed_and_fills_in_the_rest() {
    let config = read(&format!("tables = \"tables\"\n{LISTEN}")).unwrap();
    assert!(config.tables.ends_with("tables"));
    assert_eq!(
        config.listeners,
        [ListenerConfig::new("127.0.0.1:5060".parse().unwrap())]
    );
    assert!(config.workers >= 1 && config.log_decisions);
    assert_eq!(config.drain_timeout, Duration::from_secs(5));
}

#[test]
fn reads_every_key() {
    let text = "tables = \"t\"\nworkers = 3\ndrain_timeout = \"250ms\"\nserver_header = \"Trunkline\"\n\
        [[listen]]\naddress = \"[::1]:0\"\ntransport = \"udp\"\nmode = \"redirect\"\nname = \"inside\"\nstateful = true\n\
        [log]\nformat = \"json\"\nlevel = \"warn\"\nfile = \"calls.log\"\ndecisions = false\n\
        [privacy]\nmask_numbers = \"last4\"\n";
    let config = read(text).unwrap();
    assert_eq!((config.workers, config.log_decisions), (3, false));
    assert_eq!(config.drain_timeout, Duration::from_millis(250));
    assert_eq!(config.server_header.as_deref(), Some("Trunkline"));
    assert_eq!(config.mask_numbers, MaskNumbers::Last4);
    assert_eq!(
        (config.log.format, config.log.level),
        (LogFormat::Json, LevelFilter::WARN)
    );
    assert!(config.log.file.unwrap().ends_with("calls.log"));
    assert!(config.listeners[0].stateful && config.listeners[0].name == "inside");
}

#[test]
fn reads_what_is_kept_and_who_may_ask() {
    let text = format!(
        "tables = \"t\"\n{LISTEN}[state]\ndir = \"state\"\nkeep = 7\n\
         [control]\nsocket = \"sock\"\nusers = [\"root\", \"1001\"]\ngroups = [\"50\"]\n"
    );
    let config = read(&text).unwrap();
    assert!(config.keeping.folder.as_ref().unwrap().ends_with("state"));
    assert_eq!(config.keeping.keep, 7);
    assert!(config.control.socket.as_ref().unwrap().ends_with("sock"));
    assert_eq!(
        (&*config.control.users, &*config.control.groups),
        (&[0, 1001][..], &[50][..])
    );
    let own = (config.keeping.clone(), config.control.clone());
    let config = config.in_folders(Some("/var/lib/x".into()), Some("/run/x".into()));
    assert_eq!(
        (config.keeping, config.control),
        own,
        "what is named is used"
    );
    let plain = read(&format!("tables = \"t\"\n{LISTEN}")).unwrap();
    let unmanaged = plain.clone().in_folders(None, Some("".into()));
    assert_eq!(
        (unmanaged.keeping.folder, unmanaged.control.socket),
        (None, None)
    );
    let managed = plain.in_folders(Some("/var/lib/x:/var/lib/y".into()), Some("/run/x".into()));
    assert_eq!(managed.keeping.folder, Some("/var/lib/x".into()));
    assert_eq!(managed.control.socket, Some("/run/x/control.sock".into()));
}

#[test]
fn tells_every_mistake_with_its_place() {
    let cases = [
        ("[state]\nkeep = 1\n", "2 to 1000"),
        ("[state]\nfolder = \"x\"\n", "T005"),
        ("[control]\nsocket = 7\n", "T006"),
        ("[control]\nusers = [\"rooot\"]\n", "did you mean \"root\"?"),
        (
            "[control]\ngroups = [\"no such group\"]\n",
            "is no group of /etc/group",
        ),
        ("", "T007"),
        ("tables = \"t\"\n", "\"listen\""),
        ("tables = 5\n", "T006"),
        ("table = \"t\"\n", "did you mean \"tables\"?"),
        ("workers = 0\n", "T009"),
        ("drain_timeout = 5\n", "\"5s\""),
        ("server_header = \"a\\r\\nb\"\n", "visible ASCII"),
        ("[log]\nformat = \"jason\"\n", "did you mean \"json\"?"),
        ("[privacy]\nmask_numbers = \"some\"\n", "\"last4\""),
        (
            "[[listen]]\naddress = \"127.0.0.1\"\n",
            "write it with a port: \"127.0.0.1:5060\"",
        ),
        (
            "[[listen]]\naddress = \"sbc.example.net:5060\"\n",
            "an IP address and a port",
        ),
        ("[[listen]]\naddress = \"224.0.0.1:5060\"\n", "multicast"),
        (
            "[[listen]]\ntransport = \"sctp\"\n",
            "allowed: \"udp\", \"tcp\" or \"tls\"",
        ),
        (
            "[[listen]]\nmode = \"redirekt\"\n",
            "did you mean \"redirect\"?",
        ),
    ];
    for (text, told) in cases {
        let report = read(text).unwrap_err();
        assert!(report.contains(told), "{text:?} gave {report}");
        assert!(report.contains("trunkline.toml"), "{text:?} gave {report}");
    }
}

#[test]
fn reads_every_key_of_a_proxy() {
    let text = "tables = \"t\"\n\
        [[listen]]\naddress = \"0.0.0.0:5060\"\ntransport = \"udp\"\nmode = \"proxy\"\nadvertise = \"192.0.2.5\"\n\
        [[listen]]\naddress = \"[2001:db8::5]:0\"\ntransport = \"udp\"\nmode = \"proxy\"\n\
        [[listen]]\naddress = \"[::]:5062\"\ntransport = \"udp\"\nmode = \"proxy\"\nadvertise = \"[2001:db8::6]:5070\"\n\
        [proxy]\nsecret_file = \"proxy.secret\"\ncalls_max = 100\ncalls_per_source = 20\n";
    let config = read(text).unwrap();
    let local = "0.0.0.0:5060".parse().unwrap();
    let advertised: Vec<String> = config
        .listeners
        .iter()
        .map(|listener| listener.advertised(local).to_string())
        .collect();
    assert_eq!(
        advertised,
        ["192.0.2.5:5060", "0.0.0.0:5060", "[2001:db8::6]:5070"]
    );
    assert!(config.listeners.iter().all(|l| l.mode == Mode::Proxy));
    assert!(config.proxy.secret_file.unwrap().ends_with("proxy.secret"));
    assert_eq!(config.proxy.calls_max, 100);
    assert_eq!(config.proxy.calls_per_source, Some(20));
    let defaults = read(&format!("tables = \"t\"\n{LISTEN}")).unwrap();
    assert_eq!(defaults.proxy, ProxyConfig::default());
}

#[test]
fn tells_every_mistake_of_a_proxy_with_its_place() {
    let cases = [
        (
            "address = \"0.0.0.0:5060\"",
            "5:11",
            "peers cannot send to \"0.0.0.0:5060\"",
        ),
        ("address = \"[::]:5060\"", "5:11", "advertise = "),
        (
            "address = \"10.0.0.5:1\"\nadvertise = \"[2001:db8::1]:1\"",
            "6:13",
            "address family",
        ),
        (
            "address = \"0.0.0.0:1\"\nadvertise = \"0.0.0.0\"",
            "6:13",
            "not an address peers",
        ),
        (
            "address = \"10.0.0.5:1\"\nadvertise = \"224.0.0.1:1\"",
            "6:13",
            "not an address peers",
        ),
        (
            "address = \"10.0.0.5:1\"\nadvertise = \"10.0.0.6:0\"",
            "6:13",
            "not an address peers",
        ),
        (
            "address = \"10.0.0.5:1\"\nadvertise = \"sbc.example.net\"",
            "6:13",
            "with or without a port",
        ),
        (
            "address = \"10.0.0.5:1\"\nadvertize = \"10.0.0.6\"",
            "6:1",
            "did you mean \"advertise\"?",
        ),
        (
            "address = \"10.0.0.5:1\"\nstateful = false",
            "6:1",
            "mode = \"redirect\" only",
        ),
        (
            "address = \"10.0.0.5:1\"\n[proxy]\ncalls_max = 0",
            "7:13",
            "1 to 131072",
        ),
        (
            "address = \"10.0.0.5:1\"\n[proxy]\nsecret = \"x\"",
            "7:1",
            "known keys: secret_file, calls_max, calls_per_source",
        ),
        (
            "address = \"10.0.0.5:1\"\n[proxy]\nsecret_file = 5",
            "7:15",
            "T006",
        ),
    ];
    for (lines, place, told) in cases {
        let text =
            format!("tables = \"t\"\n[[listen]]\ntransport = \"udp\"\nmode = \"proxy\"\n{lines}\n");
        let report = read(&text).unwrap_err();
        let place = format!("trunkline.toml:{place}");
        assert!(report.contains(told), "{text:?} gave {report}");
        assert!(
            report.contains(&place),
            "{place} for {text:?} gave {report}"
        );
    }
    let of_udp = format!("{LISTEN}alias = true\n");
    for (listener, told) in [
        (of_udp.clone(), "mode = \"proxy\" only"),
        (
            of_udp.replace("redirect", "proxy"),
            "UDP has no connections",
        ),
    ] {
        let report = read(&format!("tables = \"t\"\n{listener}")).unwrap_err();
        assert!(report.contains(told), "{report}");
    }
    let of_tcp = of_udp.replace("redirect", "proxy").replace("udp", "tcp");
    let config = read(&format!("tables = \"t\"\n{of_tcp}")).unwrap();
    assert!(config.listeners[0].alias);
    let redirect = read(&format!(
        "tables = \"t\"\n{LISTEN}advertise = \"192.0.2.5\"\n"
    ));
    let report = redirect.unwrap_err();
    assert!(report.contains("mode = \"proxy\" only"), "{report}");
}

#[test]
fn two_listeners_cannot_share_an_address_or_a_name() {
    let report = read(&format!(
        "tables = \"t\"\n{LISTEN}name = \"a\"\n{LISTEN}name = \"a\"\n"
    ))
    .unwrap_err();
    assert_eq!(report.matches("T008").count(), 2, "{report}");
    assert!(report.contains("first used here"), "{report}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let report = Config::read(Path::new("nowhere/trunkline.toml"))
        .unwrap_err()
        .short();
    assert!(
        report.contains("nowhere/trunkline.toml") && report.contains("T001"),
        "{report}"
    );
}

const TLS: &str = "tables = \"t\"\n[[listen]]\naddress = \"127.0.0.1:5061\"\ntransport = \"tls\"\nmode = \"proxy\"\n";

#[test]
fn reads_what_tls_needs() {
    let text = format!(
        "{TLS}certificate = \"own.pem\"\nkey = \"own.key\"\nclient_ca = \"carriers.pem\"\n\
         client_names = [\"sip.carrier.example\"]\n\
         [[tls_peer]]\naddress = \"203.0.113.7\"\nname = \"sip.carrier.example\"\nca = \"carriers.pem\"\n\
         [[tls_peer]]\naddress = \"203.0.113.7:5062\"\nname = \"203.0.113.7\"\nwildcards = true\n\
         certificate = \"own.pem\"\nkey = \"own.key\"\n"
    );
    let config = read(&text).unwrap();
    let tls = config.listeners[0].tls.as_ref().unwrap();
    assert!(tls.certificate.ends_with("own.pem") && tls.certificate.is_absolute());
    let Clients::Asked {
        is_optional: false,
        names,
        ..
    } = &tls.clients
    else {
        panic!("{:?}", tls.clients)
    };
    assert_eq!(names.len(), 1);
    let [any_port, one_port] = &config.tls_peers[..] else {
        panic!("two peers")
    };
    assert!(matches!(&any_port.authority, Authority::File(path) if path.ends_with("carriers.pem")));
    assert!(matches!(any_port.at, PeerAt::Address(_, None)));
    assert!(matches!(one_port.at, PeerAt::Address(_, Some(5062))));
    assert_eq!(one_port.authority, Authority::System);
    assert!(one_port.wildcards && one_port.own.is_some());
}

#[test]
fn tells_every_mistake_about_connections() {
    let peer = "[[tls_peer]]\naddress = \"203.0.113.7\"\nname = \"a.example\"\n";
    let files = "certificate = \"own.pem\"\nkey = \"own.key\"\n";
    let udp = format!("tables = \"t\"\n{LISTEN}");
    let tcp = udp.replace("udp", "tcp");
    for (text, said) in [
        (TLS.to_owned(), "\"certificate\""),
        (format!("{TLS}certificate = \"own.pem\"\n"), "\"key\""),
        (format!("{udp}{files}"), "transport = \"tls\" only"),
        (
            format!("{tcp}client_ca = \"x\"\n"),
            "client_ca is for listeners",
        ),
        (
            format!("{tcp}stateful = true\n"),
            "transport = \"udp\" only",
        ),
        (
            format!("{TLS}{files}client = \"required\"\n"),
            "\"client_ca\"",
        ),
        (format!("{TLS}{files}client = \"on\"\n"), "\"optional\""),
        (
            format!("{TLS}{files}client = \"off\"\nclient_ca = \"x\"\n"),
            "leave one of them out",
        ),
        (
            format!("{TLS}{files}client_names = [\"a.example\"]\n"),
            "write client_ca",
        ),
        (
            format!("{TLS}{files}client_ca = \"x\"\nclient_names = [\"a b\"]\n"),
            "no name of a certificate",
        ),
        (
            format!("{udp}{peer}{peer}"),
            "two TLS peers have the address",
        ),
        (
            format!("{udp}{}", peer.replace("203.0.113.7", "203.0.113.700")),
            "is not an address",
        ),
        (
            format!("{udp}{0}{0}", peer.replace("203.0.113.7", "SIP.example")),
            "two TLS peers have the address",
        ),
        (format!("{udp}{peer}key = \"x\"\n"), "\"certificate\""),
        (
            format!("{udp}{peer}wildcard = true\n"),
            "did you mean \"wildcards\"?",
        ),
        (
            format!("{tcp}{}", LISTEN.replace("udp", "tcp")),
            "two listeners have the address",
        ),
    ] {
        let report = read(&text).unwrap_err();
        assert!(report.contains(said), "{said}:\n{report}");
    }
    let host = read(&format!("{udp}[[tls_peer]]\naddress = \"SIP.Example.\"\n")).unwrap();
    let [peer] = &host.tls_peers[..] else {
        panic!("one peer")
    };
    assert_eq!(peer.at, PeerAt::Host("sip.example".into()));
    assert_eq!(peer.name, "sip.example".try_into().unwrap());
    let both = read(&format!("{udp}{}", LISTEN.replace("udp", "tcp"))).unwrap();
    assert_eq!(both.listeners.len(), 2);
}

const HTTP: &str = "tables = \"t\"\n[http]\naddress = \"127.0.0.1:8080\"\n";

#[test]
fn questions_over_http_need_no_other_listener() {
    let config = read(HTTP).unwrap();
    assert_eq!(config.listeners, []);
    let http = config.http.unwrap();
    assert_eq!(http.address.port(), 8080);
    assert_eq!(http.accounts, []);
    let hash = "a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa";
    let account =
        format!("{HTTP}[http.account.sbc-1]\nsecret_sha256 = \"{hash}\"\ntrunk_group = \"a\"\n");
    let accounts = read(&account).unwrap().http.unwrap().accounts;
    assert_eq!(accounts.first().unwrap().name, "sbc-1");
    assert_eq!(accounts.first().unwrap().trunk_group.as_deref(), Some("a"));
}

#[test]
fn tells_every_mistake_about_questions() {
    for (text, said) in [
        (
            HTTP.replace("127.0.0.1:8080", "localhost"),
            "is not an address with a port",
        ),
        (
            format!("{HTTP}answer = \"{{trunk_grup}}\"\n"),
            "did you mean {trunk_group}?",
        ),
        (format!("{HTTP}answer = \"{{\"\n"), "stands for nothing"),
        (format!("{HTTP}anser = \"x\"\n"), "did you mean \"answer\"?"),
        (format!("{HTTP}[http.account.a]\n"), "\"secret_sha256\""),
        (
            format!("{HTTP}[http.account.a]\nsecret_sha256 = \"geheim\"\n"),
            "is not the SHA-256 of a secret",
        ),
        (String::from("tables = \"t\"\n"), "\"listen\""),
        (format!("{HTTP}[metrics]\n"), "\"address\""),
    ] {
        let report = read(&text).unwrap_err();
        assert!(report.contains(said), "{said}:\n{report}");
    }
}

#[test]
fn reads_where_records_go() {
    let text = format!(
        "tables = \"t\"\n{LISTEN}[privacy]\nmask_numbers = \"all\"\n[state]\ndir = \"state\"\n\
         [[records.sink]]\nname = \"calls\"\nfile = \"calls.csv\"\nformat = \"csv\"\nrotate_mb = 7\n\
         rotate_after = \"24h\"\nkeep = 3\nattempts = false\nmask_numbers = \"last4\"\n\
         [[records.sink]]\nname = \"db\"\npostgres = \"host=/run/postgresql dbname=calls user=x\"\n\
         table = \"cdr.calls\"\nca = \"ca.pem\"\nspool_mb = 9\nspool_full_drops = \"newest\"\nspool_sync = \"0s\"\n"
    );
    let config = read(&text).unwrap().in_folders(None, None);
    assert!(config.tells_calls() && !config.records.live_calls);
    let [calls, db] = &config.records.sinks[..] else {
        panic!("{:?}", config.records);
    };
    assert_eq!((calls.mask, calls.attempts), (MaskNumbers::Last4, false));
    assert_eq!((db.mask, db.attempts), (MaskNumbers::All, true));
    let Target::File(file) = &calls.target else {
        panic!("{calls:?}");
    };
    assert_eq!(
        (file.format, file.bytes_max, file.keep),
        (Format::Csv, 7 << 20, 3)
    );
    assert_eq!(file.age_max, Some(Duration::from_secs(86_400)));
    let Target::Postgres(database, spool) = &db.target else {
        panic!("{db:?}");
    };
    assert_eq!(database.table, "cdr.calls");
    assert!(matches!(&database.tls, PostgresTls::Required(Some(ca)) if ca.ends_with("ca.pem")));
    assert!(spool.folder.ends_with("state/spool-db"), "{spool:?}");
    assert_eq!((spool.bytes_max, spool.sync), (9 << 20, Duration::ZERO));
    assert_eq!(spool.when_full, WhenFull::DropNewest);
    let nothing = read(&format!("tables = \"t\"\n{LISTEN}")).unwrap();
    assert!(!nothing.tells_calls());
    let only_live = format!("tables = \"t\"\n{LISTEN}[records]\nlive_calls = true\n");
    assert!(read(&only_live).unwrap().tells_calls());
}

#[test]
fn reads_what_a_capture_server_gets() {
    let hep = |what: &str| {
        let text = format!("tables = \"t\"\n{LISTEN}[hep]\naddress = \"127.0.0.1:1\"\n{what}");
        read(&text)
    };
    let plain = hep("").unwrap();
    assert!(!plain.tells_calls());
    let taken = plain.hep.unwrap().taken;
    assert!(taken.sip && taken.decisions && !taken.records);
    let records = hep("what = [\"records\"]\n").unwrap();
    assert!(records.tells_calls());
    let taken = records.hep.unwrap().taken;
    assert!(!taken.sip && !taken.decisions && taken.records);
    for (what, said) in [
        ("[\"record\"]", "did you mean \"records\"?"),
        ("[\"all\"]", "allowed: \"sip\", \"decision\", \"records\""),
    ] {
        let report = hep(&format!("what = {what}\n")).unwrap_err();
        assert!(report.contains(said), "{said}:\n{report}");
    }
}

#[test]
fn says_what_is_wrong_with_a_sink() {
    for (sink, why) in [
        ("file = \"a\"", "name"),
        (
            "name = \"a b\"\nfile = \"a\"",
            "cannot be the name of a sink",
        ),
        ("name = \"a\"", "file"),
        ("name = \"a\"\nfile = \"a\"\nformat = \"xml\"", "xml"),
        ("name = \"a\"\nfile = \"a\"\nspool = \"b\"", "spool"),
        (
            "name = \"a\"\npostgres = \"nonsense\"",
            "no way to a database",
        ),
        (
            "name = \"a\"\npostgres = \"host=x\"\ntable = \"a; drop\"",
            "needs no quotes",
        ),
        (
            "name = \"a\"\npostgres = \"host=x\"\npassword_file = \"none\"",
            "cannot be read",
        ),
        (
            "name = \"a\"\nfile = \"a\"\n[[records.sink]]\nname = \"a\"\nfile = \"b\"",
            "two sinks",
        ),
        (
            "name = \"a\"\nfile = \"a\"\n[[records.sink]]\nname = \"b\"\nfile = \"a\"",
            "another sink",
        ),
    ] {
        let text = format!("tables = \"t\"\n{LISTEN}[[records.sink]]\n{sink}\n");
        let told = read(&text).unwrap_err();
        assert!(
            told.contains(why) && told.contains("trunkline.toml:"),
            "{sink}\n{told}"
        );
    }
}
