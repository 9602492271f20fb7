// SPDX-License-Identifier: Apache-2.0
// What listeners the settings ask for, and what is wrong about them before anything is opened.
#include "node/listen_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <uv.h>

#include "core/base/mem.h"

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

socklen_t listen_fill_address(const char *host, unsigned port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (uv_ip4_addr(host, (int)port, (struct sockaddr_in *)(void *)out) == 0)
        return sizeof(struct sockaddr_in);
    if (uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)(void *)out) == 0)
        return sizeof(struct sockaddr_in6);
    return 0;
}

static enum kr_err check_address(const struct listen_plan *plan, struct fault *fault)
{
    char host[64];
    unsigned port;
    struct sockaddr_storage address;
    if (!config_split_address(plan->address, host, sizeof(host), &port))
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: \"%.128s\" is no address; write HOST:PORT, like 127.0.0.1:7400",
                         plan->setting, plan->address);
    if (listen_fill_address(host, port, &address) == 0)
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: %s has no IP address; write one, like 127.0.0.1:7400", plan->setting,
                         plan->address);
    return KR_ERR_OK;
}

static enum kr_err check_plan(const struct config *config, const struct listen_plan *plan,
                              struct fault *fault)
{
    char host[64];
    unsigned port;
    enum kr_err err = check_address(plan, fault);
    if (err != KR_ERR_OK || plan->is_tls || config->insecure)
        return err;
    if (config_split_address(plan->address, host, sizeof(host), &port) && config_is_loopback(host))
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_INVALID,
                     "%s: %s is not a loopback address and this listener has no TLS; name a "
                     "certificate with tls_cert and tls_key, bind 127.0.0.1 behind a TLS proxy, or "
                     "allow it with --insecure",
                     plan->setting, plan->address);
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

static bool is_any(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
    return address->ss_family == AF_INET ? in->sin_addr.s_addr == htonl(INADDR_ANY)
                                         : IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

// Could not both be bound? The address of every IPv6 address is that of every IPv4 address, too.
// Port 0 is another one for each.
static bool do_clash(const char *one, const char *other)
{
    char host[2][64];
    unsigned port[2];
    struct sockaddr_storage address[2];
    if (!config_split_address(one, host[0], sizeof(host[0]), &port[0]) ||
        !config_split_address(other, host[1], sizeof(host[1]), &port[1]) || port[0] == 0 ||
        port[0] != port[1])
        return false;
    for (size_t i = 0; i < 2; i++)
        if (listen_fill_address(host[i], port[i], &address[i]) == 0)
            return false;
    bool is_same_family = address[0].ss_family == address[1].ss_family;
    for (size_t i = 0; i < 2; i++)
        if (is_any(&address[i]) && (is_same_family || address[i].ss_family == AF_INET6))
            return true;
    return is_same_family && memcmp(&address[0], &address[1], sizeof(address[0])) == 0;
}

static enum kr_err check_clash(const struct listen_plan *plan, const struct listen_plan *other,
                               struct fault *fault)
{
    if (!do_clash(plan->address, other->address))
        return KR_ERR_OK;
    if (strcmp(plan->address, other->address) == 0)
        return fault_set(fault, KR_ERR_INVALID, "%s: %s is the address of %s; choose another port",
                         plan->setting, plan->address, other->setting);
    return fault_set(fault, KR_ERR_INVALID,
                     "%s: %s cannot be bound beside %s, which is %s; choose another port",
                     plan->setting, plan->address, other->setting, other->address);
}

static enum kr_err check_distinct(const struct listen_plan *plans, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 1; i < KR_LISTEN_COUNT && err == KR_ERR_OK; i++)
        for (size_t j = 0; j < i && err == KR_ERR_OK; j++)
            err = check_clash(&plans[i], &plans[j], fault);
    return err;
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

// --- what is wrong about it in any case ----------------------------------------------------------

enum kr_err listen_check_path(const struct listen_plan *plan, struct fault *fault)
{
    struct stat found;
    const char *name = plan->unix_setting, *path = plan->unix_path;
    size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    if (strlen(path) > most)
        return fault_set(fault, KR_ERR_INVALID, "%s: the path is longer than %zu bytes", name,
                         most);
    if (lstat(path, &found) == 0 && !S_ISSOCK(found.st_mode))
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: %s exists and is no socket; remove it or choose another path", name,
                         path);
    return KR_ERR_OK;
}

