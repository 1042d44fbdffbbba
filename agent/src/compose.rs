//! Keeps a container of a Docker Compose project Compose's own: the next `up`, with the new image in the compose file,
//! shall find nothing to do.
//!
//! Compose writes a hash of the service's configuration, image included, onto each container, and makes the container
//! anew when the hash of the file is another. Only Compose can compute it. So it is asked twice: with the old image,
//! where its answer must be the label that is there (then we look at the same files in the same way as the last `up`
//! did), and with the new one. Version 1 puts the image's id into the hash, so it is asked for the old one before the
//! new one is pulled: the two may have the same name.
//!
//! Flows in: a container, image references. Flows out: the hash for the new container, or why there is none. Must never
//! change anything of Compose's, never run a shell, and never stop a redeploy.

mod ask;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::docker::{Container, Image};
use crate::plan::{Incoming, Plan, compose_label, compose_project};
use crate::recreate::{FieldSource, Source};

pub use ask::{Asked, Compose, HostCompose};

/// The label Compose compares.
const HASH_LABEL: &str = "com.docker.compose.config-hash";

/// A service as its container's labels describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The project's name.
    pub project: String,
    /// The service's name.
    pub name: String,
    /// The project's directory.
    pub dir: PathBuf,
    /// The compose files, absolute.
    pub files: Vec<PathBuf>,
    /// A file of variables named to Compose.
    pub env_file: Option<PathBuf>,
    /// The hash of the configuration it was made from.
    pub hash: String,
    /// The image as the file names it.
    pub image: String,
}

/// How Compose is shown another image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Copies of the project's files, the image in them replaced.
    Edited,
    /// The project's own files, and one more that names the image.
    OneMore,
}

/// What is known before the new image is pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    /// It is not Compose's.
    NotCompose,
    /// This program, asked about this service in this way, says what is on the container.
    Right(Box<Service>, PathBuf, Way),
    /// Why the hash for the new image cannot be known.
    Unknown {
        /// The project.
        project: String,
        /// Why.
        reason: String,
    },
}

/// Asks Compose about the container as it is.
pub async fn look(container: &Container, image: Option<&Image>, compose: &dyn Compose) -> Picture {
    let Some(project) = compose_project(container, image) else { return Picture::NotCompose };
    let unknown = |reason: &str| Picture::Unknown { project: project.to_owned(), reason: reason.to_owned() };
    let Some(service) = service_of(container, image) else {
        return unknown("its labels do not say which compose files it was made from");
    };
    let programs = compose.programs();
    if programs.is_empty() {
        return unknown("there is no Compose on this host");
    }
    let mut reason =
        "Compose gives another hash for the files as they are now than the container has".to_owned();
    let ways = programs.iter().flat_map(|program| [(program, Way::Edited), (program, Way::OneMore)]);
    for (program, way) in ways {
        match compose.hash(program, &service, &service.image, way).await {
            Ok(hash) if hash == service.hash => {
                return Picture::Right(Box::new(service), program.clone(), way);
            }
            Ok(_) => {}
            Err(Asked { detail }) => reason = detail,
        }
    }
    unknown(&reason)
}

/// Puts the hash for the new image onto the new container, or a warning into the plan.
pub async fn settle(plan: &mut Plan, picture: Picture, compose: &dyn Compose) {
    let Incoming::New(new) = &mut plan.incoming else { return };
    let (project, reason) = match picture {
        Picture::NotCompose => return,
        Picture::Unknown { project, reason } => (project, reason),
        Picture::Right(service, program, way) => {
            match compose.hash(&program, &service, &new.reference, way).await {
                Ok(hash) => {
                    new.recreation.body["Labels"][HASH_LABEL] = Value::String(hash);
                    let field = format!("Config.Labels[{HASH_LABEL}]");
                    new.recreation.sources.retain(|source| source.field != field);
                    let note = "as Compose computes it for the new image".to_owned();
                    new.recreation.sources.push(FieldSource { field, source: Source::Plan, note });
                    plan.warnings.push(advice(&service, &new.reference));
                    return;
                }
                Err(Asked { detail }) => (service.project, detail),
            }
        }
    };
    plan.warnings.push(format!(
        "it belongs to compose project {project}, and the next `docker compose up` makes it anew once, even with {} in \
         the compose file: what is in its root and in no volume is lost then, kept paths included ({reason})",
        new.reference
    ));
}

/// Pure: what is left to the operator.
fn advice(service: &Service, image: &str) -> String {
    let files: Vec<String> = service.files.iter().map(|file| file.display().to_string()).collect();
    format!(
        "it belongs to compose project {}: write image {image} for service {} into {} before the next `docker compose \
         up`, or that goes back to {}",
        service.project,
        service.name,
        files.join(", "),
        service.image
    )
}

