//! A damage report goes to the vendor, parts come back, and the copy is mended with them.

use std::fs;
use std::path::Path;

use super::{Bench, VOLUME_1, VOLUME_2, change, flip};
use crate::cases::forge::{Forgery, state};
use crate::cases::world::files;

const MIB: usize = 1 << 20;

impl Bench {
    /// Writes the damage report of the copy called `name` to `report.json`.
    fn report(&self, name: &str) {
        let seen = self.run(&format!("verify {name} --trust trust.json --json"));
        assert_eq!(seen.code, Some(1), "{seen:#?}");
        fs::write(self.yard.path("report.json"), seen.stdout).unwrap();
    }

    fn parts(&self, folder: &str) -> crate::cases::program::Outcome {
        let _ = fs::remove_dir_all(self.yard.path("parts"));
        self.run(&format!("parts {folder} --for report.json --out parts"))
    }
}

#[test]
fn parts_are_small_and_mend_what_the_report_names() {
    let bench = Bench::new(&Forgery::two_volumes());
    let before = state(&bench.yard.path("good"));
    type Harm = fn(&Path);
    // What happened, how many chunks travel, and whether other files do.
    let cases: [(&str, Harm, usize); 7] = [
        ("one bit", |b| flip(b, VOLUME_1, 17 * MIB), 1),
        ("a lost volume", |b| fs::remove_file(b.join(VOLUME_1)).unwrap(), 2),
        ("a lost tail", |b| change(b, VOLUME_1, |bytes| bytes.truncate(16 * MIB + 100)), 1),
        ("a volume cut at a chunk", |b| change(b, VOLUME_1, |bytes| bytes.truncate(16 * MIB)), 1),
        ("too much", |b| change(b, VOLUME_2, |bytes| bytes.push(1)), 0),
        ("a small file", |b| flip(b, "README.md", 3), 0),
        (
            "all of it",
            |b| {
                flip(b, VOLUME_1, 5);
                flip(b, VOLUME_1, 17 * MIB);
                fs::remove_file(b.join(VOLUME_2)).unwrap();
                fs::remove_file(b.join("README.md")).unwrap();
            },
            3,
        ),
    ];
    for (reason, harm, chunks) in cases {
        bench.copy("case", harm);
        bench.report("case");
        let cut = bench.parts("good");
        assert_eq!(cut.code, Some(0), "{reason}: {cut:#?}");
        let sent = files(&bench.yard.path("parts"));
        assert_eq!(sent.keys().filter(|name| name.starts_with("chunks/")).count(), chunks, "{reason}");
        assert!(!sent.keys().any(|name| name.starts_with("volumes/")), "{reason}: {:?}", sent.keys());
        // With the report, nothing else is read; without it, everything.
        let with = bench.repair("case --from parts --report report.json");
        assert_eq!(with.code, Some(0), "{reason}: {with:#?}");
        bench.is_whole("case");
        bench.copy("case", harm);
        bench.repair("case --from parts").says(0, &["mended"]);
        bench.is_whole("case");
    }
    assert_eq!(state(&bench.yard.path("good")), before, "the vendor's copy was touched");
}

#[test]
fn a_copy_whose_list_is_lost_gets_it_with_the_parts() {
    let bench = Bench::new(&Forgery::two_volumes());
    bench.copy("case", |bundle| {
        flip(bundle, "SHA256SUMS", 70);
        flip(bundle, "bundle.json", 70);
    });
    bench.report("case");
    bench.parts("good").says(0, &["0 chunks and 0 files"]);
    bench.repair("case --from parts").says(0, &["mended"]);
    bench.is_whole("case");
}

#[test]
fn parts_are_proved_by_the_index_alone() {
    let bench = Bench::new(&Forgery::two_volumes());
    bench.copy("case", |bundle| flip(bundle, VOLUME_1, 17 * MIB));
    bench.report("case");
    bench.parts("good").says(0, &["1 chunks"]);
    let name = files(&bench.yard.path("parts")).into_keys().find(|name| name.starts_with("chunks/")).unwrap();
    flip(&bench.yard.path("parts"), &name, 9);
    bench.repair("case --from parts").says(1, &["stays damaged in chunk 1: no copy has it right"]);
    // Nor does a damaged copy at the vendor's give wrong ones.
    bench.copy("other", |bundle| flip(bundle, VOLUME_1, 17 * MIB + 3000));
    bench.parts("other").says(1, &["does not have it right either", "NOT WHOLE"]);
    assert!(!bench.yard.path("parts/chunks").exists());
}

#[test]
fn a_report_that_is_none_or_of_another_bundle_is_refused() {
    let bench = Bench::new(&Forgery::small());
    Forgery { version: "1.3.0", ..Forgery::small() }.write(&bench.yard, "later", &[&bench.yard.key]);
    Forgery::small().write(&bench.yard, "twin", &[&bench.yard.key]);
    bench.copy("case", |bundle| flip(bundle, VOLUME_1, 9));
    bench.report("case");
    bench.parts("later").says(1, &["the report is about demo 1.2.0", "later is demo 1.3.0"]);
    bench.parts("twin").says(1, &["the report is about demo 1.2.0 (bundle.json"]);
    bench.repair("twin --from good --report report.json").says(2, &["about another bundle than twin"]);
    let text = fs::read_to_string(bench.yard.path("report.json")).unwrap();
    let edited = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        fs::write(bench.yard.path("report.json"), text.replace(from, to)).unwrap();
    };
    edited("\"damaged\"", "\"damagd\"");
    bench.parts("good").says(2, &["names nothing that is damaged and can be sent"]);
    edited("\"chunk\": 0", "\"chunk\": -1");
    bench.parts("good").says(2, &["is not a report of bundle verify --json"]);
    edited(VOLUME_1, "../../etc/passwd");
    bench.parts("good").says(2, &["names nothing that is damaged and can be sent"]);
    edited("\"chunk\": 0", "\"chunk\": 99");
    bench.parts("good").says(2, &["names nothing that is damaged and can be sent"]);
    fs::write(bench.yard.path("report.json"), bench.run("inspect good --json").stdout).unwrap();
    bench.parts("good").says(2, &["is not a report of bundle verify --json", "--json > report.json"]);
    assert!(!bench.yard.path("parts").exists());
    bench
        .run("parts good --for report.json --out good/parts")
        .says(2, &["a delivered folder is never written to"]);
}
