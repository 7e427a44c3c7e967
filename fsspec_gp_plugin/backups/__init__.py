"""Handles whole backups at a target: lists, checks, claims and deletes them, and probes the target."""