enum kr_err listen_check_directory(const struct listen_plan *plan, bool must_exist,
                                   struct fault *fault)
{
    struct stat found;
    const char *slash = strrchr(plan->unix_path, '/');
    if (slash == NULL || slash == plan->unix_path)
        return KR_ERR_OK;
    int size = (int)(slash - plan->unix_path);
    char *directory = mem_text(plan->unix_path);
    directory[size] = '\0';
    int number = stat(directory, &found) == 0 ? 0 : errno;
    mem_free(directory);
    if (number == ENOTDIR || (number == 0 && !S_ISDIR(found.st_mode)))
        return fault_set(fault, KR_ERR_INVALID, "%s: %.*s is no directory; choose another path",
                         plan->unix_setting, size, plan->unix_path);
    if (number == 0 || !must_exist)
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_INVALID,
                     "%s: the directory %.*s cannot be used (%s); make it, or choose another path",
                     plan->unix_setting, size, plan->unix_path, strerror(number));
}

static enum kr_err check_unix(const struct listen_plan *plans, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < KR_LISTEN_COUNT && err == KR_ERR_OK; i++) {
        if (plans[i].unix_path[0] == '\0')
            continue;
        err = listen_check_path(&plans[i], fault);
        if (err == KR_ERR_OK)
            err = listen_check_directory(&plans[i], false, fault);
        for (size_t j = 0; j < i && err == KR_ERR_OK; j++)
            if (strcmp(plans[i].unix_path, plans[j].unix_path) == 0)
                err = fault_set(fault, KR_ERR_INVALID, "%s: %s is the path of %s; choose another",
                                plans[i].unix_setting, plans[i].unix_path, plans[j].unix_setting);
    }
    return err;
}

struct listen_plan listen_peer_plan(const struct config *config)
{
    bool has_peers = config->peer_bundle[0] != '\0';
    return (struct listen_plan){.setting = "peer_listen",
                                .address = has_peers ? config->peer_listen : "",
                                .is_tls = true,
                                .unix_path = ""};
}

// What other nodes are told must lead them here: every address, or port 0, leads nowhere.
static enum kr_err check_peer(const struct config *config, const struct listen_plan *plans,
                              struct fault *fault)
{
    char host[64];
    unsigned port;
    struct sockaddr_storage address;
    const struct listen_plan plan = listen_peer_plan(config);
    if (config->peer_bundle[0] == '\0')
        return KR_ERR_OK;
    enum kr_err err = check_address(&plan, fault);
    for (size_t i = 0; i < KR_LISTEN_COUNT && err == KR_ERR_OK; i++)
        err = check_clash(&plan, &plans[i], fault);
    if (err != KR_ERR_OK || config->peer_advertise[0] != '\0' ||
        !config_split_address(plan.address, host, sizeof(host), &port))
        return err;
    (void)listen_fill_address(host, port, &address);
    if (port != 0 && !is_any(&address))
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_INVALID,
                     "peer_listen: other nodes cannot reach this one at %s; say with "
                     "peer_advertise where they can, like 10.0.0.1:7402",
                     plan.address);
}

enum kr_err listen_check(const struct config *config, struct fault *fault)
{
    struct listen_plan plans[KR_LISTEN_COUNT];
    enum kr_err err = listen_plan(config, plans, fault);
    if (err == KR_ERR_OK)
        err = check_unix(plans, fault);
    return err == KR_ERR_OK ? check_peer(config, plans, fault) : err;
}
