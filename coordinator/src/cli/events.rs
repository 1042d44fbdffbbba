//! `events`: what happened, and what happens.

use redeploy_proto::v1;
use tonic::Request;

use super::args::{EventsArgs, Output};
use super::dial::{Coordinator, ask};
use super::exit::{Exit, Stop, may_be_asked_again};
use super::follow::PAUSE;
use super::json;
use super::text::say;
use super::units::moment;

/// Events in one answer.
const PAGE: u32 = 1000;

pub(super) async fn events(at: &Coordinator, args: EventsArgs, output: Output) -> Result<Exit, Stop> {
    let mut request = v1::ListEventsRequest {
        after_seq: args.part.after.unwrap_or_default(),
        page_size: PAGE,
        env: args.env.unwrap_or_default(),
        deployment_id: args.deployment.unwrap_or_default(),
        newest: if args.part.after.is_some() { 0 } else { args.part.limit },
    };
    loop {
        let page = at.client().list_events(ask(request.clone())).await?.into_inner().events;
        page.iter().for_each(|event| show(event, output));
        request.after_seq = page.last().map_or(request.after_seq, |last| last.seq);
        if request.newest > 0 || page.is_empty() {
            break;
        }
    }
    if !args.follow {
        return Ok(Exit::Done);
    }
    tokio::select! {
        ended = follow(at, request, output) => ended,
        Ok(()) = tokio::signal::ctrl_c() => Ok(Exit::Done),
    }
}

/// Goes on after the last one that was shown, also when the coordinator was away.
async fn follow(at: &Coordinator, mut asked: v1::ListEventsRequest, output: Output) -> Result<Exit, Stop> {
    loop {
        match watch(at, &mut asked, output).await {
            Err(status) if !may_be_asked_again(&status) => return Err(status.into()),
            Ok(()) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn watch(
    at: &Coordinator,
    asked: &mut v1::ListEventsRequest,
    output: Output,
) -> Result<(), tonic::Status> {
    let request = v1::WatchEventsRequest {
        after_seq: asked.after_seq,
        env: asked.env.clone(),
        deployment_id: asked.deployment_id.clone(),
    };
    let mut events = at.client().watch_events(Request::new(request)).await?.into_inner();
    while let Some(event) = events.message().await? {
        show(&event, output);
        asked.after_seq = event.seq;
    }
    Ok(())
}

fn show(event: &v1::Event, output: Output) {
    match output {
        Output::Json => json::line(event),
        Output::Table => say(&line(event)),
    }
}

fn line(event: &v1::Event) -> String {
    let group =
        if event.group.is_empty() { event.env.clone() } else { format!("{}/{}", event.env, event.group) };
    let node = if event.node_id == 0 { String::new() } else { format!("node {}", event.node_id) };
    let host = if event.env.is_empty() { format!("host {}", event.host_id) } else { String::new() };
    let (seq, at, kind, by) = (event.seq, moment(event.at_ms), &event.kind, &event.by);
    let about: Vec<String> =
        [group, node, host, event.text.clone()].into_iter().filter(|part| !part.is_empty()).collect();
    format!("{seq}  {at}  {kind:<22}  {}  ({by})", about.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = v1::Event {
            seq: 7,
            at_ms: 1_700_000_000_000,
            kind: "deployment.halted".into(),
            env: "shop".into(),
            group: "cp".into(),
            by: "ann".into(),
            text: "web:2: node 1 failed".into(),
            ..v1::Event::default()
        };
        let expected =
            "7  2023-11-14T22:13:20Z  deployment.halted       shop/cp  web:2: node 1 failed  (ann)";
        assert_eq!(line(&event), expected);
        let event = v1::Event { kind: "host.lost".into(), host_id: "h1".into(), ..v1::Event::default() };
        assert!(line(&event).contains("host h1"));
    }
}
