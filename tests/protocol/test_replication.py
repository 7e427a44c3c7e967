"""A second target: what is copied there, and restored from there."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fsspec_gp_plugin.storage.open import open_store
from tests.protocol.caller import Database, Plugin, write_config
from tests.protocol.conftest import PART, Target
from tests.protocol.waiting import wait_until
from tests.servers.ports import closed_port

T = "20260102030405"
PREFIX = f"backups/20260102/{T}"
END = (f"gpbackup_{T}_toc.yaml", f"gpbackup_{T}_report")


@dataclass
class Pair:
    """A host whose backups go to one target and are copied to another."""

    first: Target
    second: Target
    database: Database
    plugin: Plugin
    data: dict[str, bytes]

    @property
    def copies(self) -> list[str]:
        """The objects of the second target."""
        return self.second.keys()

    def replicate(self, *words: str) -> str:
        return self.plugin.run("replicate_backup", T, *words).succeeded().out.decode()

    def store(self, target: Target) -> Any:
        return open_store(target.url, target.options)

    def damage(self, target: Target, path: str) -> None:
        """Other bytes, as many, at a target that is a directory."""
        file = Path(target.url.removeprefix("file://")) / self.database.key(path)
        file.write_bytes(bytes(byte ^ 1 for byte in file.read_bytes()))

    def restored(self) -> None:
        for path, data in self.data.items():
            assert self.plugin.run("restore_data", path).succeeded().out == data


def pair(first: Target, second: Target, database: Database, **options: str) -> Pair:
    more = {"replica_storage_options": yaml.safe_dump(second.options)} if second.options else {}
    config = write_config(
        database.folder / "c.yaml",
        first.url,
        first.options,
        replica_url=second.url,
        backup_multipart_chunksize="5MB",
        **more,
        **options,
    )
    return Pair(first, second, database, Plugin(database, config), {})


def back_up(made: Pair, size: int = 0) -> None:
    """Two tables, one of them of `size` bytes, the end of a backup, and the manifest."""
    plugin, database = made.plugin, made.database
    made.data = {database.table(1): os.urandom(1000), database.table(2): os.urandom(size or 2000)}
    for path, data in made.data.items():
        plugin.run("backup_data", path, stdin=data).succeeded()
    for name in END:
        Path(database.directory(-1)).mkdir(parents=True, exist_ok=True)
        Path(database.file(name, -1)).write_text(f"backup status: Success\nthis is {name}")
        plugin.run("backup_file", database.file(name, -1)).succeeded()
    plugin.run("cleanup_plugin_for_backup", database.directory(-1), "master", '\\"-1\\"').succeeded()


def disk(tmp_path: Path, name: str) -> Target:
    (tmp_path / name).mkdir()
    return Target("file", f"file://{tmp_path}/{name}", {})


@pytest.fixture
def disks(tmp_path: Path, database: Database) -> Pair:
    made = pair(disk(tmp_path, "first"), disk(tmp_path, "second"), database)
    back_up(made)
    return made


@pytest.mark.parametrize(
    ("kinds", "told"),
    [(("s3", "azure"), "5 objects sent"), (("file", "gcs"), "5 objects sent"), (("s3", "s3"), "5 copied by the store")],
    ids=["s3 to azure", "disk to gcs", "within s3"],
)
def test_a_backup_is_restored_from_its_copy_when_the_first_target_is_off(
    kinds: tuple[str, str], told: str, tmp_path: Path, database: Database, request: pytest.FixtureRequest
) -> None:
    targets = []
    for number, kind in enumerate(kinds):
        if kind == "file":
            targets.append(disk(tmp_path, f"{number}"))
            continue
        server = request.getfixturevalue("minio" if kind == "s3" else kind)
        root = f"s3://{server.bucket}" if kind == "s3" else server.url
        url = f"{root}/replication/{tmp_path.name}/{number}"
        targets.append(Target(kind, url, server.options, server if kind == "s3" else None))
    made = pair(targets[0], targets[1], database)
    back_up(made, 3 * PART)
    assert told in made.replicate()
    assert "5 were there" in made.replicate()
    assert [key.removeprefix(f"{PREFIX}/") for key in made.copies] == sorted(
        key.removeprefix(f"{PREFIX}/")
        for key in made.first.keys()  # noqa: SIM118 - a method of ours
    )
    if kinds[0] == "file":
        (tmp_path / "0").rename(tmp_path / "gone")
    else:  # nobody listens there
        off = Target("s3", targets[0].url, {**targets[0].options, "endpoint_url": f"http://127.0.0.1:{closed_port()}"})
        data, made = made.data, pair(off, targets[1], database, max_retries="3")
        made.data = data
    began = time.monotonic()
    plugin = made.plugin
    plugin.run("setup_plugin_for_restore", database.directory(-1), "master", '\\"-1\\"').succeeded()
    plugin.run("setup_plugin_for_restore", database.directory(0), "segment", '\\"0\\"').succeeded()
    assert "is read from the replica" in database.log()
    decided = time.monotonic()
    made.restored()
    assert time.monotonic() - decided < 10 * len(made.data)
    assert time.monotonic() - began < 60
    plugin.run("cleanup_plugin_for_restore", database.directory(-1), "master", '\\"-1\\"').succeeded()
    # It is the only copy now, as far as anybody can tell.
    copies = made.copies
    plugin.run("delete_replica", T).failed("run it when the first target can be read", status=3)
    assert made.copies == copies
    if kinds[0] == "file":
        (tmp_path / "gone").rename(tmp_path / "0")
    made = pair(targets[0], targets[1], database)
    for _ in range(2):  # it is gone already
        made.plugin.run("delete_replica", T).succeeded()
        assert made.copies == []
    assert made.first.keys()


def test_what_the_first_target_lacks_is_read_from_the_copy(disks: Pair) -> None:
    disks.replicate()
    gone = next(iter(disks.data))
    (Path(disks.first.url.removeprefix("file://")) / disks.database.key(gone)).unlink()
    disks.plugin.run("setup_plugin_for_restore", disks.database.directory(-1), "master", '\\"-1\\"').succeeded()
    disks.restored()
    assert "is read from the other target" in disks.database.log()
    # What only the copy has is not deleted.
    disks.plugin.run("delete_replica", T).failed("the first target does not hold", disks.database.key(gone), status=1)
    assert disks.database.key(gone) in disks.copies
    # Without a copy it is found to be missing before anything is restored.
    disks.store(disks.second).delete(disks.copies)
    disks.plugin.run("setup_plugin_for_restore", disks.database.directory(-1), "master", '\\"-1\\"').failed(
        "1 of 4 objects is missing: "
    )
    disks.plugin.run("restore_data", gone).failed("no such object", "and at the other target")


def test_people_see_which_backups_have_a_copy(disks: Pair) -> None:
    def state(status: int = 0) -> str:
        done = disks.plugin.run("list", "--json")
        assert (done.status, done.err) == (status, "")
        told: str = json.loads(done.out)["backups"][0]["replica"]
        return told

    assert state() == "none"
    disks.replicate("0/1")
    assert state() == "incomplete"
    disks.replicate()
    assert state() == "complete"
    assert "REPLICA" in disks.plugin.run("list").succeeded().out.decode()
    # No fault; without gpbackup's record nothing tells whether all is there.
    assert disks.plugin.run("verify", T, "--replica").status == 4
    path = next(iter(disks.data))
    disks.damage(disks.second, path)
    damaged = disks.plugin.run("verify", T, "--replica")
    assert (damaged.status, disks.database.key(path).encode() in damaged.out) == (1, True)
    assert disks.plugin.run("verify", T).status == 4
    Path(disks.second.url.removeprefix("file://")).rename(disks.database.folder / "gone")
    assert state() == "unknown"


def test_what_is_not_as_it_was_backed_up_is_not_copied(disks: Pair) -> None:
    path, data = list(disks.data.items())[1]
    disks.damage(disks.first, path)
    disks.plugin.run("replicate_backup", T).failed("what arrived has the checksum", "is not sent again", status=1)
    assert disks.database.key(path) not in disks.copies
    # The copy doesn't pass for a whole one.
    assert not {f"{PREFIX}/{name}" for name in END} & set(disks.copies)
    with_it = disks.store(disks.first)
    with_it.put(disks.database.key(path), memoryview(data))
    assert "3 objects sent" in disks.replicate()


def test_what_the_manifests_name_must_be_there_to_be_copied(disks: Pair) -> None:
    disks.store(disks.first).delete([disks.database.key(next(iter(disks.data)))])
    disks.plugin.run("replicate_backup", T).failed("1 of 4 objects is missing: ", status=1)
    assert not {f"{PREFIX}/{name}" for name in END} & set(disks.copies)


def test_a_directory_is_restored_whole_or_not_at_all(disks: Pair, tmp_path: Path) -> None:
    disks.replicate()
    path, other = disks.data
    disks.store(disks.first).delete([disks.database.key(path)])
    folder = tmp_path / "restored" / PREFIX
    disks.plugin.run("restore_directory", str(folder)).succeeded()
    assert (folder / Path(path).name).read_bytes() == disks.data[path]
    disks.store(disks.second).delete([disks.database.key(path), disks.database.key(other)])
    disks.plugin.run("restore_directory", str(tmp_path / "again" / PREFIX)).failed("1 of 4 objects", status=1)
    assert not (tmp_path / "again").exists()


def test_a_backup_that_an_incremental_one_needs_must_be_there_too(disks: Pair) -> None:
    base = "20260101030405"
    plan = f'restoreplan:\n- timestamp: "{base}"\n- timestamp: "{T}"\n'.encode()
    for name, content in (("config.yaml", plan), ("metadata.sql", b"x")):
        disks.store(disks.first).put(f"{PREFIX}/gpbackup_{T}_{name}", memoryview(content))
    setup = ("setup_plugin_for_restore", disks.database.directory(-1), "master", '\\"-1\\"')
    disks.plugin.run(*setup).failed(f"there is no backup {base}", status=1)
    for name in ("toc.yaml", "report"):
        key = f"backups/20260101/{base}/gpbackup_{base}_{name}"
        disks.store(disks.second).put(key, memoryview(b"x"))
    disks.plugin.run(*setup).succeeded()


def test_a_secret_in_the_replicas_url_is_not_told(disks: Pair, ftp: Any) -> None:
    user, _, rest = ftp.url.removeprefix("ftp://").rpartition("@")
    password = ftp.options.get("password") or user.partition(":")[2]
    url = f"ftp://{ftp.options.get('username', user.partition(':')[0])}:{password}@{rest}/secret"
    options = {name: value for name, value in ftp.options.items() if name not in ("username", "password")}
    made = pair(disks.first, Target("ftp", url, options), disks.database)
    for words in (("replicate_backup", T), ("list", "--replica", "--json"), ("list", "--replica")):
        done = made.plugin.run(*words)
        assert done.status == 0, done.err
        assert password not in done.out.decode() + done.err


def test_a_copy_under_way_is_not_taken_for_rubbish(tmp_path: Path, database: Database, disks: Pair) -> None:
    """Its timestamp is old, as the backup's is."""
    slow = pair(disks.first, disks.second, database, max_bandwidth="1KB")
    process = slow.plugin.start("replicate_backup", T)
    slow.second.wait_for_upload(process)
    there = Plugin(database, write_config(tmp_path / "there.yaml", disks.second.url))
    told = json.loads(there.run("cleanup", "--json").out)["leftovers"]
    assert [one["action"] for one in told if one["what"] == "backup"] == ["keep"]
    process.terminate()
    process.communicate(timeout=20)
    assert [key for key in disks.copies if "replicating" in key] == []


