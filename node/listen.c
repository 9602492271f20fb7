// SPDX-License-Identifier: Apache-2.0
// Listening sockets. Opened by the main thread before the loops run.
#include "node/listen.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/config_row.h"

static unsigned bound_ports[KR_LISTEN_COUNT];
static int unix_fds[KR_LISTEN_COUNT] = {-1, -1, -1, -1, -1};

// --- what there shall be -------------------------------------------------------------------------

static const struct {
    const char *name;
    unsigned serves;
} parts[] = {
    {"all", KR_SERVES_ALL},
    {"validation", KR_SERVES_VALIDATION},
    {"management", KR_SERVES_MANAGEMENT},
    {"metrics", KR_SERVES_METRICS},
};

enum { KR_LISTEN_PARTS = sizeof(parts) / sizeof(parts[0]) };

void listen_serves_text(unsigned serves, char *out, size_t size)
{
    out[0] = '\0';
    for (size_t i = 0; i < KR_LISTEN_PARTS; i++) {
        size_t used = strlen(out);
        if ((serves & parts[i].serves) != parts[i].serves)
            continue;
        snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", parts[i].name);
        serves &= ~parts[i].serves;
    }
}

static unsigned part_of(const char *name, size_t size)
{
    for (size_t i = 0; i < KR_LISTEN_PARTS; i++) {
        if (strlen(parts[i].name) == size && memcmp(parts[i].name, name, size) == 0)
            return parts[i].serves;
    }
    return 0;
}

static enum kr_err read_serves(const char *list, unsigned *out, struct fault *fault)
{
    *out = 0;
    for (const char *at = list; *at != '\0'; at += strspn(at, ", ")) {
        size_t size = strcspn(at, ", ");
        unsigned part = part_of(at, size);
        if (part == 0)
            return fault_set(
                fault, KR_ERR_INVALID,
                "http_serves: \"%.*s\" is none of all, validation, management, metrics",
                (int)(size > 32 ? 32 : size), at);
        *out |= part;
        at += size;
    }
    if (*out == 0)
        return fault_set(fault, KR_ERR_INVALID,
                         "http_serves: nothing is named; write all, or some of validation, "
                         "management, metrics");
    return KR_ERR_OK;
}

static bool take_scheme(struct listen_plan *plan, const char *scheme)
{
    size_t size = strlen(scheme);
    if (strncmp(plan->address, scheme, size) != 0 || strncmp(plan->address + size, "://", 3) != 0)
        return false;
    plan->address += size + 3;
    return true;
}

// "https://HOST:PORT", "http://HOST:PORT" (of the binary protocol "tls://…", "tcp://…"), or
// HOST:PORT, which has TLS where there is a certificate.
static enum kr_err read_scheme(const struct config *config, struct listen_plan *plan,
                               enum listen_number number, struct fault *fault)
{
    const char *sealed = number == KR_LISTEN_BINARY ? "tls" : "https";
    const char *clear = number == KR_LISTEN_BINARY ? "tcp" : "http";
    bool has_certificate = config->tls_cert[0] != '\0';
    plan->is_tls = has_certificate;
    if (take_scheme(plan, clear))
        plan->is_tls = false;
    else if (take_scheme(plan, sealed))
        plan->is_tls = true;
    if (plan->is_tls && !has_certificate)
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: %s needs a certificate; name its file with tls_cert and its key's "
                         "with tls_key",
                         plan->setting, sealed);
    return KR_ERR_OK;
}

// 0: the host is no IP address.
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

static enum kr_err check_plan(const struct config *config, const struct listen_plan *plan,
                              struct fault *fault)
{
    char host[64];
    unsigned port;
    struct sockaddr_storage address;
    if (!config_split_address(plan->address, host, sizeof(host), &port))
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: \"%s\" is no address; write HOST:PORT, like 127.0.0.1:7400",
                         plan->setting, plan->address);
    if (fill_address(host, port, &address) == 0)
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: %s has no IP address; write one, like 127.0.0.1:7400", plan->setting,
                         plan->address);
    if (!plan->is_tls && !config->insecure && !config_is_loopback(host))
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: %s is not a loopback address and this listener has no TLS; name a "
                         "certificate with tls_cert and tls_key, bind 127.0.0.1 behind a TLS "
                         "proxy, or allow it with --insecure",
                         plan->setting, plan->address);
    return KR_ERR_OK;
}

// The listeners that want a certificate of every client, by their settings' names.
static enum kr_err read_required(const struct config *config, struct listen_plan *plans,
                                 struct fault *fault)
{
    for (const char *at = config->tls_client_required; *at != '\0'; at += strspn(at, ", ")) {
        size_t size = strcspn(at, ", ");
        struct listen_plan *plan = NULL;
        for (size_t i = 0; i < KR_LISTEN_COUNT; i++)
            if (bytes_equal_text(bytes_of(at, size), plans[i].setting))
                plan = &plans[i];
        if (plan == NULL || plan->address[0] == '\0' || !plan->is_tls)
            return fault_set(fault, KR_ERR_INVALID,
                             "tls_client_required: \"%.*s\" is no listener with TLS; name those "
                             "that are configured, like http_validation",
                             (int)(size > 32 ? 32 : size), at);
        if (config->tls_client_ca[0] == '\0')
            return fault_set(fault, KR_ERR_INVALID,
                             "tls_client_required: no certificate could be verified; name the CA's "
                             "with tls_client_ca");
        plan->needs_client = true;
        at += size;
    }
    return KR_ERR_OK;
}

