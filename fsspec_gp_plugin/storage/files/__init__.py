"""Any filesystem of fsspec. An object is written under a hidden `.part` name in its own directory and renamed.

A dialect is how one fsspec filesystem is used; the base class uses any by plain fsspec calls.
"""
