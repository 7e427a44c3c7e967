"""`init` about encryption: recipients that are given, and a new key pair."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.age.key_files import load_identities
from tests.cli.test_init import Host, content, host
from tests.sealing import IDENTITY, OTHER_IDENTITY

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["host"]

RECIPIENT, OTHER = IDENTITY.recipient.text, OTHER_IDENTITY.recipient.text
QUESTION = "(empty: no encryption): "


def recipient_in(file: Path) -> str:
    """That of a new identity."""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [identity] = load_identities(str(file))
    return identity.recipient.text


def test_a_person_gets_a_key_pair(host: Host, tmp_path: Path) -> None:
    terminal = host.terminal(str(host.file), "--url", f"file://{tmp_path}/disk")
    terminal.answer("[yes]: ", "no\n")
    terminal.answer(QUESTION, f"{IDENTITY.text}\n")
    terminal.answer("an identity (AGE-SECRET-KEY-…) stands where a recipient belongs", "age1nonsense\n")
    terminal.answer("is not valid", "new\n")
    terminal.answer(f"File for the new identity [{host.home}/plugin.identity.txt]: ", "~/no/x\n")
    terminal.answer("there is no directory", "\n")
    assert terminal.end() == 0, terminal.screen
    file = host.home / "plugin.identity.txt"
    assert content(host.file)["options"]["encryption_recipients"] == recipient_in(file)
    assert f"Wrote a new identity to {file}: move it off the cluster" in terminal.screen
    assert load_identities(str(file))[0].text not in terminal.screen
    steps = {step["step"]: step for step in json.loads(host.plugin.run("doctor", "--quick", "--json").out)["steps"]}
    assert steps["encrypt"]["status"] == "ok"
    assert steps["identities"]["figures"]["reads"] == "nothing"


def test_a_person_gives_recipients(host: Host, tmp_path: Path) -> None:
    terminal = host.terminal(str(host.file), "--url", f"file://{tmp_path}/disk")
    terminal.answer("[yes]: ", "\n")
    terminal.answer(QUESTION, f"{RECIPIENT} {OTHER}\n")
    assert terminal.end() == 0, terminal.screen
    assert content(host.file)["options"]["encryption_recipients"] == f"{RECIPIENT} {OTHER}"


def test_a_script_gives_all_at_once(host: Host) -> None:
    file = host.home / "new.txt"
    words = [str(host.file), "--url", "s3://bucket/a", "--encryption-recipients", f"'{RECIPIENT}'"]
    told = json.loads(host.init(*words, "--new-identity", "~/new.txt", "--json").succeeded().out)
    assert told["new_identity"] == str(file)
    assert content(host.file)["options"]["encryption_recipients"] == f"{RECIPIENT} {recipient_in(file)}"
    before = file.read_text()
    host.init(*words, "--new-identity", "~/new.txt", "--force").failed("an identity is never replaced", status=2)
    assert file.read_text() == before
    host.init(*words, "--force", "--option", f"encryption_metadata_recipients={OTHER}").succeeded()
    options = content(host.file)["options"]
    assert options["encryption_recipients"] == RECIPIENT
    assert options["encryption_metadata_recipients"] == OTHER
    host.init(str(host.file), "--url", "s3://b/a", "--force", "--encryption-recipients", "/etc/names").succeeded()
    assert content(host.file)["options"]["encryption_recipients"] == "/etc/names"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--encryption-recipients nonsense", "age1…, separated by blanks, or the absolute path of a file"),
        (f"--encryption-recipients {IDENTITY.text}", "stands where a recipient belongs"),
        (f"--option encryption_recipients={OTHER} --encryption-recipients {OTHER}", "are the same: give one of them"),
        ("--encryption-recipients /etc/names --new-identity ~/i.txt", "add its public key to that file"),
        ("--new-identity ~/no/i.txt", "there is no directory"),
        (f"--option encryption_metadata_recipients={OTHER}", "has no effect without 'encryption_recipients'"),
        ("--new-identity ~/i.txt --option agent=maybe", "expected on or off"),
        ("--new-identity ~/i.txt --secrets-file ~/none.yaml", "the file does not exist"),
    ],
)
def test_a_wrong_call_is_one_line_and_writes_nothing(host: Host, words: str, told: str) -> None:
    done = host.init(f"~/p.yaml --url s3://b/p {words}").failed(told, status=2)
    assert IDENTITY.text not in done.err
    assert [path.name for path in host.home.iterdir() if path.suffix in (".yaml", ".txt")] == []


def test_an_interrupted_one_writes_no_identity(host: Host) -> None:
    terminal = host.terminal(str(host.file), "--url", "s3://bucket/prefix", "--new-identity", str(host.home / "i.txt"))
    terminal.answer("Region", "\x03")
    assert terminal.end() == 130, terminal.screen
    assert not (host.home / "i.txt").exists()
