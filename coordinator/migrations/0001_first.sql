-- The coordinator's store. Times are Unix milliseconds. JSON columns hold the serde form of the type they name.

CREATE TABLE hosts (
    host_id    TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    joined_at  INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    address    TEXT NOT NULL,
    cert_ends  INTEGER NOT NULL,
    facts      BLOB,                     -- redeploy.v1.HostFacts, as the agent said them last
    revoked_at INTEGER
) STRICT;

-- AUTOINCREMENT: an id is never given twice, not even after its node was forgotten.
CREATE TABLE nodes (
    node_id      INTEGER PRIMARY KEY AUTOINCREMENT,
    env          TEXT NOT NULL,
    grp          TEXT NOT NULL,
    host_id      TEXT NOT NULL REFERENCES hosts (host_id),
    container    TEXT NOT NULL,
    adopted      INTEGER NOT NULL,
    generation   INTEGER NOT NULL DEFAULT 0,
    present      INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    facts        BLOB,                   -- redeploy.v1.ContainerFacts
    forgotten_at INTEGER
) STRICT;
CREATE UNIQUE INDEX nodes_place ON nodes (host_id, container) WHERE forgotten_at IS NULL;
CREATE INDEX nodes_group ON nodes (env, grp) WHERE forgotten_at IS NULL;

CREATE TABLE deployments (
    deployment_id TEXT PRIMARY KEY,
    env           TEXT NOT NULL,
    grp           TEXT NOT NULL,
    phase         TEXT NOT NULL,
    is_open       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    idem_by       TEXT,                  -- who chose the idempotency key
    idem_key      TEXT,
    idem_request  BLOB,                  -- digest of the request it was used for
    body          TEXT NOT NULL          -- JSON: deployment::Deployment without its nodes
) STRICT;
-- At most one deployment works on a group, whatever a program does.
CREATE UNIQUE INDEX deployments_one_at_work ON deployments (env, grp) WHERE is_open = 1 AND phase <> 'queued';
CREATE UNIQUE INDEX deployments_idem ON deployments (idem_by, idem_key) WHERE idem_key IS NOT NULL;

CREATE TABLE deployment_nodes (
    deployment_id TEXT NOT NULL REFERENCES deployments (deployment_id),
    node_id       INTEGER NOT NULL,
    part          TEXT NOT NULL,         -- JSON: deployment::NodePart
    PRIMARY KEY (deployment_id, node_id)
) STRICT, WITHOUT ROWID;

-- Stored before they are sent. Never changed but for the report.
CREATE TABLE orders (
    redeploy_id   TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,         -- redeploy, revert
    deployment_id TEXT NOT NULL REFERENCES deployments (deployment_id),
    node_id       INTEGER NOT NULL,
    host_id       TEXT NOT NULL,
    generation    INTEGER NOT NULL,
    stored_at     INTEGER NOT NULL,
    report        BLOB                   -- redeploy.v1.Report, the agent's word as it came
) STRICT, WITHOUT ROWID;
CREATE INDEX orders_deployment ON orders (deployment_id);

CREATE TABLE events (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    at            INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    env           TEXT NOT NULL DEFAULT '',
    grp           TEXT NOT NULL DEFAULT '',
    node_id       INTEGER NOT NULL DEFAULT 0,
    host_id       TEXT NOT NULL DEFAULT '',
    deployment_id TEXT NOT NULL DEFAULT '',
    redeploy_id   TEXT NOT NULL DEFAULT '',
    by_whom       TEXT NOT NULL,
    text          TEXT NOT NULL
) STRICT;
CREATE INDEX events_deployment ON events (deployment_id, seq) WHERE deployment_id <> '';

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    who     TEXT NOT NULL,
    what    TEXT NOT NULL,
    target  TEXT NOT NULL,
    address TEXT NOT NULL,
    result  TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT RAISE (ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_as_written BEFORE UPDATE ON audit BEGIN SELECT RAISE (ABORT, 'the audit log is append-only'); END;

CREATE TABLE join_tokens (
    token_id   TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,     -- SHA-256 of the secret, which has 256 random bits
    comment    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    used_key   BLOB,                     -- SHA-256 of the public key it was used with
    used_by    TEXT,                     -- the host
    revoked_at INTEGER
) STRICT;

CREATE TABLE api_tokens (
    token_id   TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    name       TEXT NOT NULL UNIQUE,
    role       TEXT NOT NULL,
    envs       TEXT NOT NULL,            -- JSON list; empty: all
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,         -- 0: never
    used_at    INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

-- Registry logins, sealed with the key file, gone with their deployment.
CREATE TABLE secrets (
    deployment_id TEXT PRIMARY KEY REFERENCES deployments (deployment_id),
    sealed        BLOB NOT NULL
) STRICT;
