"""WebHDFS, the HTTP interface of HDFS."""
