// SPDX-License-Identifier: Apache-2.0
// Keyreeve over HTTP, as the bench's clients ask it.
#include "bench/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/json.h"

enum { KR_API_ANSWER = 120 }; // bytes of an error's body that are shown

enum kr_err api_read_token(const char *path, char out[KR_API_TOKEN], struct fault *fault)
{
    struct buf content;
    buf_init_fixed(&content, out, KR_API_TOKEN - 1);
    enum kr_err err = file_read_secret(path, &content, fault);
    out[content.size] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    return err;
}

enum kr_err api_connect(struct talk *talk, const struct site *from, const char *place)
{
    char host[64];
    const char *colon = strrchr(place, ':');
    if (colon == NULL || (size_t)(colon - place) >= sizeof(host))
        return fault_set(talk->fault, KR_ERR_INVALID, "%s: not ADDRESS:PORT", place);
    snprintf(host, sizeof(host), "%.*s", (int)(colon - place), place);
    talk->name = place;
    return talk_open(talk, from, host, (uint16_t)atoi(colon + 1));
}

void api_add_post(struct talk *talk, const char *token, const char *bucket, const char *tail,
                  const char *body)
{
    buf_printf(&talk->out,
               "POST /v1/accounts/default/key-buckets/%s/consumers%s HTTP/1.1\r\n"
               "Host: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n%s",
               bucket, tail, talk->name, token, strlen(body), body);
}

void api_add_validate(struct talk *talk, const char *key)
{
    const struct protocol_request request = {KR_PROTOCOL_VALIDATE, talk->name, "/v1/validate"};
    protocol_add(&request, bytes_text(key), &talk->out);
}

// What stands behind an answer's head.
static struct bytes body_of(const struct talk *talk)
{
    const uint8_t *body = talk_find(talk, bytes_text("\r\n\r\n")) + 4;
    return bytes_of(body, talk->in.size - (size_t)(body - talk->in.data));
}

enum kr_err api_read(struct talk *talk, struct protocol_answer *answer)
{
    size_t used;
    switch (protocol_read(KR_PROTOCOL_VALIDATE, buf_bytes(&talk->in), &used, answer)) {
    case KR_PROTOCOL_MORE:
        return KR_ERR_NOT_FOUND;
    case KR_PROTOCOL_BROKEN:
        return fault_set(talk->fault, KR_ERR_IO, "%s: the answer is no HTTP", talk->name);
    case KR_PROTOCOL_DONE:
        break;
    }
    if (answer->status == 200)
        return KR_ERR_OK;
    struct bytes body = body_of(talk);
    return fault_set(talk->fault, KR_ERR_IO, "%s answers %u: %.*s", talk->name, answer->status,
                     (int)(body.size < KR_API_ANSWER ? body.size : KR_API_ANSWER), body.data);
}

enum kr_err api_look(struct talk *talk, struct protocol_answer *answer)
{
    enum kr_err err = talk_look(talk);
    return err == KR_ERR_OK ? api_read(talk, answer) : err;
}

enum kr_err api_await(struct talk *talk, struct protocol_answer *answer)
{
    enum kr_err err = api_read(talk, answer);
    while (err == KR_ERR_NOT_FOUND) {
        err = talk_wait(talk);
        if (err == KR_ERR_OK)
            err = api_read(talk, answer);
    }
    return err;
}

enum kr_err api_ask(struct talk *talk, struct protocol_answer *answer)
{
    enum kr_err err = talk_send(talk);
    return err == KR_ERR_OK ? api_await(talk, answer) : err;
}

enum kr_err api_make_consumer(struct talk *talk, const char *token, const char *bucket,
                              const char *consumer)
{
    char body[KR_API_PATH];
    struct protocol_answer answer;
    snprintf(body, sizeof(body), "{\"name\":\"%.128s\"}", consumer);
    api_add_post(talk, token, bucket, "", body);
    return api_ask(talk, &answer);
}

enum kr_err api_make_key(struct talk *talk, const char *token, const char *bucket,
                         const char *consumer, struct api_key *out)
{
    char tail[KR_API_PATH];
    struct protocol_answer answer;
    struct json *json = NULL;
    snprintf(tail, sizeof(tail), "/%.64s/keys", consumer);
    api_add_post(talk, token, bucket, tail, "{}");
    enum kr_err err = api_ask(talk, &answer);
    if (err != KR_ERR_OK)
        return err;
    err = json_parse(body_of(talk), &json, talk->fault);
    if (err != KR_ERR_OK)
        return err;
    snprintf(out->value, sizeof(out->value), "%s", json_text(json_member(json, "key")));
    snprintf(out->revoke, sizeof(out->revoke), "/%.64s/keys/%.64s/revoke", consumer,
             json_text(json_member(json, "id")));
    json_free(&json);
    return KR_ERR_OK;
}

enum kr_err api_await_valid(struct talk *talk, const char *key, unsigned patience_ms)
{
    struct protocol_answer answer = {0};
    uint64_t until_ms = clock_boot_ms() + patience_ms;
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && strcmp(answer.code, "VALID") != 0) {
        api_add_validate(talk, key);
        err = api_ask(talk, &answer);
        if (err == KR_ERR_OK && clock_boot_ms() > until_ms)
            err = fault_set(talk->fault, KR_ERR_TIMEOUT, "%s: a new key is still %s after %u ms",
                            talk->name, answer.code, patience_ms);
    }
    return err;
}