def test_a_damaged_copy_is_made_anew(disks: Pair) -> None:
    disks.replicate()
    path, data = list(disks.data.items())[1]
    disks.damage(disks.second, path)
    assert "1 objects sent" in disks.replicate()
    assert (Path(disks.second.url.removeprefix("file://")) / disks.database.key(path)).read_bytes() == data


def test_parts_of_the_work_and_its_end(disks: Pair) -> None:
    told = [disks.replicate("0/2"), disks.replicate("1/2")]
    assert sum(int(line.split(": ")[1].split(" objects")[0]) for line in told) == 3
    assert not {f"{PREFIX}/{name}" for name in END} & set(disks.copies)
    assert "2 objects sent" in disks.replicate()
    disks.plugin.run("replicate_backup", T, "2/2").failed("'2/2' is no part of a whole", status=2)


def test_a_copy_that_is_interrupted_is_gone_on_with(tmp_path: Path, database: Database) -> None:
    made = pair(disk(tmp_path, "first"), disk(tmp_path, "second"), database, max_bandwidth="2MB")
    quick = Plugin(database, write_config(tmp_path / "quick.yaml", made.first.url))
    back_up(Pair(made.first, made.second, database, quick, made.data), 16 << 20)
    process = made.plugin.start("replicate_backup", T)
    # The small objects are there at once, the large one takes eight seconds.
    name = os.path.basename(database.table(2))
    wait_until(lambda: any(f".{name}." in key for key in made.copies))
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, b"interrupted by SIGTERM" in err) == (128 + signal.SIGTERM, True)
    assert [key for key in made.copies if key.endswith(".part")] == []
    assert database.key(database.table(2)) not in made.copies
    made = pair(made.first, made.second, database)
    # Left by one that was killed.
    made.store(made.second).put(f"{PREFIX}/fsspec_gp_plugin/replicating.1.0123456789ab", memoryview(b"x"))
    made.replicate()
    assert len(made.copies) == 5


