"""A backup lies in one place and belongs to one cluster: two hosts as mount namespaces, and two clusters at one url."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol.hosts import Host, make_host
from tests.protocol.made_backups import PREFIX, T, manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.protocol.caller import Result
    from tests.protocol.conftest import Target

    Maker = Callable[..., Host]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="does not apply: only root makes mount namespaces")
NOT_SEEN = "this host does not see what the coordinator wrote"


@pytest.fixture(params=["off", "on"], ids=["alone", "agent"])
def make(request: pytest.FixtureRequest, tmp_path: Path, target: Target) -> Iterator[Maker]:
    """Makes hosts whose configuration is the target's, unless it is told another."""
    with ExitStack() as stack:

        def made(name: str, url: str = target.url, **others: Any) -> Host:
            host = make_host(tmp_path, name, url, target.options, agent=request.param, agent_idle="60s", **others)
            return stack.enter_context(closing(host))

        yield made


def objects(target: Target) -> dict[str, bytes]:
    """All that is there, byte for byte."""
    with target.store() as store:
        found = {}
        for info in list(store.find("")):
            data = bytearray(info.size)
            for _ in store.read(info, 0, memoryview(data)):
                pass
            found[info.key] = bytes(data)
    return found


def data_of(host: Host, content: int, data: bytes, command: str = "backup_data") -> Result:
    return host.run(command, host.database.table(16384, content), stdin=data)


def ended(coordinator: Host, *segments: Host) -> None:
    """What gpbackup stores and calls at the end."""
    for name in ("toc.yaml", "report"):
        coordinator.back_up_file(f"gpbackup_{T}_{name}", "content").succeeded()
    coordinator.hook("cleanup_plugin_for_backup", "master").succeeded()
    for one in segments:
        one.hook("cleanup_plugin_for_backup", "segment_host").succeeded()


def test_every_host_signs_and_leaves_a_manifest(make: Maker, target: Target) -> None:
    a, b = make("hosta"), make("hostb")
    a.hook("setup_plugin_for_backup", "master").succeeded()
    for host in (a, b):
        host.hook("setup_plugin_for_backup", "segment_host").succeeded()
    data_of(a, 0, b"rows of a").succeeded()
    # The server's HOME may be another than that of the hooks, which come by ssh.
    other = b.database.folder / "other-home"
    other.mkdir(mode=0o700)
    b.run("backup_data", b.database.table(16384, 1), stdin=b"rows of b", home=str(other)).succeeded()
    ended(a, a, b)
    names = [key.removeprefix(f"{PREFIX}fsspec_gp_plugin/") for key in objects(target) if "fsspec_gp_plugin/" in key]
    assert sorted(name.split(".")[0] + name[name.rindex(".") :] for name in names) == [
        "claim.json",
        "hosta.gz",
        "hostb.gz",
        "marks/hosta.mark",
        "marks/hostb.mark",
    ]
    named = {(lines[0]["host"], entry[0]) for lines in manifests(target) for entry in lines[1:]}
    assert named >= {("hosta", f"gpbackup_0_{T}_16384"), ("hostb", f"gpbackup_1_{T}_16384")}
    assert len({lines[0]["claim"] for lines in manifests(target)}) == 1
    assert list(other.iterdir()) in ([], [other / "gpAdminLogs"])


def test_a_host_that_writes_to_another_place_is_refused(make: Maker, target: Target, tmp_path: Path) -> None:
    coordinator = make("coordinator")
    if target.kind == "file":
        # Its share is not mounted: below the same path lies an empty directory.
        other = make("segments")
        (tmp_path / "unmounted").mkdir()
        other.mounts.append((tmp_path / "unmounted", tmp_path / "target"))
    else:
        other = make("segments", url=f"{target.url}-of-another-profile")
    coordinator.hook("setup_plugin_for_backup", "master").succeeded()
    before = objects(target)
    other.hook("setup_plugin_for_backup", "segment_host").failed(NOT_SEEN, target.url, "is the share mounted", status=1)
    assert objects(target) == before
    if target.kind == "file":
        assert list((tmp_path / "unmounted").iterdir()) == []
    # gpbackup goes on with report and cleanup.
    data_of(other, 0, b"rows").failed("the setup of backup", NOT_SEEN)
    other.hook("cleanup_plugin_for_backup", "segment_host").failed(NOT_SEEN)
    assert objects(target) == before
    # When the share is mounted, the hook may be run again.
    with closing(Host(coordinator.plugin, "segments", coordinator.mounts)) as repaired:
        repaired.hook("setup_plugin_for_backup", "segment_host").succeeded()


