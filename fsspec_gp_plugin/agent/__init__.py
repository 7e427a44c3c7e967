"""A warm process per host, which does the work of those that gpbackup starts for each table. See docs/agent.md."""
