// SPDX-License-Identifier: Apache-2.0
// Management calls over a keep-alive connection.
#include "bench/manage.h"

#include <string.h>

#include "core/base/mem.h"

enum kr_err manage_open(struct manage *manage, const struct site *from, const char *address,
                        uint16_t port, const char *token_file, struct fault *fault)
{
    talk_init(&manage->talk, "the management API", fault);
    enum kr_err err = api_read_token(token_file, manage->token, fault);
    return err == KR_ERR_OK ? talk_open(&manage->talk, from, address, port) : err;
}

void manage_close(struct manage *manage)
{
    talk_close(&manage->talk);
    mem_zero(manage->token, sizeof(manage->token));
}

enum kr_err manage_send(struct manage *manage, const char *method, const char *path,
                        struct bytes body)
{
    struct buf *out = &manage->talk.out;
    buf_printf(out, "%s %s HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer %s\r\n", method, path,
               manage->token);
    if (body.size > 0)
        buf_printf(out, "Content-Type: application/json\r\n");
    buf_printf(out, "Content-Length: %zu\r\n\r\n", body.size);
    buf_add_bytes(out, body);
    return talk_send(&manage->talk);
}

static enum kr_err read_answer(struct manage *manage, unsigned *status, struct bytes *body)
{
    struct bytes in = buf_bytes(&manage->talk.in);
    struct protocol_answer answer;
    size_t used = 0;
    switch (protocol_read(KR_PROTOCOL_CREATE, in, &used, &answer)) {
    case KR_PROTOCOL_MORE:
        return KR_ERR_NOT_FOUND;
    case KR_PROTOCOL_BROKEN:
        return fault_set(manage->talk.fault, KR_ERR_IO, "the management API's answer is no HTTP");
    case KR_PROTOCOL_DONE:
        break;
    }
    const uint8_t *end = memmem(in.data, in.size, "\r\n\r\n", 4);
    *status = answer.status;
    *body = bytes_of(end + 4, used - (size_t)(end + 4 - in.data));
    return KR_ERR_OK;
}

enum kr_err manage_look(struct manage *manage, unsigned *status, struct bytes *body)
{
    enum kr_err err = talk_look(&manage->talk);
    if (err != KR_ERR_OK)
        return err;
    return read_answer(manage, status, body);
}

enum kr_err manage_call(struct manage *manage, const char *method, const char *path,
                        const char *body, struct bytes *answer)
{
    unsigned status = 0;
    enum kr_err err = manage_send(manage, method, path, bytes_text(body));
    if (err != KR_ERR_OK)
        return err;
    do {
        err = talk_wait(&manage->talk);
        if (err == KR_ERR_OK)
            err = read_answer(manage, &status, answer);
    } while (err == KR_ERR_NOT_FOUND);
    if (err != KR_ERR_OK || status == 200)
        return err;
    return fault_set(manage->talk.fault, KR_ERR_IO, "%s %s is answered %u: %.*s", method, path,
                     status, (int)(answer->size < 120 ? answer->size : 120),
                     (const char *)answer->data);
}
