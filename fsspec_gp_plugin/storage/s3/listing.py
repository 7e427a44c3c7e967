"""Lists a bucket page by page, and says which objects must be restored from an archive before they can be read."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import StorageError, Unreachable
from ..contract import ObjectInfo, Page
from ..error_translation import http_status, translating
from ..pages import Pages
from .answers import no_object_missing, require_listing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .requests import Requests

# Glacier's instant retrieval can be read. A listing does not show the archives of intelligent tiering.
_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
_V1, _V2 = "list_objects", "list_objects_v2"
# Answers of stores that know only the first version.
_REFUSALS = ("400", "405", "501")


class _Place(NamedTuple):
    """Where a listing goes on: the version of the request, its parameters for the next page, and the first and last
    name on the page before.
    """

    method: str = _V2
    position: Mapping[str, str] = MappingProxyType({})
    first: str = ""
    last: str = ""


def list_below(requests: Callable[[], Requests], bucket: str, prefix: str, *, shallow: bool = False) -> Iterator[Page]:
    """All objects whose keys begin with the prefix, by their whole keys, page by page as Store.list_pages(). `requests`
    returns the Requests in use now, as credentials are renewed.
    """
    parameters = {"Bucket": bucket, "Prefix": prefix, **({"Delimiter": "/"} if shallow else {})}
    return Pages(partial(_request, requests, parameters, f"can't list s3://{bucket}/{prefix}"), _Place())


def _request(
    requests: Callable[[], Requests], parameters: dict[str, str], doing: str, place: _Place
) -> tuple[Page, _Place | None]:
    """Request one page: by version 2 of the request, or by version 1 if a store refuses version 2 or does not continue
    it.
    """
    method, position = place.method, place.position
    sent = {**parameters, **position}
    try:
        with no_object_missing(doing):
            page = requests().list_objects(method, sent)
            require_listing(page)
    except StorageError as error:
        if method == _V1 or position or http_status(error) not in _REFUSALS:
            raise
        return _request(requests, parameters, doing, _Place(_V1))
    contents = page.get("Contents", ())
    folders = [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
    names = [*(entry["Key"] for entry in contents), *folders]
    first, last = min(names, default=""), max(names, default="")
    if names and method == _V2 and first == place.first:  # the same page again
        return _request(requests, parameters, doing, _Place(_V1, {"Marker": place.last}))
    if names and first <= position.get("Marker", ""):
        raise StorageError(f"{doing}: the store gives the same page again")
    archived = {entry["Key"] for entry in contents if entry.get("StorageClass") in _ARCHIVES}
    if archived:
        archived -= _restored(requests(), method, sent, doing)
    if "Delimiter" in parameters:
        contents, ignored = _split_off_folders(contents, parameters["Prefix"])
        folders += ignored
    following = _next_place(page, place, _Place(method, {}, first or place.first, last or place.last), doing)
    return Page([_described(entry, archived) for entry in contents], folders), following


def _split_off_folders(contents: Iterable[Mapping[str, Any]], prefix: str) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The entries directly below the prefix, and the folders of the others: a gateway may ignore the delimiter."""
    direct: list[Mapping[str, Any]] = []
    folders: dict[str, None] = {}
    for entry in contents:
        name, slash, rest = entry["Key"][len(prefix) :].partition("/")
        if slash and rest:
            folders[f"{prefix}{name}/"] = None
        else:
            direct.append(entry)
    return direct, list(folders)


def _described(entry: Mapping[str, Any], archived: set[str]) -> ObjectInfo:
    key, written = entry["Key"], entry.get("LastModified")
    modified = written.timestamp() if written else None
    return ObjectInfo(key, entry["Size"], entry.get("ETag"), modified=modified, archived=key in archived)


def _next_place(page: Mapping[str, Any], before: _Place, here: _Place, doing: str) -> _Place | None:
    """The place after a page; None after the last one. `here`: without parameters."""
    if not page.get("IsTruncated"):
        return None
    token = page.get("NextContinuationToken")
    if here.method == _V2 and token and token != before.position.get("ContinuationToken"):
        return here._replace(position={"ContinuationToken": token})
    marker = page.get("NextMarker") or here.last
    if marker <= before.position.get("Marker", ""):
        raise StorageError(f"{doing}: the store says there is more, but not how to get it")
    return here._replace(method=_V1, position={"Marker": marker})


def _restored(requests: Requests, method: str, parameters: Mapping[str, str], doing: str) -> set[str]:
    """The keys of a page whose objects have been restored for a time; empty if the store does not say it."""
    try:
        with translating(doing):
            page = requests.list_restored(method, parameters)
    except Unreachable:
        raise
    except StorageError:
        return set()
    return {entry["Key"] for entry in page.get("Contents", ()) if _is_restored(entry.get("RestoreStatus") or {})}


def _is_restored(status: dict[str, Any]) -> bool:
    return not status.get("IsRestoreInProgress") and status.get("RestoreExpiryDate") is not None
