//! The table: flags of `docker create`, one row for each thing that can go wrong.
//!
//! `{old}`, `{peer}`, `{net1}`, `{vol1}`, `{dir}`, `{subnet}` stand for the bench's own names, and `␣` for a
//! space inside a word.

/// How a row's container is made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Made {
    /// Flags before the image, words after it.
    Flags(&'static str, &'static str),
    /// A raw create body, for what the command line cannot say at this API.
    Body(&'static str),
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) made: Made,
    /// `full` or `bare`.
    pub(crate) base: &'static str,
    /// Commands that follow the create; `{c}` is the container.
    pub(crate) then: &'static [&'static str],
    /// Is the old one running when it is looked at, and the new one started in the end?
    pub(crate) start: bool,
}

impl Row {
    pub(crate) fn image(&self, version: usize) -> String {
        format!("{{{}{version}}}", self.base)
    }

    const fn bare(self) -> Self {
        Self { base: "bare", ..self }
    }

    pub(crate) const fn then(self, then: &'static [&'static str]) -> Self {
        Self { then, ..self }
    }

    /// For settings this machine has no means to run with.
    pub(crate) const fn created(self) -> Self {
        Self { start: false, ..self }
    }
}

pub(crate) const fn row(name: &'static str, flags: &'static str, args: &'static str) -> Row {
    Row { name, made: Made::Flags(flags, args), base: "full", then: &[], start: true }
}

pub(crate) const fn body(name: &'static str, body: &'static str) -> Row {
    Row { name, made: Made::Body(body), base: "full", then: &[], start: true }
}

