"""SFTP, by paramiko."""
