"""`doctor` about encryption: recipients, what this host can read, and a trial at the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.test_decrypt import write_identity
from tests.cli.test_doctor import examined, failed
from tests.protocol.agents import EXECUTABLE
from tests.protocol.caller import write_config
from tests.sealing import IDENTITY, OTHER_IDENTITY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

RECIPIENT, OTHER = IDENTITY.recipient.text, OTHER_IDENTITY.recipient.text


def configure(plugin: Plugin, tmp_path: Path, **options: Any) -> None:
    """Set options of encryption."""
    named = {f"encryption_{name}": value for name, value in options.items()}
    write_config(plugin.config, f"file://{tmp_path}/disk", **named)


@pytest.mark.parametrize("has_identity", [False, True])
def test_an_encrypted_object_makes_the_round_trip(plugin: Plugin, target: Target, has_identity: bool) -> None:
    file = write_identity(plugin.database.folder)
    options = {"encryption_recipients": RECIPIENT, "encryption_metadata_recipients": OTHER}
    write_config(
        plugin.config,
        target.url,
        target.options,
        **options,
        **({"encryption_identity_file": file} if has_identity else {}),
    )
    plugin.config.chmod(0o600)
    steps = examined(plugin, "--quick")
    told = {name: (step["status"], step["told"]) for name, step in steps.items()}
    assert told["recipients"] == (
        "ok",
        f"backups are encrypted to {RECIPIENT}; the coordinator's files also to {OTHER}",
    )
    assert steps["identities"]["figures"] == {"reads": "data" if has_identity else "nothing"}
    assert steps["identities"]["status"] == ("warning" if has_identity else "ok")
    assert ("keep that identity off it" in steps["identities"]["next"]) is has_identity
    whose = "an identity of this host" if has_identity else "a temporary key"
    assert told["encrypt"] == ("ok", f"an encrypted object came back, and {whose} opened it")
    assert target.keys() == []


def test_what_this_host_can_read_is_said(local: Plugin, tmp_path: Path) -> None:
    file = write_identity(tmp_path, OTHER_IDENTITY)

    def identities(**options: Any) -> tuple[str, str, str]:
        configure(local, tmp_path, identity_file=file, **options)
        step = examined(local, "--quick")["identities"]
        return step["status"], step["figures"]["reads"], step["told"]

    assert identities(recipients=RECIPIENT, metadata_recipients=OTHER) == (
        "ok",
        "metadata",
        f"an identity in {file} can read the coordinator's files of backups, and no table data",
    )
    status, reads, told = identities(recipients=RECIPIENT)
    assert (status, reads) == ("ok", "others")
    assert "this host can't read new backups" in told
    status, reads, told = identities()
    assert (status, reads) == ("ok", "others")
    assert "has 1 identity; new backups are not encrypted" in told
    file.unlink()
    status, reads, told = identities(recipients=RECIPIENT)
    assert (status, reads) == ("ok", "nothing")
    assert told == f"there is no {file} on this host, so it can't read encrypted backups; a backup needs none"


def test_what_is_wrong_fails(local: Plugin, tmp_path: Path) -> None:
    def failure(step: str, **options: Any) -> str:
        configure(local, tmp_path, **options)
        steps = examined(local, "--quick", status=2)
        assert failed(steps)[0] == step
        told: str = steps[step]["told"]
        assert IDENTITY.text not in told
        return told

    assert "is not valid" in failure("configuration", recipients=RECIPIENT[:-1])
    names = tmp_path / "recipients.txt"
    assert "can't be read: No such file" in failure("recipients", recipients=names)
    names.write_text("# none\n")
    assert "expected at least one recipient" in failure("recipients", recipients=names)
    file = write_identity(tmp_path)
    names.write_text(file.read_text())
    assert "an identity (AGE-SECRET-KEY-…) stands where a recipient belongs" in failure("recipients", recipients=names)
    file.chmod(0o640)
    assert "is open to other users" in failure("identities", recipients=RECIPIENT, identity_file=file)
    file.chmod(0o600)
    file.write_text("no identity\n")
    assert f"line 1 of {file} is not an X25519 identity" in failure(
        "identities", recipients=RECIPIENT, identity_file=file
    )
    write_config(local.config, f"file://{tmp_path}/disk", encryption_recipients=RECIPIENT, checksum="off")
    steps = examined(local, "--quick", status=2)
    assert failed(steps) == ["recipients", "encrypt"]
    assert "option 'checksum': a backup with `encryption_recipients` needs `crc32c`" in steps["recipients"]["told"]


def test_a_plain_configuration_has_no_such_steps(local: Plugin) -> None:
    assert not {"recipients", "identities", "encrypt"} & set(examined(local, "--quick"))


def test_hosts_with_other_recipients_differ(local: Plugin, tmp_path: Path) -> None:
    """Each host has a file of its own at the same path."""
    for name, recipient in (("mdw", RECIPIENT), ("sdw1", RECIPIENT), ("sdw2", OTHER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipients.txt").write_text(f"# of {name}\n{recipient}\n")
    configure(local, tmp_path, recipients="${HOST_FOLDER}/recipients.txt")
    local.database.extra["HOST_FOLDER"] = f"{tmp_path}/mdw"
    transport = tmp_path / "transport"
    transport.write_text(f'#!/bin/sh\nexport HOST_FOLDER={tmp_path}/$1\nexec sh -c "$2"\n')
    transport.chmod(0o755)
    done = local.shell(f"{EXECUTABLE} doctor {local.config} --quick --hosts sdw1,sdw2 --ssh {transport}")
    assert (done.status, done.err) == (1, "")
    _, first, second = done.out.decode().splitlines()
    assert first.split()[:2] == ["sdw1", "ok"], first
    assert second.split()[:2] == ["sdw2", "differs"]
    assert "different configuration" in second
