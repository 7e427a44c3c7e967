/* The whole call but its descriptors: what wire.py reads. */
static char request[8 + 262144];
static size_t used = 8;

static bool add(const char *field) {
    size_t size = strlen(field) + 1;
    if (size > sizeof request - used)
        return false;
    memcpy(request + used, field, size);
    used += size;
    return true;
}

/* Whose files, network and users the caller sees. Where there is no such namespace both sides say so. */
static bool is_place_added(void) {
    static const char *const parts[] = {"/proc/self/ns/mnt", "/proc/self/ns/net", "/proc/self/ns/user", "/"};
    char place[4 * 34 + 1] = "", *end = place;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct stat status = {0};
        stat(parts[i], &status);
        end += sprintf(end, "%llx:%llx ", (unsigned long long)status.st_dev, (unsigned long long)status.st_ino);
    }
    return add(place);
}

static bool is_put_together(int argc, char **argv) {
    char number[24];
    mode_t mask = umask(077); /* there is no other way to ask for it */
    umask(mask);
    snprintf(number, sizeof number, "%o", mask);
    if (!add(VERSION) || !add(number) || getcwd(request + used, sizeof request - used) == NULL)
        return false;
    used += strlen(request + used) + 1;
    snprintf(number, sizeof number, "%d", argc - 1);
    bool fits = is_place_added() && add(number);
    for (int i = 1; fits && i < argc; i++)
        fits = add(argv[i]);
    for (char **each = environ; fits && *each != NULL; each++) /* the server's COPY statement may be of any length */
        fits = strchr(*each, '=') == NULL || strncmp(*each, "GP_QUERY_STRING=", 16) == 0 || add(*each);
    uint32_t size = htole32((uint32_t)(used - 8));
    memcpy(request, "FGP2", 4);
    memcpy(request + 4, &size, 4);
    return fits;
}