def test_a_first_target_that_goes_away_is_not_waited_for_by_every_table(
    tmp_path: Path, database: Database, request: pytest.FixtureRequest
) -> None:
    """Without hooks: the first table finds out, those after it know."""
    minio = request.getfixturevalue("minio")
    first = Target("s3", f"s3://{minio.bucket}/replication/{tmp_path.name}", minio.options, minio)
    made = pair(first, disk(tmp_path, "second"), database)
    back_up(made)
    made.replicate()
    off = Target("s3", first.url, {**minio.options, "endpoint_url": f"http://127.0.0.1:{closed_port()}"})
    after = pair(off, made.second, database, max_retries="1")
    after.data = made.data
    after.restored()
    assert database.log().count("is read from the other target") == 1


def test_a_replicas_secrets_that_are_missing_disturb_no_backup(disks: Pair, tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "broken.yaml",
        disks.first.url,
        replica_url="s3://bucket/x",
        replica_storage_options_file=f"{tmp_path}/not-there",
    )
    plugin = Plugin(disks.database, config)
    disks.store(disks.first).delete(disks.first.keys())
    plugin.run("setup_plugin_for_backup", disks.database.directory(-1), "master", '\\"-1\\"').succeeded()
    plugin.run("backup_data", disks.database.table(9), stdin=b"rows").succeeded()
    assert plugin.run("restore_data", disks.database.table(9)).succeeded().out == b"rows"
    plugin.run("replicate_backup", T).failed("replica_storage_options_file", "can't be read", status=2)


