//! The same decision, carried out by Trunkline itself: a call that outlives its trunk.

use std::fs;
use std::net::SocketAddr;

use anyhow::Context as _;

use super::acts::Ledger;
use super::agent::Agent;
use super::sbc::{Carried, Sbc};
use super::screen::Screen;
use super::stage::Stage;
use crate::server::{Config, ListenerConfig, Server, ServerHandle};

const CALLING: &str = "+442079460123";
const DIALLED: &str = "+441214960000";

/// Two carriers, the first one first.
const CARRIERS: [(&str, &str); 2] = [("Carrier A", "carrier-a"), ("Carrier B", "carrier-b")];

/// Places a call through a proxy, takes its trunk away, and places another.
///
/// # Errors
/// What kept it from being told. Calls that ended elsewhere are in the ledger.
pub(super) async fn carry(
    stage: &Stage,
    screen: Screen,
    ledger: &mut Ledger,
) -> anyhow::Result<()> {
    screen.chapter("With mode = \"proxy\" it carries the call itself, and nobody needs to follow");
    let mut agents = Vec::new();
    for (name, host) in CARRIERS {
        agents.push(Agent::start(name, host, false).await?);
    }
    let server = start(stage, &agents)?;
    let proxy = server.local_addrs().first().copied();
    let proxy = proxy.context("the proxy listens nowhere")?;
    let mut sbc = stage.another_sbc().await?;
    screen.title("A call to the outside");
    place(&mut sbc, proxy, &agents, screen, ledger).await?;
    // Dropped, its socket closes: the next INVITE to it comes back as an ICMP error.
    agents.remove(0);
    screen.title("Carrier A is gone; the next call is at carrier B before anybody has noticed");
    let carried = place(&mut sbc, proxy, &agents, screen, ledger).await?;
    let line = stage
        .log_line(["trunkline route ", &carried.call_id])
        .await?;
    let told = line.split_once(" # ").map(|(_, told)| told);
    let told = told.and_then(|told| told.split_once(" gen="));
    let (told, _) = told.context("the log does not say what came of the call")?;
    screen.line(&format!("the log: … # {told} …"));
    if !told.contains("carriers/carrier-a=unreachable,carriers/carrier-b=200 ") {
        ledger.trouble(screen, "the log does not tell of carrier A's death");
    }
    Ok(())
}

/// A proxy of its own, with the two carriers for its table.
fn start(stage: &Stage, agents: &[Agent]) -> anyhow::Result<ServerHandle> {
    let folder = stage.copy.folder().join("proxied");
    fs::create_dir(&folder)?;
    fs::write(folder.join("routing.toml"), table(agents))?;
    let listener = ListenerConfig::proxy(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut config = Config::new(folder, vec![listener]);
    config.workers = 1;
    config.proxy.secret_file = Some(stage.copy.folder().join("proxy.secret"));
    Server::start(&config).map_err(super::stage::why_not_started)
}

fn table(agents: &[Agent]) -> String {
    let trunks: String = agents
        .iter()
        .map(|agent| {
            let (name, address) = (agent.host, agent.address);
            format!("[trunk.{name}]\naddress = \"sip:{address}\"\n\n")
        })
        .collect();
    let names: Vec<String> = agents
        .iter()
        .map(|agent| format!("\"{}\"", agent.host))
        .collect();
    format!(
        "{trunks}[trunk_group.sbc]\naccept_from = [\"127.0.0.1\"]\n\n\
         [trunk_group.carriers]\ntrunks = [{}]\nhunt = \"top-down\"\n\n\
         [[rule]]\nname = \"Emergency calls\"\ncalled = [\"emergency\"]\nroute_to = [\"carriers\"]\n\n\
         [[rule]]\nname = \"The outside\"\ncalled = [\"+*\"]\nroute_to = [\"carriers\"]\n",
        names.join(", ")
    )
}

/// Places one call, which the first of these agents is to answer.
async fn place(
    sbc: &mut Sbc,
    proxy: SocketAddr,
    agents: &[Agent],
    screen: Screen,
    ledger: &mut Ledger,
) -> anyhow::Result<Carried> {
    let carried = sbc.place_through(proxy, CALLING, DIALLED).await?;
    ledger.placed += 1;
    let status = carried.status.context("the proxy did not answer at all")?;
    let answered_by = agents.iter().find(|agent| agent.is_in(&carried.to));
    screen.line(&format!(
        "Teams calls {DIALLED}: {status} → {} answers, {:.1} ms",
        answered_by.map_or("nobody", |agent| agent.name),
        carried.took.as_secs_f64() * 1e3
    ));
    let wanted = agents.first().map(|agent| agent.name);
    if answered_by.map(|agent| agent.name) != wanted {
        let wanted = wanted.unwrap_or_default();
        ledger.trouble(screen, &format!("{wanted} was to answer"));
    }
    if !carried.hung_up {
        ledger.trouble(screen, "the BYE was not answered");
    }
    Ok(carried)
}
