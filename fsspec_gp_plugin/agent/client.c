/* Hands a call to the warm process of this host, the agent, and ends as the call did.
 *
 * gpbackup starts a process per table: this one costs next to nothing. What the agent can't or won't take runs alone,
 * by the launcher that lies beside this executable, with all that the caller gave us as it was. */
#define _GNU_SOURCE
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifndef ANSWER_MS
#define ANSWER_MS 2000    /* from connect() until the call is taken */
#define SILENCE_MS 120000 /* a sign of life comes every 20 s */
#define LAST_MS 1800      /* within two seconds of a signal the process has ended */
#endif

#include "gzip_header.h"
#include "request.h"

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (long long)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Looks at least once: the moment may have passed while the process was stopped. */
static int wait_until(long long moment, struct pollfd *polled, nfds_t count) {
    for (;;) {
        long long left = moment - now();
        int ready = poll(polled, count, left > 0 ? (int)left : 0);
        if (ready >= 0 || errno != EINTR)
            return ready;
    }
}

static bool is_ready(int fd, short events, long long until) {
    return wait_until(until, &(struct pollfd){.fd = fd, .events = events}, 1) > 0;
}

static bool is_for_agent(int argc, char **argv) {
    static const char *const commands[] = {
        "backup_data", "restore_data", "restore_data_subset", "backup_file", "restore_file", "setup_plugin_for_backup",
        "cleanup_plugin_for_backup", "setup_plugin_for_restore", "cleanup_plugin_for_restore"};
    bool found = false;
    for (size_t i = 0; argc > 3 && i < sizeof commands / sizeof *commands; i++)
        found = found || strcmp(argv[1], commands[i]) == 0;
    for (int i = 2; i < argc; i++)
        found = found && strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0;
    struct stat status;
    /* A closed one can't be handed over, and ours would take its number; to a directory the launcher says no. */
    for (int fd = 0; fd < 3; fd++)
        found = found && fstat(fd, &status) == 0 && !S_ISDIR(status.st_mode);
    return found;
}

