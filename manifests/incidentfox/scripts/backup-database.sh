#!/bin/sh
# Backs up IncidentFox's database: through kubectl for the one in the cluster, directly for one of your own. Changes nothing in it.
# Writes OUT/incidentfox-TIME.dump, pg_dump's custom format, whole or not at all. docs/incidentfox/BACKUP.md says how to restore.
set -eu

# `bundle upgrade` runs it, and says where and what by these variables.
namespace=${BUNDLE_NAMESPACE:-incidentfox} release=${BUNDLE_RELEASE:-incidentfox} out=${BUNDLE_OUT:-.}
host='' port=${BUNDLE_ANSWER_DATABASE_PORT:-5432}
database=${BUNDLE_ANSWER_DATABASE_NAME:-incidentfox} user=${BUNDLE_ANSWER_DATABASE_USER:-incidentfox}
if [ "${BUNDLE_ANSWER_DATABASE:-}" = existing ]; then host=$BUNDLE_ANSWER_DATABASE_HOST; fi
usage() {
    cat <<'USAGE'
sh scripts/backup-database.sh [--out DIR] [--namespace NAME] [--release NAME]
sh scripts/backup-database.sh --host HOST [--port N] [--database NAME] [--user NAME] [--out DIR]

  Without --host: pg_dump runs in the pod RELEASE-postgres-0.
  With --host: pg_dump of this machine is used; the password is read from PGPASSWORD or ~/.pgpass.
USAGE
}
need() {
    [ $# -ge 2 ] || { echo "backup-database: $1 needs a value" >&2; exit 2; }
}
while [ $# -gt 0 ]; do
    case $1 in
        --out) need "$@"; out=$2; shift 2 ;;
        --namespace) need "$@"; namespace=$2; shift 2 ;;
        --release) need "$@"; release=$2; shift 2 ;;
        --host) need "$@"; host=$2; shift 2 ;;
        --port) need "$@"; port=$2; shift 2 ;;
        --database) need "$@"; database=$2; shift 2 ;;
        --user) need "$@"; user=$2; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) echo "backup-database: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
done

mkdir -p "$out"
umask 077
file=$out/incidentfox-$(date -u +%Y%m%dT%H%M%SZ).dump
partial=$file.partial
trap 'rm -f "$partial"' EXIT
trap 'exit 4' HUP INT TERM

# The variables are the pod's.
# shellcheck disable=SC2016
in_pod='exec pg_dump --format=custom --no-owner --username="$POSTGRES_USER" --dbname="$POSTGRES_DB"'
if [ -n "$host" ]; then
    command -v pg_dump >/dev/null || { echo "backup-database: pg_dump is missing on this machine; nothing was done" >&2; exit 3; }
    pg_dump --format=custom --no-owner --no-password --host="$host" --port="$port" --username="$user" --dbname="$database" >"$partial" ||
        { echo "backup-database: pg_dump failed; there is no backup" >&2; exit 3; }
else
    kubectl exec --namespace "$namespace" "$release-postgres-0" -- sh -c "$in_pod" >"$partial" ||
        { echo "backup-database: pg_dump in $release-postgres-0 failed; there is no backup" >&2; exit 3; }
fi
# The custom format begins so; an error page or nothing at all does not.
if [ "$(head -c 5 "$partial")" != PGDMP ]; then
    echo "backup-database: what came is no dump; there is no backup" >&2
    exit 3
fi
if command -v pg_restore >/dev/null && ! pg_restore --list "$partial" >/dev/null; then
    echo "backup-database: the dump cannot be read; there is no backup" >&2
    exit 3
fi
mv "$partial" "$file"
sum=$(sha256sum "$file")
echo "$file"
echo "sha256 ${sum%% *}"
