//! Takes inputs: what sessions and agents say is taken here, what operators ask goes to `requests`.

use std::collections::BTreeSet;

use redeploy_proto::RedeployId;

use super::Core;
use super::doubt::{Doubt, doubt};
use super::index::Place;
use super::turn::Turn;
use crate::deployment::{HostSeen, Report};
use crate::driver::{Input, Link, SessionId};
use crate::ids::HostId;
use crate::moment::Moment;
use crate::store::Ledger;

impl<S: Ledger, K: Link> Core<S, K> {
    pub(super) async fn accept(&mut self, turn: &mut Turn, input: Input, now: Moment) {
        match input {
            Input::HostUp { host, session, open } => {
                if self.sessions.get(&host).is_none_or(|known| *known <= session) {
                    self.host_up(turn, &host, session, &open, now);
                    turn.taken.push(Input::HostUp { host, session, open });
                }
            }
            Input::HostDown { host, session } => {
                if self.sessions.get(&host) == Some(&session) {
                    self.sessions.remove(&host);
                    self.hosts.insert(host, HostSeen::Silent { since: now });
                }
            }
            Input::Word { host, id, report, raw } => self.word(turn, host, id, report, raw, now),
            Input::Create { deployment, new, login, queue, reply } => {
                self.create(turn, *deployment, new, login, queue, reply);
            }
            Input::Order { id, command, by, reply } => self.command(turn, id, &command, by, reply, now).await,
        }
    }

    fn host_up(
        &mut self,
        turn: &mut Turn,
        host: &HostId,
        session: SessionId,
        open: &[RedeployId],
        now: Moment,
    ) {
        self.sessions.insert(host.clone(), session);
        self.hosts.insert(host.clone(), HostSeen::Connected);
        let open: BTreeSet<RedeployId> = open.iter().copied().collect();
        // One that was created in this very turn has told nobody anything yet.
        for (id, node) in self.index.on(host) {
            let Some(deployment) = self.current(turn, id) else { continue };
            let Some(part) = deployment.nodes.get(&node) else { continue };
            match doubt(part, &deployment.phase, &open) {
                Some(Doubt::Word(of, report)) => {
                    if let Some(deployment) = self.change(turn, id) {
                        deployment.take_report(node, of, &report, now);
                    }
                }
                Some(Doubt::SayAgain) => {
                    let errands = deployment.standing(node);
                    turn.errands.extend(errands.into_iter().map(|errand| (id, errand)));
                }
                None => {}
            }
        }
    }

    fn word(
        &mut self,
        turn: &mut Turn,
        host: HostId,
        id: RedeployId,
        report: Report,
        raw: Option<Vec<u8>>,
        now: Moment,
    ) {
        // Whoever speaks of another host's node is not heard.
        let is_its = |(of, node): &Place| {
            self.current(turn, *of).and_then(|d| d.nodes.get(node)).is_some_and(|part| part.host == host)
        };
        if let Some((of, node)) = self.index.place_of(id).filter(is_its)
            && let Some(deployment) = self.change(turn, of)
        {
            deployment.take_report(node, id, &report, now);
        }
        if matches!(report, Report::Ended(_)) {
            turn.acks.push((host.clone(), id));
            turn.reports.extend(raw.clone().map(|raw| (id, raw)));
        }
        turn.taken.push(Input::Word { host, id, report, raw });
    }
}