pub(crate) const PROCESS: &[Row] = &[
    row("nothing set", "", ""),
    row("nothing set, bare image", "", "").bare(),
    row("env own", "-e OWN=1 -e OTHER=a=b␣c", ""),
    row("env over the image's", "-e CHANGED=mine -e OLDONLY=mine", ""),
    row("env empty value", "-e OWN= -e CHANGED=", ""),
    row("env without =, takes the image's away", "-e OLDONLY", ""),
    body(
        "env of every form",
        r#"{"Env": ["Z=1", "CHANGED", "OLDONLY", "UNSET", "A=", "B=c=d"], "HostConfig": {}}"#,
    ),
    row("env equal to the image's, known by its place", "-e CHANGED=v1 -e OWN=1", ""),
    row("env equal to the unchanged image's", "-e SHARED=1", ""),
    row("env of the new image set by the user", "-e NEWONLY=mine", ""),
    row("env on a bare image", "-e A=1 -e B -e C=", "").bare(),
    row("command", "", "sleep 700"),
    row("command, bare image", "", "/bin/busybox sleep 700").bare(),
    row("entrypoint of its own drops the image's command", "--entrypoint /bin/busybox-other", "").created(),
    row("entrypoint like the image's, without its command", "--entrypoint /bin/busybox", "").created(),
    row("entrypoint of its own with arguments", "--entrypoint /bin/busybox-other", "sleep 700"),
    row("entrypoint of its own with the image's command", "--entrypoint /bin/busybox-other", "sleep 600"),
    row("entrypoint set on a bare image", "--entrypoint /bin/busybox", "sleep 700").bare(),
    row("entrypoint reset", "--entrypoint=", "/bin/busybox sleep 700"),
    body(
        "entrypoint emptied",
        r#"{"Entrypoint": [], "Cmd": ["/bin/busybox", "sleep", "700"], "HostConfig": {}}"#,
    ),
    body(
        "entrypoint of several words",
        r#"{"Entrypoint": ["/bin/busybox", "nice", "-n", "5"], "Cmd": ["sleep", "70 0"], "HostConfig": {}}"#,
    )
    .created(),
    row("user", "--user 2000:3000", ""),
    row("user root", "--user 0", ""),
    row("working directory", "-w /elsewhere/", ""),
    row("labels own", "-l own=1 -l empty= -l l.changed=mine", ""),
    row("label equal to the unchanged image's", "-l l.shared=1", ""),
    row(
        "labels of compose",
        "-l com.docker.compose.project=p -l com.docker.compose.service=s -l com.docker.compose.config-hash=h",
        "",
    ),
    row("health command", "--health-cmd true", ""),
    row("health interval and retries", "--health-interval 11s --health-retries 9", ""),
    row("health start period", "--health-start-period 5s --health-timeout 2s", ""),
    row("health none", "--no-healthcheck", ""),
    row("health on a bare image", "--health-cmd true --health-interval 3s", "").bare(),
    body(
        "health start interval",
        r#"{"Healthcheck": {"Test": ["CMD", "true"], "StartPeriod": 5000000000, "StartInterval": 2000000000}, "HostConfig": {}}"#,
    ),
    body("health empty", r#"{"Healthcheck": {}, "HostConfig": {}}"#),
    body("health empty, bare image", r#"{"Healthcheck": {}, "HostConfig": {}}"#).bare(),
    row("stop signal and timeout", "--stop-signal SIGUSR1 --stop-timeout 33", ""),
    row("stop timeout zero", "--stop-timeout 0", ""),
    row("host name", "--hostname own-name", ""),
    row("host name and domain", "--hostname own.example.org --domainname example.org", ""),
    row("terminal and input", "-t -i", ""),
    row("input only", "-i", ""),
    row(
        "everything about the process at once",
        "-t -e OWN=1 -e CHANGED --user 7 -w /w -l own=1 --no-healthcheck --hostname h --stop-signal 9",
        "sleep 700",
    ),
];

pub(crate) const LIMITS: &[Row] = &[
    row("restart always", "--restart always", ""),
    row("restart unless stopped", "--restart unless-stopped", ""),
    row("restart on failure", "--restart on-failure:3", ""),
    row("removed when it stops", "--rm", "").created(),
    row("memory", "--memory 64m --memory-reservation 32m", ""),
    row("memory and swap", "--memory 64m --memory-swap 96m", ""),
    row("swappiness", "--memory-swappiness 0", "").created(),
    row("processors", "--cpus 0.5 --cpu-shares 512 --cpuset-cpus 0", ""),
    row("processor quota", "--cpu-period 50000 --cpu-quota 25000", ""),
    row("processes", "--pids-limit 77", ""),
    row("ulimits", "--ulimit nofile=512:1024 --ulimit core=0", ""),
    row("shared memory", "--shm-size 32m", ""),
    row("out of memory", "--oom-score-adj 123 --oom-kill-disable --memory 64m", ""),
    row("control group parent", "--cgroup-parent /oracle", ""),
    row("block devices", "--blkio-weight 300", "").created(),
    row("capabilities", "--cap-add NET_ADMIN --cap-add SYS_TIME --cap-drop MKNOD", ""),
    row("no capabilities", "--cap-drop ALL --cap-add chown", ""),
    body("capabilities in short", r#"{"HostConfig": {"CapAdd": ["net_admin"], "CapDrop": ["all"]}}"#),
    row("privileged", "--privileged", ""),
    row("security options", "--security-opt no-new-privileges --security-opt seccomp=unconfined", ""),
    row("system paths not hidden", "--security-opt systempaths=unconfined", ""),
    row("devices", "--device /dev/null:/dev/nothing:r --device-cgroup-rule c␣1:3␣mr", ""),
    row("kernel settings", "--sysctl net.ipv4.ip_forward=1 --sysctl net.core.somaxconn=99", ""),
    row("read-only root", "--read-only --tmpfs /run", ""),
    row("init", "--init", "").created(),
    body("no init", r#"{"HostConfig": {"Init": false}}"#),
    row("groups", "--group-add 55 --group-add 66", ""),
    row("ipc of its own, shareable", "--ipc shareable", ""),
    row("ipc none", "--ipc none", ""),
    row("host's namespaces", "--ipc host --pid host --uts host --userns host --cgroupns host", ""),
    row("another's namespaces", "--ipc container:{peer} --pid container:{peer}", ""),
    row("log to nowhere", "--log-driver none", ""),
    row(
        "log options",
        "--log-driver json-file --log-opt max-size=1m --log-opt max-file=2 --log-opt labels=a",
        "",
    ),
    row("log driver local", "--log-driver local --log-opt max-size=2m", ""),
    row("runtime by name", "--runtime runc", ""),
    row("runtime other than the default", "--runtime io.containerd.runc.v2", "").created(),
    row("isolation default", "--isolation default", ""),
    body(
        "devices by request",
        r#"{"HostConfig": {"DeviceRequests": [{"Driver": "none", "Count": -1, "Capabilities": [["gpu"]]}]}}"#,
    )
    .created(),
    body("annotations", r#"{"HostConfig": {"Annotations": {"com.example.a": "b"}}}"#),
    body("unlimited processes", r#"{"HostConfig": {"PidsLimit": -1}}"#),
];

pub(crate) const STORAGE: &[Row] = &[
    row("volume by name", "-v {vol1}:/mine", ""),
    row("volume by name, read-only", "-v {vol1}:/mine:ro -v {vol2}:/uncopied:nocopy", ""),
    row("volume by name over the image's", "-v {vol1}:/data", ""),
    row("volume anonymous", "-v /anonymous", ""),
    row("volume anonymous, written with a slash", "-v /anonymous/", ""),
    row("volume anonymous over the new image's", "-v /newdata", ""),
    row("bind", "-v {dir}:/bound", ""),
    row("bind read-only", "-v {dir}:/bound:ro", ""),
    row("bind relabelled", "-v {dir}:/bound:z", ""),
    row("bind propagated", "-v {dir}:/bound:rslave", "").created(),
    row("bind private", "-v {dir}:/bound:private", ""),
    row("bind over the image's volume", "-v {dir}:/data", ""),
    row("mount volume", "--mount type=volume,src={vol1},dst=/mine", ""),
    row(
        "mount volume with options",
        "--mount type=volume,src={vol1},dst=/mine,volume-nocopy,readonly,volume-label=a=b",
        "",
    ),
    row("mount volume anonymous", "--mount type=volume,dst=/mine", ""),
    row("mount volume anonymous without copying", "--mount type=volume,dst=/mine,volume-nocopy", ""),
    row("mount bind", "--mount type=bind,src={dir},dst=/bound,readonly,bind-propagation=rslave", "")
        .created(),
    row("mount bind private", "--mount type=bind,src={dir},dst=/bound,bind-propagation=private", ""),
    row("mount bind not recursive", "--mount type=bind,src={dir},dst=/bound,bind-recursive=disabled", ""),
    row("mount tmpfs", "--mount type=tmpfs,dst=/fleeting,tmpfs-size=1048576,tmpfs-mode=0700", ""),
    row("tmpfs", "--tmpfs /fleeting:size=1m,noexec --tmpfs /other", ""),
    row("tmpfs over the image's volume", "--tmpfs /data", ""),
    body("anonymous volume among the binds", r#"{"HostConfig": {"Binds": ["/anonymous", "{vol1}:/mine"]}}"#),
    row("volumes from", "--volumes-from {peer}", ""),
    row("volumes from, read-only", "--volumes-from {peer}:ro", ""),
    row("volumes from below a mount of its own", "--volumes-from {peer} -v {vol1}:/shared", ""),
    row(
        "everything stored at once",
        "-v {vol1}:/a -v /b -v {dir}:/c --mount type=volume,src={vol2},dst=/d --tmpfs /e",
        "",
    ),
    row("volume driver", "--volume-driver local -v {vol1}:/mine -v /anonymous", ""),
    row("storage on a bare image", "-v /anonymous -v {vol1}:/mine", "").bare(),
];

pub(crate) const NETWORKS: &[Row] = &[
    row("ports", "-p 127.0.0.1:18080:80 -p 18081:81/udp", "").created(),
    row("port the image does not expose", "-p 127.0.0.1:18082:8080/tcp", "").created(),
    row("port only the old image exposes", "-p 127.0.0.1:18083:81/udp", "").created(),
    row("ports in a range", "-p 127.0.0.1:18090-18092:90-92", "").created(),
    row("port of the engine's choice", "-p 80", ""),
    row("all ports", "-P", ""),
    row("all ports and one", "-P --expose 99 -p 80", ""),
    row("expose", "--expose 7000-7002 --expose 53/udp", ""),
    row("network of its own", "--network {net1}", ""),
    row("network by its id", "--network {net1-id} --network-alias one", "")
        .then(&["network connect {net2} {c}"]),
    row("network by alias", "--network {net1} --network-alias one --network-alias two", ""),
    row("network and host name", "--network {net1} --network-alias one --hostname named", ""),
    row(
        "network and an alias like the host name",
        "--network {net1} --network-alias named --hostname named",
        "",
    ),
    row("network with a fixed address", "--network {net1} --ip {subnet}.77", ""),
    row("network with a link", "--network {net1} --link {peer}:friend", "").created(),
    row("network with local addresses", "--network {net1} --link-local-ip 169.254.7.7", "").created(),
    row("two networks", "--network {net1} --network-alias one", "")
        .then(&["network connect --alias two --alias zwei {net2} {c}"]),
    row("two networks, the first not the first by name", "--network {net2}", "")
        .then(&["network connect --ip {subnet}.78 {net1} {c}"]),
    row("bridge and another", "", "").then(&["network connect --alias two {net1} {c}"]),
    row("moved away from its first network", "", "")
        .then(&["network connect --alias two {net1} {c}", "network disconnect bridge {c}"]),
    row("bridge by name", "--network bridge", ""),
    row("host's network", "--network host", ""),
    row("host's network and host name", "--network host --hostname own", ""),
    row("no network", "--network none", ""),
    row("another's network", "--network container:{peer}", ""),
    row("another's network, name server settings", "--network container:{peer} --dns-option ndots:2", "")
        .created(),
    row("name servers", "--dns 192.0.2.1 --dns-search example.org --dns-option ndots:2", ""),
    row("extra hosts", "--add-host one:192.0.2.1 --add-host two:192.0.2.2", ""),
    row("links on the bridge", "--link {peer}:friend --link {peer}", ""),
    row("network with a fixed address of IPv6", "--network {net6} --ip6 {subnet6}::77", "").created(),
    body(
        "network whose gateway counts more",
        r#"{"HostConfig": {"NetworkMode": "{net1}"},
            "NetworkingConfig": {"EndpointsConfig": {"{net1}": {"GwPriority": 7}}}}"#,
    ),
    body("mac address", r#"{"MacAddress": "02:42:c0:00:02:07", "HostConfig": {}}"#),
    body(
        "mac address on a network",
        r#"{"MacAddress": "02:42:c0:00:02:08", "HostConfig": {"NetworkMode": "{net1}"}}"#,
    ),
    body("network disabled", r#"{"NetworkDisabled": true, "HostConfig": {}}"#),
    body(
        "driver options",
        r#"{"HostConfig": {"NetworkMode": "{net1}"},
            "NetworkingConfig": {"EndpointsConfig": {"{net1}": {"DriverOpts": {"a": "b"}, "Aliases": ["x"]}}}}"#,
    ),
];
