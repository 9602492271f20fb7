// SPDX-License-Identifier: Apache-2.0
// The list of nodes → addresses.
#include "client/libkeyreeve/client.h"

#include <netdb.h>
#include <stdio.h>
#include <sys/un.h>

static enum keyreeve_error resolve_unix(const char *path, struct link *link)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof(address.sun_path))
        return KR_KEYREEVE_INVALID;
    memcpy(address.sun_path, path, size + 1);
    memcpy(&link->address, &address, sizeof(address));
    link->address_size = sizeof(address);
    return KR_KEYREEVE_OK;
}

// "HOST:PORT", "[::1]:PORT".
static enum keyreeve_error resolve_tcp(char *text, struct link *link)
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || colon[1] == '\0')
        return KR_KEYREEVE_INVALID;
    *colon = '\0';
    if (text[0] == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        text++;
    }
    if (getaddrinfo(text, colon + 1, &wanted, &found) != 0)
        return KR_KEYREEVE_UNKNOWN;
    memcpy(&link->address, found->ai_addr, found->ai_addrlen);
    link->address_size = found->ai_addrlen;
    freeaddrinfo(found);
    return KR_KEYREEVE_OK;
}

static enum keyreeve_error resolve(const char *text, size_t size, struct link *link)
{
    char copy[300];
    if (size == 0 || size >= sizeof(copy))
        return KR_KEYREEVE_INVALID;
    memcpy(copy, text, size);
    copy[size] = '\0';
    return strncmp(copy, "unix:", 5) == 0 ? resolve_unix(copy + 5, link) : resolve_tcp(copy, link);
}

enum keyreeve_error client_resolve(struct keyreeve *client, const char *nodes)
{
    enum keyreeve_error error = KR_KEYREEVE_OK;
    for (const char *at = nodes; error == KR_KEYREEVE_OK; at++) {
        size_t size = strcspn(at, ",");
        if (client->link_count == KR_KEYREEVE_NODES_MAX)
            return KR_KEYREEVE_INVALID;
        error = resolve(at, size, &client->links[client->link_count++]);
        at += size;
        if (*at == '\0')
            break;
    }
    return error;
}
