//! A bench on the real engine: two versions of two images, networks, a container to lean on. Everything it
//! makes carries its own prefix and is removed when it is dropped.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use redeploy_agent::docker::{Container, EngineInfo, Image};
use redeploy_agent::recreate::{
    Choices, NetworkRecord, Old, Recreation, Surroundings, Target, compare, recreate,
};
use serde_json::{Value, json};

use crate::http::{api, call, get};
use crate::images;
use crate::normal::{differences, is_anonymous, settings, text};
use crate::rows::{Made, Row};

/// The volume that only version 1 declares, and that is kept all the same.
const DROPPED_VOLUME: &str = "/olddata";

/// See the module's words.
pub(crate) struct Bench {
    prefix: String,
    pub(crate) dir: tempfile::TempDir,
    subnet: String,
    net1_id: String,
    pub(crate) engine: EngineInfo,
    containers: RefCell<Vec<String>>,
    volumes: RefCell<BTreeSet<String>>,
}

/// A container's id and what the engine says of it.
pub(crate) type Seen = Container;

impl Bench {
    pub(crate) fn new(group: &str) -> Self {
        let prefix = format!("oracle-{group}-{}", std::process::id());
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("bound")).expect("a directory to bind");
        let mut bench = Self {
            subnet: String::new(),
            net1_id: String::new(),
            dir,
            engine: engine_info(),
            containers: RefCell::default(),
            volumes: RefCell::default(),
            prefix,
        };
        images::load(&bench, &bench.prefix);
        bench.connect_networks();
        let peer = "run -d --name {peer} --ipc shareable --hostname peerhost -v /shared {bare1}";
        bench.docker(peer).expect("a container to lean on");
        bench.containers.borrow_mut().push(bench.fill("{peer}"));
        bench.remember_volumes(&bench.seen("{peer}").expect("the container to lean on"));
        bench
    }

    /// Proves one row.
    pub(crate) fn prove(&self, row: &Row) -> Result<(), String> {
        let result = self.make(row, "old", 1).and_then(|old| self.prove_from(row, &old));
        self.clear();
        result
    }

    fn prove_from(&self, row: &Row, old: &Seen) -> Result<(), String> {
        let old = if row.start { self.start("{old}")? } else { old.clone() };
        let plan =
            self.plan(row, &old, &Choices { keep_volumes: true, fresh_volume_names: BTreeMap::new() })?;
        let ours = self.carry_out(&plan, "ours")?;
        let fresh = self.make(row, "fresh", 2)?;
        let new_image = self.image(row, 2)?;
        let mut wrong = Self::unlike(&old, &ours, &fresh);
        wrong.extend(compare(&plan, &new_image, &ours, &self.engine).into_iter().map(|found| {
            format!("compare: {}: planned {}, found {}", found.field, found.planned, found.found)
        }));
        if row.start {
            self.docker("kill {old}").ok();
            wrong.extend(self.start("{ours}").err());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    /// What ours has otherwise than a fresh one, and of the old one's volumes what it has not.
    pub(crate) fn unlike(old: &Seen, ours: &Seen, fresh: &Seen) -> Vec<String> {
        let (mut of_ours, of_fresh) = (settings(ours.raw()), settings(fresh.raw()));
        if of_fresh["Mounts"].get(DROPPED_VOLUME).is_none()
            && let Some(mounts) = of_ours["Mounts"].as_object_mut()
        {
            // A fresh container has no volume there; `same_volumes` sees that ours has.
            mounts.remove(DROPPED_VOLUME);
        }
        let mut wrong = differences("", &of_ours, &of_fresh);
        wrong.extend(Self::same_volumes(old, ours));
        wrong
    }

    /// To be removed with the others.
    pub(crate) fn remember_container(&self, name: Option<String>) {
        self.containers.borrow_mut().extend(name);
    }

    /// The old container's volumes must be the new one's, the anonymous ones too.
    fn same_volumes(old: &Seen, ours: &Seen) -> Vec<String> {
        let by_target = |seen: &Seen| -> BTreeMap<String, String> {
            let mounts = seen.raw()["Mounts"].as_array().into_iter().flatten();
            let volumes = mounts.filter(|mount| mount["Type"] == "volume");
            volumes
                .map(|mount| (text(&mount["Destination"]).to_owned(), text(&mount["Name"]).to_owned()))
                .collect()
        };
        let ours = by_target(ours);
        let lost = by_target(old).into_iter().filter(|(target, name)| ours.get(target) != Some(name));
        lost.map(|(target, name)| format!("volume {name} at {target} is {:?} now", ours.get(&target)))
            .collect()
    }

    /// Works out the successor.
    pub(crate) fn plan(&self, row: &Row, old: &Seen, choices: &Choices) -> Result<Recreation, String> {
        let (image, target) = (self.image(row, 1)?, self.image(row, 2)?);
        self.plan_from(old, &image, &target, row, choices)
    }

    /// The same, from one image to another.
    pub(crate) fn plan_from(
        &self,
        old: &Seen,
        image: &Image,
        target: &Image,
        row: &Row,
        choices: &Choices,
    ) -> Result<Recreation, String> {
        if old.image_id() != image.id() {
            return Err("the old container is from another image".to_owned());
        }
        let containers = [old.clone(), self.seen("{peer}")?];
        let networks: Vec<Value> = old.raw()["NetworkSettings"]["Networks"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| get(&format!("/networks/{name}")))
            .collect::<Result<_, _>>()?;
        let around = Surroundings {
            engine: &self.engine,
            containers: &containers,
            networks: &networks,
            network_record: &NetworkRecord::default(),
        };
        let old = Old { container: old, image: Some(image) };
        let target = Target { image: target, reference: &self.fill(&row.image(2)) };
        recreate(old, target, around, choices).map_err(|error| error.to_string())
    }

    /// Creates a planned container and connects its networks.
    pub(crate) fn carry_out(&self, plan: &Recreation, role: &str) -> Result<Seen, String> {
        let name = self.fill(&format!("{{{role}}}"));
        call("POST", &format!("/containers/create?name={name}"), Some(&plan.body))?;
        self.containers.borrow_mut().push(name.clone());
        for connect in &plan.connects {
            let body = json!({"Container": name, "EndpointConfig": connect.endpoint});
            call("POST", &format!("/networks/{}/connect", connect.network), Some(&body))?;
        }
        self.seen(&name)
    }

    /// Creates a row's container from version `version`.
    pub(crate) fn make(&self, row: &Row, role: &str, version: usize) -> Result<Seen, String> {
        let name = format!("{{{role}}}");
        self.containers.borrow_mut().push(self.fill(&name));
        match row.made {
            Made::Flags(flags, args) => {
                self.docker(&format!("create --name {name} {flags} {} {args}", row.image(version)))?;
            }
            Made::Body(body) => {
                let mut body: Value =
                    serde_json::from_str(&self.fill(body)).map_err(|error| error.to_string())?;
                body["Image"] = json!(self.fill(&row.image(version)));
                call("POST", &format!("/containers/create?name={}", self.fill(&name)), Some(&body))?;
            }
        }
        for then in row.then {
            self.docker(&then.replace("{c}", &name))?;
        }
        self.seen(&name)
    }

    pub(crate) fn start(&self, name: &str) -> Result<Seen, String> {
        call("POST", &format!("/containers/{}/start", self.fill(name)), None)?;
        let seen = self.seen(name)?;
        if seen.is_alive() { Ok(seen) } else { Err(format!("{name} does not run: {}", seen.raw()["State"])) }
    }

    pub(crate) fn seen(&self, name: &str) -> Result<Seen, String> {
        let seen = Container::new(get(&format!("/containers/{}/json", self.fill(name)))?);
        self.remember_volumes(&seen);
        Ok(seen)
    }

    pub(crate) fn image(&self, row: &Row, version: usize) -> Result<Image, String> {
        get(&format!("/images/{}/json", self.fill(&row.image(version)))).map(Image::new)
    }

    /// Runs the engine's own command line; the words are split at spaces, and `␣` stands for one in a word.
    pub(crate) fn docker(&self, words: &str) -> Result<String, String> {
        let words = self.fill(words);
        let words: Vec<String> = words.split_whitespace().map(|word| word.replace('␣', " ")).collect();
        run("docker", &words)
    }

    /// Puts the bench's names in place of `{…}`.
    pub(crate) fn fill(&self, text: &str) -> String {
        let prefix = &self.prefix;
        let bound = self.dir.path().join("bound");
        let mut text = text
            .replace("{dir}", &bound.to_string_lossy())
            .replace("{subnet}", &self.subnet)
            .replace("{subnet6}", &self.subnet6())
            .replace("{net1-id}", &self.net1_id)
            .replace("{prefix}", prefix);
        for name in ["old", "ours", "fresh", "peer", "net1", "net2", "net6", "vol1", "vol2"] {
            text = text.replace(&format!("{{{name}}}"), &format!("{prefix}-{name}"));
        }
        for name in ["full1", "full2", "bare1", "bare2"] {
            text = text.replace(&format!("{{{name}}}"), &format!("{prefix}-{name}:latest"));
        }
        text
    }

    fn connect_networks(&mut self) {
        let pid = std::process::id();
        let free = (0..64).find_map(|attempt| {
            let place = pid.wrapping_mul(7).wrapping_add(attempt * 13);
            self.subnet = format!("10.{}.{}", 64 + place % 64, (place / 64) % 256);
            self.docker("network create --subnet {subnet}.0/24 {net1}").ok()
        });
        self.net1_id = free.expect("a free subnet for a test network");
        self.docker("network create {net2}").expect("a second network");
        let ipv6 = "network create --ipv6 --subnet {subnet6}::/64 {net6}";
        self.docker(ipv6).expect("a network with IPv6");
    }

    /// As free as the other.
    fn subnet6(&self) -> String {
        format!("fd00:{}", self.subnet.replace('.', ":"))
    }

    fn remember_volumes(&self, seen: &Seen) {
        let mounts = seen.raw()["Mounts"].as_array().into_iter().flatten();
        let names = mounts.map(|mount| text(&mount["Name"]).to_owned());
        let is_ours = |name: &String| is_anonymous(name) || name.starts_with(&self.prefix);
        self.volumes.borrow_mut().extend(names.filter(is_ours));
    }

    /// Removes the containers of a row, newest first, and its volumes.
    pub(crate) fn clear(&self) {
        let peer = self.fill("{peer}");
        let gone: Vec<String> =
            self.containers.borrow().iter().filter(|name| **name != peer).cloned().collect();
        for name in gone.iter().rev() {
            call("DELETE", &format!("/containers/{name}?force=1&v=1"), None).ok();
        }
        self.containers.borrow_mut().retain(|name| *name == peer);
        // One that is in use, such as the peer's, stays until the end.
        self.volumes.borrow_mut().retain(|name| call("DELETE", &format!("/volumes/{name}"), None).is_err());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.clear();
        self.docker("rm -fv {peer}").ok();
        self.clear();
        self.docker("network rm {net1} {net2} {net6}").ok();
        self.docker("rmi {full1} {full2} {bare1} {bare2}").ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "the oracle is what the engine's own command line does")]
pub(crate) fn run(program: &str, words: &[String]) -> Result<String, String> {
    let output = Command::new(program).args(words).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{program} {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

fn engine_info() -> EngineInfo {
    let info = get("/info").expect("the engine's answer");
    EngineInfo {
        version: text(&info["ServerVersion"]).to_owned(),
        api: api(),
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        root_dir: text(&info["DockerRootDir"]).to_owned(),
        storage_driver: text(&info["Driver"]).to_owned(),
        default_runtime: text(&info["DefaultRuntime"]).to_owned(),
        default_log_driver: text(&info["LoggingDriver"]).to_owned(),
        cgroup_version: if text(&info["CgroupVersion"]) == "2" { 2 } else { 1 },
        engine_id: text(&info["ID"]).to_owned(),
    }
}
