//! Tags and pulls.

use std::sync::Mutex;

use redeploy_agent::docker::{EngineError, PullFailure, PullProgress, RegistryLogin};

use crate::checks::status;
use crate::fixture::Fixture;

pub(crate) async fn tags_come_and_go(fixture: &impl Fixture) {
    let (engine, repository) = (fixture.engine(), fixture.name("kept"));
    let image = engine.image(&fixture.image()).await.unwrap().unwrap();
    let kept = format!("{repository}:before");
    engine.tag(image.id(), &repository, "before").await.unwrap();
    engine.tag(image.id(), &repository, "before").await.unwrap();
    assert_eq!(engine.image(&kept).await.unwrap().unwrap().id(), image.id());
    engine.untag(&kept).await.unwrap();
    engine.untag(&kept).await.unwrap();
    assert!(engine.image(&kept).await.unwrap().is_none());
    assert!(engine.image(image.id()).await.unwrap().is_some());

    // The last name of an image that a container uses stays.
    let id = fixture.create("user", &fixture.body()).await;
    assert_eq!(status(engine.untag(&fixture.image()).await), 409);
    engine.remove(&id).await.unwrap();
    engine.untag(&fixture.image()).await.unwrap();
    assert!(engine.image(image.id()).await.unwrap().is_none());
    assert_eq!(status(engine.tag(image.id(), &repository, "after").await), 404);
}

pub(crate) async fn pulls_bring_an_image_or_say_why_not(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let registry = fixture.registry().await;
    let (repository, tag, digest) = registry.good.clone();
    let seen = Mutex::new(PullProgress::default());
    let watch = |progress: PullProgress| *seen.lock().unwrap() = progress;
    engine.pull(&repository, &digest, None, &watch).await.unwrap();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.bytes_done, seen.bytes_total, "{seen:?}");
    let reference = format!("{repository}@{digest}");
    let image = engine.image(&reference).await.unwrap().unwrap();
    assert!(image.repo_digests().any(|found| found == reference));
    engine.pull(&repository, &tag, None, &|_| {}).await.unwrap();
    assert_eq!(engine.image(&format!("{repository}:{tag}")).await.unwrap().unwrap().id(), image.id());

    let host = &registry.host;
    let reason = async |repository: String, login: Option<&RegistryLogin>| match engine
        .pull(&repository, "1", login, &|_| {})
        .await
    {
        Err(EngineError::Pull { reason, reference, .. }) => {
            assert_eq!(reference, format!("{repository}:1"));
            reason
        }
        other => panic!("expected a failed pull, got {other:?}"),
    };
    assert_eq!(reason(format!("{host}/missing"), None).await, PullFailure::NotFound);
    assert_eq!(reason(format!("{host}/other"), None).await, PullFailure::WrongPlatform);
    let (locked, login) = &registry.locked;
    let wrong = RegistryLogin { password: "wrong".into(), ..login.clone() };
    assert_eq!(reason(locked.clone(), Some(&wrong)).await, PullFailure::Denied);
    assert_eq!(reason(locked.clone(), None).await, PullFailure::Denied);
    engine.pull(locked, "1", Some(login), &|_| {}).await.unwrap();
    assert!(engine.image(&format!("{locked}:1")).await.unwrap().is_some());
    assert_eq!(reason("127.0.0.1:1/nobody".into(), None).await, PullFailure::RegistryUnavailable);
}
