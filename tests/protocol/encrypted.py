"""Keys of a host for encrypted backups, configurations that name them, and a look at stored objects."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import yaml

from fsspec_gp_plugin.age.header import begins_like_header, parse_header
from fsspec_gp_plugin.age.object_name import KIND
from fsspec_gp_plugin.age.x25519 import Identity, new_identity
from tests.protocol.made_backups import PREFIX, T, call_hook

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

# What a setup hook of a restore says to whoever has the wrong identity.
NONE_OPENS = "none of the identities in {} opens this backup; it was made for {}"


@dataclass
class Keys:
    """An identity in a file, and its recipient."""

    identity: Identity
    path: Path

    @property
    def recipient(self) -> str:
        return self.identity.recipient.text


def make_keys(folder: Path, name: str = "keys.txt") -> Keys:
    """A new identity, in a file as `age-keygen` writes it."""
    keys = Keys(new_identity(), folder / name)
    keys.path.write_text(f"# public key: {keys.recipient}\n{keys.identity.text}\n")
    keys.path.chmod(0o600)
    return keys


def with_options(plugin: Plugin, name: str, **options: object) -> Plugin:
    """The same host with another configuration: some options more; without those that are None."""
    document = yaml.safe_load(plugin.config.read_text())
    values = document["options"] | {key: None if value is None else str(value) for key, value in options.items()}
    document["options"] = {key: value for key, value in values.items() if value is not None}
    config = plugin.config.with_name(f"{name}.yaml")
    config.write_text(yaml.dump(document, default_style='"'))
    return replace(plugin, config=config)


def make_file(plugin: Plugin, name: str, text: str) -> str:
    """A file of the coordinator's; its path."""
    path = plugin.database.file(name, -1)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def back_up_with_hooks(plugin: Plugin, tables: dict[str, bytes]) -> None:
    """A backup as gpbackup makes it, with the hooks of the coordinator; those of other scopes do less."""
    call_hook(plugin, "setup_plugin_for_backup")
    for path, data in tables.items():
        plugin.run("backup_data", path, stdin=data).succeeded()
    for name in ("toc.yaml", "metadata.sql", "report"):
        plugin.run("backup_file", make_file(plugin, f"gpbackup_{T}_{name}", f"{name} of it")).succeeded()
    call_hook(plugin, "cleanup_plugin_for_backup")


def read_object(target: Target, key: str) -> bytes:
    """The stored bytes of an object."""
    with target.store() as store:
        info = store.stat(key)
        data = bytearray(info.size)
        for _ in store.read(info, 0, memoryview(data)):
            pass
    return bytes(data)


def put_object(target: Target, key: str, data: bytes) -> None:
    with target.store() as store:
        store.put(key, memoryview(data))


def gpbackups_own(target: Target) -> list[str]:
    """The keys of what gpbackup has stored of the backup."""
    with target.store() as store:
        return sorted(info.key for info in store.find(PREFIX + "gpbackup_"))


def name_in(data: bytes) -> tuple[str, str]:
    """The key and the token that an encrypted object's header says."""
    assert begins_like_header(data)
    header = parse_header(data)
    assert header is not None
    [stanza] = [one for one in header.stanzas if one.kind == KIND]
    return stanza.body.decode(), stanza.arguments[0]
