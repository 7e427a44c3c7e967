"""A host notes what gpbackup's files say when it stores them encrypted, and its manifest takes the notes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.backups.survey import survey
from fsspec_gp_plugin.errors import StorageError
from fsspec_gp_plugin.integrity.claim import Encryption
from fsspec_gp_plugin.integrity.run_state import Run, remember_run
from fsspec_gp_plugin.integrity.summary_notes import write_note
from fsspec_gp_plugin.keys import backup_prefix
from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol.context import Context
from fsspec_gp_plugin.protocol.data import backup_file
from fsspec_gp_plugin.protocol.journaling import store_manifest
from tests.cli.whole import contents, record
from tests.fakes import FakeStore
from tests.sealed_backups import RECIPIENT, report

if TYPE_CHECKING:
    from pathlib import Path

T = "20260102030405"
PREFIX = backup_prefix(T)
ENCRYPTED = f"  encryption_recipients: {RECIPIENT}\n"


class Host:
    """A coordinator's host, and its target."""

    def __init__(self, folder: Path, options: str) -> None:
        self.folder = folder / "seg" / PREFIX
        self.folder.mkdir(parents=True)
        self._log = folder / "log"
        self.refuses_manifests = False
        self.store = FakeStore(self._refuse)
        config = folder / "config.yaml"
        text = f"executablepath: /x\noptions:\n  url: s3://bucket\n  state_directory: {folder}/state\n{options}"
        config.write_text(text)
        self.context = Context(Streams(0, 1, 2), Log(str(self._log)), "test", str(config), self.store)
        encryption = Encryption((RECIPIENT,)) if options else None
        self.run = Run("a" * 32, "b" * 12, directories=("/data",), encryption=encryption)
        remember_run(self.context.config.place, T, self.run)

    def _refuse(self, method: str, key: str, number: int) -> None:
        del method, number
        if self.refuses_manifests and key.endswith("manifest.gz"):
            raise StorageError("refused")

    def back_up(self, end: str, text: bytes) -> None:
        path = self.folder / f"gpbackup_{T}_{end}"
        path.write_bytes(text)
        backup_file(self.context, str(path))

    def back_up_all(self) -> None:
        self.back_up("toc.yaml", contents().encode())
        self.back_up("config.yaml", record(T, ()).encode())
        self.back_up("report", report(T))

    def log(self) -> str:
        """All that was logged."""
        path = self._log
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        return "".join(one.read_text() for one in files if one.is_file())

    def notes(self) -> list[str]:
        directory = self.context.config.place.open_directory("summaries", make=True)
        try:
            return sorted(name.rpartition("-")[2].partition(".")[2] for name in os.listdir(directory))
        finally:
            os.close(directory)


def test_notes_cost_no_request_and_are_gone_with_the_manifest(tmp_path: Path) -> None:
    made = []
    for name, options in (("plain", ""), ("encrypted", ENCRYPTED)):
        (tmp_path / name).mkdir()
        host = Host(tmp_path / name, options)
        host.back_up_all()
        assert len(host.notes()) == (3 if options else 0)
        assert store_manifest(host.context, PREFIX, T, host.run)
        assert host.notes() == []
        made.append([method for method, _, _ in host.store.calls])
        [backup] = survey(host.store)
        assert (backup.state, backup.kind, backup.recipients) == ("complete", "full", (RECIPIENT,) if options else ())
    assert made[0] == made[1]


def test_a_manifest_that_could_not_be_stored_leaves_the_notes(tmp_path: Path) -> None:
    host = Host(tmp_path, ENCRYPTED)
    host.back_up_all()
    host.refuses_manifests = True
    with pytest.raises(StorageError, match="run it again: refused"):
        store_manifest(host.context, PREFIX, T, host.run)
    assert len(host.notes()) == 3
    host.refuses_manifests = False
    assert store_manifest(host.context, PREFIX, T, host.run)
    [backup] = survey(host.store)
    assert backup.state == "complete"


@pytest.mark.parametrize("is_joined", [True, False])
def test_a_manifest_is_stored_where_the_file_of_recipients_is_gone(is_joined: bool, tmp_path: Path) -> None:
    recipients = tmp_path / "recipients"
    recipients.write_text(RECIPIENT)
    host = Host(tmp_path, f"  encryption_recipients: {recipients}\n")
    host.back_up_all()
    recipients.unlink()
    assert store_manifest(host.context, PREFIX, T, host.run if is_joined else None)
    [backup] = survey(host.store)
    assert (backup.state, backup.recipients) == (("complete", (RECIPIENT,)) if is_joined else ("unknown", ()))
    assert ("has no summary" in host.log()) != is_joined


@pytest.mark.parametrize("note", [b"", b"{}", b"[]", b'{"config": {}}', b"\xff"])
def test_a_damaged_note_costs_only_the_summary(note: bytes, tmp_path: Path) -> None:
    host = Host(tmp_path, ENCRYPTED)
    host.back_up_all()
    write_note(host.context.config.place, T, "config.yaml", note)
    assert store_manifest(host.context, PREFIX, T, host.run)
    assert len(survey(host.store)[0].manifests) == 1


@pytest.mark.parametrize("wrong", ["toc.yaml", "config.yaml"])
def test_what_can_not_be_noted_is_missing_from_the_summary_alone(wrong: str, tmp_path: Path) -> None:
    host = Host(tmp_path, ENCRYPTED)
    files = {"toc.yaml": contents().encode(), "config.yaml": record(T, ()).encode(), "report": report(T)}
    for end, text in files.items():
        host.back_up(end, b"segmentcount: many\ndataentries:\n- oid: x\n" if end == wrong else text)
    assert host.log().count("the manifest has no summary of it") == 1
    assert store_manifest(host.context, PREFIX, T, host.run)
    [backup] = survey(host.store)
    assert (backup.state, backup.database) == ("complete", "sales")
    assert backup.summary is not None
    config = backup.summary.config
    if wrong == "config.yaml":
        assert config is None
    else:
        assert config is not None
        assert config.tables is not None
        assert (config.tables.total, config.tables.is_listed) == (None, False)
