#!/bin/bash
# clean.sh [SUITE...]: the two commands on a clean Debian. For each suite (bookworm; trixie too where the mirror has it): a debootstrap folder,
# a fresh clone of HEAD in it, `make run`, the printed curl line, `make test`. Nothing else is typed there. Needs root.
# Downloads use the host's own apt and npm settings, read from the host and written nowhere else.
set -uo pipefail
cd "$(dirname "$0")/../.."
top=$PWD
work=${CLEAN_DIR:-$(mktemp -d /var/tmp/sluice-clean-XXXXXX)}
mkdir -p "$work"
passed=0 failed=0

mirror() { # of the host's Debian archive, whatever it is
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null | awk -v s="$(. /etc/os-release; echo "$VERSION_CODENAME")" '$2 == s { print $1; exit }'
}

unmount() {
    local root=$1 m
    for m in shared/data dev/shm dev/pts dev sys proc; do
        [ $m = shared/data ] && m=home/sluice/shared/data
        mountpoint -q "$root/$m" && umount -l "$root/$m"
    done
}

make_root() { # SUITE ROOT
    local suite=$1 root=$2 url
    url=$(mirror)
    [ -n "$url" ] || { echo "clean: apt names no Debian archive here" >&2; return 1; }
    debootstrap --variant=minbase --include=make,git,ca-certificates "$suite" "$root" "$url" >"$work/$suite.bootstrap.log" 2>&1 || { tail -n 5 "$work/$suite.bootstrap.log"; return 1; }
    echo "deb $url $suite main" >"$root/etc/apt/sources.list"
    cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2>/dev/null
    rm -f "$root"/etc/apt/apt.conf.d/{20packagekit,50appstream,02autoremove-postgresql}
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    [ -f "$HOME/.npmrc" ] && cp "$HOME/.npmrc" "$root/root/.npmrc"
    local global; global=$(npm config get globalconfig 2>/dev/null)
    [ -f "$global" ] && cat "$global" >>"$root/root/.npmrc"
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/root/host-ca.crt"
    sed -i 's#^cafile *=.*#cafile=/root/host-ca.crt#' "$root/root/.npmrc" 2>/dev/null
    mount -t proc proc "$root/proc"; mount --rbind /sys "$root/sys"; mount --make-rslave "$root/sys"
    mount --bind /dev "$root/dev"; mount --bind /dev/pts "$root/dev/pts"; mount -t tmpfs tmpfs "$root/dev/shm"
    mkdir -p "$root/home/sluice/shared/data"
    [ -d ../shared/data ] && mount --bind -o ro "$(realpath ../shared/data)" "$root/home/sluice/shared/data"
    git clone -q "$top" "$root/home/sluice/main"
}

inside() { # ROOT COMMAND
    chroot "$1" /usr/bin/env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 CI="${CI:-}" \
        NODE_EXTRA_CA_CERTS=/root/host-ca.crt CURL_CA_BUNDLE=/root/host-ca.crt \
        ${http_proxy:+http_proxy=$http_proxy} ${https_proxy:+https_proxy=$https_proxy} bash -c "cd /home/sluice/main && $2"
}

try_run() { # ROOT: make run, and the curl line that it prints
    local root=$1 log=$1/run.log i line
    inside "$root" "exec make run" >"$log" 2>&1 &
    local pid=$!
    for i in $(seq 1200); do
        line=$(grep -m1 -oE 'curl http.*' "$log") && break
        kill -0 $pid 2>/dev/null || break
        sleep 0.5
    done
    [ -n "$line" ] || { echo "make run printed no curl line:"; tail -n 20 "$log"; return 1; }
    inside "$root" "$line" >"$root/answer.json" 2>"$root/answer.err"
    local ok=1
    grep -q '"content"' "$root/answer.json" && ok=0
    [ $ok = 0 ] || { echo "the printed curl line did not answer: $line"; cat "$root/answer.json" "$root/answer.err"; }
    for i in $(pgrep -f -- "build/sluice serve --demo"); do # the one in this root, and nobody else's
        [ "$(readlink "/proc/$i/root")" = "$(realpath "$root")" ] && kill -INT "$i"
    done
    wait $pid
    return $ok
}

count() { # NAME STATUS
    if [ "$2" = 0 ]; then passed=$((passed + 1)); echo "  ok    $1"; else failed=$((failed + 1)); echo "  FAIL  $1"; fi
}

suites=${*:-bookworm trixie}
declare -A made # process by suite: a folder is made while what stands before it is tested
trap 'for suite in $suites; do unmount "$work/$suite"; done' EXIT
for suite in $suites; do
    make_root "$suite" "$work/$suite" &
    made[$suite]=$!
done
for suite in $suites; do
    root=$work/$suite
    echo "test-clean: $suite"
    if ! wait "${made[$suite]}"; then
        unmount "$root"
        if [ "$suite" = trixie ]; then echo "  $suite cannot be made here; bookworm is what counts"; else count "$suite: debootstrap" 1; fi
        continue
    fi
    try_run "$root"; count "$suite: make run, curl line answers" $?
    inside "$root" "make test" >"$root/test.log" 2>&1; rc=$?
    count "$suite: make test ($(tail -n 1 "$root/test.log"))" $rc
    [ $rc = 0 ] || tail -n 60 "$root/test.log"
    unmount "$root"
    rm -rf --one-file-system "$root"
done
[ -n "${CLEAN_DIR:-}" ] || rm -rf --one-file-system "$work"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
