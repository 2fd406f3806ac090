"""
A History as JSON: what a program, or another page, may read of it.

Pure. `schema_version` first; numbers are those of the page. History of the format: (1) first.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from reports.history.alerts import Alert
from reports.history.events import Commits, History, HistoryEvent, SettingHistory
from reports.history.runs import HistoryRun
from reports.history.series import HistorySeries
from reports.text import told

SCHEMA_VERSION = 1


def history_to_json(history: History, commits: Mapping[str, Commits]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": int(history.exit_code),
        "run_count": history.run_count,
        "interrupted_count": history.interrupted_count,
        "skipped": [asdict(item) for item in history.skipped],
        "settings": [_setting(item, commits) for item in history.settings],
    }


def _setting(item: SettingHistory, commits: Mapping[str, Commits]) -> dict[str, Any]:
    return {
        "id": item.setting.id,
        "title": item.setting.title,
        "is_current": item.is_current,
        "facts": {name: told(text) for name, text in item.setting.facts},
        "changes": list(item.changes),
        "doubts": list(item.doubts),
        "runs": [_run(run) for run in item.runs],
        "events": [_event(event, commits.get(event.id)) for event in item.events],
        "series": [_series(series, item) for series in item.series],
    }


def _run(run: HistoryRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "place": run.place,
        "started_at": run.started_at.isoformat(),
        "revision": run.revision,
        "git_sha": run.git_sha,
        "is_dirty": run.is_dirty,
        "unfit": list(run.unfit),
        "verdicts": dict(run.verdicts),
    }


def _event(event: HistoryEvent, commits: Commits | None) -> dict[str, Any]:
    return {
        "id": event.id,
        "state": str(event.state),
        "worst_ratio": event.worst_ratio,
        "before_run": event.before.run_id,
        "after_run": event.after.run_id,
        "before_revision": event.before.revision,
        "after_revision": event.after.revision,
        "metrics": [alert.metric for alert in event.alerts],
        "other_changes": list(event.other_changes),
        "commits": list(commits.lines) if commits else [],
        "commits_sentence": commits.sentence if commits else "",
    }


def _series(series: HistorySeries, item: SettingHistory) -> dict[str, Any]:
    return {
        "metric": series.metric,
        "unit": series.unit,
        "better": str(series.better),
        "trust": str(series.trust),
        "point_count": series.point_count,
        "last_value": series.last_value,
        "level_value": series.timeline.level_value,
        "sigma_ratio": series.timeline.sigma_ratio,
        "trend_ratio": series.trend_ratio,
        "missing": series.missing,
        "suspicion": series.suspicion,
        "values": list(series.values),
        "levels": [
            {
                "start_run": item.runs[level.start_index].run_id,
                "end_run": item.runs[level.end_index].run_id,
                "level_value": level.level_value,
            }
            for level in series.levels
        ],
        "alerts": [_alert(alert, item) for alert in series.alerts],
    }


def _alert(alert: Alert, item: SettingHistory) -> dict[str, Any]:
    accepted = alert.acceptance
    return {
        "start_run": item.runs[alert.shift.start_index].run_id,
        "seen_run": item.runs[alert.shift.seen_index].run_id,
        "before_value": alert.shift.before_value,
        "after_value": alert.shift.after_value,
        "worse_ratio": alert.worse_ratio,
        "state": str(alert.state),
        "after_count": alert.after_count,
        "confirming_count": alert.confirming_count,
        "acceptance": None
        if accepted is None
        else {
            "pattern": accepted.pattern,
            "who": accepted.who,
            "at": accepted.at,
            "why": accepted.why,
        },
    }
