"""What is written to a disk is there after a crash of the host: in which order the system is asked for it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin import private
from fsspec_gp_plugin.errors import AlreadyExists, LocalFileError, StorageError, Unreachable
from fsspec_gp_plugin.protocol.working_files import WorkingFiles
from fsspec_gp_plugin.storage.local.store import LocalStore
from fsspec_gp_plugin.transfer.upload import Upload, UploadSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import FileStore

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000"
NAME = "gpbackup_0_20260101120000"
DATA = b"data" * 1000


def name_of(target: Any) -> str:
    """What a path or a descriptor leads to: `part` for a working file, else the last part of its path."""
    path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)
    return "part" if path.endswith(".part") else os.path.basename(path)


class Disk:
    """What the system was asked for: (call, name), in this order; only of what lies below a directory. `failing` steps
    fail once, with these error numbers.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, below: Path) -> None:
        self.asked: list[tuple[str, str]] = []
        self.failing: dict[tuple[str, str], int] = {}
        self._below = str(below)
        for call in ("fsync", "close", "rename", "link", "mkdir"):
            monkeypatch.setattr(os, call, self._recorded(call, getattr(os, call)))

    def _recorded(self, call: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def asked(target: Any, *others: Any, **more: Any) -> Any:
            try:
                path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)
            except OSError:  # no descriptor at all
                path = ""
            if not path.startswith(self._below):
                return real(target, *others, **more)
            step = (call, name_of(target))
            self.asked.append(step)
            if step in self.failing:
                if call == "close":
                    real(target)  # a close that fails has closed it all the same
                number = self.failing.pop(step)
                raise OSError(number, os.strerror(number))
            return real(target, *others, **more)

        return asked


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disk:
    return Disk(monkeypatch, tmp_path)


def put(store: FileStore) -> None:
    store.put(KEY, memoryview(DATA))


def write_parts(store: FileStore) -> None:
    writer = store.begin(KEY)
    writer.write(1, memoryview(DATA[:1000]))
    writer.write(2, memoryview(DATA[1000:]))
    try:
        writer.complete(len(DATA))
    except StorageError:
        writer.abort()
        raise


def copy(store: FileStore) -> None:
    source, end = os.pipe()
    os.write(end, DATA)
    os.close(end)
    try:
        Upload(store, KEY, UploadSettings(), lambda _: None).run(source)
    finally:
        os.close(source)


def create(store: FileStore) -> None:
    store.create(KEY, memoryview(DATA))


WAYS = pytest.mark.parametrize("send", [put, write_parts, copy])


@WAYS
def test_an_object_is_on_the_disk_before_it_gets_its_name(
    disk: Disk, tmp_path: Path, send: Callable[[FileStore], None]
) -> None:
    (tmp_path / KEY).parent.mkdir(parents=True)
    disk.asked.clear()
    send(LocalStore(str(tmp_path)))
    steps = disk.asked[1:] if send is copy else disk.asked  # which begins with closing its own descriptor
    assert steps == [
        ("fsync", "part"),
        ("close", "part"),
        ("rename", "part"),
        ("fsync", "20260101120000"),
        ("close", "20260101120000"),
    ]
    assert (tmp_path / KEY).read_bytes() == DATA


def test_what_is_created_is_on_the_disk_before_it_gets_its_name(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / KEY).parent.mkdir(parents=True)
    disk.asked.clear()
    create(LocalStore(str(tmp_path)))
    assert disk.asked == [
        ("fsync", "part"),
        ("close", "part"),
        ("link", "part"),
        ("fsync", "20260101120000"),
        ("close", "20260101120000"),
    ]
    assert [path.name for path in (tmp_path / KEY).parent.iterdir()] == [NAME]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_hard_links_creates_too(disk: Disk, tmp_path: Path, number: int) -> None:
    store = LocalStore(str(tmp_path))
    disk.failing["link", "part"] = number
    assert store.create(KEY, memoryview(DATA)) == store.stat(KEY)
    assert disk.asked[-4:-2] == [("fsync", NAME), ("close", NAME)]
    disk.failing["link", "part"] = number
    with pytest.raises(AlreadyExists, match=f"can't create {tmp_path / KEY}: there is a file of that name"):
        store.create(KEY, memoryview(b"others"))
    assert [(path.name, path.read_bytes()) for path in (tmp_path / KEY).parent.iterdir()] == [(NAME, DATA)]