def test_an_incident_that_is_no_outage_leads_to_the_replica_too(
    database: Database, disks: Pair, request: pytest.FixtureRequest
) -> None:
    """The first target's bucket is gone."""
    disks.replicate()
    minio = request.getfixturevalue("minio")
    made = pair(Target("s3", "s3://no-such-bucket/x", minio.options), disks.second, database)
    made.data = disks.data
    made.plugin.run("setup_plugin_for_restore", database.directory(-1), "master", '\\"-1\\"').succeeded()
    made.restored()


def test_a_first_target_that_says_nothing_is_soon_given_up(database: Database, disks: Pair) -> None:
    disks.replicate()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        options = {"endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}", "key": "k", "secret": "s" * 16}
        made = pair(Target("s3", "s3://bucket/x", options), disks.second, database)
        began = time.monotonic()
        made.plugin.run("setup_plugin_for_restore", database.directory(-1), "master", '\\"-1\\"').succeeded()
        assert time.monotonic() - began < 40


def test_a_replica_that_can_not_be_opened_disturbs_nobody_who_does_not_need_it(disks: Pair) -> None:
    second = Target("s3", "s3://bucket/x", {"no_such_option": "x", "key": "k"})
    made = pair(disks.first, second, disks.database)
    made.data = disks.data
    made.plugin.run("setup_plugin_for_restore", disks.database.directory(-1), "master", '\\"-1\\"').succeeded()
    made.restored()
    made.plugin.run("restore_data", disks.database.table(3)).failed("no such object", "no_such_option", status=1)