def test_the_second_cluster_of_one_second_is_refused_and_touches_nothing(make: Maker, target: Target) -> None:
    winner, loser = make("winner"), make("loser")
    (winner.database.folder / "gpseg-1/global").mkdir()
    control = (7000000000000000001).to_bytes(8, "little") + (9420600).to_bytes(4, "little")
    (winner.database.folder / "gpseg-1/global/pg_control").write_bytes(control)
    winner.hook("setup_plugin_for_backup", "master").succeeded()
    winner.hook("setup_plugin_for_backup", "segment_host").succeeded()
    data_of(winner, 0, b"rows of the winner").succeeded()
    before = objects(target)
    loser.hook("setup_plugin_for_backup", "master").failed("is claimed by the cluster of coordinator winner", status=1)
    # All that gpbackup still calls.
    loser.back_up_file(f"gpbackup_{T}_report", "Failure").failed("the setup of backup", "winner")
    loser.back_up_file(f"gpbackup_{T}_config.yaml", "config").failed("the setup of backup", "winner")
    data_of(loser, 0, b"rows of the loser").failed("the setup of backup", "winner")
    loser.hook("cleanup_plugin_for_backup", "master").failed("the setup of backup", "winner")
    loser.hook("cleanup_plugin_for_backup", "segment_host").failed("the setup of backup", "winner")
    assert objects(target) == before
    assert target.unfinished_uploads() == []
    ended(winner, winner)
    winner.hook("setup_plugin_for_restore", "master").succeeded()
    assert data_of(winner, 0, b"", "restore_data").succeeded().out == b"rows of the winner"


def test_the_second_cluster_may_be_on_the_same_host(make: Maker, target: Target) -> None:
    """Two clusters of one user on one host share their notes, too; their data directories tell them apart."""
    winner = make("host")
    winner.hook("setup_plugin_for_backup", "master").succeeded()
    winner.hook("setup_plugin_for_backup", "segment_host").succeeded()
    data_of(winner, 0, b"rows of the winner").succeeded()
    before = objects(target)
    second = winner.database.folder / "second"
    second.mkdir()
    directory = f"{second}/gpseg-1/backups/{T[:8]}/{T}"
    winner.run("setup_plugin_for_backup", directory, "master", '\\"-1\\"').failed("is claimed by")
    Path(directory).mkdir(parents=True)
    Path(directory, f"gpbackup_{T}_report").write_text("Failure")
    winner.run("backup_file", f"{directory}/gpbackup_{T}_report").failed("the setup of backup")
    winner.run("cleanup_plugin_for_backup", directory, "master", '\\"-1\\"').failed("the setup of backup")
    winner.run("cleanup_plugin_for_backup", directory.replace("gpseg-1", "gpseg0"), "segment_host").failed(
        "was refused"
    )
    assert objects(target) == before
    ended(winner, winner)
    named = {entry[0] for lines in manifests(target) for entry in lines[1:]}
    assert named == {f"gpbackup_0_{T}_16384", f"gpbackup_{T}_toc.yaml", f"gpbackup_{T}_report"}


def test_of_clusters_that_begin_at_once_exactly_one_goes_on(make: Maker, target: Target) -> None:
    hosts = [make(f"host{number}") for number in range(4)]
    with ThreadPoolExecutor(len(hosts)) as pool:
        results = list(pool.map(lambda host: host.hook("setup_plugin_for_backup", "master"), hosts))
    assert sorted(result.status for result in results) == [0, 1, 1, 1]
    [winner] = [host for host, result in zip(hosts, results, strict=True) if result.status == 0]
    for result in results:
        if result.status:
            result.failed(f"is claimed by the cluster of coordinator {winner.name}")
    assert len([key for key in objects(target) if "claim" in key]) == 1