// Port 0 is another one for each.
static enum kr_err check_distinct(const struct listen_plan *plans, struct fault *fault)
{
    char host[64];
    unsigned port;
    for (size_t i = 1; i < KR_LISTEN_COUNT; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(plans[i].address, plans[j].address) == 0 &&
                config_split_address(plans[i].address, host, sizeof(host), &port) && port != 0)
                return fault_set(fault, KR_ERR_INVALID,
                                 "%s: %s is the address of %s; choose another port",
                                 plans[i].setting, plans[i].address, plans[j].setting);
    return KR_ERR_OK;
}

static void fill_plans(const struct config *config, unsigned serves,
                       struct listen_plan out[KR_LISTEN_COUNT])
{
    const struct listen_plan plans[KR_LISTEN_COUNT] = {
        [KR_LISTEN_HTTP] = {.setting = "http",
                            .address = config->http,
                            .serves = serves,
                            .unix_setting = "http_unix",
                            .unix_path = config->http_unix},
        [KR_LISTEN_VALIDATION] = {.setting = "http_validation",
                                  .address = config->http_validation,
                                  .serves = KR_SERVES_VALIDATION,
                                  .unix_path = ""},
        [KR_LISTEN_MANAGEMENT] = {.setting = "http_management",
                                  .address = config->http_management,
                                  .serves = KR_SERVES_MANAGEMENT,
                                  .unix_path = ""},
        [KR_LISTEN_METRICS] = {.setting = "http_metrics",
                               .address = config->http_metrics,
                               .serves = KR_SERVES_METRICS,
                               .unix_path = ""},
        [KR_LISTEN_BINARY] = {.setting = "binary_listen",
                              .address = config->binary_listen,
                              .serves = KR_SERVES_VALIDATION,
                              .unix_setting = "binary_unix",
                              .unix_path = config->binary_unix},
    };
    memcpy(out, plans, sizeof(plans));
}

enum kr_err listen_plan(const struct config *config, struct listen_plan out[KR_LISTEN_COUNT],
                        struct fault *fault)
{
    unsigned serves = 0;
    enum kr_err err = read_serves(config->http_serves, &serves, fault);
    fill_plans(config, serves, out);
    // HTTP cannot be done without: the node's health and its management are there.
    for (enum listen_number i = 0; i < KR_LISTEN_COUNT && err == KR_ERR_OK; i++) {
        bool is_wanted = out[i].address[0] != '\0' || i == KR_LISTEN_HTTP;
        if (is_wanted)
            err = read_scheme(config, &out[i], i, fault);
        if (is_wanted && err == KR_ERR_OK)
            err = check_plan(config, &out[i], fault);
    }
    if (err == KR_ERR_OK)
        err = check_distinct(out, fault);
    return err == KR_ERR_OK ? read_required(config, out, fault) : err;
}

// --- TCP -----------------------------------------------------------------------------------------

static void learn_port(enum listen_number number, int fd)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    if (bound_ports[number] != 0 || getsockname(fd, (struct sockaddr *)&name, &size) != 0)
        return;
    bound_ports[number] =
        ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&name)->sin6_port
                                         : ((struct sockaddr_in *)(void *)&name)->sin_port);
}

// SO_REUSEPORT would let a second node of the same user share the port without a word, so the first
// socket of this process is bound without it once, to see whether the port is free.
static enum kr_err probe_port(const struct sockaddr_storage *address, socklen_t size,
                              const struct listen_plan *plan, struct fault *fault)
{
    int yes = 1;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    int status = bind(fd, (const struct sockaddr *)address, size);
    int number = errno;
    close(fd);
    if (status == 0)
        return KR_ERR_OK;
    char flag[KR_CONFIG_NAME_SIZE];
    config_dashes(plan->setting, flag);
    if (number == EADDRINUSE)
        return fault_set(fault, KR_ERR_LOCKED,
                         "%s: %s is in use by another process; stop it (ss -ltnp shows which), "
                         "or choose another port with --%s",
                         plan->setting, plan->address, flag);
    return fault_set(fault, KR_ERR_INVALID, "%s: cannot bind %s: %s", plan->setting, plan->address,
                     strerror(number));
}

