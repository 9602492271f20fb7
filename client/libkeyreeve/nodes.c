// SPDX-License-Identifier: Apache-2.0
// The list of nodes → addresses, several of a name that has them.
#include "client/libkeyreeve/client.h"

#include <netdb.h>
#include <stdio.h>
#include <sys/un.h>

static enum keyreeve_error refuse(const struct link *link, struct fault *fault)
{
    fault_set(fault, KR_ERR_INVALID,
              "\"%s\" is no node; write HOST:PORT, tls://HOST:PORT or unix:/PATH", link->name);
    return KR_KEYREEVE_INVALID;
}

static enum keyreeve_error resolve_unix(const char *path, struct link *link, struct fault *fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof(address.sun_path))
        return refuse(link, fault);
    memcpy(address.sun_path, path, size + 1);
    link_add_address(link, &address, sizeof(address));
    return KR_KEYREEVE_OK;
}

// "HOST:PORT", "[::1]:PORT".
static enum keyreeve_error resolve_tcp(const char *text, struct link *link, struct fault *fault)
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || colon[1] == '\0')
        return refuse(link, fault);
    bool has_brackets = text[0] == '[' && colon[-1] == ']';
    size_t size = (size_t)(colon - text) - (has_brackets ? 2 : 0);
    if (size == 0)
        return refuse(link, fault);
    memcpy(link->host, text + has_brackets, size);
    link->host[size] = '\0';
    int status = getaddrinfo(link->host, colon + 1, &wanted, &found);
    if (status != 0) {
        fault_set(fault, KR_ERR_NOT_FOUND, "%s: %s", link->name, gai_strerror(status));
        return KR_KEYREEVE_UNKNOWN;
    }
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
        link_add_address(link, at->ai_addr, at->ai_addrlen);
    freeaddrinfo(found);
    return KR_KEYREEVE_OK;
}

static enum keyreeve_error resolve(const char *text, size_t size, struct link *link,
                                   struct fault *fault)
{
    snprintf(link->name, sizeof(link->name), "%.*s", (int)(size < 512 ? size : 512), text);
    if (size == 0 || size >= sizeof(link->name))
        return refuse(link, fault);
    link->is_tls = strncmp(link->name, "tls://", 6) == 0;
    if (strncmp(link->name, "unix:", 5) == 0)
        return resolve_unix(link->name + 5, link, fault);
    return resolve_tcp(link->name + (link->is_tls ? 6 : 0), link, fault);
}

enum keyreeve_error client_resolve(struct keyreeve *client, const char *nodes, struct fault *fault)
{
    enum keyreeve_error error = KR_KEYREEVE_OK;
    for (const char *at = nodes; error == KR_KEYREEVE_OK; at++) {
        size_t size = strcspn(at, ",");
        if (client->link_count == KR_KEYREEVE_NODES_MAX) {
            fault_set(fault, KR_ERR_INVALID, "more than %d nodes are named", KR_KEYREEVE_NODES_MAX);
            return KR_KEYREEVE_INVALID;
        }
        error = resolve(at, size, &client->links[client->link_count++], fault);
        at += size;
        if (*at == '\0')
            break;
    }
    return error;
}
