"""The page about disaster recovery: its commands, as they stand there, restore what this plugin has encrypted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts import documents
from tests.gpbackup_files import CHAIN, SINGLE_DATA_FILE, extract_files, read_rows
from tests.protocol.agents import EXECUTABLE
from tests.protocol.caller import Plugin, quoted, write_config
from tests.sealing import IDENTITY, encrypt
from tests.servers.fixtures import age_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.protocol.caller import Database
    from tests.servers.postgres import Postgres

_PAGE = Path(__file__).parents[2] / "docs" / "disaster_recovery.md"
_DATABASE = "shop"
# What the page says about: the role is there already, and external tables are left out.
_HARMLESS = {'ERROR:  role "gpadmin" already exists', 'ERROR:  relation "public.ext_t" does not exist'}


def read_commands(values: Mapping[str, object]) -> list[str]:
    """The commands of the page, block by block; of the first block the values are replaced, as it tells readers."""
    first, *others = [piece.text for piece in documents.code(_PAGE) if piece.language == "bash"]
    names = re.findall(r"(?m)^(\w+)=", first)
    assert sorted(names) == sorted(values)
    return ["".join(f"{name}={quoted(value)}\n" for name, value in values.items()), *others]


def run_commands(blocks: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Paste them into one bash, which expands `!` as an interactive one does."""
    path = f"{os.path.dirname(age_program('age'))}:{environment.get('PATH', os.environ['PATH'])}"
    return subprocess.run(
        ["bash", "--norc", "-o", "history", "-o", "histexpand"],
        input="\n".join(blocks),
        env={"HOME": "/", **environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def values(tmp_path: Path) -> dict[str, object]:
    identity = tmp_path / "identity.txt"
    identity.write_text(f"# public key: {IDENTITY.recipient.text}\n{IDENTITY.text}\n")
    copy, work = tmp_path / "disk", tmp_path / "work"
    return {"copy": copy, "timestamp": "", "identity": identity, "work": work, "database": _DATABASE}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    extract_files(tmp_path / "files")
    return tmp_path / "files"


@pytest.fixture
def plugin(tmp_path: Path, database: Database) -> Plugin:
    """Encrypts, and has no identity."""
    made = Plugin(database, database.folder / "encrypted.yaml")
    write_config(made.config, f"file://{tmp_path}/disk", agent="on", encryption_recipients=IDENTITY.recipient.text)
    return made


def back_up(plugin: Plugin, folder: Path, timestamp: str, config: Path) -> None:
    """Store the files of a backup, as gpbackup does."""
    plugin = Plugin(plugin.database, config)
    plugin.database.timestamp = timestamp
    plugin.setup("setup_plugin_for_backup")
    lines = []
    for path in sorted((folder / timestamp).iterdir()):
        content = re.match(r"gpbackup_(\d{1,5})_", path.name)
        if content:
            there = plugin.database.file(path.name, int(content[1]))
            lines.append(f"{EXECUTABLE} backup_data {config} {there} < {path}")
        else:
            there = plugin.database.file(path.name, -1)
            os.makedirs(os.path.dirname(there), exist_ok=True)
            shutil.copy(path, there)
            lines.append(f"{EXECUTABLE} backup_file {config} {there}")
    plugin.shell(" && ".join(lines)).succeeded()
    plugin.setup("cleanup_plugin_for_backup")


@pytest.mark.parametrize("timestamps", [CHAIN, (SINGLE_DATA_FILE,)], ids=["incremental", "single data file"])
def test_the_commands_of_the_page_restore_every_row(
    plugin: Plugin, postgres: Postgres, files: Path, values: dict[str, object], timestamps: Sequence[str]
) -> None:
    # The full backup of the chain is an older one, from before encryption.
    older = write_config(plugin.config.with_name("plain.yaml"), f"file://{values['copy']}", agent="on")
    for timestamp in timestamps:
        back_up(plugin, files, timestamp, older if timestamp == CHAIN[0] else plugin.config)
    postgres.ask(f"DROP DATABASE IF EXISTS {_DATABASE}")
    values["timestamp"] = timestamps[-1]
    done = run_commands(read_commands(values), postgres.environment)
    assert done.returncode == 0, done.stderr
    assert not re.search("FAILED|WRONG|missing", done.stdout + done.stderr), (done.stdout, done.stderr)
    assert set(re.findall(r"\b(?:ERROR|FATAL):.*", done.stdout)) == _HARMLESS
    assert {line for line in done.stderr.splitlines() if CHAIN[0] not in line} == set()
    expected = read_rows(files, timestamps[-1])
    assert len(expected) == 8
    for table, rows in expected.items():
        assert sorted(postgres.ask(f"COPY {table} TO STDOUT WITH CSV", _DATABASE).splitlines()) == rows, table
        assert f"right: {table} has {len(rows)} rows" in done.stdout
    assert postgres.ask("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'", _DATABASE) == "heap_i\n"
    # The decrypted copy, but for the copy of the configuration, from which the plugin had removed values.
    for timestamp in {timestamps[0], timestamps[-1]}:
        plain = Path(str(values["work"]), "plain", "backups", timestamp[:8], timestamp)
        assert sorted(path.name for path in plain.iterdir()) == sorted(os.listdir(files / timestamp))
        for path in plain.iterdir():
            if not path.name.endswith("plugin_config.yaml"):
                assert path.read_bytes() == (files / timestamp / path.name).read_bytes()


def _change(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("case", ["another", "changed", "cut off", "foreign"])
def test_a_wrong_object_is_not_taken_for_a_right_one(tmp_path: Path, values: dict[str, object], case: str) -> None:
    prefix = f"backups/{SINGLE_DATA_FILE[:8]}/{SINGLE_DATA_FILE}/"
    name = f"{prefix}gpbackup_0_{SINGLE_DATA_FILE}_16384"
    right = encrypt(name, b"rows\n" * 20_000)
    stored, word = {
        "another": (encrypt(f"{name}0", b"rows\n"), f"another object stands in the place of {name}"),
        "changed": (_change(right), "age: error"),
        "cut off": (right[: 65552 + len(right) - 100_000], "age: error"),
        "foreign": (re.sub(rb"-> X25519 \S+", b"-> X25519 " + b"A" * 43, right), "age: error"),
    }[case]
    (tmp_path / "disk" / prefix).mkdir(parents=True)
    (tmp_path / "disk" / name).write_bytes(stored)
    blocks = read_commands({**values, "timestamp": SINGLE_DATA_FILE})
    done = run_commands([*blocks[:2], f"decrypt {name} > {tmp_path}/found || echo refused"], os.environ)
    assert done.stdout == "refused\n"
    assert word in done.stderr


@pytest.mark.parametrize("program", ["age", "rage"])
def test_both_programs_open_an_object(tmp_path: Path, values: dict[str, object], program: str) -> None:
    name = f"backups/{SINGLE_DATA_FILE[:8]}/{SINGLE_DATA_FILE}/gpbackup_0_{SINGLE_DATA_FILE}_16384"
    (tmp_path / "disk" / name).parent.mkdir(parents=True)
    (tmp_path / "disk" / name).write_bytes(encrypt(name, b"rows\n" * 20_000))
    first, second, *_ = read_commands({**values, "timestamp": SINGLE_DATA_FILE})
    # As the page says.
    second = second.replace(" age --decrypt", f" {age_program(program)} --decrypt")
    done = run_commands([first, second, f"decrypt {name}"], os.environ)
    assert (done.stdout, done.stderr, done.returncode) == ("rows\n" * 20_000, "", 0)


def test_names_and_columns_that_yaml_quotes_or_breaks_are_found(tmp_path: Path, values: dict[str, object]) -> None:
    prefix = tmp_path / "disk" / "backups" / SINGLE_DATA_FILE[:8] / SINGLE_DATA_FILE
    prefix.mkdir(parents=True)
    columns = ",".join(f'"column {number}"' for number in range(12))
    broken = columns.replace(" 5", "\n    5").replace(" 10", "\n    10")
    texts = {
        "report": "backup status: Success\n",
        "metadata.sql": "",
        "config.yaml": f'restoreplan:\n- timestamp: "{SINGLE_DATA_FILE}"\n  tablefqns:\n  - \'"it\'\'s: odd"."no"\'\n'
        '  - public."a b"\nsegmentcount: 2\n',
        "toc.yaml": "predataentries: []\ndataentries:\n"
        "- schema: '\"it''s: odd\"'\n  name: '\"no\"'\n  oid: 1\n  attributestring: (\"y: n\")\n  rowscopied: 3\n"
        '  partitionroot: ""\n  isreplicated: false\n'
        f"- schema: public\n  name: '\"a b\"'\n  oid: 2\n  attributestring: ({broken})\n  rowscopied: 4\n"
        '  partitionroot: "no"\n  isreplicated: true\n'
        "- schema: public\n  name: of_another_backup\n  oid: 3\n  isreplicated: false\nincrementalmetadata: {}\n",
    }
    for end, text in texts.items():
        (prefix / f"gpbackup_{SINGLE_DATA_FILE}_{end}").write_text(text)
    done = run_commands(read_commands({**values, "timestamp": SINGLE_DATA_FILE})[:5], os.environ)
    assert done.stdout.splitlines()[1:] == [
        SINGLE_DATA_FILE,
        f'{SINGLE_DATA_FILE}\t1\tfalse\t3\t"it\'s: odd"."no"\t("y: n")',
        f"{SINGLE_DATA_FILE}\t2\ttrue\t4\tpublic.no\t({columns})",
    ]
