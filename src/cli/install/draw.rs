//! A plan and a report of an installation, for people.

use crate::cli::bundle::draw_findings;
use crate::cli::ui::{Page, Paint};
use crate::ops::install::Plan;
use crate::ops::install::act::Left;
use crate::ops::install::report::Report;
use crate::plan::changes::Change;

/// Draws a report; its plan in full only when that is all there is.
pub(in crate::cli) fn report(page: &mut Page, report: &Report) {
    let paint = page.paint();
    let name = match &report.release {
        Some(release) => format!("{} {}, by {}", release.name, release.version, release.vendor),
        None => "This bundle".to_owned(),
    };
    page.title(&name);
    draw_findings(page, &report.findings);
    let Some(plan) = &report.plan else {
        page.painted(&format!("{}: nothing was changed", paint.red("REFUSED")));
        return;
    };
    if report.dry_run {
        draw_plan(page, report, plan);
    } else {
        facts(page, report, plan);
    }
    for one in &report.health {
        let place = format!("{}:{}{}", one.at.service, one.at.port, one.at.path);
        match one.ok {
            true => page.labelled(&paint.green("healthy"), &place),
            false => page.labelled(&paint.red("failed"), &format!("{place}: {}", one.why)),
        }
    }
    for one in &report.waiting {
        page.labelled(&paint.red("waiting"), &one.to_string());
    }
    let verdict = match (&report.left, report.dry_run) {
        (_, true) if report.ok && plan.unchanged => {
            format!("{}: all is as it is to be; nothing would be changed", paint.green("OK"))
        }
        (_, true) if report.ok => {
            format!("{}: nothing was changed; without --dry-run it is done", paint.green("PLAN"))
        }
        (Some(Left::Running), _) if plan.unchanged => {
            format!("{}: all was as it is to be; nothing was changed", paint.green("OK"))
        }
        (Some(Left::Running), _) => {
            format!("{}: installed, as revision {}", paint.green("OK"), plan.revision)
        }
        (Some(Left::Back { revision }), _) => {
            format!("{}: revision {revision}, which ran before, runs again", paint.red("FAILED"))
        }
        (Some(Left::HalfBack { revision, .. }), _) => {
            format!("{}: and revision {revision} could not be brought back", paint.red("FAILED"))
        }
        (Some(Left::Half), _) => {
            format!("{}: what was installed so far is left as it is", paint.red("FAILED"))
        }
        (Some(Left::Taken), _) => format!("{}: another bundle took it over", paint.red("FAILED")),
        (None, _) => format!("{}: nothing was changed", paint.red("REFUSED")),
    };
    page.painted(&verdict);
    if report.ok && !report.dry_run {
        for address in &plan.addresses {
            page.line(&format!("Reach it at {address}"));
        }
    }
}

fn facts(page: &mut Page, report: &Report, plan: &Plan) {
    let mut rows = vec![];
    if let Some(made) = &report.made {
        rows.push(("namespace", made.namespace.clone()));
        rows.push(("registry", made.registry.clone()));
        rows.push((
            "signed by",
            report.signers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        ));
        rows.push(("remembered", format!("configmap {}", made.record)));
    }
    rows.push(("licence", plan.license.clone()));
    for chart in &plan.charts {
        rows.push((
            "chart",
            format!(
                "{} {}, as {} in {}",
                chart.chart.name, chart.chart.version, chart.chart.release, chart.chart.namespace
            ),
        ));
    }
    page.rows(&rows);
}

/// The plan as text, before it is asked about.
pub(in crate::cli) fn plan_text(paint: Paint, report: &Report) -> String {
    let mut page = Page::new(paint);
    if let Some(plan) = &report.plan {
        draw_findings(&mut page, &report.findings);
        draw_plan(&mut page, report, plan);
    }
    page.text().to_owned()
}

fn draw_plan(page: &mut Page, report: &Report, plan: &Plan) {
    let paint = page.paint();
    facts(page, report, plan);
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |change: Change, kind: &str, name: String| {
        rows.push(vec![change.word().to_owned(), kind.to_owned(), name]);
    };
    for (name, change) in &plan.namespaces {
        row(*change, "Namespace", name.clone());
    }
    for secret in &plan.secrets {
        row(
            secret.change,
            "Secret",
            format!("{}/{}: {}", secret.namespace, secret.name, secret.keys.join(", ")),
        );
    }
    for object in plan.charts.iter().flat_map(|chart| &chart.objects) {
        let hook = object.hook.as_ref().map(|hook| format!(" ({hook})")).unwrap_or_default();
        let place =
            if object.namespace.is_empty() { String::new() } else { format!("{}/", object.namespace) };
        row(object.change, &object.kind, format!("{place}{}{hook}", object.name));
    }
    page.table(&["", "kind", "name"], &rows);
    for object in plan.charts.iter().flat_map(|chart| &chart.objects).filter(|object| !object.diff.is_empty())
    {
        page.gap();
        page.line(&format!("{} {}", object.kind, object.name));
        for line in object.diff.lines() {
            let line = crate::cli::ui::clean(line);
            match line.as_bytes().first() {
                Some(b'-') => page.painted(&paint.red(&line)),
                Some(b'+') => page.painted(&paint.green(&line)),
                _ => page.painted(&paint.dim(&line)),
            }
        }
    }
}