enum kr_err listen_tcp(const struct listen_plan *plan, enum listen_number number, int *fd,
                       struct fault *fault)
{
    char host[64];
    unsigned port = 0;
    struct sockaddr_storage address;
    enum kr_err err = KR_ERR_OK;
    bool is_address = config_split_address(plan->address, host, sizeof(host), &port);
    assert(is_address);
    if (bound_ports[number] != 0)
        port = bound_ports[number];
    socklen_t size = fill_address(host, port, &address);
    assert(size > 0);
    if (bound_ports[number] == 0)
        err = probe_port(&address, size, plan, fault);
    if (err != KR_ERR_OK)
        return err;
    int yes = 1;
    *fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    setsockopt(*fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
    if (bind(*fd, (struct sockaddr *)&address, size) != 0) {
        err = fault_set(fault, KR_ERR_LOCKED, "%s: cannot bind %s: %s", plan->setting,
                        plan->address, strerror(errno));
        close(*fd);
        *fd = -1;
        return err;
    }
    learn_port(number, *fd);
    return KR_ERR_OK;
}

void listen_tcp_address(const struct listen_plan *plan, enum listen_number number, char *out,
                        size_t size)
{
    char host[64];
    unsigned port;
    out[0] = '\0';
    if (bound_ports[number] != 0 && config_split_address(plan->address, host, sizeof(host), &port))
        snprintf(out, size, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host,
                 bound_ports[number]);
}

// --- the unix socket -----------------------------------------------------------------------------

static bool answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_alive = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    close(fd);
    return is_alive;
}

// A path that is free, or has a socket that nobody serves.
static enum kr_err look_at_path(const struct listen_plan *plan, struct sockaddr_un *address,
                                struct fault *fault)
{
    struct stat found;
    const char *name = plan->unix_setting, *path = plan->unix_path;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address->sun_path))
        return fault_set(fault, KR_ERR_INVALID, "%s: the path is longer than %zu bytes", name,
                         sizeof(address->sun_path) - 1);
    strcpy(address->sun_path, path);
    if (lstat(path, &found) != 0)
        return KR_ERR_OK;
    if (!S_ISSOCK(found.st_mode))
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: %s exists and is no socket; remove it or choose another path", name,
                         path);
    if (answers(address))
        return fault_set(fault, KR_ERR_LOCKED,
                         "%s: another process serves %s; stop it or choose another path", name,
                         path);
    return KR_ERR_OK;
}

static enum kr_err open_unix(const struct listen_plan *plan, enum listen_number number,
                             struct fault *fault)
{
    struct sockaddr_un address;
    const char *name = plan->unix_setting, *path = plan->unix_path;
    enum kr_err err = look_at_path(plan, &address, fault);
    if (err != KR_ERR_OK)
        return err;
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0117);
    int status = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (status == 0) {
        unix_fds[number] = fd;
        return KR_ERR_OK;
    }
    fault_set(fault, KR_ERR_INVALID, "%s: cannot bind %s: %s", name, path, strerror(errno));
    close(fd);
    return KR_ERR_INVALID;
}

enum kr_err listen_unix(const struct listen_plan *plan, enum listen_number number, int *fd,
                        struct fault *fault)
{
    *fd = -1;
    if (plan->unix_path[0] == '\0')
        return KR_ERR_OK;
    enum kr_err err = unix_fds[number] >= 0 ? KR_ERR_OK : open_unix(plan, number, fault);
    if (err == KR_ERR_OK)
        *fd = fcntl(unix_fds[number], F_DUPFD_CLOEXEC, 0);
    return err;
}

// --- before anything is opened -------------------------------------------------------------------

static enum kr_err probe(const struct listen_plan *plan, enum listen_number number,
                         struct fault *fault)
{
    char host[64];
    unsigned port;
    struct sockaddr_storage address;
    struct sockaddr_un path;
    enum kr_err err = KR_ERR_OK;
    if (bound_ports[number] == 0 && config_split_address(plan->address, host, sizeof(host), &port))
        err = probe_port(&address, fill_address(host, port, &address), plan, fault);
    if (err == KR_ERR_OK && plan->unix_path[0] != '\0' && unix_fds[number] < 0)
        err = look_at_path(plan, &path, fault);
    return err;
}

enum kr_err listen_probe(const struct config *config, struct fault *fault)
{
    struct listen_plan plans[KR_LISTEN_COUNT];
    enum kr_err err = listen_plan(config, plans, fault);
    for (enum listen_number i = 0; i < KR_LISTEN_COUNT && err == KR_ERR_OK; i++)
        err = probe(&plans[i], i, fault);
    return err;
}

// --- the end -------------------------------------------------------------------------------------

// Who has connected and was not accepted finds the connection closed, and not one that is silent.
static void turn_away(int fd)
{
    int waiting;
    shutdown(fd, SHUT_RD); // of all descriptors of this socket: the loops have theirs
    while ((waiting = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        close(waiting);
}

void listen_unix_end(const struct config *config)
{
    struct listen_plan plans[KR_LISTEN_COUNT];
    fill_plans(config, KR_SERVES_ALL, plans);
    for (size_t i = 0; i < KR_LISTEN_COUNT; i++) {
        if (unix_fds[i] < 0)
            continue;
        unlink(plans[i].unix_path);
        turn_away(unix_fds[i]);
        close(unix_fds[i]);
        unix_fds[i] = -1;
    }
}
