"""A storage plugin for gpbackup and gprestore: any fsspec filesystem is a backup target.

Layers, each importing only those to its right:
dispatch → protocol → transfer → storage → config → commands, keys, log, process → redaction → errors.
Nothing is re-exported here: gpbackup starts a process per table, and every import costs.
"""

__version__ = "0.1.0"
