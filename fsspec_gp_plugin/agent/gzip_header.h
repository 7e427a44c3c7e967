/* For a stream without a first byte for which gprestore would wait for ever: as in gzip_header.py, which says why. */
#define HEADER_MS 300
static const char gzip_header[] = "\x1f\x8b\x08\0\0\0\0\0\0\xff";
static bool header_is_needed = false;

/* Whether it restores data compressed by gzip: gpbackup_CONTENT_TIMESTAMP.gz or gpbackup_CONTENT_TIMESTAMP_OID.gz. */
static bool needs_gzip_header(char **argv) {
    const char *name = strrchr(argv[3], '/');
    int content = 0, whole = 0, table = 0;
    char stamp[15] = "";
    unsigned oid;
    name = name == NULL ? argv[3] : name + 1;
    sscanf(name, "gpbackup_%d_%14[0-9].gz%n", &content, stamp, &whole);
    sscanf(name, "gpbackup_%d_%14[0-9]_%u.gz%n", &content, stamp, &oid, &table);
    return strcmp(argv[1], "restore_data") == 0 && strlen(stamp) == 14 &&
           ((whole > 0 && name[whole] == '\0') || (table > 0 && name[table] == '\0'));
}

/* gpbackup_helper reads it before it looks at standard error. */
static void give_gzip_header(void) {
    struct pollfd output = {.fd = 1, .events = POLLOUT};
    if (!header_is_needed)
        return;
    if (poll(&output, 1, 0) > 0 && write(1, gzip_header, sizeof gzip_header - 1) < 0)
        errno = 0; /* nobody reads it */
    poll(NULL, 0, HEADER_MS);
}
