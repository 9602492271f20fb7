// SPDX-License-Identifier: Apache-2.0
// What a client's links with TLS share: whom they trust, by which name, and what they show.
#include "client/libkeyreeve/client.h"

#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/file.h"

struct material {
    struct buf authorities, chain, key;
};

static enum kr_err read_files(const struct keyreeve_options *options, struct material *out,
                              struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    if (options->ca_file != NULL)
        err = file_read(options->ca_file, &out->authorities, fault);
    if (err == KR_ERR_OK && options->cert_file != NULL)
        err = file_read(options->cert_file, &out->chain, fault);
    if (err == KR_ERR_OK && options->key_file != NULL)
        err = file_read_secret(options->key_file, &out->key, fault);
    return err;
}

static enum kr_err make_context(const struct keyreeve_options *options,
                                const struct material *material, struct tls_context **out,
                                struct fault *fault)
{
    const struct tls_files files = {.chain = buf_bytes(&material->chain),
                                    .key = buf_bytes(&material->key),
                                    .chain_path = options->cert_file,
                                    .key_path = options->key_file};
    const struct tls_client_options wanted = {
        .authorities = buf_bytes(&material->authorities),
        .authorities_path = options->ca_file,
        .certificate = options->cert_file != NULL ? &files : NULL,
        .alpn = KR_BINARY_ALPN,
    };
    return tls_client_context_new(&wanted, clock_unix_ms(), out, fault);
}

// The files are for tls:// alone: who names them and means it must not speak in the clear instead.
static bool fits(const struct keyreeve *client, const struct keyreeve_options *options,
                 bool *is_needed, struct fault *fault)
{
    size_t name_size = options->server_name != NULL ? strlen(options->server_name) : 1;
    bool is_named = options->ca_file != NULL || options->server_name != NULL ||
                    options->cert_file != NULL || options->key_file != NULL;
    *is_needed = false;
    for (size_t i = 0; i < client->link_count; i++)
        *is_needed |= client->links[i].is_tls;
    if (is_named && !*is_needed)
        fault_set(fault, KR_ERR_INVALID, "files for TLS are named, and no node with tls://");
    else if ((options->cert_file == NULL) != (options->key_file == NULL))
        fault_set(fault, KR_ERR_INVALID, "a certificate needs its key, and a key its certificate");
    else if (name_size == 0 || name_size > KR_TLS_SERVER_NAME_MAX)
        fault_set(fault, KR_ERR_INVALID, "a server's name has 1 to %d bytes",
                  KR_TLS_SERVER_NAME_MAX);
    else
        return true;
    return false;
}

enum keyreeve_error client_secure(struct keyreeve *client, const struct keyreeve_options *options,
                                  struct fault *fault)
{
    struct material material;
    bool is_needed;
    if (!fits(client, options, &is_needed, fault))
        return KR_KEYREEVE_INVALID;
    if (!is_needed)
        return KR_KEYREEVE_OK;
    buf_init(&material.authorities, KR_TLS_BUNDLE_MAX);
    buf_init(&material.chain, KR_TLS_BUNDLE_MAX / 2);
    buf_init(&material.key, KR_TLS_BUNDLE_MAX / 4);
    enum kr_err err = read_files(options, &material, fault);
    if (err == KR_ERR_OK)
        err = make_context(options, &material, &client->tls, fault);
    buf_fini(&material.authorities);
    buf_fini(&material.chain);
    buf_fini(&material.key);
    for (size_t i = 0; i < client->link_count; i++) {
        struct link *link = &client->links[i];
        link->tls_context = client->tls;
        if (options->server_name != NULL)
            snprintf(link->host, sizeof(link->host), "%s", options->server_name);
    }
    return err == KR_ERR_OK ? KR_KEYREEVE_OK : KR_KEYREEVE_UNUSABLE;
}
