"""The configuration file: its options, and how it is read and written."""
