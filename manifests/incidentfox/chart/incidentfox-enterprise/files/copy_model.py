"""Copies the files of a model image out of a registry into a folder.

For clusters that cannot mount an image as a volume. Uses the standard library alone, so that any image with Python 3 will do.

Every layer is an uncompressed tar. It is unpacked while it streams, under names that do not count yet; only when its digest is
the one the manifest names do its files get their own. A layer that was copied before is not fetched again, so a pod that was
killed goes on where it was.

MODEL_IMAGE         host/path:tag, host/path@sha256:... or both
MODEL_FOLDER        where the files go
REGISTRY_AUTH_FILE  a Docker configuration with credentials; optional
PLAIN_HTTP          "true" for a registry without a certificate
"""

import base64
import hashlib
import json
import os
import re
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request

PIECE = 4 << 20
MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
PARTIAL = ".partial-"


class Fault(Exception):
    """Something that trying again does not mend."""


def parse(reference):
    """host/path:tag@digest -> host, path, tag or digest."""
    reference, _, digest = reference.partition("@")
    host, _, rest = reference.partition("/")
    path, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        path, tag = rest, "latest"
    if not host or not path:
        raise Fault(f"{reference} is no host/path:tag")
    return host, path, digest or tag


class SameHostAuth(urllib.request.HTTPRedirectHandler):
    """Credentials are for the registry, not for the storage it sends us to."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new and urllib.parse.urlsplit(newurl).netloc != urllib.parse.urlsplit(req.full_url).netloc:
            new.headers.pop("Authorization", None)
        return new


class Registry:
    def __init__(self, host, path):
        scheme = "http" if os.environ.get("PLAIN_HTTP") == "true" else "https"
        self.base = f"{scheme}://{host}/v2/{path}"
        self.path = path
        self.authorization = None
        self.basic = credentials(host)
        # No proxy: the registry is in the cluster's own network.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), SameHostAuth())

    def get(self, url, accept="*/*"):
        for last in (False, True):
            request = urllib.request.Request(url, headers={"Accept": accept})
            if self.authorization:
                request.add_header("Authorization", self.authorization)
            try:
                return self.opener.open(request, timeout=120)
            except urllib.error.HTTPError as error:
                if error.code == 401 and not last:
                    self.login(error.headers.get("WWW-Authenticate", ""))
                elif error.code in (401, 403):
                    raise Fault(f"{url}: {error.code}; is the pull secret the registry's?") from None
                elif error.code == 404:
                    raise Fault(f"{url}: not there; was it loaded?") from None
                else:
                    raise

    def login(self, challenge):
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic":
            if not self.basic:
                raise Fault("the registry asks for a password, and there is none for it")
            self.authorization = f"Basic {self.basic}"
            return
        fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if kind.lower() != "bearer" or "realm" not in fields:
            raise Fault(f"the registry asks for something unknown: {kind}")
        query = {"scope": f"repository:{self.path}:pull"}
        if "service" in fields:
            query["service"] = fields["service"]
        request = urllib.request.Request(fields["realm"] + "?" + urllib.parse.urlencode(query))
        if self.basic:
            request.add_header("Authorization", f"Basic {self.basic}")
        with self.opener.open(request, timeout=60) as answer:
            token = json.load(answer)
        self.authorization = "Bearer " + (token.get("token") or token["access_token"])


def credentials(host):
    file = os.environ.get("REGISTRY_AUTH_FILE")
    if not file:
        return None
    with open(file, encoding="utf-8") as source:
        entries = json.load(source).get("auths", {})
    for name, entry in entries.items():
        if name.removeprefix("https://").removeprefix("http://").split("/")[0] != host:
            continue
        if entry.get("auth"):
            return entry["auth"]
        if "username" in entry:
            both = f"{entry['username']}:{entry.get('password', '')}"
            return base64.b64encode(both.encode()).decode()
    return None


class Hashing:
    """A stream that hashes what is read from it."""

    def __init__(self, source):
        self.source = source
        self.hash = hashlib.sha256()
        self.length = 0

    def read(self, size=PIECE):
        piece = self.source.read(size)
        self.hash.update(piece)
        self.length += len(piece)
        return piece


def inside(folder, name):
    """The place of a tar entry; anything but a plain path below the folder is refused."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or name.startswith("/") or ".." in parts or "\\" in name:
        raise Fault(f"the model holds a file named {name!r}")
    return os.path.join(folder, *parts)


