"""WebDAV, by webdav4."""
