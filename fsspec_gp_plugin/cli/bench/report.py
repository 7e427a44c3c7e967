"""Prints the results of `bench`, or turns them into JSON."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from ...backups.tuning import HOW
from ...config.values import format_size
from .. import render

if TYPE_CHECKING:
    from ...backups.traffic import Measured
    from ...backups.tuning import Tuned
    from .measuring import Bench


def as_mapping(bench: Bench) -> dict[str, Any]:
    """The results as JSON; rates are bytes a second of all streams together."""
    return {
        "url": bench.config.url,
        "streams": bench.streams,
        "stream_bytes": bench.size,
        "backup": _streams(bench.up),
        "restore": _streams(bench.down),
        "tables": {"bytes": 4096, "backup": _latency(bench.tables.up), "restore": _latency(bench.tables.down)},
        "settings": {way: _tuned(tuned) for way, tuned in bench.tuned.items()},
        "recommended": recommended(bench),
    }


def recommended(bench: Bench) -> dict[str, str]:
    """The recommended options and their values, to be written below `options:`."""
    options: dict[str, str] = {}
    for way, tuned in bench.tuned.items():
        if tuned.recommended is None:
            continue
        present = next(iter(tuned.rates))
        if tuned.recommended.chunk != present.chunk:
            options[f"{way}_multipart_chunksize"] = f"{tuned.recommended.chunk >> 20}MB"
        if tuned.recommended.requests != present.requests:
            options[f"{way}_max_concurrent_requests"] = str(tuned.recommended.requests)
    return options


def show(bench: Bench) -> None:
    """Print the results as tables."""
    if bench.size < bench.requested_size:
        render.line(f"Streams of {format_size(bench.size)}, to finish in time; --seconds allows larger ones")
        render.line("")
    what = f"{bench.streams} stream{'s' * (bench.streams > 1)} of {format_size(bench.size)}"
    rows = [(f"{way}, {what}", *_cells(runs)) for way, runs in (("backup", bench.up), ("restore", bench.down))]
    numbers = ("RATE", "SECONDS", "CPU SECONDS", "CPU OF A GB")
    render.table(("STREAMS", *numbers), rows, right=numbers)
    render.line("")
    rows = [
        (
            f"{way}, {len(times)} table{'s' * (len(times) != 1)} of 4 KB",
            *(f"{value * 1000:.1f} ms" for value in _latency(times).values()),
        )
        for way, times in (("backup", bench.tables.up), ("restore", bench.tables.down))
    ]
    render.table(("TABLES", "MEDIAN", "95 OF 100", "LONGEST"), rows, right=("MEDIAN", "95 OF 100", "LONGEST"))
    render.line("")
    _show_settings(bench)
    lines = recommended(bench)
    if lines:
        render.line("Recommended, as measurably faster; write below `options:`:")
        for name, value in lines.items():
            render.line(f"  {name}: {value}")
    if any(tuned.rates for tuned in bench.tuned.values()):
        render.line(f"Method: {HOW}.")


def _show_settings(bench: Bench) -> None:
    rows = []
    for way, tuned in bench.tuned.items():
        present = next(iter(tuned.rates), None)
        for setting, rates in tuned.rates.items():
            if rates and present is not None:
                ratio = tuned.median(setting) / max(tuned.median(present), 1e-9)
                rows.append(
                    (
                        way,
                        format_size(setting.chunk),
                        str(setting.requests),
                        f"{format_size(tuned.median(setting))}/s",
                        "present" if setting == present else f"{ratio:.2f} times",
                    )
                )
    if rows:
        numbers = ("CHUNK", "REQUESTS", "RATE", "COMPARED")
        render.table(("SETTINGS", *numbers), rows, right=numbers)
        render.line("")
    for way, tuned in bench.tuned.items():
        if tuned.recommended is not None and tuned.gain is not None and tuned.noise is not None:
            render.line(
                f"{way}: {tuned.recommended.requests} requests of {format_size(tuned.recommended.chunk)} are "
                f"{tuned.gain:.2f} times as fast (noise: up to {tuned.noise:.2f})"
            )
        else:
            figures = f" ({tuned.gain:.2f} times; noise: up to {tuned.noise:.2f})" if tuned.gain and tuned.noise else ""
            render.line(f"{way}: {tuned.why}{figures}")


def _cells(runs: list[Measured]) -> tuple[str, ...]:
    medians = _streams(runs)
    return (
        f"{format_size(medians['bytes_per_second'])}/s",
        f"{medians['seconds']:.2f}",
        f"{medians['cpu_seconds']:.2f}",
        f"{medians['cpu_seconds_per_gb']:.2f}",
    )


def _streams(runs: list[Measured]) -> dict[str, float]:
    """The medians of the runs."""
    return {
        "bytes_per_second": round(statistics.median(one.rate for one in runs)),
        "seconds": round(statistics.median(one.seconds for one in runs), 3),
        "cpu_seconds": round(statistics.median(one.cpu for one in runs), 3),
        "cpu_seconds_per_gb": round(statistics.median(one.cpu / max(one.size, 1) for one in runs) * (1 << 30), 3),
    }


def _latency(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "median_seconds": round(statistics.median(ordered), 5),
        "p95_seconds": round(ordered[int(0.95 * (len(ordered) - 1))], 5),
        "longest_seconds": round(ordered[-1], 5),
    }


def _tuned(tuned: Tuned) -> dict[str, Any]:
    return {
        "tried": [
            {
                "chunk_bytes": setting.chunk,
                "requests": setting.requests,
                "runs": len(rates),
                "bytes_per_second": round(tuned.median(setting)),
            }
            for setting, rates in tuned.rates.items()
        ],
        "gain": None if tuned.gain is None else round(tuned.gain, 3),
        "noise": None if tuned.noise is None else round(tuned.noise, 3),
        "why": tuned.why,
    }
