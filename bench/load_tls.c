// SPDX-License-Identifier: Apache-2.0
// TLS of the load generator, through core/tls.
#include "bench/load_tls.h"

#include <errno.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/mem.h"

enum { KR_LOAD_TLS_BYTES = 16384 };

enum kr_err load_tls_trust(const struct load_tls_files *files, struct tls_context **out,
                           struct fault *fault)
{
    struct buf ca, cert, key;
    buf_init(&ca, KR_TLS_BUNDLE_MAX);
    buf_init(&cert, KR_TLS_BUNDLE_MAX);
    buf_init(&key, KR_TLS_BUNDLE_MAX);
    enum kr_err err = file_read(files->ca, &ca, fault);
    if (err == KR_ERR_OK && files->cert != NULL)
        err = file_read(files->cert, &cert, fault);
    if (err == KR_ERR_OK && files->cert != NULL)
        err = file_read_secret(files->key, &key, fault);
    const struct tls_files shown = {.chain = buf_bytes(&cert),
                                    .key = buf_bytes(&key),
                                    .chain_path = files->cert,
                                    .key_path = files->key};
    const struct tls_client_options options = {.authorities = buf_bytes(&ca),
                                               .authorities_path = files->ca,
                                               .certificate = files->cert != NULL ? &shown : NULL};
    if (err == KR_ERR_OK)
        err = tls_client_context_new(&options, clock_unix_ms(), out, fault);
    mem_zero(key.data, key.size);
    buf_fini(&key);
    buf_fini(&cert);
    buf_fini(&ca);
    return err;
}

static bool send_waiting(struct tls *tls, int fd)
{
    uint8_t memory[KR_LOAD_TLS_BYTES];
    while (tls_untaken(tls) > 0) {
        struct buf out;
        buf_init_fixed(&out, memory, sizeof(memory));
        size_t size = tls_take(tls, &out);
        if (send(fd, memory, size, MSG_NOSIGNAL) != (ssize_t)size)
            return false;
    }
    return true;
}

struct tls *load_tls_open(const struct load_target *target, int fd)
{
    uint8_t in[KR_LOAD_TLS_BYTES];
    struct tls *tls =
        tls_client_new(target->tls, target->tls_name != NULL ? target->tls_name : "127.0.0.1");
    while (tls_state(tls) == KR_TLS_HANDSHAKE) {
        ssize_t size = send_waiting(tls, fd) ? recv(fd, in, sizeof(in), 0) : -1;
        if (size <= 0 || tls_receive(tls, bytes_of(in, (size_t)size)) != KR_ERR_OK)
            break;
    }
    if (tls_state(tls) == KR_TLS_OPEN && send_waiting(tls, fd))
        return tls;
    tls_free(&tls);
    errno = EPROTO;
    return NULL;
}

bool load_tls_seal(struct tls *tls, struct bytes plain, struct buf *out)
{
    bool is_sealed = tls_write(tls, plain) == KR_ERR_OK;
    tls_take(tls, out);
    out->has_failed |= tls_untaken(tls) > 0;
    return is_sealed;
}
