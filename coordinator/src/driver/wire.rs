//! Between the wire and the driver: orders into messages, agents' messages into words. Parsed once, here.

use prost::Message as _;
use redeploy_proto::v1;
use redeploy_proto::v1::coordinator_message::Message;

use super::order::Image;
use super::{Order, OrderKind};
use crate::deployment::{Digest, Ended, Failure, Options, Report, Verdict};
use crate::store::Seen;

/// An order as its agent gets it.
#[must_use]
pub fn message(order: Order) -> Message {
    let (redeploy_id, node_id, traceparent) = (order.id.to_string(), order.node.0, order.trace.to_string());
    let (container, deadline_ms) = (order.container, u64::from(order.deadline.0));
    match order.kind {
        OrderKind::Preflight { image, options } => Message::Preflight(v1::PreflightOrder {
            redeploy_id,
            node_id,
            container,
            image: Some(reference(&image)),
            options: Some(redeploy_options(&options)),
            login: login(image),
            deadline_ms,
        }),
        OrderKind::Redeploy { generation, image, options } => Message::Redeploy(v1::RedeployOrder {
            redeploy_id,
            node_id,
            generation,
            container,
            image: Some(reference(&image)),
            options: Some(redeploy_options(&options)),
            login: login(image),
            deadline_ms,
            traceparent,
        }),
        OrderKind::Revert { generation, options } => Message::Revert(v1::RevertOrder {
            redeploy_id,
            node_id,
            generation,
            container,
            options: Some(revert_options(&options)),
            deadline_ms,
            traceparent,
        }),
        OrderKind::Cancel => Message::Cancel(v1::CancelOrder { redeploy_id }),
    }
}

fn reference(image: &Image) -> v1::ImageRef {
    v1::ImageRef { reference: image.reference.clone(), digest: image.digest.clone() }
}

fn login(image: Image) -> Option<v1::RegistryLogin> {
    image.login.map(|login| v1::RegistryLogin { user: login.user, password: login.password })
}

/// A deployment's options as its agents get them, and as they are shown.
pub(crate) fn redeploy_options(options: &Options) -> v1::RedeployOptions {
    let pull = if options.pull_never { v1::PullPolicy::Never } else { v1::PullPolicy::Auto };
    v1::RedeployOptions {
        use_existing_volumes: Some(options.use_existing_volumes),
        skip_reinstall: options.skip_reinstall,
        archive_binds: options.archive_binds,
        verify_timeout_ms: u64::from(options.verify_timeout.0),
        probe: options.probe.clone(),
        pull: pull.into(),
    }
}

fn revert_options(options: &Options) -> v1::RevertOptions {
    let volumes = if options.restore_volumes { v1::VolumeData::Restore } else { v1::VolumeData::Keep };
    v1::RevertOptions {
        volumes: volumes.into(),
        verify_timeout_ms: u64::from(options.verify_timeout.0),
        probe: options.probe.clone(),
    }
}

/// What a preflight means.
#[must_use]
pub fn preflight(preflight: &v1::Preflight) -> Report {
    // Refusals count even if the agent calls it good.
    if preflight.is_ok && preflight.refusals.is_empty() {
        let digest = preflight.digest.clone();
        return Report::CheckedWell(if digest.is_empty() { Digest::None } else { Digest::Of(digest) });
    }
    Report::CheckedBadly(or_silence(preflight.refusals.join("; ")))
}

/// What a report means. An agent that ended and does not say how needs a human.
#[must_use]
pub fn report(report: &v1::Report) -> Report {
    let failure = report.failure.clone().unwrap_or_default();
    let (verdict, why) = match report.verdict() {
        v1::Verdict::Done | v1::Verdict::DoneUntidy => return Report::Ended(Ended::Well),
        v1::Verdict::Undone => (Verdict::Undone, failure.reason),
        v1::Verdict::Stuck => (Verdict::Stuck, format!("{}; its undo: {}", failure.reason, failure.stuck)),
        v1::Verdict::Refused => (Verdict::Refused, report.refusals.join("; ")),
        v1::Verdict::Unspecified => (Verdict::Stuck, "its report does not say how it ended".to_owned()),
    };
    Report::Ended(Ended::Badly(Failure { verdict, why: or_silence(why) }))
}

