#!/bin/bash
# packages.sh NAME[=COMMAND]...: installs the Debian packages that are missing; silent when all are there.
# NAME=COMMAND counts as there when the command is, whoever installed it.
set -euo pipefail
exec 9>"${TMPDIR:-/tmp}/sluice-packages.lock"
flock 9 # make may ask for several sets at once
missing=()
for p in "$@"; do
    if [[ $p == *=* ]] && command -v "${p#*=}" >/dev/null; then continue; fi
    name=${p%%=*}
    dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "installing: ${missing[*]}" >&2
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "packages: neither root nor sudo is here; run as root: apt-get install ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
fi
"${as_root[@]}" apt-get -qq update
"${as_root[@]}" apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
