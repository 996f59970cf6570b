# Debian packages: the target that needs some installs what is missing (as root or through sudo), and says so.
PKG_build := gcc=gcc libc6-dev libevent-dev libjansson-dev libsqlite3-dev libpq-dev libcurl4-openssl-dev libssl-dev libutf8proc-dev ca-certificates curl=curl
PKG_test  := python3=python3 nodejs=node npm=npm
PKG_fuzz  := clang=clang
PKG_page  := chromium=chromium
PKG_proxy := nginx-light=nginx haproxy=haproxy
PKG_guide := python3-torch libopenblas0-pthread
PKG_postgres := postgresql postgresql-client=psql
PKG_clean := debootstrap
export DEBIAN_FRONTEND := noninteractive

.PHONY: packages packages-postgres packages-test packages-fuzz packages-page packages-proxy packages-guide packages-clean
packages:       ; @tools/packages.sh $(PKG_build)
packages-test:  ; @tools/packages.sh $(PKG_build) $(PKG_test)
packages-fuzz:  ; @tools/packages.sh $(PKG_build) $(PKG_fuzz)
packages-proxy: ; @tools/packages.sh $(PKG_proxy)
packages-page:  ; @tools/packages.sh $(PKG_page)
packages-guide: ; @tools/packages.sh $(PKG_guide)
packages-postgres: ; @tools/packages.sh $(PKG_postgres)
packages-clean: ; @tools/packages.sh $(PKG_clean)
