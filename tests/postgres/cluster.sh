# A private PostgreSQL: sourced by run.sh. A cluster in a folder that goes away, as an unprivileged user, on a free port of loopback.
# pg_start makes or starts it and sets PG_URL; pg_stop [immediate] stops it; pg_drop removes it.
PG_BIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
PG_DIR=$(mktemp -d /tmp/sluice-postgres-XXXXXX)
PG_PORT=

pg_as() { # runs as the cluster's owner, which must not be root
    if [ "$(id -u)" = 0 ]; then runuser -u nobody -- "$@"; else "$@"; fi
}

pg_start() {
    if [ ! -d "$PG_DIR/data" ]; then
        chmod 0755 "$PG_DIR"
        mkdir -p "$PG_DIR/data" "$PG_DIR/socket"
        [ "$(id -u)" != 0 ] || chown -R nobody "$PG_DIR"
        (cd / && pg_as "$PG_BIN/initdb" -D "$PG_DIR/data" -U sluice -A trust --no-locale -E UTF8 --no-sync >"$PG_DIR/initdb.log" 2>&1) || { cat "$PG_DIR/initdb.log"; return 1; }
    fi
    for try in 1 2 3 4 5; do
        # Another program may take the port between the question and the answer: then another one is asked for.
        [ -n "$PG_PORT" ] || PG_PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
        if (cd / && pg_as "$PG_BIN/pg_ctl" -D "$PG_DIR/data" -w -t 60 -l "$PG_DIR/data/log" \
            -o "-p $PG_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories=$PG_DIR/socket -c fsync=off -c max_connections=50 -c shared_buffers=32MB" start >/dev/null); then
            PG_URL="postgres://sluice@127.0.0.1:$PG_PORT/postgres"
            export PG_URL
            return 0
        fi
        [ ! -d "$PG_DIR/data/base" ] || [ "$try" != 5 ] || tail -5 "$PG_DIR/data/log"
        [ -n "$PG_KEEP_PORT" ] || PG_PORT=
    done
    return 1
}

pg_stop() {
    (cd / && pg_as "$PG_BIN/pg_ctl" -D "$PG_DIR/data" -w -m "${1:-fast}" stop >/dev/null)
}

pg_drop() {
    [ ! -d "$PG_DIR/data" ] || pg_stop immediate 2>/dev/null
    rm -rf "$PG_DIR"
}
