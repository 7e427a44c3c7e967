"""The only package that imports fsspec and its filesystems. contract.py says what every store promises; open.py opens one."""
