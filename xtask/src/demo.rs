//! `cargo xtask demo`: from images in a vendor's registry to the same images in a customer's, by the user's own commands.
//!
//! What is cut is the worked example, `manifests/incidentfox`: its chart, files and documents as they are, with images that stand in and a small
//! model. Needs nothing but cargo; what setup unpacked travels as tools where it is there. Both registries run inside this process, on loopback, and end with it; what was made
//! stays in `demo/` to look at, until the next run replaces it.

mod stage;

use std::fs;
use std::path::{Path, PathBuf};

use xtask::example;
use xtask::images::{self, Key, Named, cosign_tag, signature};
use xtask::registry::{Config, Server};

use crate::{Outcome, cargo, say};
use stage::Stage;

const RELEASE: &str = "incidentfox-enterprise-1.2.0";

pub(crate) fn run() -> Outcome {
    let text = |error: std::io::Error| error.to_string();
    let stage = Stage::set("demo")?;
    let vendor = Server::start(Config::default()).map_err(text)?;
    let customer = Server::start(Config::default()).map_err(text)?;
    let images = example::images(&vendor, &cargo::target_folder()?.join("standin"))?;
    say::line(&format!("vendor's registry:   {} ({} images)", vendor.host(), images.len()));
    say::line(&format!("customer's registry: {} (empty)", customer.host()));
    say::line("$ cd demo");

    let signed = sign(&stage, &vendor, &images[0])?;
    cut(&stage, &vendor.host())?;
    deliver(&stage)?;
    load(&stage, &customer, &images)?;
    still_signed(&stage, &customer, (&images[0], &signed))?;
    refuse_damage(&stage)?;
    say::heading("Done");
    say::line("Everything is in ./demo: vendor/ is the release engineer's, customer/ the operator's.");
    say::line(
        "The registries ended with this program; the bundle can be verified and inspected as long as it is there.",
    );
    Ok(())
}

/// Signs an image in the vendor's registry as `cosign sign --key` does; gives the signature's manifest.
fn sign(stage: &Stage, vendor: &Server, image: &Named) -> Result<images::Graph, String> {
    let text = |error: std::io::Error| error.to_string();
    stage.folder("vendor/keys")?;
    let options = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let key = Key::generate(&stage.path("vendor/keys/images"), &options).map_err(text)?;
    let root = &image.graph.root().digest;
    let signed = signature(root, &image.repository, &key).map_err(text)?;
    signed.put(vendor, &image.repository, &cosign_tag(root, "sig")).map_err(text)?;
    say::line(&format!(
        "-> {} is signed there, as cosign does it, by vendor/keys/images.key",
        image.repository
    ));
    Ok(signed)
}

/// The signature beside the image in the customer's registry: fetched, and checked with `openssl` alone.
fn still_signed(stage: &Stage, customer: &Server, (image, signed): (&Named, &images::Graph)) -> Outcome {
    say::heading("The image is signed in the customer's registry too");
    let repository = format!("mirror/{}", image.repository);
    let tag = cosign_tag(&image.graph.root().digest, "sig");
    let held = customer.manifest(&repository, &tag).ok_or(format!("{repository}:{tag} is not there"))?;
    if held.1 != signed.root().bytes {
        return Err(format!("{repository}:{tag} is not what the vendor has"));
    }
    let document: serde_json::Value = serde_json::from_slice(&held.1).map_err(|error| error.to_string())?;
    let layer = &document["layers"][0];
    let payload = layer["digest"].as_str().and_then(|digest| customer.blob(digest));
    let payload = payload.ok_or("what was signed is not there")?;
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap_or_default();
    stage.write("customer/payload", &String::from_utf8_lossy(&payload))?;
    stage.write("customer/payload.sig.base64", signature)?;
    say::line(&format!("-> {repository}:{tag} holds the payload and the signature"));
    stage.run("openssl base64 -d -A -in customer/payload.sig.base64 -out customer/payload.sig")?;
    stage.run("openssl dgst -sha256 -verify vendor/keys/images.pub -signature customer/payload.sig customer/payload")
}

/// The release engineer: keys, lock, build, signatures, a grant.
fn cut(stage: &Stage, host: &str) -> Outcome {
    say::heading("The vendor cuts a release");
    let with_tools = declare(stage, host)?;
    stage.run("cat vendor/release.yaml")?;
    stage.folder("vendor/keys")?;
    stage.folder("customer/keys")?;
    stage.run("bundle keygen signing --out vendor/keys/ci")?;
    stage.run("bundle keygen signing --out vendor/keys/release-manager")?;
    stage.run("bundle keygen signing --out vendor/keys/license")?;
    stage.run("bundle keygen recipient --out vendor/keys/escrow")?;
    stage.run("bundle keygen recipient --out customer/keys/acme")?;
    // Charts are rendered by the Helm that travels along.
    let helm = if with_tools { " --helm vendor/build/tools/helm" } else { "" };
    stage.run(&format!("bundle lock -f vendor/release.yaml{helm}"))?;
    stage.run(
        "bundle build -f vendor/release.yaml --out vendor/out --sign-key vendor/keys/ci.key \
         --recipient vendor/keys/escrow.pub",
    )?;
    let bundle = format!("vendor/out/{RELEASE}");
    stage.run(&format!("bundle sign {bundle} --key vendor/keys/release-manager.key"))?;
    stage.run(&format!(
        "bundle grant {bundle} --identity vendor/keys/escrow.key --recipient customer/keys/acme.pub --name acme-corp"
    ))?;
    stage.folder(&format!("{bundle}/licenses"))?;
    stage.run(&format!(
        "bundle license issue --key vendor/keys/license.key --tiers vendor/tiers.yaml --customer acme-corp --tier enterprise \
         --expires 2036-01-10 --out {bundle}/licenses/acme-corp.lic"
    ))?;
    stage.run(&format!("bundle inspect {bundle}"))
}

