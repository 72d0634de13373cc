//! `cargo xtask demo`: from images in a vendor's registry to the same images in a customer's, by the user's own commands.
//!
//! Needs nothing but cargo. Both registries run inside this process, on loopback, and end with it; what was made
//! stays in `demo/` to look at, until the next run replaces it.

mod stage;

use std::fs;
use std::path::{Path, PathBuf};

use xtask::images::{self, Key, Named, cosign_tag, signature};
use xtask::registry::{Config, Server};

use crate::{Outcome, say};
use stage::Stage;

const RELEASE: &str = "incidentfox-enterprise-1.2.0";
const TAG: &str = "v1.2.0";

pub(crate) fn run() -> Outcome {
    let text = |error: std::io::Error| error.to_string();
    let stage = Stage::set("demo")?;
    let vendor = Server::start(Config::default()).map_err(text)?;
    let customer = Server::start(Config::default()).map_err(text)?;
    let images = images::sample("incidentfox", TAG).map_err(text)?;
    for image in &images {
        image.graph.put(&vendor, &image.repository, &image.tag).map_err(text)?;
    }
    say::line(&format!("vendor's registry:   {} ({} images)", vendor.host(), images.len()));
    say::line(&format!("customer's registry: {} (empty)", customer.host()));
    say::line("$ cd demo");

    let signed = sign(&stage, &vendor, &images[0])?;
    cut(&stage, &vendor.host(), &images)?;
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
fn cut(stage: &Stage, host: &str, images: &[Named]) -> Outcome {
    say::heading("The vendor cuts a release");
    stage.write("vendor/release.yaml", &release_yaml(host, images))?;
    stage.folder("vendor/weights")?;
    stage.write("vendor/weights/LICENSE", "Small weights, made for the demo. Do with them as you like.\n")?;
    stage.write("vendor/weights/config.json", "{\"model_type\": \"demo\"}\n")?;
    stage.write("vendor/weights/model.safetensors", &weights())?;
    stage.run("cat vendor/release.yaml")?;
    stage.folder("vendor/keys")?;
    stage.folder("customer/keys")?;
    stage.run("bundle keygen signing --out vendor/keys/ci")?;
    stage.run("bundle keygen signing --out vendor/keys/release-manager")?;
    stage.run("bundle keygen recipient --out vendor/keys/escrow")?;
    stage.run("bundle keygen recipient --out customer/keys/acme")?;
    stage.run("bundle lock -f vendor/release.yaml")?;
    stage.run(
        "bundle build -f vendor/release.yaml --out vendor/out --sign-key vendor/keys/ci.key \
         --recipient vendor/keys/escrow.pub",
    )?;
    let bundle = format!("vendor/out/{RELEASE}");
    stage.run(&format!("bundle sign {bundle} --key vendor/keys/release-manager.key"))?;
    stage.run(&format!(
        "bundle grant {bundle} --identity vendor/keys/escrow.key --recipient customer/keys/acme.pub --name acme-corp"
    ))?;
    stage.run(&format!("bundle inspect {bundle}"))
}

/// The stick, and what the operator does first with it.
fn deliver(stage: &Stage) -> Outcome {
    say::heading("The operator gets a stick, read-only, and trusts two keys");
    stage.folder("customer/stick")?;
    stage.run(&format!("cp -r vendor/out/{RELEASE} customer/stick/"))?;
    stage.run("chmod -R a-w customer/stick")?;
    stage.run(
        "bundle trust init --key vendor/keys/ci.pub --key vendor/keys/release-manager.pub --threshold 2 \
         --out customer/trust.json",
    )?;
    stage.run(&format!("bundle verify customer/stick/{RELEASE} --trust customer/trust.json"))?;
    stage.run(&format!("cat customer/stick/{RELEASE}/notices/demo-weights/LICENSE"))?;
    stage.run(&format!(
        "bundle verify customer/stick/{RELEASE} --trust customer/trust.json --identity customer/keys/acme.key"
    ))?;
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
    if customer.manifest("mirror/models/demo-weights", "1.2.0").is_none() {
        return Err("the model is not there".to_owned());
    }
    let first = customer.stats();
    say::line(&format!(
        "-> {} images and a model are there, each with the vendor's digest; {} bytes of blobs were sent",
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

/// What a vendor writes. The images are delivered under their public names, and read from the registry at `host`.
fn release_yaml(host: &str, images: &[Named]) -> String {
    let mut text = String::from(
        "apiVersion: bundle/v1\nkind: Release\nname: incidentfox-enterprise\nversion: 1.2.0\nvendor: IncidentFox\n\
         platforms: [linux/amd64, linux/arm64]\n\nimages:\n",
    );
    for (number, Named { repository, tag, graph }) in images.iter().enumerate() {
        text.push_str(&format!(
            "  - ref: docker.io/{repository}:{tag}\n    from: {host}/{repository}:{tag}\n"
        ));
        if number == 0 {
            text.push_str("    verify: {cosign-key: keys/images.pub}\n");
        }
        if graph.documents.len() == 1 {
            text.push_str("    platforms: [linux/amd64]\n");
        }
    }
    text.push_str("\nmodels:\n  - name: demo-weights\n    from: dir:weights\n    notice: LICENSE\n");
    text.push_str("\nvolume-size: 4MiB\n");
    text
}

/// A `safetensors` file with one tensor of spaces, so that it is text.
fn weights() -> String {
    let header = r#"{"w":{"dtype":"U8","shape":[1024],"data_offsets":[0,1024]}}"#;
    // Eight bytes of length, of which all but the first are zero.
    let length = char::from(u8::try_from(header.len()).unwrap_or(0));
    format!("{length}{}{header}{}", "\0".repeat(7), " ".repeat(1024))
}
