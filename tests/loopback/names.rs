//! Trunks known by name, with a name server of the tests' own.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record};
use trunkline::server::Mode;

use crate::phone::Phone;
use crate::proxy::{Trunk, call, dead, moves_on};
use crate::{Rig, write};

/// What a name server does with questions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Answers,
    Fails,
    IsSilent,
}

/// A name server for one zone; it ends with the process.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    questions: Arc<AtomicUsize>,
    zone: Arc<Mutex<(Mood, Vec<Record>)>>,
}

impl NameServer {
    pub(crate) fn start(mood: Mood, records: Vec<Record>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::new(Mutex::new((mood, records)));
        let questions = Arc::<AtomicUsize>::default();
        let (shared, asked_so_often) = (Arc::clone(&zone), Arc::clone(&questions));
        thread::spawn(move || {
            let mut room = [0; 4_096];
            while let Ok((length, from)) = socket.recv_from(&mut room) {
                asked_so_often.fetch_add(1, Ordering::Relaxed);
                let asked = Message::from_vec(&room[..length]).unwrap();
                let (mood, records) = shared.lock().unwrap().clone();
                if mood != Mood::IsSilent {
                    let answer = answer(&asked, mood, &records);
                    socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
                }
            }
        });
        Self {
            address,
            questions,
            zone,
        }
    }

    /// One that knows two servers of `example.test`, in this order.
    pub(crate) fn with_two(first: SocketAddr, second: SocketAddr) -> Self {
        let records = vec![srv(SRV_NAME, 1, first), srv(SRV_NAME, 2, second), host()];
        Self::start(Mood::Answers, records)
    }

    pub(crate) fn is_now(&self, mood: Mood, records: Vec<Record>) {
        *self.zone.lock().unwrap() = (mood, records);
    }
}

