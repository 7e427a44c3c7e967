"""Keeps on the host and beside the backup what was stored, and compares it when the backup is restored."""