fn or_silence(why: String) -> String {
    if why.is_empty() { "the agent does not say why".to_owned() } else { why }
}

/// A container of an inventory. Labels that are no names count as none.
#[must_use]
pub fn seen(facts: &v1::ContainerFacts) -> Seen {
    let label = facts.env.parse().ok().zip(facts.group.parse().ok());
    Seen { container: facts.name.clone(), label, facts: facts.encode_to_vec() }
}

#[cfg(test)]
mod tests {
    use redeploy_proto::{RedeployId, TraceParent};

    use super::*;
    use crate::driver::Login;
    use crate::ids::NodeId;
    use crate::moment::Span;

    #[test]
    fn an_order_says_everything_it_holds() {
        let id = RedeployId::generate();
        let login = Login { user: "u".into(), password: "pa55word".into() };
        let image = Image { reference: "web:2".into(), digest: "sha256:ab".into(), login: Some(login) };
        let options = Options { skip_reinstall: true, probe: "tcp://:80".into(), ..Options::default() };
        let kind = OrderKind::Redeploy { generation: 7, image, options };
        let deadline = Span::seconds(9);
        let trace = TraceParent::of_deployment(id.uuid());
        let order = Order { id, trace, node: NodeId(3), container: "c".into(), kind, deadline };
        assert!(!format!("{order:?}").contains("pa55word"));
        let Message::Redeploy(sent) = message(order) else { panic!("another order") };
        assert_eq!((sent.redeploy_id, sent.node_id, sent.generation), (id.to_string(), 3, 7));
        assert_eq!((sent.container.as_str(), sent.deadline_ms), ("c", 9000));
        assert_eq!(sent.traceparent, trace.to_string());
        assert_eq!(sent.image.unwrap().digest, "sha256:ab");
        assert_eq!(sent.login.unwrap().password, "pa55word");
        let options = sent.options.unwrap();
        assert!(options.skip_reinstall && options.use_existing_volumes() && options.probe == "tcp://:80");
    }

    #[test]
    fn each_verdict_has_its_meaning_and_none_is_taken_for_good() {
        let with = |verdict: v1::Verdict| v1::Report { verdict: verdict.into(), ..v1::Report::default() };
        for verdict in [v1::Verdict::Done, v1::Verdict::DoneUntidy] {
            assert_eq!(report(&with(verdict)), Report::Ended(Ended::Well));
        }
        for (verdict, expected) in [
            (v1::Verdict::Undone, Verdict::Undone),
            (v1::Verdict::Stuck, Verdict::Stuck),
            (v1::Verdict::Refused, Verdict::Refused),
            (v1::Verdict::Unspecified, Verdict::Stuck),
        ] {
            let Report::Ended(Ended::Badly(failure)) = report(&with(verdict)) else { panic!("{verdict:?}") };
            assert_eq!(failure.verdict, expected);
            assert!(!failure.why.is_empty());
        }
    }

    #[test]
    fn a_preflight_with_refusals_is_never_good() {
        let good = v1::Preflight { is_ok: true, digest: "sha256:1".into(), ..v1::Preflight::default() };
        assert_eq!(preflight(&good), Report::CheckedWell(Digest::Of("sha256:1".into())));
        let local = v1::Preflight { is_ok: true, ..v1::Preflight::default() };
        assert_eq!(preflight(&local), Report::CheckedWell(Digest::None));
        let odd = v1::Preflight { is_ok: true, refusals: vec!["no room".into()], ..v1::Preflight::default() };
        assert_eq!(preflight(&odd), Report::CheckedBadly("no room".into()));
        assert!(matches!(preflight(&v1::Preflight::default()), Report::CheckedBadly(_)));
    }

    #[test]
    fn a_container_is_of_a_group_only_if_both_labels_are_names() {
        let facts = |env: &str, group: &str| v1::ContainerFacts {
            name: "c".into(),
            env: env.into(),
            group: group.into(),
            ..v1::ContainerFacts::default()
        };
        assert!(seen(&facts("shop", "cp")).label.is_some());
        for (env, group) in [("", "cp"), ("shop", ""), ("a b", "cp")] {
            assert!(seen(&facts(env, group)).label.is_none());
        }
    }
}
