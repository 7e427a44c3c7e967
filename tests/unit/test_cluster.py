"""What tells one cluster from another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsspec_gp_plugin.integrity.cluster import Cluster, cluster_here

if TYPE_CHECKING:
    from pathlib import Path

OURS = Cluster("", "7001", "cdw", "5432", "/data/gpseg-1")
THEIRS = Cluster("", "7002", "other", "5432", "/data/gpseg-1")


def test_which_clusters_are_one() -> None:
    assert OURS.is_same(Cluster("", "7001", "cdw", "6000", "/data/gpseg-1"))
    assert not OURS.is_same(THEIRS)
    # A clone of the database on another coordinator is another cluster, until a name says otherwise.
    assert not OURS.is_same(Cluster("", "7001", "clone", "5432", "/data/gpseg-1"))
    assert Cluster("prod", "1", "a").is_same(Cluster("prod", "2", "b"))
    assert not Cluster("prod", "7001", "cdw").is_same(Cluster("test", "7001", "cdw"))
    # What is not known of one of them tells nothing.
    assert OURS.is_same(Cluster("", "", "cdw"))
    # As gpbackup's acceptance script, whose directory is none of the database's.
    assert Cluster("", "", "cdw", "", "/tmp/testseg").is_same(OURS)
    assert not Cluster("", "", "cdw", "", "/data/a").is_same(Cluster("", "", "cdw", "", "/data/b"))
    # The same host with and without its domain; the same data by another path.
    assert OURS.is_same(Cluster("", "7001", "CDW.example.com", "", "/other/path"))
    assert OURS.group == Cluster("", "7001", "cdw.example.com", "", "/other/path").group
    assert not OURS.is_same(Cluster("", "7002", "cdw"))


def test_the_identity_of_the_cluster_here(tmp_path: Path) -> None:
    (tmp_path / "global").mkdir()
    control = tmp_path / "global/pg_control"
    control.write_bytes((7123456789012345678).to_bytes(8, "little") + (9420600).to_bytes(4, "little") + b"\0" * 8180)
    found = cluster_here("prod", "5432", {}, f"{tmp_path}/")
    assert (found.name, found.system_identifier, found.port) == ("prod", "7123456789012345678", "5432")
    assert found.directory == str(tmp_path)
    environ = {"MASTER_DATA_DIRECTORY": str(tmp_path), "PGPORT": "6000"}
    assert cluster_here("", "", environ).system_identifier == "7123456789012345678"
    assert cluster_here("", "", environ).port == "6000"
    control.write_bytes(b"short")
    assert cluster_here("", "", environ).system_identifier == ""
    assert cluster_here("", "", {}).directory == ""
