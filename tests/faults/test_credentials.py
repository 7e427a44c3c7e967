"""Credentials that end while a stream is on its way, and whoever gives them who fails for once."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import yaml

from tests.contract.test_s3_options import session_credentials
from tests.faults.conftest import BIG, digest, end, take
from tests.protocol.caller import write_config
from tests.protocol.waiting import wait_until
from tests.servers.faults import Answer
from tests.servers.minio import PASSWORD, USER
from tests.servers.pages import Pages

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.conftest import Scene, Stored
    from tests.servers.faults import Request
    from tests.servers.minio import Minio

_XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>ExpiredToken</Code><Message>It has expired.</Message></Error>'
)
WAYS = ["options file", "profile"]


@pytest.fixture(scope="module")
def tokens(minio: Minio) -> list[dict[str, str]]:
    """Two pairs of keys with session tokens, which the server itself takes."""
    return [session_credentials(minio) for _ in range(2)]


class Renewed:
    """Credentials in a file that another program renews."""

    def __init__(self, scene: Scene, folder: Path, way: str, tokens: list[dict[str, str]]) -> None:
        self._scene = scene
        self._tokens = tokens
        self._way = way
        home = scene.plugin.database.folder / "home"
        self._file = home / ".aws/credentials" if way == "profile" else folder / "secrets.yaml"
        self._file.parent.mkdir(exist_ok=True, mode=0o700)
        self.fault = Answer(self._has_old, status=400, body=_XML, times=None)
        self.write(0)
        options: dict[str, Any] = {"endpoint_url": scene.proxy.endpoint}
        others = {"profile": "p"} if way == "profile" else {}
        more = {} if way == "profile" else {"storage_options_file": str(self._file)}
        usual = {"timeout": "5s", "backup_multipart_chunksize": "5MB", "restore_multipart_chunksize": "5MB"}
        write_config(scene.plugin.config, scene.target.url, {**options, **others}, **usual, **more)

    def write(self, number: int) -> None:
        """The file holds the old ones (0) or the new ones (1)."""
        keys = self._tokens[number]
        if self._way == "profile":
            text = "[p]\n" + "".join(
                f"{name} = {keys[word]}\n"
                for name, word in (
                    ("aws_access_key_id", "key"), ("aws_secret_access_key", "secret"), ("aws_session_token", "token"),
                )
            )  # fmt: skip
        else:
            text = yaml.safe_dump(keys)
        new = self._file.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o600)
        new.replace(self._file)

    def expire(self) -> None:
        """The server takes the old ones no more."""
        self._scene.proxy.faults.append(self.fault)

    def _has_old(self, request: Request) -> bool:
        old = self._tokens[0]["token"]
        return quote(old, safe="") in request.path or request.headers.get("x-amz-security-token") == old


@pytest.mark.with_agent
@pytest.mark.parametrize("way", WAYS)
def test_a_backup_outlives_credentials_that_another_program_renews(
    scene: Scene, tmp_path: Path, tokens: list[dict[str, str]], way: str
) -> None:
    renewed = Renewed(scene, tmp_path, way, tokens)
    data = os.urandom(BIG)
    path = scene.plugin.database.table()
    process = scene.plugin.start("backup_data", path)
    assert process.stdin is not None
    process.stdin.write(data[: BIG // 2])
    process.stdin.flush()
    wait_until(lambda: any("partNumber" in request.path and request.status for request in scene.proxy.requests))
    renewed.expire()
    process.stdin.write(data[BIG // 2 :])
    process.stdin.flush()
    # Only after the store has refused the old ones.
    wait_until(lambda: renewed.fault.hits > 1)
    renewed.write(1)
    end(process).succeeded()
    assert digest(scene.content(path)) == digest(data)
    assert scene.target.keys() == [scene.plugin.database.key(path)]
    assert "the session token has expired" in scene.plugin.database.log()
    assert not any(one["token"] in scene.plugin.database.log() for one in tokens)


@pytest.mark.with_agent
@pytest.mark.parametrize("way", WAYS)
def test_a_restore_outlives_credentials_that_another_program_renews(
    reading: Scene, stored: Stored, tmp_path: Path, tokens: list[dict[str, str]], way: str
) -> None:
    renewed = Renewed(reading, tmp_path, way, tokens)
    process = reading.plugin.start("restore_data", stored.path(reading.plugin.database, "big"))
    first = take(process, 100_000)
    renewed.expire()
    reading.proxy.reset()  # the ranges that are on their way are asked for again
    wait_until(lambda: renewed.fault.hits > 0)
    renewed.write(1)
    result = end(process).succeeded()
    assert digest(first + result.out) == digest(stored.content["big"])


@pytest.mark.with_agent
def test_an_upload_is_taken_back_by_the_new_credentials(
    scene: Scene, tmp_path: Path, tokens: list[dict[str, str]], minio: Minio
) -> None:
    renewed = Renewed(scene, tmp_path, "options file", tokens)
    path = scene.plugin.database.table()
    process = scene.plugin.start("backup_data", path)
    assert process.stdin is not None
    process.stdin.write(os.urandom(BIG // 2))
    process.stdin.flush()
    wait_until(lambda: any("partNumber" in request.path and request.status for request in scene.proxy.requests))
    renewed.expire()
    renewed.write(1)
    process.send_signal(signal.SIGTERM)
    end(process).failed("SIGTERM", status=128 + signal.SIGTERM)
    assert renewed.fault.hits > 0
    assert minio.unfinished_uploads(scene.plugin.database.key(path)) == []
    assert scene.target.keys() == []


def test_literal_credentials_that_have_expired_are_told_at_once(scene: Scene, tokens: list[dict[str, str]]) -> None:
    options = {"endpoint_url": scene.proxy.endpoint, **tokens[0]}
    write_config(scene.plugin.config, scene.target.url, options)
    scene.proxy.faults.append(Answer(status=400, body=_XML, times=None))
    started = time.monotonic()
    scene.plugin.run("backup_data", scene.plugin.database.table(), stdin=b"rows").failed("has expired", status=1)
    assert time.monotonic() - started < 20  # not the five minutes of a store that is away


def test_expired_credentials_are_not_taken_for_ones_that_may_not_read(
    scene: Scene, tmp_path: Path, tokens: list[dict[str, str]]
) -> None:
    """Between the end of an upload and the look at what came of it: the answer to a HEAD has no words."""
    renewed = Renewed(scene, tmp_path, "options file", tokens)
    refused = Answer(lambda request: request.method == "HEAD", status=403, body="", times=1)
    words = Answer(lambda request: request.method == "GET", status=400, body=_XML, times=1)
    scene.proxy.faults += [refused, words]
    renewed.write(1)
    data = os.urandom(BIG)
    path = scene.plugin.database.table()
    scene.plugin.run("backup_data", path, stdin=data).succeeded()
    assert (refused.hits, words.hits) == (1, 1)
    heads = [request.status for request in scene.proxy.requests if request.method == "HEAD"]
    assert heads[-1] == 200


def give_by_process(scene: Scene, folder: Path, script: str) -> None:
    program = folder / "give"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    home = scene.plugin.database.folder / "home"
    (home / ".aws").mkdir(mode=0o700)
    (home / ".aws/config").write_text(f"[profile p]\ncredential_process = {program}\n")
    options = {"endpoint_url": scene.proxy.endpoint, "profile": "p"}
    write_config(scene.plugin.config, scene.target.url, options, timeout="5s")


KEYS = f'{{"Version": 1, "AccessKeyId": "{USER}", "SecretAccessKey": "{PASSWORD}"}}'
HICCUPS = {"no answer": "exit 1", "half an answer": "echo '{'; exit 0", "an empty answer": "echo '{}'; exit 0"}


@pytest.mark.with_agent({"no answer"})
@pytest.mark.parametrize("hiccup", HICCUPS)
def test_a_credential_process_may_fail_for_once(scene: Scene, tmp_path: Path, hiccup: str) -> None:
    once = tmp_path / "once"
    give_by_process(scene, tmp_path, f"if [ ! -e {once} ]; then touch {once}; {HICCUPS[hiccup]}; fi\necho '{KEYS}'")
    path = scene.plugin.database.table()
    scene.plugin.run("backup_data", path, stdin=b"rows", seconds=30).succeeded()
    assert scene.content(path) == b"rows"
    assert "trying again in" in scene.plugin.database.log()


WRONG = {
    "the program is missing": ("[profile p]\ncredential_process = /not/there\n", "/not/there"),
    "the profile is missing": ("[profile q]\nregion = eu-west-1\n", "the profile is not in the credentials file"),
    "half a pair of keys": ("[profile p]\naws_access_key_id = somebody\n", "give both key and secret"),
    "no configuration": ("[profile p\n", ""),
}


@pytest.mark.parametrize("problem", WRONG)
def test_a_wrong_configuration_is_told_at_once(scene: Scene, tmp_path: Path, problem: str) -> None:
    text, words = WRONG[problem]
    give_by_process(scene, tmp_path, "exit 1")
    (scene.plugin.database.folder / "home/.aws/config").write_text(text)
    result = scene.plugin.run("backup_data", scene.plugin.database.table(), stdin=b"rows", seconds=30)
    result.failed(words)
    assert "trying again" not in scene.plugin.database.log()


def test_the_metadata_service_may_fail_for_once(scene: Scene) -> None:
    """That of an instance, in its second version: a token, the role's name, its keys."""
    options = {"endpoint_url": scene.proxy.endpoint}
    write_config(scene.plugin.config, scene.target.url, options, timeout="5s")
    keys = (
        '{"Code": "Success", "Type": "AWS-HMAC", "Expiration": "2099-01-01T00:00:00Z", '
        f'"AccessKeyId": "{USER}", "SecretAccessKey": "{PASSWORD}", "Token": ""}}'
    )
    refusals = iter((503, 503, 503))
    with Pages() as service:

        def answer(_: dict[str, str]) -> tuple[int, str]:
            path = service.paths[-1].removeprefix("/latest/")
            if (refused := next(refusals, None)) is not None:
                return refused, ""
            return 200, keys if path.endswith("/somebody") else "somebody" if "credentials" in path else "a token"

        service.answer = answer
        scene.plugin.database.extra["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = service.endpoint
        path = scene.plugin.database.table()
        scene.plugin.run("backup_data", path, stdin=b"rows", seconds=60).succeeded()
    assert scene.content(path) == b"rows"
    assert "no credentials found" in scene.plugin.database.log()
