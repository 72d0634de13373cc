#!/bin/sh
# Checks demo 1.2.0 and loads it into a registry, with stock tools alone: openssl, sha256sum, tar, skopeo.
# `bundle load` does the same without needing disk, and goes on where it was stopped.
set -eu

registry='' public_key='' work='' tls_verify=true
usage() {
    cat <<'USAGE'
sh scripts/load-images.sh --registry HOST[/PREFIX] --public-key vendor.pub [--work DIR] [--plain-http]

  --registry HOST[/PREFIX]  where to; log in first: skopeo login HOST
  --public-key FILE         the key you trust, compared with Demo by telephone
  --work DIR                where 7.43 MiB are unpacked; removed afterwards. Default: a folder below $TMPDIR
  --plain-http              for a registry without a certificate
USAGE
}
need() {
    [ $# -ge 2 ] || { echo "load-images: $1 needs a value" >&2; exit 2; }
}
while [ $# -gt 0 ]; do
    case $1 in
        --registry) need "$@"; registry=$2; shift 2 ;;
        --public-key) need "$@"; public_key=$2; shift 2 ;;
        --work) need "$@"; work=$2; shift 2 ;;
        --plain-http) tls_verify=false; shift ;;
        -h | --help) usage; exit 0 ;;
        *) echo "load-images: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
done
if [ -z "$registry" ] || [ -z "$public_key" ]; then
    usage >&2
    exit 2
fi
for tool in openssl sha256sum tar skopeo; do
    command -v "$tool" >/dev/null || { echo "load-images: $tool is missing on this machine; nothing was done" >&2; exit 3; }
done
# What is given by a relative path is meant from where the script was called.
absolute() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$PWD" "$1" ;; esac; }
public_key=$(absolute "$public_key")
[ -z "$work" ] || work=$(absolute "$work")
folder=$(cd "$(dirname "$0")/.." && pwd)
cd "$folder"

echo "1. Signature"
signed=false
for signature in SHA256SUMS.*.sig; do
    if openssl pkeyutl -verify -pubin -inkey "$public_key" -rawin -in SHA256SUMS -sigfile "$signature" >/dev/null 2>&1; then
        echo "   $signature is by $public_key"
        signed=true
    fi
done
$signed || { echo "load-images: no signature is by $public_key; do not use this folder" >&2; exit 1; }

echo "2. Files"
sha256sum --quiet -c SHA256SUMS || { echo "load-images: these files are not what was signed; copy them again" >&2; exit 1; }

if [ -z "$work" ]; then work=$(mktemp -d); else mkdir -p "$work"; work=$(cd "$work" && mktemp -d "$PWD/load.XXXXXX"); fi
trap 'rm -rf "$work"' EXIT
trap 'exit 4' HUP INT TERM

echo "3. Unpacking into $work"
layout=$work/layout
mkdir "$layout"
cat volumes/*.tar | tar -x -C "$layout"

# copy NAME PATH AT DIGEST: an image in OCI format, found by its name in the layout.
copy() {
    echo "   $registry/$2$3"
    skopeo copy --quiet --all --preserve-digests --dest-tls-verify="$tls_verify" "oci:$layout:$1" "docker://$registry/$2$3"
    arrived "$@"
}
# copy_plain NAME PATH AT DIGEST: an image in Docker format, without a tag, or with a name like a__b, which skopeo does not find in a layout; it takes the same files as a plain folder.
copy_plain() {
    echo "   $registry/$2$3"
    rm -rf "$work/docker"
    mkdir "$work/docker"
    for blob in "$layout"/blobs/sha256/*; do
        ln -s "$blob" "$work/docker/"
        ln -s "$blob" "$work/docker/${blob##*/}.manifest.json"
    done
    ln -sf "$layout/blobs/sha256/${4#sha256:}" "$work/docker/manifest.json"
    skopeo copy --quiet --all --preserve-digests --dest-tls-verify="$tls_verify" "dir:$work/docker" "docker://$registry/$2$3"
    arrived "$@"
}
# What the registry has must have the digest that was signed.
arrived() {
    got=$(skopeo inspect --raw --tls-verify="$tls_verify" "docker://$registry/$2$3" | sha256sum)
    if [ "sha256:${got%% *}" != "$4" ]; then
        echo "load-images: $registry/$2$3 is sha256:${got%% *} and should be $4" >&2
        exit 1
    fi
}

echo "4. Loading into $registry"
copy 'docker.io/incidentfox/agent:v1.2.0' 'incidentfox/agent' ':v1.2.0' 'sha256:19a464135f6e418b5c85d331959af0389e6f011fd34ed227de9eaabae6edf198'
copy 'docker.io/incidentfox/web-ui:v1.2.0' 'incidentfox/web-ui' ':v1.2.0' 'sha256:f016cbd7c4dcd5963f21592928f535ba2e8acb854b03cc1562dff23f5f3ad70a'
copy_plain 'docker.io/incidentfox/orchestrator:v1.2.0' 'incidentfox/orchestrator' ':v1.2.0' 'sha256:88f7c0515970f884a3179f32cde0ec87c5bc4533c3a26430cf76a9e2624af4ae'
copy 'docker.io/incidentfox/config-service:v1.2.0' 'incidentfox/config-service' ':v1.2.0' 'sha256:551c64abf991a15ccde4f4c5d0745605f166b24683e178fd60ea7eb824c41079'
copy 'docker.io/incidentfox/knowledge-base:v1.2.0' 'incidentfox/knowledge-base' ':v1.2.0' 'sha256:b6b818568630cff37464a79bcab93b2afbd42b349c99c1f1d2f2e72b0116a8df'
copy_plain 'docker.io/incidentfox/slack-bot:v1.2.0' 'incidentfox/slack-bot' ':v1.2.0' 'sha256:026529c4314d387381a763a57b5c874166086b761e9feeda1060b138fea2f2f4'
copy_plain 'docker.io/incidentfox/vllm-openai:v1.2.0' 'incidentfox/vllm-openai' ':v1.2.0' 'sha256:424e655c68647277fc050fd88d8e19f998fa60b176aca12ac9fa71b38bcba1c0'
echo "Everything is in $registry, with the digests that were signed."
