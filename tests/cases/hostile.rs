//! Damage and malice on the way: each kind of file, changed in each way. Every case is judged by `verify` without and with an
//! identity and by `load`; each must name the thing, send nothing wrong, and leave the folder as it is.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bundle::bundle::grant::{self, Identity, SealTo};
use signing::raw;

use super::forge::{Forgery, Yard, copy, noise, publish, state, tags};

const VOLUME_1: &str = "volumes/demo-1.2.0.0001.tar.age";
const VOLUME_2: &str = "volumes/demo-1.2.0.0002.tar.age";

/// What must come of a case.
#[derive(Clone, Copy)]
enum Must {
    /// Nothing is wrong; a load leaves both images.
    Hold,
    /// Nothing is wrong enough, and this is said.
    Say(&'static str),
    /// It is refused, and this is said; a load leaves no image.
    Refuse(&'static str),
    /// A load says this and leaves image `one` alone.
    LoadOne(&'static str),
    /// And this, image `two` alone.
    LoadTwo(&'static str),
}

use Must::{Hold, LoadOne, LoadTwo, Refuse, Say};

struct Scene<'a> {
    /// The bundle to be harmed.
    bundle: &'a Path,
    /// Another release of the same vendor.
    later: &'a Path,
    /// The same release built once more: other keys, other bytes.
    twin: &'a Path,
    yard: &'a Yard,
}

impl Scene<'_> {
    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.bundle.join(name);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }

    fn flip(&self, name: &str, at: usize) {
        self.change(name, |bytes| bytes[at] ^= 1);
    }

    fn cut(&self, name: &str, by: usize) {
        self.change(name, |bytes| bytes.truncate(bytes.len() - by));
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.bundle.join(name)).unwrap();
    }

    fn add(&self, name: &str) {
        fs::write(self.bundle.join(name), b"?").unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.bundle.join(from), self.bundle.join(to)).unwrap();
    }

    fn signature(&self, form: &str) -> String {
        format!("SHA256SUMS.{}.{form}", self.yard.key.public().id())
    }
}

