"""The contract of all stores: what the code that moves bytes may expect of them. It imports nothing of this package.

Keys are relative to the configured URL and have no leading slash. Every method may raise
StorageError and its kinds (fsspec_gp_plugin.errors), already translated, with the key in the message.
All methods may be called from any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


class ObjectInfo(NamedTuple):
    """One object: its key, its size in bytes, an identifier of this version or None, the CRC-32C of all its bytes if
    the store keeps one, and when it was written, in seconds since 1970, if it comes from a listing.
    `archived`: it can't be read before somebody restores it from the store's archive.
    """

    key: str
    size: int
    version: str | None = None
    crc32c: int | None = None
    modified: float | None = None
    archived: bool = False

    def __eq__(self, other: object) -> bool:
        """Return whether both are the same bytes, even if only one of them comes from a listing."""
        return isinstance(other, ObjectInfo) and self[:4] == other[:4]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self[:4])


class Page(NamedTuple):
    """One page of a listing: objects and, if it is shallow, the folders directly below the prefix, which end in "/"."""

    objects: Sequence[ObjectInfo]
    folders: Sequence[str] = ()


class Upload(NamedTuple):
    """An upload that nobody completed or aborted: the key of its object, when it began, in seconds since 1970, or None
    if the store doesn't say, and the store's id of it.
    """

    key: str
    started: float | None = None
    upload_id: str = ""


class TransportSecurity(NamedTuple):
    """How safely requests travel: to which host, whether encrypted by TLS or something as safe, and whether the host's
    identity is verified.
    """

    host: str
    is_encrypted: bool
    is_verified: bool

    @classmethod
    def to(cls, url: str, *, is_verified: bool) -> TransportSecurity:
        """Return the safety of HTTP requests to a URL."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.scheme == "https", is_verified)


class Capabilities(NamedTuple):
    """What a store's part writers and readers can do.

    `parallel_parts`: parts may be written at once and in any order, otherwise one after another in order.
    `parallel_reads`: several ranges at once are faster than one. `single_request_put`: put() is one request, so
    cheaper than a writer. `creates`: create() can be called. `tested`: this package's tests hold this kind of store
    to what is promised here; any other filesystem of fsspec may keep less, or nothing for other processes, as one
    in memory does. `lists_by_prefix`: a listing of some names of a directory costs less than one of all. Sizes are
    bytes; `max_parts` is None where the store has no limit. `first_part_shows`: what stands here about parts is not
    sure before the first part of an object was written, and no other may be before; the store's capabilities are
    others then.
    """

    parallel_parts: bool
    parallel_reads: bool
    lists_by_prefix: bool = True
    single_request_put: bool = True
    creates: bool = False
    tested: bool = True
    min_part_size: int = 1
    max_part_size: int = 5 << 30
    max_parts: int | None = None
    first_part_shows: bool = False


def _ignore(message: str) -> None:
    del message


class PartWriter(Protocol):
    """An object being written. It becomes visible by complete(), whole, or never.

    After an error of any method the writer can only be aborted. `report` is called with what a writer finds out about
    the store that its administrator should know.
    """

    report: Callable[[str], None] = staticmethod(_ignore)

    @property
    def part_limit(self) -> int | None:
        """Parts should have no more bytes than this, because connections broke under larger ones; None: no limit."""
        return None

    def write(self, number: int, data: memoryview) -> None:
        """Store part `number`, counted from 1. The data may be reused when this returns.

        Parts but the last have at least the store's `min_part_size`. May be repeated with the same data.
        """
        ...

    def complete(self, size: int) -> ObjectInfo:
        """Make the object visible, after all parts were written; `size` is their sum in bytes.

        The store's own idea of the size is compared with it: a difference is an error, and the object is gone.
        """
        ...

    def abort(self) -> None:
        """Leave nothing behind: no object and no parts. May be called at any time, also while another
        thread is in write(), which then fails; and again. Does nothing after a successful complete().
        """
        ...


