-- Sessions that clients of the Jelastic API got for an API token. Each is worth what its token is worth, and no longer.
CREATE TABLE sign_ins (
    hash       BLOB PRIMARY KEY,         -- of the session's text
    token_id   TEXT NOT NULL REFERENCES api_tokens (token_id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_ins_token ON sign_ins (token_id, created_at);
CREATE INDEX sign_ins_end ON sign_ins (expires_at);
