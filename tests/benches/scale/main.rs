//! Ten thousand agents and one coordinator: what an agent costs in memory, how fast orders go out when all nodes are
//! told at once, and how long operators wait meanwhile.
//!
//! The coordinator is the real program with its real store on disk. Agents are simulated, in a process of their own,
//! over real TCP, TLS with a certificate each, HTTP/2 and the messages of the contract: a hello with one container, a
//! heartbeat every ten seconds, for each redeploy an acceptance, a progress message per step and a report. Their hosts
//! and certificates are made by the coordinator's own store and CA beforehand, because joining is not what is measured.
//! Everything runs on this one machine, so the agents take processor time that they would not take on theirs.
//!
//! Flows in: `BENCH_AGENTS` (default 10000). Flows out: numbers beside goals. A missed goal is printed, never a failure.

#![expect(clippy::disallowed_methods, reason = "a benchmark writes plain files and starts programs")]

mod agents;
mod calls;
mod children;
mod floor;
mod machine;
mod prepare;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use redeploy_proto::v1;
use redeploy_tests::contest::{Goal, Verdict};
use redeploy_tests::settings;

use self::calls::{Kind, Latencies, Operator};
use self::children::{Child, Coordinator, Swarm};
use self::machine::Usage;

/// Goals.
const KIB_PER_AGENT: f64 = 32.0;
const ORDERS_PER_SECOND: f64 = 1500.0;
const LATENCY_MS: f64 = 50.0;

/// Of the simulated agents' containers.
pub(crate) const ENV: &str = "scale";
pub(crate) const GROUP: &str = "all";

const KIB: f64 = 1024.0;

/// How long nothing happens, to see what an idle fleet costs.
const IDLE: Duration = Duration::from_secs(20);

/// No phase takes this long.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => measure(settings::number("BENCH_AGENTS", 10_000)?),
        ["agents", dir, address] => agents::main(dir.as_ref(), address.parse()?),
        ["bare", dir, address] => floor::dial(dir.as_ref(), address.parse()?),
        ["floor", dir] => floor::serve(dir.as_ref()),
        other => bail!("unknown words {other:?}: BENCH_AGENTS says how many agents"),
    }
}

fn measure(count: u64) -> Result<()> {
    machine::need_files(count)?;
    let began = machine::describe()?;
    println!("{count} agents; {began}");
    let room = prepare::hosts(count)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let tls = tls_floor(&room, count)?;
    runtime.block_on(fleet(&room, count, tls))?;
    println!("afterwards: {}", machine::describe()?);
    Ok(())
}

/// What TLS alone costs: the same handshakes with the same settings, and nothing on top.
fn tls_floor(room: &prepare::Room, count: u64) -> Result<f64> {
    let mut server = Child::start(&["floor", room.path()])?;
    let address = server.after("listening ")?;
    let before = Usage::of(server.id())?;
    let mut dialler = Child::start(&["bare", room.path(), &address])?;
    dialler.after("connected")?;
    std::thread::sleep(Duration::from_secs(2));
    let each = Usage::of(server.id())?.bytes_since(&before) / count as f64;
    println!("TLS alone: {:.1} KiB per connection", each / KIB);
    Ok(each)
}

async fn fleet(room: &prepare::Room, count: u64, tls: f64) -> Result<()> {
    let coordinator = Coordinator::start(room)?;
    let operator = Operator::dial(room, &coordinator.operators).await?;
    let before = coordinator.usage()?;
    let mut swarm = Swarm::start(room, &coordinator.agents)?;
    let took = swarm.all_connected()?;
    operator.until_connected(count, PATIENCE).await?;
    let after = coordinator.usage()?;
    println!(
        "all connected: {:.1} s ({:.0} per second), coordinator's processor time {:.1} s",
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64(),
        after.cpu_since(&before)
    );
    idle(&coordinator, &operator).await?;
    let idle = coordinator.usage()?;
    let each = idle.bytes_since(&before) / count as f64;
    println!("memory: {:.1} KiB per agent, TLS included", each / KIB);
    print(Verdict::of("memory per agent beyond TLS, KiB", (each - tls) / KIB, Goal::AtMost(KIB_PER_AGENT)));
    deploy(&coordinator, &operator, &mut swarm, count).await
}

