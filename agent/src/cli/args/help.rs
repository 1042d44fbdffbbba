//! What stands below the options in each command's help: examples, and exit codes.

/// The examples of a command, and the exit codes.
macro_rules! help {
    ($($line:literal),+ $(,)?) => {
        concat!("Examples:\n", $("  ", $line, "\n",)+ "\n",
            "Exit codes: 0 done, 1 failed and put back, 2 refused, 3 stuck or unfinished, 64 bad usage")
    };
}

pub(super) const GENERAL: &str = crate::cli::exit::HELP;
pub(super) const PLAN: &str = help!(
    "redeploy-agent plan --container web --image registry.example.com/shop/web:2",
    "redeploy-agent plan --container web --image web:2 --pull never --json",
);
pub(super) const REDEPLOY: &str = help!(
    "redeploy-agent redeploy --container web --image registry.example.com/shop/web:2",
    "redeploy-agent redeploy --container web --image web:2 --probe http://:8080/healthz",
    "redeploy-agent redeploy --container db --image postgres:17 --use-existing-volumes=false",
    "redeploy-agent redeploy --container web --image registry.example.com/shop/web:2 \\",
    "    --registry-user ci --registry-password-stdin < password-file",
);
pub(super) const REVERT: &str = help!(
    "redeploy-agent revert --container web --dry-run",
    "redeploy-agent revert --container web --volumes restore",
);
pub(super) const HISTORY: &str =
    help!("redeploy-agent history", "redeploy-agent history --container web --json | jq -r .verdict");
pub(super) const SHOW: &str = help!("redeploy-agent show 7f3a90c2", "redeploy-agent show 7f3a90c2 --json");
pub(super) const RECOVER: &str = concat!(
    "Examples:\n  redeploy-agent recover\n\n",
    "Exit code: that of the worst report; 0 if there was nothing to do; \
     3 if a redeploy cannot be read or taken over"
);
pub(super) const PRUNE: &str = help!("redeploy-agent prune", "redeploy-agent prune --json");
pub(super) const CHECK_CONF: &str = concat!(
    "Examples:\n",
    "  redeploy-agent check-conf redeploy.conf --home /home/app\n",
    "  docker cp web:/etc/jelastic/redeploy.conf - | tar xO | redeploy-agent check-conf -\n\n",
    "Exit codes: 0 nothing to change (remarks at most), 1 there are warnings or errors, 64 the file cannot be read"
);
pub(super) const COMPLETIONS: &str = concat!(
    "Examples:\n",
    "  redeploy-agent completions bash > /usr/share/bash-completion/completions/redeploy-agent\n",
    "  redeploy-agent completions zsh > /usr/local/share/zsh/site-functions/_redeploy-agent"
);
pub(super) const MAN: &str = concat!(
    "Examples:\n",
    "  redeploy-agent man /usr/local/share/man/man1\n",
    "  redeploy-agent man | man -l -"
);
pub(super) const JOIN: &str = concat!(
    "Examples:\n",
    "  redeploy-agent join --coordinator redeploy.example.com --token - < token\n\n",
    "Exit codes: 0 joined, 2 refused, 64 the arguments or the configuration are wrong"
);
pub(super) const RUN: &str = concat!(
    "Examples:\n  redeploy-agent run\n\n",
    "Exit codes: 0 stopped, 2 it has not joined or is revoked, 64 the arguments or the configuration are wrong"
);