def copy_layer(registry, layer, folder):
    """Unpacks one layer; gives the paths it holds."""
    written = []
    with registry.get(f"{registry.base}/blobs/{layer['digest']}") as answer:
        stream = Hashing(answer)
        with tarfile.open(fileobj=stream, mode="r|", bufsize=PIECE) as archive:
            for entry in archive:
                place = inside(folder, entry.name)
                if entry.isdir():
                    os.makedirs(place, exist_ok=True)
                elif entry.isfile():
                    os.makedirs(os.path.dirname(place), exist_ok=True)
                    partial = os.path.join(os.path.dirname(place), PARTIAL + os.path.basename(place))
                    with open(partial, "wb") as target:
                        content = archive.extractfile(entry)
                        while piece := content.read(PIECE):
                            target.write(piece)
                        target.flush()
                        os.fsync(target.fileno())
                    written.append((partial, place))
                else:
                    raise Fault(f"{entry.name} in the model is neither a file nor a folder")
        while stream.read():
            pass
    got = f"sha256:{stream.hash.hexdigest()}"
    if got != layer["digest"] or stream.length != layer["size"]:
        raise OSError(f"layer {layer['digest']} came as {got}, {stream.length} bytes")
    for partial, place in written:
        os.replace(partial, place)
    return [[os.path.relpath(place, folder), os.path.getsize(place)] for _, place in written]


def main():
    host, path, wanted = parse(os.environ["MODEL_IMAGE"])
    folder = os.environ["MODEL_FOLDER"]
    os.makedirs(folder, exist_ok=True)
    registry = Registry(host, path)
    with registry.get(f"{registry.base}/manifests/{wanted}", MANIFESTS) as answer:
        text = answer.read(4 << 20)
    digest = "sha256:" + hashlib.sha256(text).hexdigest()
    if wanted.startswith("sha256:") and wanted != digest:
        raise Fault(f"the registry gave {digest} for {wanted}")
    layers = json.loads(text)["layers"]
    # What was copied, by layer; written after each.
    state = os.path.join(folder, ".copied.json")
    try:
        with open(state, encoding="utf-8") as source:
            copied = json.load(source)
    except (OSError, ValueError):
        copied = {}
    kept = {}
    for number, layer in enumerate(layers, 1):
        head = f"layer {number} of {len(layers)}, {layer['size']} bytes"
        files = copied.get(layer["digest"])
        there = files is not None and all(
            os.path.isfile(os.path.join(folder, name)) and os.path.getsize(os.path.join(folder, name)) == size
            for name, size in files
        )
        if there:
            print(f"{head}: there already", flush=True)
        else:
            print(f"{head}: copying", flush=True)
            files = copy_layer(registry, layer, folder)
        kept[layer["digest"]] = files
        with open(state + ".new", "w", encoding="utf-8") as target:
            json.dump({**copied, **kept}, target)
        os.replace(state + ".new", state)
    # What an earlier model left, and what was cut off.
    wanted_files = {name for files in kept.values() for name, _ in files} | {".copied.json"}
    for root, _, names in os.walk(folder):
        for name in names:
            place = os.path.join(root, name)
            if os.path.relpath(place, folder) not in wanted_files:
                os.remove(place)
    with open(state + ".new", "w", encoding="utf-8") as target:
        json.dump(kept, target)
    os.replace(state + ".new", state)
    print(f"{os.environ['MODEL_IMAGE']} is in {folder}: {digest}", flush=True)


if __name__ == "__main__":
    for attempt in range(5):
        try:
            main()
            break
        except Fault as fault:
            sys.exit(f"copy_model: {fault}")
        except (OSError, tarfile.TarError) as error:
            print(f"copy_model: {error}", file=sys.stderr, flush=True)
            time.sleep(2**attempt)
    else:
        sys.exit("copy_model: the registry did not deliver; the pod starts again and goes on from here")