@pytest.mark.parametrize(("call", "name"), [*((call, "part") for call in ("fsync", "close", "link")), ("fsync", NAME)])
def test_what_can_not_be_brought_to_the_disk_is_not_created(disk: Disk, tmp_path: Path, call: str, name: str) -> None:
    if name != "part":
        disk.failing["link", "part"] = errno.EPERM
    disk.failing[call, name] = errno.ENOSPC
    with pytest.raises(StorageError, match=f"can't (create|write) {tmp_path / KEY}: the disk is full"):
        create(LocalStore(str(tmp_path)))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_only_make_root_makes_the_directory_of_the_url(tmp_path: Path) -> None:
    where = tmp_path / "not" / "mounted"
    store = LocalStore(str(where))
    actions: list[Callable[[FileStore], object]] = [put, create, write_parts, copy, lambda store: list(store.find(""))]
    for action in actions:
        with pytest.raises(Unreachable, match=f"the directory {where} does not exist; mount or create it on this"):
            action(store)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Unreachable, match=f"the directory {where} does not exist; mount or create it on this"):
        LocalStore(str(where), make_root=False).make_root()
    assert list(tmp_path.iterdir()) == []
    store.make_root()
    store.make_root()
    put(store)
    assert where.stat().st_mode & 0o777 == 0o700


def test_a_new_directory_is_in_the_one_above_it_before_the_next_is_made(disk: Disk, tmp_path: Path) -> None:
    LocalStore(str(tmp_path)).make_directories(str(tmp_path / "a/b/c"))
    steps = [step for step in disk.asked if step[0] != "close"]
    assert steps == [
        ("mkdir", "a"),
        ("fsync", tmp_path.name),
        ("mkdir", "b"),
        ("fsync", "a"),
        ("mkdir", "c"),
        ("fsync", "b"),
    ]


@WAYS
@pytest.mark.parametrize("call", ["fsync", "close", "rename"])
def test_an_object_that_can_not_be_brought_to_the_disk_is_no_object(
    disk: Disk, tmp_path: Path, send: Callable[[FileStore], None], call: str
) -> None:
    """Network file systems tell only at the end that their disk is full."""
    disk.failing[call, "part"] = errno.ENOSPC
    with pytest.raises(StorageError, match=f"can't write {tmp_path / KEY}: the disk is full"):
        send(LocalStore(str(tmp_path)))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_system_without_durable_directories_takes_objects(disk: Disk, tmp_path: Path) -> None:
    disk.failing["fsync", "20260101120000"] = errno.EINVAL
    put(LocalStore(str(tmp_path)))
    assert (tmp_path / KEY).read_bytes() == DATA


def test_a_file_that_is_fetched_is_on_the_disk_before_it_gets_its_name(disk: Disk, tmp_path: Path) -> None:
    with WorkingFiles().replacing(str(tmp_path / "file")) as fd:
        os.write(fd, DATA)
    assert disk.asked == [("fsync", "part"), ("rename", "part"), ("close", "file")]
    assert (tmp_path / "file").read_bytes() == DATA


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_file_that_can_not_be_brought_to_the_disk_leaves_the_one_before(
    disk: Disk, tmp_path: Path, call: str
) -> None:
    (tmp_path / "file").write_bytes(b"before")
    disk.failing[call, "part"] = errno.ENOSPC
    with (
        pytest.raises(LocalFileError, match=r"can't write .*/file: No space left on device"),
        WorkingFiles().replacing(str(tmp_path / "file")) as fd,
    ):
        os.write(fd, DATA)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"before")]


@pytest.mark.parametrize(("replace", "call"), [(True, "rename"), (False, "link")])
def test_a_secret_is_on_the_disk_before_it_gets_its_name(disk: Disk, tmp_path: Path, replace: bool, call: str) -> None:
    private.write_file(str(tmp_path / "secret"), "text", replace=replace)
    assert [step for step in disk.asked if step[0] != "close"] == [("fsync", "part"), (call, "part")]