/// Pure: the service a container's labels describe, if they do. An image must not say which files of the host are read.
fn service_of(container: &Container, image: Option<&Image>) -> Option<Service> {
    let any = |name: &str| container.label(&format!("com.docker.compose.{name}"));
    let label = |name: &str| compose_label(container, image, name);
    let dir = PathBuf::from(label("project.working_dir")?);
    let files = label("project.config_files")?.split(',').filter(|file| !file.is_empty());
    let files: Vec<PathBuf> = files.map(|file| dir.join(file)).collect();
    let env_file = label("project.environment_file").filter(|file| !file.is_empty());
    if !dir.is_absolute() || files.is_empty() {
        return None;
    }
    Some(Service {
        project: any("project")?.to_owned(),
        name: any("service")?.to_owned(),
        env_file: env_file.map(|file| dir.join(file)),
        hash: label("config-hash")?.to_owned(),
        image: as_in_file(container.image_reference()).to_owned(),
        dir,
        files,
    })
}

/// Pure: the reference without the digest that an earlier redeploy pinned it by. One that is only a digest stays.
fn as_in_file(reference: &str) -> &str {
    match reference.split_once('@') {
        Some((name, _))
            if Path::new(name).file_name().is_some_and(|last| last.to_string_lossy().contains(':')) =>
        {
            name
        }
        _ => reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(files: &str) -> Container {
        Container::new(json!({ "Config": { "Image": "shop/web:1@sha256:ab", "Labels": {
            "com.docker.compose.project": "shop", "com.docker.compose.service": "web",
            "com.docker.compose.config-hash": "h1", "com.docker.compose.project.working_dir": "/srv/shop",
            "com.docker.compose.project.config_files": files,
        } } }))
    }

    #[test]
    fn labels_describe_the_service_whichever_version_wrote_them() {
        let service = service_of(&container("docker-compose.yml,/etc/shop.yml"), None).unwrap();
        let files = ["/srv/shop/docker-compose.yml", "/etc/shop.yml"].map(PathBuf::from);
        assert_eq!((service.files, service.image.as_str()), (files.to_vec(), "shop/web:1"));
        assert_eq!(service_of(&container(""), None), None);
    }

    /// An image with the labels that a container of it has as well.
    fn with_labels_of(container: &Container) -> Image {
        Image::new(json!({ "Config": { "Labels": container.raw()["Config"]["Labels"] } }))
    }

    #[tokio::test]
    async fn labels_of_the_image_are_no_labels_of_compose() {
        let web = container("/dev/watchdog");
        let picture = look(&web, Some(&with_labels_of(&web)), &Says("h1", "h2")).await;
        assert_eq!(picture, Picture::NotCompose);
        // Compose made it, but did not say which files.
        let mut image = with_labels_of(&web).raw().clone();
        image["Config"]["Labels"][HASH_LABEL] = json!("another");
        let picture = look(&web, Some(&Image::new(image)), &Says("h1", "h2")).await;
        assert!(matches!(picture, Picture::Unknown { .. }), "{picture:?}");
    }

    #[test]
    fn a_pinned_reference_loses_its_digest_only_if_a_tag_is_left() {
        assert_eq!(as_in_file("r:5000/a@sha256:1"), "r:5000/a@sha256:1");
        assert_eq!(as_in_file("r:5000/a:2@sha256:1"), "r:5000/a:2");
        assert_eq!(as_in_file("a"), "a");
    }

    struct Says(&'static str, &'static str);

    #[async_trait::async_trait]
    impl Compose for Says {
        fn programs(&self) -> Vec<PathBuf> {
            vec!["/c".into()]
        }
        async fn hash(&self, _: &Path, _: &Service, image: &str, _: Way) -> Result<String, Asked> {
            Ok(if image == "shop/web:1" { self.0 } else { self.1 }.to_owned())
        }
    }

    #[tokio::test]
    async fn the_answer_counts_only_if_it_is_right_about_what_is_there() {
        let web = container("a.yml");
        assert!(matches!(look(&web, None, &Says("h1", "h2")).await, Picture::Right(..)));
        let Picture::Unknown { reason, .. } = look(&web, None, &Says("other", "h2")).await else {
            unreachable!()
        };
        assert!(reason.contains("another hash"), "{reason}");
        assert_eq!(look(&Container::new(json!({})), None, &Says("h1", "h2")).await, Picture::NotCompose);
    }
}