fn answer(asked: &Message, mood: Mood, records: &[Record]) -> Message {
    let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
    answer.add_queries(asked.queries.clone());
    if mood == Mood::Fails {
        answer.metadata.response_code = ResponseCode::ServFail;
        return answer;
    }
    let query = &asked.queries[0];
    let is_known = |record: &&Record| record.name == *query.name();
    if !records.iter().any(|record| is_known(&record)) {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    let fits = |record: &&Record| is_known(record) && record.record_type() == query.query_type();
    answer.add_answers(records.iter().filter(fits).cloned());
    answer
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

pub(crate) fn srv(owner: &str, priority: u16, at: SocketAddr) -> Record {
    let server = SRV::new(priority, 10, at.port(), name("host.example.test."));
    Record::from_rdata(name(owner), 1, RData::SRV(server))
}

pub(crate) fn host() -> Record {
    let address = RData::A(A(Ipv4Addr::LOCALHOST));
    Record::from_rdata(name("host.example.test."), 1, address)
}

const SRV_NAME: &str = "_sip._udp.example.test.";

/// A proxy whose first trunk is this URI and whose second one is at an address.
pub(crate) fn rig(uri: &str, second: SocketAddr, server: &NameServer) -> Rig {
    probed_rig(uri, "", second, server)
}

fn probed_rig(uri: &str, probing: &str, second: SocketAddr, server: &NameServer) -> Rig {
    let toml = format!(
        "[trunk.named]\naddress = \"{uri}\"\n{probing}[trunk.second]\naddress = \"sip:{second}\"\n\
         [trunk_group.pstn]\naccept_from = [\"127.0.0.1\"]\n\
         [trunk_group.teams]\ntrunks = [\"named\"]\n\
         [trunk_group.reception]\ntrunks = [\"second\"]\n"
    );
    Rig::with_tables(
        |folder| write(folder, "trunks.toml", &toml),
        &["127.0.0.1:0"],
        1,
        |config| {
            config.listeners[0].mode = Mode::Proxy;
            config.dns_servers = vec![server.address];
        },
    )
}

/// Calls, and has the trunk answer.
fn arrives(rig: &Rig, trunk: &Trunk, call_id: &str) {
    let phone = Phone::new(rig.address());
    call(&phone, call_id);
    let invite = trunk.expect("INVITE sip:+442071838750@");
    trunk.answer(&invite, 200);
    assert!(phone.receive().starts_with("SIP/2.0 200 "));
}

#[test]
fn a_name_is_found_by_its_services_followed_and_kept_when_dns_fails() {
    let (one, other) = (Trunk::new(), Trunk::new());
    let services = NAPTR::new(
        10,
        10,
        Box::from(*b"s"),
        Box::from(*b"SIP+D2U"),
        Box::from(*b""),
        name("_service.example.test."),
    );
    let naptr = Record::from_rdata(name("example.test."), 1, RData::NAPTR(services));
    let zone = |at| vec![naptr.clone(), srv("_service.example.test.", 1, at), host()];
    let server = NameServer::start(Mood::Answers, zone(one.address()));
    let rig = rig("sip:example.test", dead(), &server);
    arrives(&rig, &one, "before");
    server.is_now(Mood::Answers, zone(other.address()));
    // Five seconds are the shortest life a name has here, whatever its own says.
    thread::sleep(Duration::from_secs(6));
    arrives(&rig, &other, "moved");
    server.is_now(Mood::Fails, Vec::new());
    thread::sleep(Duration::from_secs(6));
    arrives(&rig, &other, "kept");
    server.is_now(Mood::Answers, Vec::new());
    thread::sleep(Duration::from_secs(6));
    let phone = Phone::new(rig.address());
    call(&phone, "gone");
    let refused = phone.receive();
    assert!(refused.starts_with("SIP/2.0 5"), "{refused}");
}

/// RFC 3263 §4.3: the next server of the name, and the trunk is not out for that.
#[test]
fn a_dead_server_of_a_name_moves_the_call_to_the_next_one_at_once() {
    let (alive, unwanted) = (Trunk::new(), Trunk::new());
    let server = NameServer::with_two(dead(), alive.address());
    let rig = rig("sip:example.test", unwanted.address(), &server);
    for n in 0..8 {
        arrives(&rig, &alive, &format!("c{n}"));
    }
    let totals = rig.handle.shutdown();
    assert!(totals.proxied.trunk_errors >= 1, "{totals}");
    assert_eq!(totals.proxied.trunk_timeouts, 0, "{totals}");
}

#[test]
fn a_server_that_is_full_moves_the_call_to_the_next_one() {
    let (full, free) = (Trunk::new(), Trunk::new());
    let server = NameServer::with_two(full.address(), free.address());
    let rig = rig("sip:example.test", dead(), &server);
    moves_on(&rig, &full, &free);
}

/// RFC 2782: a target of `.` says that the service is decidedly not there. Nobody asks for the
/// address of the name instead.
#[test]
fn a_service_that_is_decidedly_not_there_moves_the_call_on() {
    let second = Trunk::new();
    let none = SRV::new(0, 0, 0, Name::root());
    let records = vec![
        Record::from_rdata(name(SRV_NAME), 1, RData::SRV(none)),
        Record::from_rdata(name("example.test."), 1, RData::A(A(Ipv4Addr::LOCALHOST))),
    ];
    let server = NameServer::start(Mood::Answers, records);
    let rig = rig("sip:example.test", second.address(), &server);
    for n in 0..3 {
        arrives(&rig, &second, &format!("c{n}"));
    }
    let totals = rig.handle.shutdown();
    assert_eq!(
        totals.proxied.trunk_errors, 3,
        "at once, each time: {totals}"
    );
}

#[test]
fn a_port_asks_for_the_address_alone() {
    let trunk = Trunk::new();
    let server = NameServer::start(Mood::Answers, vec![host()]);
    let uri = format!("sip:host.example.test:{}", trunk.address().port());
    let rig = rig(&uri, dead(), &server);
    arrives(&rig, &trunk, "c1");
}

/// Security case 33: slow DNS, and DNS that is out.
#[test]
fn a33_a_name_server_that_is_silent_or_knows_nothing_delays_no_call() {
    for mood in [Mood::IsSilent, Mood::Fails, Mood::Answers] {
        let second = Trunk::new();
        let server = NameServer::start(mood, Vec::new());
        let rig = rig("sip:example.test", second.address(), &server);
        for n in 0..4 {
            arrives(&rig, &second, &format!("c{n}"));
        }
        let totals = rig.handle.shutdown();
        assert_eq!(
            totals.proxied.trunk_errors, 4,
            "at once, each time: {totals}"
        );
        assert_eq!(totals.proxied.trunk_timeouts, 0, "{totals}");
    }
}

/// A dead place of a name does not take the trunk out while another one answers.
#[test]
fn a_probe_asks_all_places_of_a_name() {
    let (alive, unwanted) = (Trunk::new(), Trunk::new());
    let server = NameServer::with_two(dead(), alive.address());
    let probing = "options = \"1s\"\noptions_misses = 1\n";
    let rig = probed_rig("sip:example.test", probing, unwanted.address(), &server);
    for _ in 0..3 {
        let options = alive.expect("OPTIONS ");
        alive.answer(&options, 200);
    }
    let phone = Phone::new(rig.address());
    call(&phone, "c1");
    loop {
        let (text, from) = alive.expect("");
        alive.answer(&(text.clone(), from), 200);
        if text.starts_with("INVITE ") {
            break;
        }
    }
    assert!(phone.receive().starts_with("SIP/2.0 200 "));
}

/// Security case 33: a service that names itself, addresses of crowds and of nobody, more
/// servers than anybody has, and none of it true for longer than nothing.
#[test]
fn a33_records_that_lead_nowhere_or_have_no_life_are_bounded() {
    let (good, unwanted) = (Trunk::new(), Trunk::new());
    let own = NAPTR::new(
        10,
        10,
        Box::from(*b"s"),
        Box::from(*b"SIP+D2U"),
        Box::from(*b""),
        name("example.test."),
    );
    let mut records = vec![
        Record::from_rdata(name("example.test."), 0, RData::NAPTR(own)),
        srv("example.test.", 1, good.address()),
        host(),
    ];
    for (n, nobody) in [[0, 0, 0, 0], [224, 0, 0, 1], [255, 255, 255, 255]]
        .into_iter()
        .enumerate()
    {
        let owner = name(&format!("n{n}.example.test."));
        let target = SRV::new(0, 10, 5_060, owner.clone());
        let service = Record::from_rdata(name("example.test."), 0, RData::SRV(target));
        let address = RData::A(A(Ipv4Addr::from(nobody)));
        records.extend([service, Record::from_rdata(owner, 0, address)]);
    }
    for port in 1..=20 {
        let many = SocketAddr::from(([127, 0, 0, 1], port));
        records.push(srv("example.test.", 2, many));
    }
    let server = NameServer::start(Mood::Answers, records);
    let rig = rig("sip:example.test", unwanted.address(), &server);
    for n in 0..3 {
        arrives(&rig, &good, &format!("c{n}"));
    }
    let asked = server.questions.load(Ordering::Relaxed);
    thread::sleep(Duration::from_secs(3));
    let again = server.questions.load(Ordering::Relaxed);
    assert_eq!(again, asked, "asked for what has just been answered");
}
