"""A backup and a restore as gpbackup and gprestore run them, on a directory instead of a bucket."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PLUGIN = Path(sys.executable).parent / "fsspec_gp_plugin"
TIMESTAMP = "20260102030405"
SEGMENTS = (0, 1)
TABLES = 10
STREAM_BYTES = 100_000_000
# What greenplum_path.sh does to every process: a plain Python does not start with it.
DATABASE = {"PYTHONHOME": "/usr/local/greenplum-db/ext/python", "LD_LIBRARY_PATH": "/usr/local/greenplum-db/lib"}


class Demo:
    """A make-believe cluster of two segments below a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = folder / "target"
        self.config = folder / "plugin.yaml"
        self.environment = {**os.environ, **DATABASE, "HOME": str(folder)}
        self.step = 0

    def say(self, text: str) -> None:
        """Begin the next step."""
        self.step += 1
        print()
        tell(text, f"{self.step:2}. ")

    def directory(self, content: int) -> str:
        """Where gpbackup has the files of a segment, by its content id, or of the coordinator, -1."""
        return f"{self.folder}/gpseg{content}/backups/{TIMESTAMP[:8]}/{TIMESTAMP}"

    def command(self, *words: str) -> str:
        """A call of the plugin: the command, and its arguments after the configuration."""
        return " ".join([str(PLUGIN), words[0], str(self.config), *words[1:]])

    def bash(self, line: str, *, show: bool = True) -> None:
        """A line as gpbackup runs it; the demo ends when it fails or says anything on standard error."""
        if show:
            shorter = line.replace(str(self.folder), "…").replace(str(PLUGIN), PLUGIN.name)
            tell(shorter.replace(f"backups/{TIMESTAMP[:8]}/", "…/"), "    $ ", end=" \\")
        done = subprocess.run(["bash", "-c", line], env=self.environment, stderr=subprocess.PIPE, check=False)
        if done.returncode or done.stderr:
            sys.exit(f"that ended with status {done.returncode} and said: {done.stderr.decode()}")

    def objects(self) -> int:
        """Tell how much the target holds; returns the number of objects."""
        found = [path for path in self.target.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in found)
        print(f"    the target now holds {len(found)} objects, {size / 1e6:.1f} MB", flush=True)
        return len(found)


def tell(text: str, indent: str = "", end: str = "") -> None:
    """Print a text in as many lines of 80 columns as it needs; each but the last ends with `end`."""
    rest = " " * len(indent)
    lines = textwrap.wrap(text, 80 - len(end), initial_indent=indent, subsequent_indent=rest, break_long_words=False)
    print(f"{end}\n".join(lines), flush=True)


def rows(seed: int, count: int) -> bytes:
    """A table's data as COPY writes it."""
    pick = random.Random(seed)  # noqa: S311 - the same rows in every run
    names = [f"customer {pick.randrange(10**6)}" for _ in range(997)]
    lines = (f"{seed}\t{n}\t{names[n % 997]}\t{pick.random():.6f}\t2026-01-02 03:04:05\n" for n in range(count))
    return "".join(lines).encode()


def digest(path: str) -> str:
    """A hash of a file."""
    return hashlib.blake2b(Path(path).read_bytes()).hexdigest()


def require(same: bool, what: str) -> None:
    """The end of the demo, with a failure, unless it is the same."""
    if not same:
        sys.exit(f"{what} differs from what was backed up")


def main() -> None:
    """Tell what will happen, and do it in a folder that goes at the end."""
    started = time.monotonic()
    folder = tempfile.gettempdir()
    tell(f"A backup and its restore, on this machine. It writes 400 MB below {folder}, and removes them at the end.")
    with tempfile.TemporaryDirectory(prefix="fsspec_gp_plugin-demo-") as name:
        run(Demo(Path(name)))
    print(f"\nEvery byte came back. It took {time.monotonic() - started:.0f} s.")


