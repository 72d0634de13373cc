//! Ctrl-C while Helm runs and while pods are waited for, in install and upgrade: what state things are in is said, and the same command goes on.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::shop::{Otherwise, Shop};
use super::upgrading::{Cut, command, pairs, statuses};
use crate::cases::program::Outcome;

/// Who is sent the signal.
#[derive(Debug, Clone, Copy)]
enum To {
    /// The program alone, as by `kill`.
    Program,
    /// Its group, as a terminal does.
    Group,
}

/// Runs it until there is a new pod of that name, interrupts it, and gives how it ended.
fn interrupted(shop: &Shop, mut command: Command, pod: &str, to: To) -> Outcome {
    let before = pods(shop);
    let child = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !pods(shop).iter().any(|name| name.contains(pod) && !before.contains(name)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", child.wait_with_output());
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, to);
    let begun = Instant::now();
    let outcome = Outcome::of(child.wait_with_output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(40), "{outcome:#?}");
    outcome
}

fn pods(shop: &Shop) -> Vec<String> {
    let text = shop.namespace.kubectl(&["get", "pods", "--output", "name"]);
    text.lines().map(ToOwned::to_owned).collect()
}

fn signal(child: &Child, to: To) {
    let whom = match to {
        To::Program => child.id().to_string(),
        To::Group => format!("-{}", child.id()),
    };
    assert!(Command::new("kill").args(["-INT", "--", &whom]).status().unwrap().success());
}

const ANSWERS: &str = "host: shop.example.com\n";
/// Before anything else, a job that never ends.
const HOOK: &str = "{{- if .Values.crash }}
apiVersion: batch/v1
kind: Job
metadata:
  name: shop-hook
  annotations: {helm.sh/hook: \"pre-install,pre-upgrade\", helm.sh/hook-delete-policy: before-hook-creation}
spec:
  template:
    spec: {restartPolicy: Never, terminationGracePeriodSeconds: 1, containers: [{name: hook, image: {{ .Values.image }}}]}
{{- end }}
";

#[test]
fn an_installation_says_that_it_is_half_done_and_goes_on() {
    let crashing = "host: shop.example.com\ncrash: true\n";
    let words = ["interrupted", "shop is half installed", "run the same command again", "bundle uninstall"];
    let templates = vec![("hook.yaml", HOOK.to_owned())];
    for (to, otherwise, pod) in [
        (To::Program, Otherwise { templates, ..Otherwise::default() }, "shop-hook"),
        (To::Group, Otherwise::default(), "shop-agent"),
    ] {
        let shop = Shop::otherwise("stopped", &otherwise);
        let stopped = interrupted(&shop, shop.installing(crashing, &["--wait", "60"]), pod, to);
        stopped.says(4, &words);
        assert_eq!(statuses(&shop), pairs(&[("1.0.0", "failed")]), "{to:?}");
        shop.install(ANSWERS, &[]).says(0, &["installed, as revision 1", "healthy"]);
        assert_eq!(statuses(&shop), pairs(&[("1.0.0", "deployed")]), "{to:?}");
    }
}

#[test]
fn an_upgrade_goes_back_whole_and_says_so() {
    let templates = vec![("hook.yaml", HOOK.replace(".Values.crash", ".Values.hook"))];
    let shop = Shop::otherwise("stopped-upgrade", &Otherwise { templates, ..Otherwise::default() });
    shop.install(ANSWERS, &["--allow-downgrade"]).says(0, &["installed, as revision 1"]);
    let release = "upgrade: {from: \">=1.0.0, <1.1.0\"}\n";
    for (version, values, pod, to) in
        [("1.0.1", "hook: true", "shop-hook", To::Group), ("1.0.2", "crash: true", "shop-agent", To::Program)]
    {
        let edits = [("crash: {{ answers.crash }}", values)];
        let next = Cut { version, release, install: "", edits: &edits, build: "" }.deliver(&shop);
        let before = shop.pods();
        let stopped = interrupted(&shop, command(&shop, &next, &[]), pod, to);
        stopped.says(
            4,
            &["interrupted", "The whole release is back at revision 1", "run the same command again"],
        );
        assert_eq!(statuses(&shop), pairs(&[("1.0.0", "deployed"), (version, "failed")]), "{stopped:#?}");
        assert_eq!(shop.pods(), before);
    }
    let next = Cut { version: "1.0.3", release, install: "", edits: &[], build: "" }.deliver(&shop);
    command(&shop, &next, &[]).status().unwrap();
    assert_eq!(statuses(&shop), pairs(&[("1.0.0", "superseded"), ("1.0.3", "deployed")]));
}
