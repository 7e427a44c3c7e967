"""Any filesystem of fsspec. An object is written under a hidden `.part` name in its own directory and renamed.

A Dialect says how one kind of filesystem does it; the base class does it by plain fsspec calls.
"""