def run(demo: Demo) -> None:
    """All steps."""
    demo.target.mkdir()
    demo.say("The configuration that gpbackup --plugin-config would get")
    # What a host remembers goes with the demo, too.
    options = f"  url: file://{demo.target}\n  state_directory: {demo.target}.state\n"
    demo.config.write_text(f"executablepath: {PLUGIN}\noptions:\n{options}")
    for line in demo.config.read_text().splitlines():
        print("    | " + line.replace(str(demo.folder), "…"), flush=True)
    demo.bash(f"{PLUGIN} --version")

    demo.say("Setup on the coordinator, the segment host and both segments: can the target be written?")
    hooks(demo, "setup_plugin_for_backup")

    demo.say(f"Data to back up: {TABLES * len(SEGMENTS)} tables, and {STREAM_BYTES // 10**6} MB of random bytes")
    tables, metadata = make_data(demo)
    single_data = f"{demo.folder}/single"
    with open(single_data, "wb") as file:
        file.writelines(os.urandom(1_000_000) for _ in range(STREAM_BYTES // 1_000_000))

    demo.say(f"{len(tables)} tables of two segments at once, each through gzip into a plugin process of its own")
    print(f"    $ cat TABLE | gzip -c -1 | {PLUGIN.name} backup_data CONFIG FILE", flush=True)
    each(demo, [f"cat {raw} | gzip -c -1 | {demo.command('backup_data', file)}" for raw, file in tables.items()])
    demo.objects()

    single = f"{demo.directory(0)}/gpbackup_0_{TIMESTAMP}"
    demo.say(f"One stream of {STREAM_BYTES // 10**6} MB, as with --single-data-file")
    demo.bash(f"cat {single_data} | {demo.command('backup_data', single)}")

    demo.say("Metadata, table of contents and report, then cleanup")
    for path in metadata:
        demo.bash(demo.command("backup_file", path))
    hooks(demo, "cleanup_plugin_for_backup")
    demo.objects()

    demo.say("Restore: setup finds the backup, the files come back")
    hooks(demo, "setup_plugin_for_restore")
    for path, content in metadata.items():
        os.unlink(path)
        demo.bash(demo.command("restore_file", path))
        require(Path(path).read_text() == content, path)

    demo.say(f"All {len(tables)} tables at once, and the single data file")
    print(f"    $ {PLUGIN.name} restore_data CONFIG FILE | gzip -d -c", flush=True)
    each(demo, [f"{demo.command('restore_data', file)} | gzip -d -c > {raw}.back" for raw, file in tables.items()])
    for raw in tables:
        require(digest(raw) == digest(f"{raw}.back"), raw)
    demo.bash(f"{demo.command('restore_data', single)} > {demo.folder}/single.back")
    require(digest(single_data) == digest(f"{demo.folder}/single.back"), "the single data file")
    print("    compared: every byte is the same")

    demo.say("Two ranges out of that stream, as for a filtered restore")
    Path(f"{demo.folder}/offsets").write_text("2 1000000 3000000 90000000 90000010")
    demo.bash(f"{demo.command('restore_data_subset', single, f'{demo.folder}/offsets')} > {demo.folder}/subset")
    whole = Path(single_data).read_bytes()
    require(
        Path(f"{demo.folder}/subset").read_bytes() == whole[1_000_000:3_000_000] + whole[90_000_000:90_000_010],
        "the subset",
    )
    hooks(demo, "cleanup_plugin_for_restore")

    demo.say("What the target holds, and the end of it")
    demo.bash(f"{demo.command('list_directory')} | tail -n 3 | tr -s ' '")
    demo.bash(demo.command("delete_backup", TIMESTAMP))
    if demo.objects():
        sys.exit("something was left")
    log = next((demo.folder / "gpAdminLogs").iterdir()).read_text().splitlines()
    demo.say(f"The log, ~/gpAdminLogs/fsspec_gp_plugin_YYYYMMDD.log, has {len(log)} lines; one of them:")
    tell(next(line for line in log if f"gpbackup_0_{TIMESTAMP}:" in line), "    ")


def hooks(demo: Demo, hook: str) -> None:
    """A setup or cleanup command as gpbackup calls it: on the coordinator, the segment host and for each segment."""
    demo.bash(demo.command(hook, demo.directory(-1), "master", r"\"-1\""))
    demo.bash(demo.command(hook, demo.directory(0), "segment_host"), show=False)
    for segment in SEGMENTS:
        demo.bash(demo.command(hook, demo.directory(segment), "segment", rf"\"{segment}\""), show=False)


def make_data(demo: Demo) -> tuple[dict[str, str], dict[str, str]]:
    """Tables (raw data → path of the backup file) and metadata files (path → content)."""
    tables = {}
    for segment in SEGMENTS:
        os.makedirs(demo.directory(segment))
        for number in range(TABLES):
            raw = f"{demo.folder}/raw_{segment}_{number}"
            Path(raw).write_bytes(rows(100 * segment + number, 30_000))
            tables[raw] = f"{demo.directory(segment)}/gpbackup_{segment}_{TIMESTAMP}_{16384 + number}.gz"
    os.makedirs(demo.directory(-1))
    metadata = {
        f"{demo.directory(-1)}/gpbackup_{TIMESTAMP}_{name}": f"the {name} of the demo\n"
        for name in ("metadata.sql", "toc.yaml", "report")
    }
    for path, content in metadata.items():
        Path(path).write_text(content)
    return tables, metadata


def each(demo: Demo, lines: list[str]) -> None:
    """Run the lines at once, each in a shell of its own."""
    started = time.monotonic()
    with ThreadPoolExecutor(len(lines)) as pool:
        for future in [pool.submit(demo.bash, line, show=False) for line in lines]:
            future.result()
    print(f"    {len(lines)} streams in {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
