// SPDX-License-Identifier: Apache-2.0
// Listening sockets. Called by the main thread before the loops run.
#include "node/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// What the settings say of each: their names stand in its complaints.
static const struct {
    const char *name, *unix_name, *flag, *example;
    size_t address, path; // in struct config
} places[KR_LISTEN_COUNT] = {
    [KR_LISTEN_HTTP] = {"http", "http_unix", "--http", "127.0.0.1:7400",
                        offsetof(struct config, http), offsetof(struct config, http_unix)},
    [KR_LISTEN_BINARY] = {"binary_listen", "binary_unix", "--binary-listen", "127.0.0.1:7401",
                          offsetof(struct config, binary_listen),
                          offsetof(struct config, binary_unix)},
};

static unsigned bound_ports[KR_LISTEN_COUNT];
static int unix_fds[KR_LISTEN_COUNT] = {-1, -1};

static const char *setting(const struct config *config, size_t offset)
{
    const char *text;
    memcpy(&text, (const uint8_t *)config + offset, sizeof(text));
    return text;
}

static const char *address_of(const struct config *config, enum listen_what what)
{
    return setting(config, places[what].address);
}

static enum kr_err check(const struct config *config, enum listen_what what, char host[64],
                         unsigned *port, struct fault *fault)
{
    const char *address = address_of(config, what);
    if (!config_split_address(address, host, 64, port))
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: \"%s\" is no address; write HOST:PORT, like %s", places[what].name,
                         address, places[what].example);
    if (!config->insecure && !config_is_loopback(host))
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: %s is not a loopback address and this listener has no TLS; bind "
                         "127.0.0.1 behind a TLS proxy, or allow it with --insecure",
                         places[what].name, address);
    return KR_ERR_OK;
}

// HTTP cannot be done without: the node's health and its management are there.
static bool is_wanted(const struct config *config, enum listen_what what)
{
    return what == KR_LISTEN_HTTP || address_of(config, what)[0] != '\0';
}

enum kr_err listen_check(const struct config *config, struct fault *fault)
{
    char host[64];
    unsigned port;
    enum kr_err err = KR_ERR_OK;
    for (enum listen_what what = 0; what < KR_LISTEN_COUNT && err == KR_ERR_OK; what++) {
        if (is_wanted(config, what))
            err = check(config, what, host, &port, fault);
    }
    return err;
}

static socklen_t fill_address(const char *host, unsigned port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)out;
    if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)out;
    if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
        return 0;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    return sizeof(*in6);
}

static void learn_port(int fd, enum listen_what what)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    if (bound_ports[what] != 0 || getsockname(fd, (struct sockaddr *)&name, &size) != 0)
        return;
    bound_ports[what] =
        ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&name)->sin6_port
                                         : ((struct sockaddr_in *)(void *)&name)->sin_port);
}

// SO_REUSEPORT would let a second node of the same user share the port without a word, so the first
// socket of this process is bound without it once, to see whether the port is free.
static enum kr_err probe_port(const struct sockaddr_storage *address, socklen_t size,
                              const char *text, enum listen_what what, struct fault *fault)
{
    int yes = 1;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    int status = bind(fd, (const struct sockaddr *)address, size);
    int number = errno;
    close(fd);
    if (status == 0)
        return KR_ERR_OK;
    if (number == EADDRINUSE)
        return fault_set(fault, KR_ERR_LOCKED,
                         "%s: %s is in use by another process; stop it (ss -ltnp shows which), "
                         "or choose another port with %s",
                         places[what].name, text, places[what].flag);
    return fault_set(fault, KR_ERR_INVALID, "%s: cannot bind %s: %s", places[what].name, text,
                     strerror(number));
}

enum kr_err listen_tcp(const struct config *config, enum listen_what what, int *fd,
                       struct fault *fault)
{
    char host[64];
    unsigned port;
    struct sockaddr_storage address;
    const char *text = address_of(config, what);
    *fd = -1;
    if (!is_wanted(config, what))
        return KR_ERR_OK;
    enum kr_err err = check(config, what, host, &port, fault);
    if (err != KR_ERR_OK)
        return err;
    bool is_first = bound_ports[what] == 0;
    socklen_t size = fill_address(host, is_first ? port : bound_ports[what], &address);
    if (size == 0)
        return fault_set(fault, KR_ERR_INVALID, "%s: \"%s\" is no IP address", places[what].name,
                         host);
    if (is_first)
        err = probe_port(&address, size, text, what, fault);
    if (err != KR_ERR_OK)
        return err;
    int yes = 1;
    *fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    setsockopt(*fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
    if (bind(*fd, (struct sockaddr *)&address, size) != 0) {
        err = fault_set(fault, KR_ERR_LOCKED, "%s: cannot bind %s: %s", places[what].name, text,
                        strerror(errno));
        close(*fd);
        *fd = -1;
        return err;
    }
    learn_port(*fd, what);
    return KR_ERR_OK;
}

const char *listen_tcp_address(const struct config *config, enum listen_what what)
{
    static char text[128];
    char host[64];
    unsigned port;
    text[0] = '\0';
    if (bound_ports[what] != 0 &&
        config_split_address(address_of(config, what), host, sizeof(host), &port))
        snprintf(text, sizeof(text), strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host,
                 bound_ports[what]);
    return text;
}

// --- the unix socket -----------------------------------------------------------------------------

static bool answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_alive = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    close(fd);
    return is_alive;
}

static enum kr_err open_unix(const char *path, enum listen_what what, struct fault *fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat found;
    const char *name = places[what].unix_name;
    if (strlen(path) >= sizeof(address.sun_path))
        return fault_set(fault, KR_ERR_INVALID, "%s: the path is longer than %zu bytes", name,
                         sizeof(address.sun_path) - 1);
    strcpy(address.sun_path, path);
    if (lstat(path, &found) == 0) {
        if (!S_ISSOCK(found.st_mode))
            return fault_set(fault, KR_ERR_INVALID, "%s: %s exists and is no socket", name, path);
        if (answers(&address))
            return fault_set(fault, KR_ERR_LOCKED,
                             "%s: another process serves %s; stop it or choose another path", name,
                             path);
        unlink(path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0117);
    int status = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (status == 0) {
        unix_fds[what] = fd;
        return KR_ERR_OK;
    }
    fault_set(fault, KR_ERR_INVALID, "%s: cannot bind %s: %s", name, path, strerror(errno));
    close(fd);
    return KR_ERR_INVALID;
}

enum kr_err listen_unix(const struct config *config, enum listen_what what, int *fd,
                        struct fault *fault)
{
    const char *path = setting(config, places[what].path);
    *fd = -1;
    if (path[0] == '\0')
        return KR_ERR_OK;
    enum kr_err err = unix_fds[what] >= 0 ? KR_ERR_OK : open_unix(path, what, fault);
    if (err == KR_ERR_OK)
        *fd = fcntl(unix_fds[what], F_DUPFD_CLOEXEC, 0);
    return err;
}

void listen_unix_end(const struct config *config)
{
    for (enum listen_what what = 0; what < KR_LISTEN_COUNT; what++) {
        if (unix_fds[what] < 0)
            continue;
        close(unix_fds[what]);
        unix_fds[what] = -1;
        unlink(setting(config, places[what].path));
    }
}
