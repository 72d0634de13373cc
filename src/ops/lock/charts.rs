//! Charts: asked for where they are, and read when they are not what the lock has.

use super::{EntryFault, named};
use crate::limits;
use crate::ops::parallel::each;
use crate::progress::{Event, ItemState, Observer};
use crate::release::Release;
use crate::release::lock::{Lock, LockedChart};
use crate::release::sections::Chart;
use crate::sources::{ChartWish, ResolvedChart, Sources};

/// Locks every chart, in the order of the release; or all faults.
pub(super) fn lock_all(
    release: &Release,
    previous: Option<&Lock>,
    sources: &Sources<'_>,
    observer: &dyn Observer,
) -> Result<Vec<ResolvedChart>, Vec<EntryFault>> {
    let results = each(&release.charts, limits::LOCK_PARALLEL, |chart| {
        let name = shown(&chart.value);
        let item = |state| Event::Item { name: &name, digest: None, bytes: 0, state };
        observer.event(item(ItemState::Started));
        let old = previous.and_then(|lock| lock.charts.iter().find(|old| is_of(old, &chart.value)));
        let result = sources.resolve_chart(&ChartWish { chart: &chart.value, previous: old });
        observer.event(item(if result.is_ok() { ItemState::Done } else { ItemState::Failed }));
        result.map_err(|source| EntryFault::new(chart.place, name, source))
    });
    named(results)
}

/// What a chart is called before its name is known.
fn shown(chart: &Chart) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    match chart {
        Chart { path: Some(path), .. } => format!("chart {path}"),
        Chart { reference: Some(reference), .. } => format!("chart {reference} {}", text(&chart.version)),
        _ => format!("chart {} {}", text(&chart.name), text(&chart.version)),
    }
}

/// Whether the lock's entry may be of this chart.
fn is_of(old: &LockedChart, chart: &Chart) -> bool {
    let same =
        |declared: &Option<String>, old: &str| declared.as_deref().is_none_or(|declared| declared == old);
    let from = chart.reference.as_ref().or(chart.repo.as_ref());
    from.is_some_and(|from| *from == old.from)
        && same(&chart.name, &old.name)
        && same(&chart.version, &old.version)
}
