#!/bin/sh
# Looks whether this machine has what demo 1.2.0 needs. Changes nothing. Says everything that is missing, not only the first.
set -eu

usage() {
    echo "sh scripts/check-prerequisites.sh   exit code 0: nothing is missing; 1: something is, and is named"
}
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        *) echo "check-prerequisites: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
done
missing=0
good() { printf 'ok       %s\n' "$1"; }
bad() { printf 'MISSING  %s\n         %s\n' "$1" "$2"; missing=$((missing + 1)); }
note() { printf 'note     %s\n' "$1"; }

echo "This machine"
have() { command -v "$1" >/dev/null 2>&1; }
if have bundle || [ -f "$(dirname "$0")/../bundle" ]; then good "bundle"; else note "bundle is not here; scripts/load-images.sh loads without it"; fi
for tool in openssl sha256sum tar; do
    if have "$tool"; then good "$tool"; else bad "$tool" "needed to check the bundle without bundle; install it from your distribution"; fi
done
optional() {
    if have "$1"; then good "$1"; else note "$1 is not here; only scripts/load-images.sh needs it"; fi
}
optional age
optional skopeo
free=$(df -Pk "${TMPDIR:-/tmp}" | awk 'NR == 2 {print $4}')
if [ "$free" -ge 7607 ]; then
    good "7.43 MiB free in ${TMPDIR:-/tmp}"
else
    note "less than 7.43 MiB free in ${TMPDIR:-/tmp}: enough for bundle load, not for scripts/load-images.sh; give it --work DIR"
fi

if [ "$missing" -eq 0 ]; then echo "Nothing is missing."; else echo "$missing missing."; exit 1; fi
