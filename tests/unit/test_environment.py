"""Which variables decide whether the agent may serve a caller."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.agent.environment import digest, place, relevant

if TYPE_CHECKING:
    from pathlib import Path

# As in a server's process, and different there from those of a login.
EVERYWHERE = {
    "PATH": "/bin",
    "PWD": "/data",
    "OLDPWD": "/",
    "SHLVL": "2",
    "_": "/bin/sh",
    "LANG": "C",
    "TERM": "dumb",
    "GP_SESSION_ID": "7",
    "GP_CID": "1",
    "PGPORT": "5432",
    "PGPASSWORD": "x",
    "GPHOME": "/usr/local/gpdb",
    "OPENSSL_CONF": "/usr/local/gpdb/etc/openssl.cnf",
    "LD_LIBRARY_PATH": "/usr/local/gpdb/lib",
    "SSH_AUTH_SOCK": "/tmp/ssh-1/agent.1",
    "SSH_CONNECTION": "::1 1 ::1 22",
    "COORDINATOR_DATA_DIRECTORY": "/data",
}


# Where nobody here knows what the filesystem asks.
UNKNOWN = "oss"
EACH = ["file", "s3", "gs", "abfs", "sftp", "smb", "ftp", "webdav", "webhdfs", "https", UNKNOWN]


@pytest.mark.parametrize("protocol", EACH)
def test_what_differs_from_process_to_process_does_not_count(protocol: str) -> None:
    asked = {"SSH_AUTH_SOCK": "/tmp/ssh-1/agent.1"} if protocol == "sftp" else {}
    assert relevant(EVERYWHERE, protocol) == asked
    assert (digest(EVERYWHERE, [protocol]) == digest({}, [protocol])) is (not asked)


@pytest.mark.parametrize(
    "name",
    [
        "HOME", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_ID", "https_proxy",
        "NO_PROXY", "REQUESTS_CA_BUNDLE", "FSSPEC_S3_KEY", "KRB5CCNAME", "MY_SECRET", "OUR_TOKEN",
        "STORAGE_EMULATOR_HOST", "SSL_CERT_FILE", "BOTO_CONFIG",
    ],
)  # fmt: skip
def test_what_may_decide_about_credentials_and_ways_counts(name: str) -> None:
    assert relevant({**EVERYWHERE, name: "x"}, UNKNOWN) == {name: "x"}
    assert digest({name: "x"}, [UNKNOWN]) != digest({name: "y"}, [UNKNOWN])
    assert "x" * 8 not in digest({name: "x" * 8}, [UNKNOWN])


@pytest.mark.parametrize(
    ("name", "protocols"),
    [
        ("HOME", EACH),
        ("FSSPEC_FTP_HOST", [protocol for protocol in EACH if protocol != "file"]),
        ("SSL_CERT_FILE", [protocol for protocol in EACH if protocol != "file"]),
        ("https_proxy", ["s3", "gs", "abfs", "webdav", "webhdfs", "https", UNKNOWN]),
        ("AWS_CA_BUNDLE", ["s3", "gs", "abfs", "webdav", "webhdfs", "https", UNKNOWN]),
        ("AWS_PROFILE", ["s3", "gs", UNKNOWN]),
        ("GOOGLE_APPLICATION_CREDENTIALS", ["gs", UNKNOWN]),
        ("AZURE_CLIENT_SECRET", ["abfs", UNKNOWN]),
        ("KRB5CCNAME", ["sftp", "smb", "webhdfs", UNKNOWN]),
        ("HADOOP_CONF_DIR", ["webhdfs", UNKNOWN]),
        ("SSH_AUTH_SOCK", ["sftp"]),
        ("CREDENTIALS_DIRECTORY", [UNKNOWN]),
        ("XDG_SESSION_COOKIE", [UNKNOWN]),
        ("PIP_TOKEN", [UNKNOWN]),
    ],
)
def test_a_variable_counts_where_it_is_asked(name: str, protocols: list[str]) -> None:
    assert [protocol for protocol in EACH if name in relevant({name: "x"}, protocol)] == protocols
    told = [protocol for protocol in EACH if digest({name: "x"}, [protocol]) != digest({name: "y"}, [protocol])]
    assert told == protocols


def test_every_target_s_variables_count() -> None:
    one, other = {"AWS_PROFILE": "x"}, {"AWS_PROFILE": "y"}
    assert digest(one, ["file", "gs"]) != digest(other, ["file", "gs"])
    assert digest(one, ["file", "sftp"]) == digest(other, ["file", "sftp"])


def test_another_openssl_configuration_counts() -> None:
    assert relevant({**EVERYWHERE, "OPENSSL_CONF": "/etc/own.cnf"}, "s3") == {"OPENSSL_CONF": "/etc/own.cnf"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the root directory")
def test_another_root_directory_is_another_place(tmp_path: Path) -> None:
    program = (
        "import os, sys; from fsspec_gp_plugin.agent.environment import place; os.chroot(sys.argv[1]); print(place())"
    )
    done = subprocess.run([sys.executable, "-Ic", program, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.split()[3] == f"{tmp_path.stat().st_dev:x}:{tmp_path.stat().st_ino:x}"
    assert done.stdout.split() != place().split()
