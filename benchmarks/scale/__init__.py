"""What a cluster of many hosts costs on one of them: a made-up S3 of up to 160 million objects a backup, and the
installed executable in front of it. docs/scale.md has the figures.
"""
