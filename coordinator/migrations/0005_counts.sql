-- Lists of deployments say how many nodes stand where, without reading the nodes.
ALTER TABLE deployments ADD COLUMN counts TEXT NOT NULL DEFAULT '{}'; -- JSON: deployment::Counts
UPDATE deployments SET counts = (
    SELECT json_object(
        'total', count(*),
        'done', count(*) FILTER (WHERE part ->> '$.state.state' = 'done'),
        'failed', count(*) FILTER (WHERE part ->> '$.state.state' IN ('failed', 'revert_failed', 'refused')),
        'only', iif(count(*) = 1, min(node_id), NULL))
    FROM deployment_nodes AS part WHERE part.deployment_id = deployments.deployment_id);
