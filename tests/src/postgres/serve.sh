#!/bin/sh
# Serves the cluster in $PGDATA and makes it first if there is none. Whoever reaches the port is trusted: it is a
# test's own network.
set -eu

if [ -n "${BROKEN-}" ]; then
	echo "BROKEN is set: this version ends before it accepts anybody" >&2
	exit 1
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	initdb --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --data-checksums
	echo "host all all all trust" >>"$PGDATA/pg_hba.conf"
fi
# Small segments of time and log, so that checkpoints and file changes happen within a test.
exec postgres \
	-c "cluster_name=$VERSION" \
	-c "listen_addresses=*" \
	-c unix_socket_directories=/tmp \
	-c fsync=on -c synchronous_commit=on -c full_page_writes=on \
	-c checkpoint_timeout=30s -c min_wal_size=32MB -c max_wal_size=64MB \
	-c jit=off
