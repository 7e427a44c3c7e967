"""SMB, by smbprotocol."""
