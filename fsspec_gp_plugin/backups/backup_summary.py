"""The summary of gpbackup's files that an encrypted backup has in clear, in the coordinator's manifest.

It has what commands need that have no identity: the report without the command line and the error, which may name
tables, the values of gpbackup's config file, and the tables' oids, which the objects' names show. It is read from a
bucket that others may write, so each value is checked; a summary with a wrong value counts as none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import StorageError, Unreachable
from ..integrity import oid_list
from ..integrity.claim import are_recipients
from ..integrity.contents import COORDINATOR
from ..integrity.manifest import BadManifest
from ..integrity.object_names import parse_manifest_name
from ..keys import backup_prefix
from .catalog_build import find_plugin_objects, read_token
from .gpbackup_files import LONGEST_PLAN, REPORT_KEYS, SUFFIXES, TIMESTAMP, BackupConfig, SummarizedTables
from .manifest_reading import OpenedManifest, select_by_contents

if TYPE_CHECKING:
    from array import array
    from collections.abc import Mapping, Sequence

    from ..integrity.manifest import Header
    from ..storage.contract import ObjectInfo, Store

# The keys of a report whose values stay encrypted.
HIDDEN = frozenset(("command line", "backup error"))
_SHOWN = frozenset(key.lower() for key in REPORT_KEYS) - HIDDEN
# Characters of a value in a report: more than the timestamps of the longest plan.
LONGEST_VALUE = 16 << 10
_MOST_SEGMENTS = 99_999
_MOST_TABLES = 20_000_000
_FORMS = {"database size": re.compile(r"[0-9.]+ [A-Za-z]{1,5}"), "segment count": re.compile(r"[0-9]{1,6}")}
# A host makes one manifest for each attempt of its cleanup hook.
_MOST_MANIFESTS = 8


class BackupSummary(NamedTuple):
    """The values of one summary. `report`: those of gpbackup's report, empty if it could not be summarized; `config`:
    what gpbackup's config file says, None if it could not; `recipients`: who can read the backup's data.
    `has_leaf_data`: whether gpbackup stored each leaf partition by itself, None if unknown.
    """

    report: Mapping[str, str]
    config: BackupConfig | None
    recipients: tuple[str, ...]
    has_leaf_data: bool | None = None


def config_to_json(config: BackupConfig) -> dict[str, Any]:
    """The values of gpbackup's config file, as they stand in a summary."""
    return {
        "segments": config.segments,
        "suffix": config.suffix,
        "single_data_file": config.single_data_file,
        "metadata_only": config.metadata_only,
        "with_statistics": config.with_statistics,
        "status": config.status,
        "plan": config.plan,
    }


def report_to_json(report: Mapping[str, str]) -> dict[str, str]:
    """The values of gpbackup's report, as they stand in a summary."""
    return {key: value for key, value in report.items() if key in _SHOWN and _is_value(value) and _has_form(key, value)}


def parse_summary(value: Mapping[str, Any], manifest: ObjectInfo, *, is_listed: bool) -> BackupSummary:
    """The summary in the index of a manifest. `is_listed`: the manifest lists oids. Raises ValueError for anything that
    a backup would not have written.
    """
    report, config, recipients = value.get("report", {}), value.get("config"), value.get("recipients", [])
    leaf_data, tables = value.get("leaf_data"), value.get("tables")
    _require(type(report) is dict and _SHOWN.issuperset(report) and all(map(_is_value, report.values())))
    _require(type(recipients) is list and are_recipients(recipients))
    _require(leaf_data is None or type(leaf_data) is bool)
    _require(tables is None or _is_number(tables, 0, _MOST_TABLES))
    found = None
    if config is not None:
        found = _parse_config(config, SummarizedTables(manifest, tables, is_listed))
    return BackupSummary(report, found, tuple(recipients), leaf_data)


def _parse_config(value: Any, tables: SummarizedTables) -> BackupConfig:
    _require(type(value) is dict)
    segments, suffix, plan, status = (value.get(name) for name in ("segments", "suffix", "plan", "status"))
    flags = [value.get(name) for name in ("single_data_file", "metadata_only", "with_statistics")]
    _require(segments is None or _is_number(segments, 1, _MOST_SEGMENTS))
    _require(suffix is None or suffix in ("", *SUFFIXES.values()))
    _require(all(type(flag) is bool for flag in flags) and _is_value(status))
    if plan is not None:
        _require(type(plan) is dict and len(plan) <= LONGEST_PLAN + 1)
        _require(all(TIMESTAMP.fullmatch(one) and type(reads) is bool for one, reads in plan.items()))
    single_data_file, metadata_only, with_statistics = flags
    return BackupConfig(segments, suffix, single_data_file, metadata_only, with_statistics, status, plan, tables, True)


def _require(is_right: object) -> None:
    if not is_right:
        raise ValueError("not a summary")


def _is_value(value: object) -> bool:
    return type(value) is str and len(value) <= LONGEST_VALUE and "\n" not in value


def _has_form(key: str, value: str) -> bool:
    """Whether it can be the value of that key: a line of an error's text may look like these keys, which follow it."""
    form = _FORMS.get(key)
    return form is None or form.fullmatch(value) is not None


def _is_number(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def find_summary_of(store: Store, timestamp: str) -> BackupSummary | None:
    """As find_summary(), where the manifests and claims of the backup are not known."""
    try:
        found = find_plugin_objects(store, timestamp)
    except Unreachable:
        raise
    except StorageError:
        return None
    return find_summary(store, timestamp, found.manifests, found.claims)


def find_summary(
    store: Store, timestamp: str, manifests: Sequence[ObjectInfo], claims: Sequence[ObjectInfo]
) -> BackupSummary | None:
    """The summary of an encrypted backup: the latest one under the backup's claim. None if there is none. Raises
    Unreachable.
    """
    found: list[tuple[Header, BackupSummary]] = []
    for info in _sort_candidates(manifests, timestamp)[:_MOST_MANIFESTS]:
        try:
            header = OpenedManifest(store, info, timestamp, ()).header
            if header.summary is not None:
                found.append((header, parse_summary(header.summary, info, is_listed=header.oids is not None)))
        except Unreachable:
            raise
        except (StorageError, ValueError):
            continue
    if len({header.claim for header, _ in found}) > 1:
        token = read_token(store, claims)
        found = [one for one in found if not token or one[0].claim in ("", token)]
    return max(found, key=lambda one: one[0].created)[1] if found else None


def _sort_candidates(manifests: Sequence[ObjectInfo], timestamp: str) -> list[ObjectInfo]:
    """The manifests that may be the coordinator's: first those whose names say so, and of them the latest."""
    start = len(backup_prefix(timestamp))

    def rank(info: ObjectInfo) -> tuple[bool, float, str]:
        name = parse_manifest_name(info.key[start:])
        return name is not None and name.contents is not None, info.modified or 0.0, info.key

    return sorted(select_by_contents(manifests, timestamp, (COORDINATOR,)), key=rank, reverse=True)


def read_listed_tables(store: Store, timestamp: str, tables: SummarizedTables) -> array[int]:
    """The oids that a summary lists, sorted. Raises BadManifest."""
    if not tables.is_listed:
        key = tables.manifest.key
        why = (
            "the table of contents could not be summarized"
            if tables.total is None
            else (f"the backup has more than {oid_list.MOST:,} tables, which are not listed")
        )
        raise BadManifest(f"{key}: {why}")
    return OpenedManifest(store, tables.manifest, timestamp, ()).oids()