class Store(Protocol):
    """A place for objects below one URL. Stores inherit from this class and leave out what they have no request for."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, as far as is known by now."""
        ...

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        """Store a whole object, replacing one of that key: visible whole, or not at all. May be repeated."""
        ...

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        """Store a whole small object unless there is one of that key, which is AlreadyExists: only where
        `capabilities.creates`.

        Stores exist that ignore the condition and replace the object; the caller must find that out. After an attempt
        that was not answered, AlreadyExists may mean the caller's own object.
        """
        ...

    def begin(self, key: str) -> PartWriter:
        """A writer for one object. It touches the store with its first call, not here."""
        ...

    def stat(self, key: str) -> ObjectInfo:
        """Size and version of an object; NotFound when there is none."""
        ...

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        """Fill the buffer with the object's bytes from `start` on; yields how many came with each step.

        Pinned to the version in `info` where the store can: ObjectChanged when it is another by now.
        A connection that ends early raises, after all that came was yielded; it never shortens the range.
        """
        ...

    def fetch(self, key: str, into: memoryview) -> tuple[ObjectInfo, Iterator[int]]:
        """The same as stat() and, like read(), the object's first bytes, as many as exist and fit: by one request
        where the store can.
        """
        info = self.stat(key)
        return info, self.read(info, 0, into[: info.size])

    def crc32c(self, info: ObjectInfo) -> int | None:
        """The CRC-32C that the store keeps of all bytes of that version, None where it keeps none, or where
        TLS protects the bytes already.
        """
        del info
        return None

    def list_pages(self, prefix: str, *, shallow: bool = False, unfinished: bool = False) -> Iterator[Page]:
        """All objects whose key begins with the prefix, in no particular order, page by page: below a directory where
        it is "" or ends in "/", else also those whose name goes on. Some pages may be empty. With `unfinished`, also
        the working files of objects that aren't whole.

        `shallow`: objects in folders below the prefix are left out; the pages name these folders instead.

        Where requests are retried, which files of this host are not, the iterator of the store that makes the requests
        keeps its place after Unreachable: its next call requests the same page again.
        """
        ...

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        """As list_pages(): all objects whose key begins with the prefix, lazily."""
        for page in self.list_pages(prefix, unfinished=unfinished):
            yield from page.objects

    def find_anywhere(self, prefix: str) -> Iterator[ObjectInfo]:
        """As find(); where two targets are read as one, the objects of both, so that a key may come twice."""
        return self.find(prefix)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects. Those that are gone already are no error; every other failure is, after all
        keys were tried.
        """
        ...

    def keeps_versions(self, prefix: str) -> bool:
        """Whether the store still has versions of objects below the prefix that were deleted or replaced, as by
        versioning, object lock or retention; False where it doesn't say.
        """
        del prefix
        return False

    def find_uploads(self, prefix: str) -> list[Upload]:
        """The uploads below the prefix that delete_unfinished() would abort, in no particular order."""
        del prefix
        return []

    def last_written(self, upload: Upload) -> float | None:
        """When the last part of an upload that find_uploads() has found arrived, in seconds since 1970 by the store's
        clock; when it was begun, where it has none; None if the store doesn't say. Raises NotFound when it has ended.
        """
        return upload.started

    def delete_unfinished(self, prefix: str) -> int:
        """Abort the uploads below the prefix that nobody completed or aborted; returns how many there were.

        Only what find(unfinished=True) does not list: an object store's uploads. May not be called while one is
        under way there.
        """
        del prefix
        return 0

    def delete_empty_directories(self, prefix: str) -> None:
        """Remove the directories that emptying the prefix left behind, where the store has directories."""
        del prefix

    def transport_security(self) -> TransportSecurity | None:
        """How requests travel, by what the options, the environment and the provider's library say; None where nothing
        travels, or nothing tells. Makes no request to the store, but may look for credentials.
        """
        return None

    @property
    def files(self) -> FileStore | None:
        """The store itself if its objects are files, which the kernel can copy to and from; else None."""
        return None

    def copy_from(self, source: Store, info: ObjectInfo, key: str) -> ObjectInfo | None:
        """Make the store itself copy an object of `source`, visible whole or not at all, so that its bytes don't
        travel; None if it can't, because the other one is elsewhere.
        """
        del source, info, key
        return None

    def clock_offset(self) -> float | None:
        """Seconds by which the store's clock is ahead of this host's, by its last response, to about a second; None if
        no response had a date.
        """
        return None

    def warm_up(self) -> None:
        """Make in advance what the first request needs and takes long to make. Makes no request."""
        return

    def stop_waiting(self) -> None:
        """End the pauses between retries: what fails from now on fails at once. May be called from another thread."""
        return

    def close(self) -> None:
        """Close connections. The store can't be used afterwards."""
        ...


class FileStore(Store, Protocol):
    """A store whose objects are files, so that the kernel can copy to and from them."""

    def make_root(self) -> None:
        """Make the directory of the URL where it is missing and may be made; else nothing. No other method makes it."""
        ...

    def open_file(self, info: ObjectInfo) -> int:
        """A descriptor to read the object from, for the caller to close; ObjectChanged when it is another by now."""
        ...

    def begin(self, key: str) -> FileWriter:
        """As Store.begin()."""
        ...


class FileWriter(PartWriter, Protocol):
    """An object being written as a file."""

    def open_file(self) -> int:
        """A descriptor to write the object to, from its beginning, instead of calling write(). The caller closes it."""
        ...

    def failed(self, error: OSError) -> Exception:
        """What to raise for an error of writing to the descriptor."""
        ...
