"""How one kind of filesystem does what a store needs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...errors import StorageError, Unreachable
from .bounded import Bounded
from .output import FileOutput, may_copy, rename

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...errors import PluginError
    from ..contract import ObjectInfo, TransportSecurity
    from .output import Output

_PIECE = 1 << 20


class Dialect:
    """Any filesystem, by plain fsspec calls with a time limit. Subclasses use what their filesystem can do better.

    `fs` is always what connect() gave, used by one thread and for one file at a time: the store leases connections.
    Paths are those of the filesystem. Methods raise what the library raises, and FileNotFoundError for what is not
    there; the store translates it. An error that may pass must become Unreachable by error_translation.py or explain():
    then the connection is closed and the next call gets a new one.
    """

    # Whether resume() works: writing goes on after a connection broke.
    resumes = False
    # Whether resume() may overwrite: then a part is repeated from its beginning, whatever of it has arrived.
    positional = False
    # Whether rename_if_free() works.
    creates = False
    # Whether a file may appear after the request for it was broken off, as a server reads that request later.
    may_appear_later = False
    # Whether rename() may copy, so that its failure may leave a part of the file at its name. Known after rename().
    copies = False
    # Whether the tests of this package know this kind of filesystem, as they know those with a dialect of their own.
    tested = False
    # Whether several ranges at once, each on a connection of its own, are faster than one.
    parallel_reads = False
    # How many deletions at once, each on a connection of its own, are faster than one.
    deletions_at_once = 1
    # Whether to make directories before each file, or only when creating it raises FileNotFoundError.
    directories_first = True
    # How requests travel, by the options. None if it is unknown.
    transport_security: TransportSecurity | None = None
    # Stands before paths in messages, such as "sftp://host".
    place = ""
    # One line for the person who sets up a backup, if there is something to know.
    remark = ""

    def __init__(self, make: Callable[[], Any], timeout: float = 60.0) -> None:
        """`make` gives a fresh fsspec filesystem; `timeout`: seconds for which a request may stand still."""
        self._make = make
        self.timeout = timeout

    def connect(self) -> Any:
        """A fresh connection: a filesystem, or anything else that the other methods understand."""
        return Bounded(self._make, self.timeout, self)

    def disconnect(self, fs: Any) -> None:
        """Close a connection without waiting for anything; raises nothing. Called from any thread, also to end a call
        that hangs on that connection in another one.
        """
        fs.close()

    def explain(self, error: Exception, doing: str) -> PluginError | None:
        """The error of this package for an exception of the library. None: error_translation.py knows it."""
        del error, doing
        return None

    # Writing

    def make_directories(self, fs: Any, path: str) -> None:
        """Make a directory and those above it. It may be there already, or be made by others at the same time."""
        try:
            fs.call("makedirs", path, exist_ok=True)
        except NotImplementedError:
            pass
        except FileExistsError:
            if not fs.call("isdir", path):
                raise

    def create(self, fs: Any, path: str) -> Output:
        """Make an empty working file and open it. An earlier attempt may have made it already, and written nothing."""
        fs.open(path, "wb")
        return FileOutput(fs)

    def resume(self, fs: Any, path: str) -> Output:
        """Open the working file at its end, or anywhere in it for a positional dialect."""
        raise NotImplementedError

    def size(self, fs: Any, path: str) -> int:
        """Bytes in a file now, not as some cache remembers it. Raises FileNotFoundError where there is none."""
        fs.call("invalidate_cache")
        info = fs.call("info", path)
        if info.get("type") != "file":
            raise FileNotFoundError(f"{path} is not a file")
        if info.get("size") is None:
            raise StorageError(f"can't tell the size of {self.place}{path}")
        fs.last_size = int(info["size"])
        return int(fs.last_size)

    def size_and_version(self, fs: Any, path: str) -> tuple[int, str | None]:
        """Bytes in a file, as by size(), and what tells this version of it from another. None if that is unknown."""
        return self.size(fs, path), None

    def rename(self, fs: Any, working: str, final: str) -> None:
        """Give the whole file its name, replacing what has it; at once where the filesystem can."""
        self.copies = may_copy(fs.filesystem)
        rename(fs, working, final, self.place)

    def rename_if_free(self, fs: Any, working: str, final: str) -> None:
        """Give the whole file its name. Raises FileExistsError if something has that name: the server must decide that
        at once, however many clients want the name.
        """
        raise NotImplementedError

    # Reading

    def read(self, fs: Any, path: str, start: int, into: memoryview) -> Iterator[int]:
        """Fill the buffer from byte `start` on; yields how many came with each step.

        A connection that ends early raises after what came was yielded. So does a file that is too short.
        """
        if getattr(fs.filesystem, "async_impl", False):
            # One request a piece; its file object would read ahead more than is wanted.
            yield from _pieces(
                lambda done, size: fs.call("cat_file", path, start=start + done, end=start + done + size), into
            )
            return
        fs.open(path, "rb")
        try:
            if start:
                fs.call_file("seek", start)
            yield from _pieces(lambda _, size: fs.call_file("read", size), into)
        finally:
            if not fs.is_closed:
                fs.close_file()

    def read_version(self, fs: Any, path: str, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        """As read(), of the file that `info` describes. Raises ObjectChanged if its version is another by now."""
        del info
        return self.read(fs, path, start, into)

    # Directories

    def find_at_once(self, fs: Any, path: str) -> list[tuple[str, int | None]] | None:
        """Path and size of every file below a directory, if the filesystem has a method of its own for that. None if
        its directories are listed one after another: fsspec's walk() takes a connection that broke for an empty one.
        """
        from fsspec import AbstractFileSystem
        from fsspec.asyn import AsyncFileSystem

        kind = type(fs.filesystem)
        theirs = (AbstractFileSystem.find, AsyncFileSystem.find)
        own = kind.find not in theirs or (fs.filesystem.async_impl and kind._find is not AsyncFileSystem._find)  # noqa: SLF001
        if not own:
            return None
        fs.call("invalidate_cache")
        try:
            found = fs.call("find", path, detail=True)
        except FileNotFoundError:
            return []
        return [(name, self._listed_size(fs, name, info)) for name, info in found.items()]

    def entries(self, fs: Any, path: str) -> list[tuple[str, int | None]]:
        """Path and size of what a directory holds, None for the size of a directory. Nothing where it is not there."""
        fs.call("invalidate_cache")
        try:
            listing = fs.call("ls", path, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        entries = ((str(info["name"]), info) for info in listing)
        return [
            (name, None if info.get("type") == "directory" else self._listed_size(fs, name, info))
            for name, info in entries
            if name.strip("/") != path.strip("/")
        ]

    def _listed_size(self, fs: Any, path: str, info: dict[str, Any]) -> int:
        size = info.get("size")
        if size is None:  # as in a web server's listing
            with suppress(FileNotFoundError):
                size = self.size(fs, path)
        return int(size or 0)

    def remove(self, fs: Any, path: str) -> None:
        """Remove a file. Raises FileNotFoundError where there is none."""
        fs.call("rm_file", path)

    def remove_directory(self, fs: Any, path: str) -> None:
        """Remove a directory if it is empty; raises, or does nothing, if it is not."""
        from fsspec.asyn import AsyncFileSystem

        if isinstance(fs.filesystem, AsyncFileSystem):
            return  # object stores, where rmdir may mean the bucket
        # It is listed first: not every filesystem refuses to remove a directory that holds something.
        if not fs.call("ls", path, detail=False):
            fs.call("rmdir", path)


class ReadOnlyDialect(Dialect):
    """A filesystem that can be restored from, but not backed up to."""

    def __init__(
        self, make: Callable[[], Any], timeout: float, protocol: str, reason: str = "it takes no files"
    ) -> None:
        """Connects to nothing yet."""
        super().__init__(make, timeout)
        self.remark = f"{protocol}:// is for restore only: {reason}"

    def make_directories(self, fs: Any, path: str) -> None:
        del fs, path
        raise StorageError(self.remark)

    def create(self, fs: Any, path: str) -> Output:
        del fs, path
        raise StorageError(self.remark)

    def remove(self, fs: Any, path: str) -> None:
        del fs, path
        raise StorageError(self.remark)

    def remove_directory(self, fs: Any, path: str) -> None:
        del fs, path


def _pieces(read: Callable[[int, int], bytes], into: memoryview) -> Iterator[int]:
    """Fill the buffer by calling read(bytes done, bytes wanted) for piece after piece."""
    done = 0
    while done < len(into):
        piece = read(done, min(_PIECE, len(into) - done))
        if not piece:
            raise Unreachable(f"{done} bytes came of {len(into)}")
        into[done : done + len(piece)] = piece
        done += len(piece)
        yield len(piece)
