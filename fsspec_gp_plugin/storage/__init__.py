"""The only package that imports fsspec and its filesystems. contract.py is what stores promise; open.py opens one."""
