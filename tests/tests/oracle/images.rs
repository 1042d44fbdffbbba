//! Two versions of two images, written out as an archive and loaded: their settings are exactly these.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::bench::{Bench, run};

/// Images with every setting an image can have; the versions differ in all of them.
const FULL: [&str; 2] = [
    r#"{"Env": ["PATH=/bin", "SHARED=1", "OLDONLY=old", "CHANGED=v1"],
        "Labels": {"l.shared": "1", "l.old": "old", "l.changed": "v1"},
        "ExposedPorts": {"80/tcp": {}, "81/udp": {}}, "Volumes": {"/data": {}, "/olddata": {}},
        "WorkingDir": "/srv/v1", "StopSignal": "SIGINT", "User": "1000",
        "Healthcheck": {"Test": ["CMD", "/bin/busybox", "true"], "Interval": 7000000000, "Retries": 4},
        "Entrypoint": ["/bin/busybox"], "Cmd": ["sleep", "600"]}"#,
    r#"{"Env": ["PATH=/bin:/usr/bin", "NEWONLY=new", "SHARED=1", "CHANGED=v2"],
        "Labels": {"l.shared": "1", "l.changed": "v2", "l.new": "new"},
        "ExposedPorts": {"80/tcp": {}, "82/tcp": {}}, "Volumes": {"/data": {}, "/newdata": {}},
        "WorkingDir": "/srv/v2", "StopSignal": "SIGQUIT", "User": "1001",
        "Healthcheck": {"Test": ["CMD", "/bin/busybox", "uptime"], "Interval": 9000000000, "Timeout": 3000000000},
        "Entrypoint": ["/bin/busybox", "sh", "-c", "exec /bin/busybox \"$@\"", "sh"], "Cmd": ["sleep", "601"]}"#,
];

/// Images with a command and nothing else.
const BARE: [&str; 2] =
    [r#"{"Cmd": ["/bin/busybox", "sleep", "600"]}"#, r#"{"Cmd": ["/bin/busybox", "sleep", "601"]}"#];

/// Images written out and loaded: their settings are exactly these, in one step.
pub(crate) fn load(bench: &Bench, prefix: &str) {
    let dir = bench.dir.path().join("images");
    let (root, layer) = (dir.join("root"), dir.join("layer.tar"));
    std::fs::create_dir_all(root.join("bin")).expect("a root for the images");
    for name in ["busybox", "busybox-other"] {
        std::fs::copy("/bin/busybox", root.join("bin").join(name)).expect("a static busybox");
    }
    tar(&layer, &root, &["bin"]);
    let digest = run("sha256sum", &[layer.display().to_string()]).expect("the layer's digest");
    let digest = format!("sha256:{}", digest.split(' ').next().unwrap_or(""));
    let images = [("full1", FULL[0]), ("full2", FULL[1]), ("bare1", BARE[0]), ("bare2", BARE[1])];
    let manifest = images.map(|(name, config)| {
        let mut config: Value = serde_json::from_str(config).expect("an image's settings");
        // The prefix makes the image this bench's own: nobody else's clean-up can take it away.
        let mut env = config["Env"].as_array().cloned().unwrap_or_default();
        env.push(json!(format!("BENCH={}", prefix)));
        config["Env"] = json!(env);
        let rootfs = json!({"type": "layers", "diff_ids": [digest]});
        let image = json!({"architecture": "amd64", "os": "linux", "config": config, "rootfs": rootfs});
        put(&dir.join(format!("{name}.json")), &image);
        json!({
            "Config": format!("{name}.json"),
            "RepoTags": [bench.fill(&format!("{{{name}}}"))],
            "Layers": ["layer.tar"],
        })
    });
    put(&dir.join("manifest.json"), &json!(manifest));
    let archive = bench.dir.path().join("images.tar");
    let names = images.map(|(name, _)| format!("{name}.json"));
    let mut members: Vec<&str> = names.iter().map(String::as_str).collect();
    members.extend(["layer.tar", "manifest.json"]);
    tar(&archive, &dir, &members);
    run("docker", &["load".to_owned(), "-i".to_owned(), archive.display().to_string()]).expect("the images");
}

fn tar(archive: &Path, dir: &Path, members: &[&str]) {
    let mut words = vec!["-cf".to_owned(), archive.display().to_string()];
    words.extend(["-C".to_owned(), dir.display().to_string()]);
    words.extend(members.iter().map(|member| (*member).to_owned()));
    run("tar", &words).expect("an archive");
}

fn put(path: &Path, contents: &Value) {
    let mut file = std::fs::File::create(path).expect("a file");
    file.write_all(contents.to_string().as_bytes()).expect("a file's contents");
}