/// The stick, and what the operator does first with it.
fn deliver(stage: &Stage) -> Outcome {
    say::heading("The operator gets a stick, read-only, and trusts two keys");
    stage.folder("customer/stick")?;
    stage.run(&format!("cp -r vendor/out/{RELEASE} customer/stick/"))?;
    stage.run("chmod -R a-w customer/stick")?;
    stage.run(&format!(
        "ls customer/stick/{RELEASE} customer/stick/{RELEASE}/docs customer/stick/{RELEASE}/scripts"
    ))?;
    stage.run(
        "bundle trust init --key vendor/keys/ci.pub --key vendor/keys/release-manager.pub --threshold 2 \
         --out customer/trust.json",
    )?;
    stage.run(&format!("bundle verify customer/stick/{RELEASE} --trust customer/trust.json"))?;
    stage.run(&format!("cat customer/stick/{RELEASE}/notices/llama-3-70b-instruct/LICENSE"))?;
    stage.run(&format!(
        "bundle verify customer/stick/{RELEASE} --trust customer/trust.json --identity customer/keys/acme.key"
    ))?;
    stage.run(&format!(
        "bundle license verify customer/stick/{RELEASE}/licenses/acme-corp.lic --public-key vendor/keys/license.pub \
         --customer acme-corp --feature airgapped"
    ))?;
    stage.run(&format!("head -n 24 customer/stick/{RELEASE}/INSTALLATION_GUIDE.md"))?;
    say::line("\nThe same without our program:");
    stage.run_in(&format!("customer/stick/{RELEASE}"), "sha256sum --check --quiet SHA256SUMS")
}

/// Into the customer's registry, twice.
fn load(stage: &Stage, customer: &Server, images: &[Named]) -> Outcome {
    say::heading("The operator loads it");
    let line = format!(
        "bundle load customer/stick/{RELEASE} --registry {}/mirror --trust customer/trust.json \
         --identity customer/keys/acme.key",
        customer.host()
    );
    stage.run(&line)?;
    for image in images {
        let held = customer.manifest(&format!("mirror/{}", image.repository), &image.tag);
        if held.is_none_or(|(_, bytes)| bytes != image.graph.root().bytes) {
            return Err(format!("{}:{} is not what the vendor has", image.repository, image.tag));
        }
    }
    let chart = xtask::tools::helm4().is_ok().then_some("charts/incidentfox-enterprise");
    for name in chart.into_iter().chain(["models/llama-3-70b-instruct"]) {
        if customer.manifest(&format!("mirror/{name}"), "1.2.0").is_none() {
            return Err(format!("{name} is not there"));
        }
    }
    let first = customer.stats();
    say::line(&format!(
        "-> {} images and what goes with them are there, each with the vendor's digest; {} bytes of blobs were sent",
        images.len(),
        first.blob_received
    ));
    customer.reset_stats();
    stage.run(&line)?;
    let second = customer.stats();
    say::line(&format!(
        "-> the second time {} bytes of blobs were sent, in {} requests",
        second.blob_received,
        second.lines.len()
    ));
    if second.blob_received > 0 { Err("the second load sent bytes again".to_owned()) } else { Ok(()) }
}

/// One flipped bit.
fn refuse_damage(stage: &Stage) -> Outcome {
    say::heading("A damaged copy is refused");
    stage.folder("customer/damaged")?;
    stage.run(&format!("cp -r vendor/out/{RELEASE} customer/damaged/"))?;
    let folder = stage.path(&format!("customer/damaged/{RELEASE}"));
    let volume = first_volume(&folder.join("volumes"))?;
    let error = |error: std::io::Error| format!("{}: {error}", volume.display());
    let mut bytes = fs::read(&volume).map_err(error)?;
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&volume, bytes).map_err(error)?;
    let name = volume.file_name().unwrap_or_default().to_string_lossy().into_owned();
    say::line(&format!("-> one bit of {name} was flipped, in byte {at}"));
    stage.run_refused(&format!("bundle verify customer/damaged/{RELEASE} --trust customer/trust.json"))
}

fn first_volume(folder: &Path) -> Result<PathBuf, String> {
    let error = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(error)?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    paths.into_iter().next().ok_or_else(|| format!("{} has no volume", folder.display()))
}

/// The vendor's folder: the worked example, read from the registry at `host`. One image's signature is asked for. Tells whether Helm and
/// kubectl are there; without them, and without a chart, which Helm renders, there is still something to show.
fn declare(stage: &Stage, host: &str) -> Result<bool, String> {
    let mut without = Vec::new();
    let with_tools = xtask::tools::helm4().and(xtask::tools::kubectl()).is_ok();
    if !with_tools {
        say::line("-> without the chart and the tools: `cargo xtask setup` fetches Helm and kubectl");
        without.extend(["charts", "tools"]);
    }
    let folder = stage.path("vendor");
    example::derive(&folder, host, &without)?;
    let path = folder.join("release.yaml");
    let error = |error: std::io::Error| format!("{}: {error}", path.display());
    let agent = format!("    from: {host}/incidentfox/agent:v1.2.0\n");
    let text = fs::read_to_string(&path).map_err(error)?;
    let text = text.replace(&agent, &format!("{agent}    verify: {{cosign-key: keys/images.pub}}\n"));
    // Several volumes, of a release this small.
    let text = text.replace("volume-size: 4GiB", "volume-size: 1MiB");
    fs::write(&path, text).map_err(error)?;
    Ok(with_tools)
}