type Harm = fn(&Scene<'_>);

fn run(cases: &[(&str, Harm, [Must; 3])]) {
    let yard = Yard::new();
    let good = Forgery::two_volumes().write(&yard, "good", &[&yard.key]);
    let twin = Forgery::two_volumes().write(&yard, "twin", &[&yard.key]);
    let later = Forgery { version: "1.3.0", ..Forgery::small() }.write(&yard, "later", &[&yard.key]);
    let mut failures = Vec::new();
    for (reason, harm, musts) in cases {
        let bundle = yard.path("case");
        copy(&good, &bundle);
        harm(&Scene { bundle: &bundle, later: &later, twin: &twin, yard: &yard });
        let before = state(&bundle);
        let (loaded, registry) = yard.load(&bundle, &yard.judge());
        let there: Vec<String> = tags(&registry).into_keys().collect();
        let seen = [yard.verify_keyless(&bundle), yard.verify(&bundle, &yard.judge()), loaded];
        for ((by, seen), must) in ["keyless", "content", "load"].iter().zip(&seen).zip(musts) {
            let (ok, text) = match must {
                Hold => (true, ""),
                Say(text) => (true, *text),
                Refuse(text) | LoadOne(text) | LoadTwo(text) => (false, *text),
            };
            if seen.ok != ok || !seen.text.contains(text) || (matches!(must, Hold) && !seen.text.is_empty()) {
                failures.push(format!("{reason}: {by}: {seen:?}"));
            }
        }
        let [one, two] = ["mirror/demo/one:v1", "mirror/demo/two:v1"].map(str::to_owned);
        let expected = match musts[2] {
            Hold | Say(_) => vec![one, two],
            Refuse(_) => vec![],
            LoadOne(_) => vec![one],
            LoadTwo(_) => vec![two],
        };
        if there != expected {
            failures.push(format!("{reason}: the registry holds {there:?}"));
        }
        if matches!(musts[2], Refuse(_)) && registry.stats().blob_received > 0 {
            failures.push(format!("{reason}: blobs were sent"));
        }
        if state(&bundle) != before {
            failures.push(format!("{reason}: the folder was changed"));
        }
        fs::remove_dir_all(&bundle).unwrap();
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

const MIB: usize = 1 << 20;

#[test]
fn a_flipped_bit_in_each_kind_of_file() {
    run(&[
        ("nothing", |_| {}, [Hold; 3]),
        ("SHA256SUMS", |s| s.flip("SHA256SUMS", 70), [Refuse("SHA256SUMS or the signature was changed"); 3]),
        ("a raw signature", |s| s.flip(&s.signature("sig"), 40), [Refuse("does not hold"); 3]),
        (
            "a signature for ssh-keygen",
            |s| s.flip(&s.signature("sshsig"), 150),
            [Refuse(".sshsig does not hold"); 3],
        ),
        ("a cut raw signature", |s| s.cut(&s.signature("sig"), 1), [Refuse("has 63 bytes, not 64"); 3]),
        ("a long raw signature", |s| s.change(&s.signature("sig"), |b| b.push(0)), [Refuse("65 bytes"); 3]),
        (
            "a huge signature",
            |s| s.change(&s.signature("sig"), |b| b.resize(1 << 20, 0)),
            [Refuse("65536"); 3],
        ),
        (
            "bundle.json",
            |s| s.flip("bundle.json", 300),
            [Refuse("bundle.json is not the file that was signed"); 3],
        ),
        (
            "README.md",
            |s| s.flip("README.md", 3),
            [
                Refuse("README.md is not the file that was signed"),
                Refuse("README.md is not the file that was signed"),
                Hold,
            ],
        ),
        (
            "a volume's header",
            |s| s.flip(VOLUME_2, 60),
            [
                Refuse("0002.tar.age is damaged in chunk 0, bytes 0 to 4729672"),
                Refuse("0002.tar.age is damaged in chunk 0, bytes 0 to "),
                LoadOne("0002.tar.age: chunk 0 (bytes 0..184) is damaged"),
            ],
        ),
        (
            "the header of the volume with the manifests",
            |s| s.flip(VOLUME_1, 60),
            [
                Refuse("0001.tar.age is damaged in chunk 0, bytes 0 to 16777216"),
                Refuse("0001.tar.age is damaged in chunk 0, bytes 0 to "),
                Refuse("0001.tar.age: chunk 0 (bytes 0..184) is damaged"),
            ],
        ),
        (
            "the middle of a volume",
            |s| s.flip(VOLUME_1, 8 * MIB),
            [
                Refuse("0001.tar.age is damaged in chunk 0, bytes 0 to 16777216"),
                Refuse("0001.tar.age is damaged in chunk 0, bytes 83"),
                LoadTwo("0001.tar.age: chunk 0 (bytes 83"),
            ],
        ),
        (
            "a volume's last chunk",
            |s| s.flip(VOLUME_1, 16 * MIB + 1),
            [
                Refuse("0001.tar.age is damaged in chunk 1, bytes 16777216 to 178"),
                Refuse("0001.tar.age is damaged in chunk 1, bytes 16777216 to 16781496"),
                LoadTwo("0001.tar.age: chunk 1 (bytes 16777216..16781496) is damaged"),
            ],
        ),
        (
            "a volume's last byte",
            |s| s.change(VOLUME_2, |b| *b.last_mut().unwrap() ^= 128),
            [
                Refuse("0002.tar.age is damaged in chunk 0"),
                Refuse("0002.tar.age is damaged in chunk 0"),
                LoadOne("0002.tar.age: chunk 0"),
            ],
        ),
        (
            "the customer's grant",
            |s| s.change("grants/acme.age", |b| *b.last_mut().unwrap() ^= 1),
            [Hold, Refuse("grants/acme.age"), Refuse("grants/acme.age")],
        ),
        (
            "the header of the customer's grant",
            |s| s.flip("grants/acme.age", 50),
            [Hold, Refuse("acme"), Refuse("acme")],
        ),
        ("another customer's grant", |s| s.change("grants/escrow.age", |b| b.fill(0)), [Hold; 3]),
    ]);
}

#[test]
fn files_that_are_not_where_they_should_be() {
    run(&[
        (
            "a volume without its end",
            |s| s.cut(VOLUME_2, 1000),
            [
                Refuse("0002.tar.age has "),
                Refuse("0002.tar.age is damaged in chunk 0"),
                LoadOne("0002.tar.age has "),
            ],
        ),
        (
            "a volume with more than its end",
            |s| s.change(VOLUME_2, |b| b.push(0)),
            [Refuse("0002.tar.age has "), Refuse("0002.tar.age has "), Hold],
        ),
        (
            "an empty volume",
            |s| s.change(VOLUME_2, Vec::clear),
            [
                Refuse("0002.tar.age has 0 bytes"),
                Refuse("0002.tar.age has 0 bytes"),
                LoadOne("0002.tar.age has 0 bytes"),
            ],
        ),
        (
            "a missing volume",
            |s| s.remove(VOLUME_2),
            [Refuse("0002.tar.age is missing"), Refuse("0002.tar.age is missing"), LoadOne("0002.tar.age")],
        ),
        (
            "a volume too many",
            |s| s.add("volumes/demo-1.2.0.0003.tar.age"),
            [
                Refuse("volumes/demo-1.2.0.0003.tar.age is not listed"),
                Refuse("volumes/demo-1.2.0.0003.tar.age is not listed"),
                Hold,
            ],
        ),
        (
            "swapped volumes",
            |s| {
                s.rename(VOLUME_1, "x");
                s.rename(VOLUME_2, VOLUME_1);
                s.rename("x", VOLUME_2);
            },
            [
                Refuse("0001.tar.age has "),
                Refuse("0002.tar.age is damaged in chunk 0"),
                Refuse("0001.tar.age"),
            ],
        ),
        (
            "a renamed volume",
            |s| s.rename(VOLUME_2, "volumes/demo-2.tar.age"),
            [
                Refuse("0002.tar.age is missing"),
                Refuse("volumes/demo-2.tar.age is not listed"),
                LoadOne("0002.tar.age"),
            ],
        ),
        (
            "a volume of the same release built again",
            |s| {
                fs::copy(s.twin.join(VOLUME_2), s.bundle.join(VOLUME_2)).unwrap();
            },
            [
                Refuse("0002.tar.age is damaged in chunk 0"),
                Refuse("0002.tar.age is damaged in chunk 0"),
                LoadOne("0002.tar.age: chunk 0 (bytes 0..184) is damaged"),
            ],
        ),
        (
            "two bundles in one folder",
            |s| {
                for name in ["volumes/demo-1.3.0.0001.tar.age", "volumes/demo-1.3.0.0002.tar.age"] {
                    fs::copy(s.later.join(name), s.bundle.join(name)).unwrap();
                }
            },
            [
                Refuse("volumes/demo-1.3.0.0002.tar.age is not listed"),
                Refuse("volumes/demo-1.3.0.0001.tar.age is not listed"),
                Hold,
            ],
        ),
        ("another bundle copied over this one", |s| copy(s.twin, s.bundle), [Hold; 3]),
        (
            "the small files of another bundle copied over this one",
            |s| {
                for name in ["SHA256SUMS", "bundle.json", &s.signature("sig"), &s.signature("sshsig")] {
                    fs::copy(s.twin.join(name), s.bundle.join(name)).unwrap();
                }
            },
            [
                Refuse("0001.tar.age is damaged in chunk 0"),
                Refuse("0002.tar.age is damaged in chunk 0"),
                // The volumes are others, but hold the same blobs, and this bundle's grants open them.
                Hold,
            ],
        ),
        (
            "the signatures of another bundle",
            |s| {
                for name in [s.signature("sig"), s.signature("sshsig")] {
                    fs::copy(s.twin.join(&name), s.bundle.join(&name)).unwrap();
                }
            },
            [Refuse("does not hold"); 3],
        ),
        (
            "a signature over another file",
            |s| {
                let index = fs::read(s.bundle.join("bundle.json")).unwrap();
                fs::write(s.bundle.join(s.signature("sig")), raw::sign(&s.yard.key, &index)).unwrap();
            },
            [Refuse("does not hold"); 3],
        ),
        (
            "no signature",
            |s| {
                s.remove(&s.signature("sig"));
                s.remove(&s.signature("sshsig"));
            },
            [Refuse("it is not signed"); 3],
        ),
        ("the form for ssh-keygen alone", |s| s.remove(&s.signature("sig")), [Refuse("it is not signed"); 3]),
        ("the form for openssl alone", |s| s.remove(&s.signature("sshsig")), [Hold; 3]),
        ("no SHA256SUMS", |s| s.remove("SHA256SUMS"), [Refuse("has no SHA256SUMS"); 3]),
        (
            "an empty SHA256SUMS, signed",
            |s| publish(s.bundle, b"", &[&s.yard.key]),
            [Refuse("it lists no file"); 3],
        ),
        (
            "a SHA256SUMS that leaves the folder, signed",
            |s| {
                let line = format!("{}  ../../etc/passwd\n", "0".repeat(64));
                publish(s.bundle, line.as_bytes(), &[&s.yard.key]);
            },
            [Refuse("path \"../../etc/passwd\" is refused"); 3],
        ),
        (
            "a SHA256SUMS without an index, signed",
            |s| {
                publish(s.bundle, format!("{}  README.md\n", "0".repeat(64)).as_bytes(), &[&s.yard.key]);
            },
            [Refuse("does not list bundle.json"); 3],
        ),
        ("no index", |s| s.remove("bundle.json"), [Refuse("bundle.json"); 3]),
        (
            "no README",
            |s| s.remove("README.md"),
            [Refuse("README.md is missing"), Refuse("README.md is missing"), Hold],
        ),
        (
            "no grants",
            |s| fs::remove_dir_all(s.bundle.join("grants")).unwrap(),
            [Hold, Refuse("holds no grant"), Refuse("holds no grant")],
        ),
        (
            "no grant for this customer",
            |s| s.remove("grants/acme.age"),
            [Hold, Refuse("none of the 1 grants"), Refuse("escrow")],
        ),
        (
            "what operating systems leave",
            |s| {
                for name in [".DS_Store", "._README.md", "volumes/Thumbs.db", "volumes/._x"] {
                    s.add(name);
                }
                fs::create_dir(s.bundle.join("System Volume Information")).unwrap();
                s.add("System Volume Information/IndexerVolumeGuid");
            },
            [Say("System Volume Information is not listed"), Say("volumes/Thumbs.db is not listed"), Hold],
        ),
        (
            "a program that nobody signed",
            |s| s.add("setup.sh"),
            [Refuse("setup.sh is not listed"), Refuse("setup.sh is not listed"), Hold],
        ),
        (
            "a folder that nobody signed",
            |s| {
                fs::create_dir(s.bundle.join("docs")).unwrap();
                s.add("docs/a");
            },
            [Refuse("docs/ is not listed"), Refuse("docs/ is not listed"), Hold],
        ),
        (
            "a name that writes on the terminal",
            |s| s.add("volumes/\x1b[2J\u{202e}x"),
            [
                Refuse("volumes/\u{fffd}[2J\u{fffd}x is not listed"),
                Refuse("volumes/\u{fffd}[2J\u{fffd}x is not listed"),
                Hold,
            ],
        ),
        (
            "a name that is no text",
            |s| {
                fs::write(s.bundle.join(OsStr::from_bytes(b"README\xff.md")), b"?").unwrap();
            },
            [Refuse("README\u{fffd}.md is not listed"), Refuse("README\u{fffd}.md is not listed"), Hold],
        ),
        (
            "grants that are none",
            |s| {
                for name in ["grants/0.age", "grants/1.age"] {
                    fs::write(s.bundle.join(name), noise(1, 300)).unwrap();
                }
            },
            [Hold; 3],
        ),
        (
            "a grant to this customer that holds another identity",
            |s| {
                let to = std::slice::from_ref(&s.yard.grantees[0].1);
                let sealed = grant::seal(&Identity::generate(), SealTo::Recipients(to)).unwrap();
                fs::write(s.bundle.join("grants/0.age"), sealed).unwrap();
            },
            [Hold; 3],
        ),
        (
            "a grant with a hostile name",
            |s| s.add("grants/\x1b[2J.age"),
            [
                Refuse("grants/\u{fffd}[2J.age is not listed"),
                Refuse("grants/\u{fffd}[2J.age is not listed"),
                Hold,
            ],
        ),
    ]);
}
