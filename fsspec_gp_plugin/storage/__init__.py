"""The only package that imports fsspec and its filesystems. api is the contract; opening makes a Store."""
