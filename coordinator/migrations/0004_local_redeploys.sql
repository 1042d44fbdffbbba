-- What commands on hosts did, as their agents reported it. No order and no deployment stands behind these.
CREATE TABLE local_redeploys (
    host_id     TEXT NOT NULL,
    redeploy_id TEXT NOT NULL,
    container   TEXT NOT NULL,
    ended_at    INTEGER NOT NULL,        -- by the host's clock
    report      BLOB NOT NULL,           -- redeploy.v1.Report
    PRIMARY KEY (host_id, redeploy_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX local_redeploys_place ON local_redeploys (host_id, container, ended_at);

-- For the last redeploy of a node.
CREATE INDEX orders_node ON orders (node_id, generation);
