//! The page that a diagnosis opens with: what stands how, what warned, what is in it, what was taken out. No script, nothing from elsewhere.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::Entry;
use super::collect::Collected;
use crate::plan::redact::{Kind, Taken};

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{border:1px solid #ccc;padding:.25rem .6rem;text-align:left;vertical-align:top}\
th{background:#f2f2f2}.bad{color:#a40000;font-weight:600}code{font-size:90%}@media print{a{color:inherit}}";

/// What the diagnosis is of.
pub(super) struct About<'a> {
    pub(super) program: &'static str,
    pub(super) kubectl: String,
    pub(super) cluster: String,
    pub(super) namespaces: &'a [String],
    pub(super) lasting: bool,
    pub(super) kept: &'a BTreeSet<Kind>,
}

/// A pod, as the page shows it.
pub(super) struct Pod {
    namespace: String,
    name: String,
    phase: String,
    ready: (usize, usize),
    restarts: u64,
    reason: String,
    /// Paths of its logs.
    pub(super) logs: Vec<String>,
}

/// An event that warns, redacted.
pub(super) struct Warning {
    pub(super) object: String,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) times: u64,
}

impl Pod {
    pub(super) fn of(namespace: &str, name: &str, pod: &Value) -> Self {
        let statuses: Vec<&Value> = pod
            .pointer("/status/containerStatuses")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .collect();
        let reason = statuses.iter().find_map(|status| {
            status
                .pointer("/state/waiting/reason")
                .or_else(|| status.pointer("/lastState/terminated/reason"))?
                .as_str()
        });
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            phase: pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or("?").to_owned(),
            ready: (statuses.iter().filter(|status| status["ready"] == true).count(), statuses.len()),
            restarts: statuses.iter().filter_map(|status| status["restartCount"].as_u64()).sum(),
            reason: reason.unwrap_or_default().to_owned(),
            logs: vec![],
        }
    }

    fn well(&self) -> bool {
        self.phase == "Succeeded" || (self.phase == "Running" && self.ready.0 == self.ready.1)
    }
}

/// Text as HTML shows it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// A table; cells are HTML already.
fn table(out: &mut String, head: &[&str], rows: &[Vec<String>]) {
    if rows.is_empty() {
        out.push_str("<p>None.</p>\n");
        return;
    }
    out.push_str("<table>\n<tr>");
    for cell in head {
        let _ = write!(out, "<th>{cell}</th>");
    }
    out.push_str("</tr>\n");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            let _ = write!(out, "<td>{cell}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}

fn link(path: &str, text: &str) -> String {
    format!("<a href=\"{}\">{}</a>", escape(path), escape(text))
}

pub(super) fn page(about: &About<'_>, found: &Collected, (taken, files): (&[Taken], &[Entry])) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Diagnosis</title>\n<style>{STYLE}</style>\n\
         <h1>Diagnosis</h1>\n<p>Namespaces {}; Kubernetes {}; bundle {}; kubectl {}.</p>\n",
        escape(&about.namespaces.join(", ")),
        escape(&about.cluster),
        about.program,
        escape(&about.kubectl)
    );
    out.push_str("<h2>Pods</h2>\n");
    let mut pods: Vec<&Pod> = found.pods.iter().collect();
    pods.sort_by_key(|pod| (pod.well(), &pod.namespace, &pod.name));
    let rows: Vec<Vec<String>> = pods
        .iter()
        .map(|pod| {
            let state = escape(&format!("{} {}", pod.phase, pod.reason));
            let logs: Vec<String> =
                pod.logs.iter().map(|path| link(path, path.rsplit('/').next().unwrap_or(path))).collect();
            vec![
                escape(&format!("{}/{}", pod.namespace, pod.name)),
                if pod.well() { state } else { format!("<span class=\"bad\">{state}</span>") },
                format!("{} of {}", pod.ready.0, pod.ready.1),
                pod.restarts.to_string(),
                logs.join(" "),
            ]
        })
        .collect();
    table(&mut out, &["pod", "state", "ready", "restarts", "logs"], &rows);
    out.push_str("<h2>Warnings</h2>\n");
    let warning = |warning: &Warning| {
        vec![
            escape(&warning.object),
            escape(&warning.reason),
            warning.times.to_string(),
            escape(&warning.message),
        ]
    };
    let rows: Vec<Vec<String>> = found.warnings.iter().map(warning).collect();
    table(&mut out, &["object", "reason", "times", "message"], &rows);
    out.push_str("<h2>Could not be had</h2>\n");
    let rows: Vec<Vec<String>> =
        found.missing.iter().map(|missing| vec![escape(&missing.what), escape(&missing.why)]).collect();
    table(&mut out, &["what", "why"], &rows);
    out.push_str("<h2>Taken out</h2>\n");
    out.push_str(if about.lasting {
        "<p>An address has the same name in every file, and in every diagnosis made by this user on this machine.</p>\n"
    } else {
        "<p>An address has the same name in every file of this diagnosis, and another in the next.</p>\n"
    });
    let kept: Vec<String> = about.kept.iter().map(|kind| format!("{kind:?}")).collect();
    if !kept.is_empty() {
        let _ = writeln!(
            out,
            "<p class=\"bad\">Left in, because that was asked for: {}.</p>",
            escape(&kept.join(", "))
        );
    }
    let rows: Vec<Vec<String>> = taken
        .iter()
        .map(|taken| {
            vec![
                format!("<code>{}</code>", escape(&taken.mark)),
                taken.count.to_string(),
                taken.files.len().to_string(),
            ]
        })
        .collect();
    table(&mut out, &["name", "times", "files"], &rows);
    out.push_str("<h2>Files</h2>\n");
    let rows: Vec<Vec<String>> =
        files.iter().map(|file| vec![link(&file.path, &file.path), file.bytes.to_string()]).collect();
    table(&mut out, &["file", "bytes"], &rows);
    out.push_str("</html>\n");
    out
}
