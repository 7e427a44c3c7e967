"""What an FTP server says of a directory that it can't list, and of one that is not there: the same."""

from __future__ import annotations

import ftplib
from typing import Any

import pytest

from fsspec_gp_plugin.errors import AccessDenied, NotFound, StorageError, Unreachable
from fsspec_gp_plugin.storage.errors import translating
from fsspec_gp_plugin.storage.files.ftp import dialect as ftp_dialect


class Server:
    """Lists the root, where there is one directory, and says an error of everything else."""

    def __init__(self, error: str, failures: int) -> None:
        self._error = error
        self._failures = failures

    def entries(self, path: str) -> list[tuple[str, int | None]]:
        if path == "/":
            return [("there", None)]
        if path.rstrip("/") == "/there" and not self._failures:
            return [("file", 7)]
        if path == "/broken":
            raise EOFError
        self._failures -= 1
        raise ftplib.error_perm(self._error)  # noqa: S321 - only the class of an error


@pytest.fixture
def dialect(monkeypatch: pytest.MonkeyPatch) -> ftp_dialect.FtpDialect:
    monkeypatch.setattr(ftp_dialect, "_SETTLE_SECONDS", 0.0)
    return ftp_dialect.FtpDialect(lambda: None, 60.0, "ftp://host")


def test_a_directory_that_is_not_there_is_empty(dialect: ftp_dialect.FtpDialect) -> None:
    server: Any = Server("550 No such file or directory.", 99)
    assert dialect.entries(server, "/missing/") == []
    assert dialect.entries(server, "/missing/below") == []


def test_a_directory_that_changes_while_it_is_listed_is_listed_again(dialect: ftp_dialect.FtpDialect) -> None:
    server: Any = Server("550 No such file or directory.", 4)
    assert dialect.entries(server, "/there/") == [("/there/file", 7)]


def test_a_connection_that_breaks_while_a_missing_directory_is_looked_for_may_come_back(
    dialect: ftp_dialect.FtpDialect,
) -> None:
    server: Any = Server("550 No such file or directory.", 99)
    with pytest.raises(Unreachable), translating("can't list it"):
        dialect.entries(server, "/broken/missing")


@pytest.mark.parametrize(
    ("error", "kind"), [("550 Too many open files.", StorageError), ("550 Permission denied.", AccessDenied)]
)
def test_a_directory_that_cannot_be_listed_is_not_taken_for_one_that_is_not_there(
    dialect: ftp_dialect.FtpDialect, error: str, kind: type[StorageError]
) -> None:
    server: Any = Server(error, 99)
    with pytest.raises(StorageError, match=f"ftp://host/there can't be listed; the server says: {error}") as caught:
        dialect.entries(server, "/there")
    assert type(caught.value) is kind
    assert not isinstance(caught.value, NotFound)
