"""A storage plugin for gpbackup and gprestore: any fsspec filesystem is a backup target.

Layers, each importing only those to its right:
__main__ → dispatch → agent → call → protocol, cli → backups → transfer, integrity → storage → config → age →
commands, log, process, keys, checksum, private, installation, gpbackup_process, gzip_header, control_group, workers,
providers →
redaction, dead_mans_switch → errors.
Nothing is re-exported here: gpbackup starts a process per table, and every import costs.
"""

__version__ = "0.1.0"
