"""What was stored, written down on the host and beside the backup, and compared when it is restored."""