/* A connection to an agent of our own user, or -1. What is left open here is closed by exec(). */
static int connected(const struct stat *bin, long long until) {
    char path[PATH_MAX];
    const char *home = getenv("HOME");
    struct stat status;
    struct utsname host;
    if (home == NULL || *home != '/' || uname(&host) != 0 ||
        snprintf(path, sizeof path, "%s/.fsspec_gp_plugin/agent", home) >= (int)sizeof path)
        return -1;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0 || fstat(folder, &status) != 0 || status.st_uid != geteuid() || (status.st_mode & 077) != 0)
        return -1;
    /* By way of the open directory, which nobody can exchange and whose path is short. */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%.32s-%llx-%llx", folder, host.nodename,
             (unsigned long long)bin->st_dev, (unsigned long long)bin->st_ino);
    /* poll() can't wait for room in the queue of an agent that many call at once. */
    struct timeval patience = {.tv_sec = ANSWER_MS / 1000, .tv_usec = ANSWER_MS % 1000 * 1000};
    struct ucred peer;
    socklen_t size = sizeof peer;
    int agent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (agent < 0 || setsockopt(agent, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0)
        return -1;
    while (connect(agent, (struct sockaddr *)&address, sizeof address) != 0)
        if (errno != EINTR || now() >= until)
            return -1;
    if (getsockopt(agent, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != geteuid())
        return -1;
    return agent;
}

static bool is_taken(int agent, long long until) {
    char answer = 0;
    for (size_t sent = 0; sent < used;) {
        ssize_t size = send(agent, request + sent, used - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size >= 0)
            sent += (size_t)size;
        else if (errno != EINTR && (errno != EAGAIN || !is_ready(agent, POLLOUT, until)))
            return false;
    }
    return is_ready(agent, POLLIN, until) && recv(agent, &answer, 1, MSG_DONTWAIT) == 1 && answer == 'T';
}

/* The token comes with them: who reads it, the agent or we, runs the call, and nobody else does. */
static bool is_handed_over(int agent, int token, long long until) {
    const int fds[] = {0, 1, 2, token};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fds)] = {0};
    struct iovec go = {.iov_base = (char[]){'G'}, .iov_len = 1};
    struct msghdr message = {.msg_iov = &go, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    *rights = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fds)};
    memcpy(CMSG_DATA(rights), fds, sizeof fds);
    return is_ready(agent, POLLOUT, until) && sendmsg(agent, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

/* The database's server passes its files on; those of a dropped table would keep their space while we wait. */
static void close_inherited(int agent, int signals, int token) {
    DIR *listing = opendir("/proc/self/fd");
    for (struct dirent *each; listing != NULL && (each = readdir(listing)) != NULL;) {
        int fd = atoi(each->d_name);
        if (fd > 2 && fd != agent && fd != signals && fd != token && fd != dirfd(listing))
            close(fd);
    }
    if (listing != NULL)
        closedir(listing);
}

static int failed(const char *what, const char *whom, const char *reason) {
    signal(SIGPIPE, SIG_IGN); /* that nobody reads it must not change the exit status */
    give_gzip_header();
    if (is_ready(2, POLLOUT, now() + 200))
        dprintf(2, "fsspec_gp_plugin: %s%s: %s\n", what, whom, reason);
    return 1;
}

/* Whether the agent can't touch any more what it was given, as it has not begun. */
static bool is_taken_back(int token) {
    uint64_t one;
    return read(token, &one, sizeof one) == sizeof one;
}

/* The exit status of a call that was handed over, or -1: it can run alone. */
static int end_of(const char *command, int agent, int signals, int token) {
    bool is_file = strcmp(command, "backup_file") == 0 || strcmp(command, "restore_file") == 0;
    struct signalfd_siginfo got = {0};
    bool is_last = false;
    for (long long until = now() + SILENCE_MS;;) {
        struct pollfd polled[] = {{agent, POLLIN, 0}, {got.ssi_signo ? -1 : signals, POLLIN, 0}};
        int ready = wait_until(until, polled, 2);
        unsigned char byte = '.';
        bool is_heard = ready > 0 && polled[0].revents != 0;
        bool is_lost = ready <= 0 || (is_heard && (recv(agent, &byte, 1, MSG_DONTWAIT) != 1 ||
                                                   !(is_last || byte == '.' || byte == 'B' || byte == 'E')));
        if (got.ssi_signo && (is_lost || now() > until)) {
            failed("", command, got.ssi_signo == SIGTERM ? "interrupted by SIGTERM" :
                                got.ssi_signo == SIGINT ? "interrupted by SIGINT" : "interrupted by SIGHUP");
            return 128 + (int)got.ssi_signo;
        }
        if (is_lost) {
            /* A file is still whole, whatever became of the call. */
            if (is_taken_back(token) || is_file)
                return -1;
            return failed("", command, ready <= 0 ? "the agent does not answer; run it again" :
                                                    "the agent ended before the command did; run it again");
        }
        if (is_heard) {
            if (is_last)
                return byte;
            is_last = byte == 'E';
            header_is_needed = header_is_needed && byte != 'B';
            until = got.ssi_signo ? until : now() + SILENCE_MS;
        }
        if (polled[1].revents != 0 && read(signals, &got, sizeof got) == sizeof got) {
            until = now() + LAST_MS - (header_is_needed ? HEADER_MS : 0);
            send(agent, (char[]){'I', (char)got.ssi_signo}, 2, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    }
}

/* The exit status of a call that the agent took, or -1: nothing of it was used up, and all is as it was. */
static int status_by_agent(int argc, char **argv, const struct stat *bin) {
    static const int stopping[] = {SIGTERM, SIGINT, SIGHUP};
    sigset_t taken, before;
    long long until = now() + ANSWER_MS;
    int agent = is_put_together(argc, argv) ? connected(bin, until) : -1;
    if (agent < 0 || !is_taken(agent, until))
        return -1;
    sigemptyset(&taken);
    for (size_t i = 0; i < 3; i++) {
        struct sigaction action;
        if (sigaction(stopping[i], NULL, &action) == 0 && (i == 0 || action.sa_handler != SIG_IGN))
            sigaddset(&taken, stopping[i]);
    }
    /* Blocked, even an ignored one is kept for signalfd(). */
    sigprocmask(SIG_BLOCK, &taken, &before);
    int signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    int token = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    int status = -1;
    if (signals >= 0 && token >= 0 && is_handed_over(agent, token, until)) {
        close_inherited(agent, signals, token);
        header_is_needed = needs_gzip_header(argv);
        status = end_of(argv[1], agent, signals, token);
    }
    if (status < 0)
        sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}

int main(int argc, char **argv) {
    char launcher[PATH_MAX + sizeof "fsspec_gp_plugin.sh"] = "/proc/self/exe";
    ssize_t size = readlink("/proc/self/exe", launcher, PATH_MAX);
    if (size > 0) {
        struct stat bin;
        char *name = (char *)memrchr(launcher, '/', (size_t)size) + 1;
        *name = '\0';
        int status = is_for_agent(argc, argv) && stat(launcher, &bin) == 0 ? status_by_agent(argc, argv, &bin) : -1;
        if (status >= 0)
            return status;
        strcpy(name, "fsspec_gp_plugin.sh");
        char **words = calloc((size_t)argc + 3, sizeof *words);
        if (words != NULL) {
            words[0] = launcher;
            words[1] = (char[]){"--without-agent"};
            for (int i = 1; i < argc; i++)
                words[i + 1] = argv[i];
            execv(launcher, words);
        }
    }
    failed("can't run ", launcher, strerror(errno));
    return 2;
}
