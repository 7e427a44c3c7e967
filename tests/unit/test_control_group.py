"""What ends an agent together with whoever started it."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.control_group import Inquiry, ended_with, own_group

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = "/system.slice/backup.service"
OF_A_USER = "/user.slice/user-1000.slice/user@1000.service/app.slice/backup.service"
SESSION = "/user.slice/user-1000.slice/session-3.scope"
ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where systemd rules."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in its place, to be written."""
    path = tmp_path / "systemctl"
    path.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return path


@pytest.mark.parametrize("group", [SERVICE, f"{SERVICE}/inner", OF_A_USER])
@pytest.mark.parametrize(
    ("answer", "mode"),
    [
        ("KillMode=control-group\n", "control-group"),
        ("KillMode=mixed\n", "mixed"),
        ("KillMode=process\n", ""),
        ("KillMode=none\n", ""),
    ],
)
def test_a_service_ends_what_is_in_its_group_unless_it_is_set_otherwise(
    root: Path, systemctl: Path, group: str, answer: str, mode: str
) -> None:
    systemctl.write_text(f"#!/bin/sh\necho \"$@\" > {root}/asked\nprintf '{answer}'\n")
    assert ended_with(group, str(root)) == (mode and f"backup.service (KillMode={mode})")
    manager = "--user " if group == OF_A_USER else ""
    assert (root / "asked").read_text() == f"{manager}show --property=KillMode backup.service\n"


def test_where_systemd_can_not_be_asked_that_is_told(root: Path, systemctl: Path) -> None:
    systemctl.write_text("#!/bin/sh\nexit 1\n")
    assert ended_with(SERVICE, str(root)) == "backup.service, unless its KillMode is process, which systemd did not say"


def test_who_does_not_wait_for_systemd_goes_on_meanwhile(root: Path, systemctl: Path) -> None:
    os.mkfifo(root / "answer")
    systemctl.write_text(f"#!/bin/sh\nexec cat {root}/answer\n")
    inquiry = Inquiry(SERVICE, str(root))
    assert inquiry.answer() is None
    (root / "answer").write_text("KillMode=mixed\n")
    while (found := inquiry.answer()) is None:
        pass
    assert found == "backup.service (KillMode=mixed)"


@pytest.mark.parametrize(
    ("files", "ends"),
    [
        ({}, False),
        ({"etc/systemd/logind.conf": "[Login]\n#KillUserProcesses=yes\n"}, False),
        ({"etc/systemd/logind.conf": f"[Login]\nKillUserProcesses=yes\nKillExcludeUsers=root {ME}\n"}, False),
        ({"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\nKillExcludeUsers=\n"}, True),
        ({"etc/systemd/logind.conf": "KillUserProcesses=1\nKillExcludeUsers=\nKillOnlyUsers=somebody\n"}, False),
        ({"etc/systemd/logind.conf": f"KillUserProcesses=1\nKillExcludeUsers=\nKillOnlyUsers={ME}\n"}, True),
        (
            {
                "etc/systemd/logind.conf": "KillUserProcesses=no\n",
                "usr/lib/systemd/logind.conf.d/50-site.conf": "KillUserProcesses = yes\nKillExcludeUsers =\n",
            },
            True,
        ),
        (
            {
                "usr/lib/systemd/logind.conf.d/50-site.conf": "KillUserProcesses=yes\nKillExcludeUsers=\n",
                "etc/systemd/logind.conf.d/50-site.conf": "# nothing\n",
            },
            False,
        ),
    ],
)
def test_a_session_ends_what_is_in_its_group_where_logind_is_told_so(
    root: Path, files: dict[str, str], *, ends: bool
) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    told = "the login session session-3.scope (KillUserProcesses=yes)" if ends else ""
    assert ended_with(SESSION, str(root)) == told


def test_a_file_of_settings_that_can_not_be_read_is_none(root: Path) -> None:
    folder = root / "etc/systemd/logind.conf.d"
    (folder / "10-closed.conf").mkdir(parents=True)
    (folder.parent / "logind.conf").mkdir()
    (folder / "20-site.conf").write_text("KillUserProcesses=yes\nKillExcludeUsers=\n")
    assert ended_with(SESSION, str(root))


def test_where_systemd_does_not_rule_or_nothing_ends_nobody_is_asked(tmp_path: Path, root: Path) -> None:
    assert ended_with(SERVICE, str(tmp_path / "elsewhere")) == ""
    for group in ("", "/", "/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope", "/init.scope"):
        assert ended_with(group, str(root)) == ""


def test_the_group_of_this_process_is_one_of_those_that_the_kernel_tells() -> None:
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        assert own_group() in {"", *(line.strip().split(":", 2)[2] for line in file)}