/// Heartbeats and nothing else; and what operators wait then.
async fn idle(coordinator: &Coordinator, operator: &Operator) -> Result<()> {
    let before = coordinator.usage()?;
    let prober = operator.probe();
    tokio::time::sleep(IDLE).await;
    let latencies = prober.stop().await?;
    let cpu = coordinator.usage()?.cpu_since(&before) / IDLE.as_secs_f64();
    println!("idle: heartbeats of all and the calls below take {:.0} % of one core", cpu * 100.0);
    show(&latencies, "idle");
    Ok(())
}

async fn deploy(coordinator: &Coordinator, operator: &Operator, swarm: &mut Swarm, count: u64) -> Result<()> {
    let before = coordinator.usage()?;
    let prober = operator.probe();
    let id = operator.deploy_all().await?;
    operator.until_over(&id, PATIENCE).await?;
    let latencies = prober.stop().await?;
    let after = coordinator.usage()?;
    let moments = operator.moments(&id).await?;
    let told = swarm.told()?;
    if told.orders != count || told.acknowledged != count {
        bail!("{} of {count} nodes got an order, {} a receipt", told.orders, told.acknowledged);
    }
    let at = |kind: &str| moments.get(kind).copied().with_context(|| format!("no {kind}"));
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1000.0;
    let (began, rolling, done) =
        (at("deployment.checking")?, at("deployment.rolling")?, at("deployment.done")?);
    println!("deployment of all at once: {:.1} s", seconds(began, done));
    println!("  preflights of all:            {:>6.2} s", seconds(began, rolling));
    println!("  decided to first order there: {:>6.2} s", seconds(rolling, told.first_ms));
    println!("  decided to last order there:  {:>6.2} s", seconds(rolling, told.last_ms));
    println!("  orders out to all reported:   {:>6.2} s", seconds(told.last_ms, done));
    println!("  coordinator's processor time: {:>6.2} s", after.cpu_since(&before));
    println!("  coordinator's memory:         {:>6.0} MiB, at most {:.0} MiB", after.mib(), after.peak_mib());
    let rate = count as f64 / seconds(rolling, told.last_ms).max(0.001);
    print(Verdict::of("orders per second, decided to received", rate, Goal::AtLeast(ORDERS_PER_SECOND)));
    show(&latencies, "during the deployment");
    let of_one = latencies.percentile(Kind::is_of_one, 99);
    let name = "calls during the deployment, 99 of 100 within, ms";
    print(Verdict::of(name, of_one, Goal::AtMost(LATENCY_MS)));
    Ok(())
}

fn show(latencies: &Latencies, when: &str) {
    println!("calls {when}: median, 99 of 100, longest, in ms");
    for line in latencies.lines() {
        println!("  {line}");
    }
}

fn print(verdict: Verdict) {
    println!("{verdict}");
}

/// The request that deploys to every agent at once.
pub(crate) fn request() -> v1::CreateDeploymentRequest {
    use v1::create_deployment_request::To;
    use v1::strategy::Kind;
    let target = v1::Target { env: ENV.to_owned(), group: GROUP.to_owned(), node_id: 0 };
    let strategy = v1::Strategy { kind: Some(Kind::AllAtOnce(v1::AllAtOnce {})), delay_ms: 0 };
    v1::CreateDeploymentRequest {
        target: Some(target),
        to: Some(To::Image("registry.example/shop/web:2".to_owned())),
        strategy: Some(strategy),
        ..v1::CreateDeploymentRequest::default()
    }
}
