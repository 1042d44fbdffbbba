//! What is done now and then, whoever calls: the log of the store is scrubbed, and certificates that end soon are told.
//!
//! Flows in: the store, the authority, the time. Flows out: log lines. Must never stand in anybody's way.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{MissedTickBehavior, interval};

use crate::pki::Authority;
use crate::sessions::Sessions;
use crate::store::{HostRow, Sqlite};

/// How soon a login is out of the log after it was deleted.
const SCRUB_EVERY: Duration = Duration::from_secs(1);
const TELL_EVERY: Duration = Duration::from_secs(86_400);

const DAY_MS: i64 = 86_400_000;

/// An authority that ends within this is told each day.
const CA_DAYS: i64 = 365;

/// Something that wants a human before long.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// The authority ends; with it everything it signed.
    Authority {
        /// In so many days.
        days: i64,
    },
    /// A host's certificate ends although its agent should have renewed it.
    Host {
        /// Which.
        name: String,
        /// Its id.
        id: String,
        /// In so many days; negative: it has ended.
        days: i64,
    },
}

/// Until it is dropped.
pub(crate) async fn run(store: Sqlite, sessions: Sessions) {
    let (mut scrub, mut look) = (interval(SCRUB_EVERY), interval(TELL_EVERY));
    scrub.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = scrub.tick() => scrub_log(&store).await,
            _ = look.tick() => look_at_certificates(&store, sessions.authority()).await,
        }
    }
}

async fn scrub_log(store: &Sqlite) {
    if let Err(error) = store.scrub().await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "deleted logins may still be in the store's log, sealed");
    }
}

async fn look_at_certificates(store: &Sqlite, authority: &Authority) {
    let ends = Ends {
        now: millis(SystemTime::now()),
        authority: millis(authority.not_after()),
        life: i64::try_from(authority.host_life().as_millis()).unwrap_or(i64::MAX),
    };
    match store.hosts().await {
        Ok(hosts) => findings(ends, &hosts).iter().for_each(report),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "certificates were not looked at");
        }
    }
}

/// Times in Unix milliseconds.
#[derive(Debug, Clone, Copy)]
struct Ends {
    now: i64,
    authority: i64,
    /// Of a host's certificate.
    life: i64,
}

/// What ends before long. An agent renews after two thirds of a certificate's life, so one in its last sixth has not
/// been able to.
fn findings(Ends { now, authority, life }: Ends, hosts: &[HostRow]) -> Vec<Finding> {
    let days = |ends: i64| ends.saturating_sub(now).div_euclid(DAY_MS);
    let is_late =
        |host: &&HostRow| host.revoked_at.is_none() && now > host.cert_ends.saturating_sub(life / 6);
    let authority = (days(authority) < CA_DAYS).then(|| Finding::Authority { days: days(authority) });
    let hosts = hosts.iter().filter(is_late).map(|host| Finding::Host {
        name: host.name.clone(),
        id: host.host_id.clone(),
        days: days(host.cert_ends),
    });
    authority.into_iter().chain(hosts).collect()
}

fn report(finding: &Finding) {
    match finding {
        Finding::Authority { days } => tracing::warn!(
            days,
            "the certificate authority ends: plan a day on which pki/ is removed and every host joins again"
        ),
        Finding::Host { name, id, days } if *days >= 0 => tracing::warn!(
            host = id,
            name,
            days,
            "a host's certificate ends soon and was not renewed: is its agent running and connected?"
        ),
        Finding::Host { name, id, days } => tracing::warn!(
            host = id,
            name,
            days,
            "a host's certificate has ended: revoke the host, or let it join again with a token of `redeployctl host token`"
        ),
    }
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(id: &str, cert_ends: i64, revoked_at: Option<i64>) -> HostRow {
        HostRow {
            host_id: id.into(),
            name: "web-1".into(),
            joined_at: 0,
            seen_at: 0,
            address: String::new(),
            cert_ends,
            facts: None,
            revoked_at,
        }
    }

    #[test]
    fn only_what_should_have_been_renewed_and_was_not_is_told() {
        let now = 1000 * DAY_MS;
        let ends = Ends { now, authority: now + 4000 * DAY_MS, life: 90 * DAY_MS };
        let hosts = [
            host("renewed", now + 31 * DAY_MS, None),
            host("late", now + 14 * DAY_MS, None),
            host("over", now - 2 * DAY_MS, None),
            host("revoked", now - 2 * DAY_MS, Some(now)),
        ];
        let of = |id: &str, days| Finding::Host { name: "web-1".into(), id: id.into(), days };
        assert_eq!(findings(ends, &hosts), [of("late", 14), of("over", -2)]);
        let soon = Ends { authority: now + 100 * DAY_MS, ..ends };
        assert_eq!(findings(soon, &[]), [Finding::Authority { days: 100 }]);
    }
}
