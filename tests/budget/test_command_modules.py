"""What a command imports that runs without an agent: gpbackup calls it once for every table and segment."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.protocol.caller import write_config

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.minio import Minio

TABLE = "/data/gpseg0/backups/20260102/20260102030405/gpbackup_0_20260102030405_1234"
# The command's last act is to tell what is loaded by then.
COMMAND = """\
import os, sys
told, leave = sys.argv.pop(1), os._exit
def tell(status):
    with open(told, "w") as file:
        file.write(" ".join(sorted(sys.modules)))
    leave(status)
os._exit = tell
from fsspec_gp_plugin.__main__ import main
os._exit(main(sys.argv[1:]))
"""
# Each takes 5 to 400 ms of CPU.
UNWANTED = {
    "aiobotocore", "aiohttp", "asyncio", "botocore", "dataclasses", "difflib", "email", "fsspec", "http.client",
    "inspect", "requests", "s3fs", "ssl", "subprocess", "tempfile", "urllib.request", "urllib3",
}  # fmt: skip
LIBRARIES = {"aiobotocore", "aiohttp", "asyncio", "botocore", "fsspec", "s3fs", "urllib3"}


@pytest.mark.parametrize("keys", ["in the options", "in the environment"])
def test_a_small_object_needs_none_of_the_libraries_for_s3(tmp_path: Path, minio: Minio, keys: str) -> None:
    options, variables = minio.options, {}
    if keys == "in the environment":
        variables = {"AWS_ACCESS_KEY_ID": options.pop("key"), "AWS_SECRET_ACCESS_KEY": options.pop("secret")}
    config = write_config(tmp_path / "config.yaml", f"s3://{minio.bucket}/budget", options, agent="off")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables}
    row = os.urandom(1000)
    # The first restore lists and fetches the manifests, as the setup hook does otherwise.
    for name, command in (("backup", "backup_data"), ("first", "restore_data"), ("second", "restore_data")):
        line = [sys.executable, "-I", "-X", "utf8", "-c", COMMAND, str(tmp_path / name), command, str(config), TABLE]
        done = subprocess.run(line, env=environment, input=row, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == row
    loaded = {name: UNWANTED & set((tmp_path / name).read_text().split()) for name in ("backup", "first", "second")}
    assert loaded == {"backup": set(), "first": loaded["first"] - LIBRARIES, "second": set()}
