"""Backs up a little, runs `list`, `doctor` and `verify` in a terminal of their own, and draws what stands in it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PROGRAM = Path(sys.executable).with_name("fsspec_gp_plugin")
IMAGES = Path("docs/images")
WIDTH = 118
REPORT = """\
Greenplum Database Backup Report

timestamp key:         {timestamp}
database name:         sales
backup section:        All Sections
incremental:           {incremental}
backup status:         Success
"""
RECORD = """\
compressed: false
compressiontype: ""
segmentcount: 2
dataonly: false
incremental: {incremental}
metadataonly: false
restoreplan:{plan}
singledatafile: false
timestamp: "{timestamp}"
withstatistics: false
status: Success
"""
FULL, LATER, KILLED = "20260102030405", "20260103030405", "20260104030405"
TABLES = range(16384, 16387)


def main() -> None:
    """Draw every picture."""
    with tempfile.TemporaryDirectory(prefix="fsspec_gp_plugin-recordings.") as name:
        folder = Path(name)
        config = folder / "plugin.yaml"
        (folder / "backups").mkdir()
        (folder / "home").mkdir(mode=0o700)
        options = (
            f"  url: file://{folder}/backups\n  agent: 'off'\n  state_directory: {folder}/home/.fsspec_gp_plugin\n"
        )
        config.write_text(f"executablepath: {PROGRAM}\noptions:\n{options}")
        config.chmod(0o600)
        for timestamp, incremental, whole in (
            (FULL, "False", True),
            (LATER, "True", True),
            (KILLED, "False", False),
        ):
            back_up(folder, config, timestamp, incremental, whole=whole)
        path = next((folder / "backups").rglob(f"gpbackup_1_{LATER}_16385"))
        for words in ("list", "doctor", "verify"):
            if words == "verify":  # as a disk that rots does
                path.write_bytes(path.read_bytes()[:-1] + b"?")
            draw(folder, config, words)


def back_up(folder: Path, config: Path, timestamp: str, incremental: str, *, whole: bool) -> None:
    """What gpbackup makes the plugin do, for a cluster of two segments; a backup that is not `whole` was killed."""
    here = folder / "data" / "backups" / timestamp[:8] / timestamp
    here.mkdir(parents=True)

    def run(*words: object, stdin: bytes = b"") -> None:
        subprocess.run(
            [PROGRAM, *map(str, words)], input=stdin, env=environment(folder), stdout=subprocess.DEVNULL, check=True
        )

    run("setup_plugin_for_backup", config, here, "master", "-1")
    for segment in range(2):
        for table in TABLES:
            run("backup_data", config, here / f"gpbackup_{segment}_{timestamp}_{table}", stdin=os.urandom(3_000_000))
    if whole:
        plan = "".join(
            f'\n- timestamp: "{one}"\n  tablefqns:\n  - public.t' for one in dict.fromkeys((FULL, timestamp))
        )
        entries = "".join(f"\n- schema: public\n  name: t{table}\n  oid: {table}" for table in TABLES)
        for name, text in (
            ("metadata.sql", "-- the tables"),
            ("toc.yaml", f"globalentries: []\ndataentries:{entries}\nincrementalmetadata:\n  ao: {{}}\n"),
            ("config.yaml", RECORD.format(timestamp=timestamp, incremental=incremental.lower(), plan=plan)),
            ("report", REPORT.format(timestamp=timestamp, incremental=incremental)),
        ):
            (here / f"gpbackup_{timestamp}_{name}").write_text(text)
            run("backup_file", config, here / f"gpbackup_{timestamp}_{name}")
    run("cleanup_plugin_for_backup", config, here, "master", "-1")


def environment(folder: Path) -> dict[str, str]:
    """What the recorded commands find in theirs: no setting of this user's, a terminal of `WIDTH` columns."""
    return {
        "HOME": f"{folder}/home",
        "PATH": "/usr/bin:/bin",
        "TERM": "xterm-256color",
        "COLUMNS": str(WIDTH),
        "LINES": "40",
        "LC_ALL": "C.UTF-8",
    }


def draw(folder: Path, config: Path, command: str) -> None:
    """Run it in a terminal, and write what it shows as a picture."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, command, config], stdin=theirs, stdout=theirs, stderr=theirs, env=environment(folder)
    )
    os.close(theirs)
    shown = bytearray()
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # it has ended
            break
        if not piece:
            break
        shown += piece
    process.wait()
    os.close(ours)
    text = shown.decode().replace("\r\n", "\n").replace(str(folder), "/srv").replace(str(PROGRAM), PROGRAM.name)
    text = re.sub(rf"\b{re.escape(os.uname().nodename)}\b", "cdw", text)
    # Progress that was drawn over is not part of the picture.
    lines = [line for line in (line.rpartition("\x1b[2K")[2].rpartition("\r")[2] for line in text.split("\n")) if line]
    console = Console(record=True, width=WIDTH, force_terminal=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text.from_ansi(f"$ fsspec_gp_plugin {command} plugin.yaml\n" + "\n".join(lines).rstrip()))
    picture = console.export_svg(title=f"fsspec_gp_plugin {command}", unique_id=command)
    # No font from elsewhere: whoever looks has one.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / f"{command}.svg").write_text(picture)


if __name__ == "__main__":
    main()
