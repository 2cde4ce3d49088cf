#!/bin/sh
# packages.sh PROBE=PACKAGE... : a probe is a command or a file that the Debian package brings.
# Installs the packages whose probe is missing where it may, else says what to install.
set -eu
missing=
for pair in "$@"; do
    probe=${pair%%=*}
    [ -e "$probe" ] || command -v "$probe" >/dev/null || missing="$missing ${pair#*=}"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q
    # shellcheck disable=SC2086
    exec env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
fi
echo "missing; on Debian or Ubuntu: sudo apt-get install --no-install-recommends$missing" >&2
exit 1
