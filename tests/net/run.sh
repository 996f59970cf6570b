#!/bin/bash
# The HTTP server from outside: raw requests, early leavers, slow senders and readers, drain, TLS.
exec python3 "$(dirname "$0")/run.py" "${OUT:-build}/net/echo_server"
