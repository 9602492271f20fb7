// SPDX-License-Identifier: Apache-2.0
// The making of keys as a load.
#include "bench/writer.h"

#include <stdio.h>

#include "core/base/file.h"

enum { KR_WRITER_TOKEN = 1024 };

static enum kr_err read_token(struct writer *writer, const char *path, struct fault *fault)
{
    buf_init(&writer->secret, KR_WRITER_TOKEN);
    enum kr_err err = file_read_secret(path, &writer->secret, fault);
    struct bytes text = buf_bytes(&writer->secret);
    while (text.size > 0 && text.data[text.size - 1] <= ' ')
        text.size--;
    writer->token = (struct keyset){
        .data = text.data, .size_bytes = text.size, .count = 1, .stride = text.size + 1};
    return err;
}

enum kr_err writer_open(struct writer *writer, const char *url, const char *token_file,
                        const char *bucket, const char *consumer, struct fault *fault)
{
    load_host(url, writer->host);
    snprintf(writer->path, sizeof(writer->path),
             "/v1/accounts/default/key-buckets/%s/consumers/%s/keys", bucket, consumer);
    writer->target.request =
        (struct protocol_request){KR_PROTOCOL_CREATE, writer->host, writer->path};
    enum kr_err err = read_token(writer, token_file, fault);
    return err == KR_ERR_OK ? load_resolve(writer->host, false, &writer->target, fault) : err;
}

void writer_close(struct writer *writer)
{
    buf_fini(&writer->secret);
    *writer = (struct writer){0};
}

enum kr_err writer_check(const struct writer *writer, const struct load_result *result,
                         struct fault *fault)
{
    for (size_t i = 0; i < result->code_count; i++)
        if (result->codes[i].answer.status != 200)
            return fault_set(fault, KR_ERR_IO, "%s answers %u to %s", writer->host,
                             result->codes[i].answer.status, writer->path);
    if (result->latency.count == 0)
        return fault_set(fault, KR_ERR_TIMEOUT, "%s answers nothing", writer->host);
    return KR_ERR_OK;
}
