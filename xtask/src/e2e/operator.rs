//! What an operator does with a product, from the first day to the last, and what must be seen after each step.

use std::time::{Duration, Instant};

use super::Desk;
use crate::{Outcome, say};

/// From the arrival of the first bundle until nothing but the data is left.
pub(super) fn steps(desk: &Desk<'_>, host: &str) -> Outcome {
    let site = Site { desk, host };
    site.install()?;
    site.upgrade()?;
    site.broken_upgrade()?;
    site.back_to_the_first()?;
    site.diagnose()?;
    site.uninstall()
}

struct Site<'a> {
    desk: &'a Desk<'a>,
    host: &'a str,
}

const FIRST: &str = "out/shop-1.0.0 --trust trust.json";
const NEXT: &str = "out/shop-1.1.0-from-1.0.0 --trust trust.json";
const BROKEN: &str = "out/shop-1.2.0 --trust trust.json";

impl Site<'_> {
    fn install(&self) -> Outcome {
        say::heading("Checked, loaded, installed");
        let registry = format!("--registry {}/mirror", self.host);
        for line in [
            format!("verify {FIRST} --identity acme.key"),
            format!("preflight {FIRST} {registry}"),
            format!("load {FIRST} {registry} --identity acme.key"),
            format!("install {FIRST} {registry} --answers answers.yaml --yes"),
            format!("license status {FIRST}"),
        ] {
            self.desk.run(&line)?;
        }
        self.runs("1.0.0", "v1")
    }

    fn upgrade(&self) -> Outcome {
        say::heading("Upgraded to 1.1.0, by what 1.0.0 lacks");
        let registry = format!("--registry {}/mirror", self.host);
        for line in [
            format!("verify {NEXT} --identity acme.key"),
            format!("load {NEXT} {registry} --identity acme.key"),
            format!("upgrade {NEXT} --dry-run"),
            format!("upgrade {NEXT} --yes"),
        ] {
            self.desk.run(&line)?;
        }
        self.runs("1.1.0", "v2")
    }

    /// Its pods crash, and what ran before runs again.
    fn broken_upgrade(&self) -> Outcome {
        say::heading("1.2.0 is broken: what ran runs again");
        let registry = format!("--registry {}/mirror", self.host);
        let before = self.identity()?;
        self.desk.run(&format!("load {BROKEN} {registry} --identity acme.key"))?;
        let begun = Instant::now();
        self.desk.ends(3, &format!("upgrade {BROKEN} --yes --wait 8"))?;
        let took = begun.elapsed();
        // The window, once forward and once back, and what Helm takes.
        if took > Duration::from_secs(40) {
            return Err(format!("the failed upgrade took {} s", took.as_secs()));
        }
        if self.identity()? != before {
            return Err("the failed upgrade made the deployment anew".to_owned());
        }
        self.runs("1.1.0", "v2")
    }

    fn back_to_the_first(&self) -> Outcome {
        say::heading("Back to 1.0.0");
        self.desk.run("rollback --to 1 --yes")?;
        self.runs("1.0.0", "v1")
    }

    fn diagnose(&self) -> Outcome {
        say::heading("Diagnosed");
        let registry = format!("--registry {}/mirror", self.host);
        self.desk.run(&format!("diagnose {FIRST} {registry} --out diagnosis.tar.zst"))
    }

    /// Away, and its data stays; installed again, it has its data; away with its data.
    fn uninstall(&self) -> Outcome {
        say::heading("Taken away, first without its data");
        let registry = format!("--registry {}/mirror", self.host);
        let password = self.password()?;
        self.desk.run("uninstall --dry-run")?;
        self.desk.run("uninstall --yes")?;
        self.desk.ends(2, "status")?;
        self.left(&["persistentvolumeclaim/data-shop-store-0", "secret/shop-store"])?;
        let install = format!("install {FIRST} {registry} --answers answers.yaml --yes");
        // 1.2.0 was loaded after it; that going back is meant must be said.
        self.desk.ends(1, &install)?;
        self.desk.run(&format!("{install} --allow-downgrade"))?;
        if self.password()? != password {
            return Err("installed again, it has another password than its data".to_owned());
        }
        self.desk.run("uninstall --delete-data --yes")?;
        self.left(&[])
    }

    /// Status is clean, the pods run this version's image from the customer's registry, and it answers as this version.
    fn runs(&self, version: &str, tag: &str) -> Outcome {
        self.desk.run("status")?;
        let pods = self.desk.kubectl(&[
            "get",
            "pods",
            "--namespace=shop",
            "--selector=app",
            "--output",
            "jsonpath={range .items[*]}{.status.phase} {.spec.containers[0].image}{\"\\n\"}{end}",
        ])?;
        say::line(pods.trim_end());
        let wanted = format!("Running {}/mirror/acme/agent:{tag}@sha256:", self.host);
        let running = pods.lines().filter(|line| line.starts_with(&wanted)).count();
        if running != 3 {
            return Err(format!("{running} of 3 pods run the image {tag} of {}", self.host));
        }
        let health = self.desk.kubectl(&[
            "get",
            "--raw",
            "/api/v1/namespaces/shop/services/shop-agent:8080/proxy/health",
        ])?;
        say::line(health.trim_end());
        for wanted in ["\"healthy\"", &format!("\"version\": \"{version}\"")] {
            if !health.contains(wanted) {
                return Err(format!("{wanted} is not in what health says"));
            }
        }
        Ok(())
    }

    /// What tells a deployment from another of the same name.
    fn identity(&self) -> Result<String, String> {
        self.desk.kubectl(&[
            "get",
            "deployment",
            "shop-agent",
            "--namespace=shop",
            "--output=jsonpath={.metadata.uid}",
        ])
    }

    fn password(&self) -> Result<String, String> {
        let output = "--output=jsonpath={.data.password}";
        self.desk.kubectl(&["get", "secret", "shop-store", "--namespace=shop", output])
    }

    /// These objects, and no others, are left in the namespace once its pods have gone.
    fn left(&self, wanted: &[&str]) -> Outcome {
        let begun = Instant::now();
        loop {
            let kinds = "all,secrets,persistentvolumeclaims,configmaps,ingresses";
            let there = self.desk.kubectl(&["get", kinds, "--namespace=shop", "--output=name"])?;
            let there: Vec<&str> =
                there.lines().filter(|name| *name != "configmap/kube-root-ca.crt").collect();
            let same = there.len() == wanted.len() && wanted.iter().all(|name| there.contains(name));
            if same {
                let what = if there.is_empty() { "nothing".to_owned() } else { there.join(", ") };
                say::line(&format!("left in the namespace: {what}"));
                return Ok(());
            }
            if begun.elapsed() > Duration::from_secs(30) {
                return Err(format!("there is {}, and not {}", there.join(", "), wanted.join(", ")));
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}
