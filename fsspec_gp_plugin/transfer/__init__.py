"""Bytes in motion between descriptors and a Store. It knows nothing of Greenplum, and of storage only its contract."""
