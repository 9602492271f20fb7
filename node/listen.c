// SPDX-License-Identifier: Apache-2.0
// Listening sockets. Called by the main thread before the loops run.
#include "node/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static unsigned bound_port;
static int unix_fd = -1;

enum kr_err listen_check(const struct config *config, struct fault *fault)
{
    char host[64];
    unsigned port;
    if (!config_split_address(config->http, host, sizeof(host), &port))
        return fault_set(fault, KR_ERR_INVALID,
                         "http: \"%s\" is no address; write HOST:PORT, like 127.0.0.1:7400",
                         config->http);
    if (!config->insecure && !config_is_loopback(host))
        return fault_set(fault, KR_ERR_INVALID,
                         "http: %s is not a loopback address and this listener has no TLS; bind "
                         "127.0.0.1 behind a TLS proxy, or allow it with --insecure",
                         config->http);
    return KR_ERR_OK;
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

static void learn_port(int fd)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    if (bound_port != 0 || getsockname(fd, (struct sockaddr *)&name, &size) != 0)
        return;
    bound_port =
        ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&name)->sin6_port
                                         : ((struct sockaddr_in *)(void *)&name)->sin_port);
}

// SO_REUSEPORT would let a second node of the same user share the port without a word, so the first
// socket of this process is bound without it once, to see whether the port is free.
static enum kr_err probe_port(const struct sockaddr_storage *address, socklen_t size,
                              const struct config *config, struct fault *fault)
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
                         "http: %s is in use by another process; stop it (ss -ltnp shows which), "
                         "or choose another port with --http",
                         config->http);
    return fault_set(fault, KR_ERR_INVALID, "http: cannot bind %s: %s", config->http,
                     strerror(number));
}

enum kr_err listen_tcp(const struct config *config, int *fd, struct fault *fault)
{
    char host[64];
    unsigned port;
    struct sockaddr_storage address;
    enum kr_err err = listen_check(config, fault);
    if (err != KR_ERR_OK)
        return err;
    config_split_address(config->http, host, sizeof(host), &port);
    socklen_t size = fill_address(host, bound_port != 0 ? bound_port : port, &address);
    if (size == 0)
        return fault_set(fault, KR_ERR_INVALID, "http: \"%s\" is no IP address", host);
    if (bound_port == 0)
        err = probe_port(&address, size, config, fault);
    if (err != KR_ERR_OK)
        return err;
    int yes = 1;
    *fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    setsockopt(*fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
    if (bind(*fd, (struct sockaddr *)&address, size) != 0) {
        err = fault_set(fault, KR_ERR_LOCKED, "http: cannot bind %s: %s", config->http,
                        strerror(errno));
        close(*fd);
        *fd = -1;
        return err;
    }
    learn_port(*fd);
    return KR_ERR_OK;
}

unsigned listen_tcp_port(void)
{
    return bound_port;
}

// --- the unix socket -----------------------------------------------------------------------------

static bool answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_alive = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    close(fd);
    return is_alive;
}

static enum kr_err open_unix(const char *path, struct fault *fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat found;
    if (strlen(path) >= sizeof(address.sun_path))
        return fault_set(fault, KR_ERR_INVALID, "http_unix: the path is longer than %zu bytes",
                         sizeof(address.sun_path) - 1);
    strcpy(address.sun_path, path);
    if (lstat(path, &found) == 0) {
        if (!S_ISSOCK(found.st_mode))
            return fault_set(fault, KR_ERR_INVALID, "http_unix: %s exists and is no socket", path);
        if (answers(&address))
            return fault_set(fault, KR_ERR_LOCKED,
                             "http_unix: another process serves %s; stop it or choose another path",
                             path);
        unlink(path);
    }
    unix_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0117);
    int status = bind(unix_fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (status == 0)
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_INVALID, "http_unix: cannot bind %s: %s", path, strerror(errno));
}

enum kr_err listen_unix(const struct config *config, int *fd, struct fault *fault)
{
    *fd = -1;
    if (config->http_unix[0] == '\0')
        return KR_ERR_OK;
    enum kr_err err = unix_fd >= 0 ? KR_ERR_OK : open_unix(config->http_unix, fault);
    if (err == KR_ERR_OK)
        *fd = fcntl(unix_fd, F_DUPFD_CLOEXEC, 0);
    return err;
}

void listen_unix_end(const struct config *config)
{
    if (unix_fd < 0)
        return;
    close(unix_fd);
    unix_fd = -1;
    unlink(config->http_unix);
}
