"""Setup and cleanup as gpbackup and gprestore call them, and gpbackup's acceptance script step by step."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.protocol.made_backups import PREFIX, T, call_hook

if TYPE_CHECKING:
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

SCOPES = ["master", "coordinator", "segment_host", "segment"]
HOOKS = [
    "setup_plugin_for_backup",
    "cleanup_plugin_for_backup",
    "setup_plugin_for_restore",
    "cleanup_plugin_for_restore",
]


# What gpbackup stores at the end of a metadata-only backup.
ENDS = ("metadata.sql", "toc.yaml", "config.yaml", "report")


def test_every_hook_takes_every_scope(plugin: Plugin, target: Target) -> None:
    for hook, scope in itertools.product(HOOKS, SCOPES):
        if (hook, scope) == ("setup_plugin_for_restore", SCOPES[0]):
            target.put([f"{PREFIX}gpbackup_{T}_{name}" for name in ENDS])
        content = {"segment_host": "", "segment": '\\"0\\"'}.get(scope, '\\"-1\\"')
        assert plugin.run(hook, plugin.database.directory(-1), scope, content).succeeded().out == b"", (hook, scope)
    kinds = [key.rsplit(".", 1)[-1] for key in target.keys() if "/fsspec_gp_plugin/" in key]  # noqa: SIM118
    assert sorted(kinds) == ["gz", "json", "mark"]
    assert len(target.keys()) == len(ENDS) + len(kinds)


@pytest.mark.parametrize("content", ["-1", '"-1"', ""])
def test_the_content_id_comes_quoted_bare_or_not_at_all(local: Plugin, content: str) -> None:
    line = local.command("setup_plugin_for_backup", local.database.directory(), "master")
    local.shell(f"{line} '{content}'" if content else line).succeeded()


@pytest.mark.every_target
def test_setup_for_backup_leaves_a_claim_and_a_mark(plugin: Plugin, target: Target) -> None:
    call_hook(plugin, "setup_plugin_for_backup")
    left = target.keys()
    creates = target.kind not in ("ftp", "webdav")
    claims = [r"claim\.json"] if creates else [r"claim\.[0-9a-f]{32}\.json", r"claim\.settled\.json"]
    mark = rf"marks/{re.escape(os.uname().nodename)}\.[0-9a-f]{{12}}\.mark"
    for name, key in zip([*claims, mark], left, strict=True):
        assert re.fullmatch(f"{PREFIX}fsspec_gp_plugin/{name}", key)
    assert ("best effort" in plugin.database.log()) == (not creates)
    # Of the same run it is no error, and leaves no more; of another cluster it is one.
    call_hook(plugin, "setup_plugin_for_backup")
    other = plugin.database.directory(-1).replace("/gpseg-1/", "/other/gpseg-1/")
    plugin.run("setup_plugin_for_backup", other, "master").failed("is claimed by the cluster of coordinator", status=1)
    assert target.keys() == left


@pytest.mark.every_target
def test_all_hosts_may_probe_at_once(plugin: Plugin, target: Target) -> None:
    """On a shared directory each removes what the others are about to use. All have one home and one name here."""
    call_hook(plugin, "setup_plugin_for_backup")
    before = target.keys()
    count = 8 if target.kind == "file" else 4
    for _ in range(3 if target.kind == "file" else 1):
        line = plugin.command("setup_plugin_for_backup", plugin.database.directory(), "segment_host")
        hosts = [plugin.server(line) for _ in range(count)]
        assert [(host.communicate(timeout=180), host.returncode) for host in hosts] == [((b"", b""), 0)] * count
    assert target.keys() == before


@pytest.mark.every_target
def test_setup_for_restore_finds_what_is_missing(plugin: Plugin, target: Target) -> None:
    database = plugin.database
    for scope in ("master", "segment_host"):
        plugin.run("setup_plugin_for_restore", database.directory(), scope).failed(
            f"there is no backup {database.timestamp}", status=1
        )
    plugin.run("backup_data", database.table(), stdin=b"a backup that gpbackup did not finish").succeeded()
    plugin.run("setup_plugin_for_restore", database.directory(), "segment_host").failed("is not complete")
    target.put([f"backups/20260102/20260102030405/gpbackup_20260102030405_{name}" for name in ENDS])
    # A content without objects is legal.
    plugin.run("setup_plugin_for_restore", database.directory(7), "segment", '\\"7\\"').succeeded()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/some/where", "master"], "not a backup's directory"),
        (["DIR", "somewhere"], "unknown scope 'somewhere'"),
        (["DIR", "segment", "zero"], "not a content id"),
        (["DIR"], "expected `fsspec_gp_plugin setup_plugin_for_backup CONFIG DIR SCOPE [CONTENT]`"),
        (["DIR", "with", "a", "space", "in"], "gpbackup splits a path that contains spaces"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(local: Plugin, arguments: list[str], words: str) -> None:
    arguments = [local.database.directory() if argument == "DIR" else argument for argument in arguments]
    local.run("setup_plugin_for_backup", *arguments).failed(words, status=2)


@pytest.mark.agent_unless_disk
@pytest.mark.every_target
def test_the_steps_of_gpbackups_acceptance_script(plugin: Plugin) -> None:
    """plugins/plugin_test.sh, up to where it needs a database; its timestamps are no dates."""
    database = plugin.database
    database.timestamp = "99998999123456"
    folder = Path(database.directory())
    folder.mkdir(parents=True)
    text = folder / f"testfile_{database.timestamp}.txt"
    text.write_text("this is some text\n")

    # With one scope each: `test_every_hook_takes_every_scope` has the others.
    def hook(name: str) -> None:
        plugin.run(name, database.directory(), "coordinator").succeeded()

    hook("setup_plugin_for_backup")
    plugin.run("backup_file", str(text)).succeeded()
    assert text.exists()
    hook("setup_plugin_for_restore")
    text.unlink()
    plugin.run("restore_file", str(text)).succeeded()
    assert text.read_text() == "this is some text\n"
    plugin.run("restore_file", f"{folder}/there_is_no_file_to_restore").failed("no such object")
    for data in (os.urandom(1000), b""):
        plugin.run("backup_data", f"{folder}/testdata", stdin=data).succeeded()
        assert plugin.run("restore_data", f"{folder}/testdata").succeeded().out == data
    hook("cleanup_plugin_for_backup")
    hook("cleanup_plugin_for_restore")
    sibling = str(folder).replace("99998999123456", "99998999123457")
    plugin.run("backup_data", f"{sibling}/testdata", stdin=b"the sibling").succeeded()
    plugin.run("delete_backup", "99998999123456").succeeded()
    plugin.run("restore_data", f"{folder}/testdata").failed()
    plugin.run("restore_file", str(text)).failed()
    assert plugin.run("restore_data", f"{sibling}/testdata").succeeded().out == b"the sibling"
    assert plugin.shell(f"{plugin.executable} unknown_command").failed("unknown command").out == b""
