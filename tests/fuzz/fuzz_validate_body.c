// SPDX-License-Identifier: Apache-2.0
// Fuzzes the validation body: what the in-place scan accepts, the JSON library reads alike.
#include <assert.h>
#include <stdlib.h>

#include "node/validate_body.h"

static void check_text(const struct json *root, const char *name, struct bytes scanned)
{
    const struct json *value = json_member(root, name);
    if (scanned.data == NULL)
        assert(value == NULL);
    else
        assert(bytes_equal_text(scanned, json_text(value)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct validation_ask ask;
    struct fault fault;
    struct json *root = NULL;
    if (validate_body_scan(bytes_of(data, size), &ask)) {
        assert(json_parse(bytes_of(data, size), &root, &fault) == KR_ERR_OK);
        check_text(root, "key", ask.key);
        check_text(root, "bucket", ask.bucket);
        json_free(&root);
    }
    struct validate_question *question = malloc(sizeof(*question));
    struct arena arena;
    arena_init(&arena);
    validate_init(question);
    if (validate_body(bytes_of(data, size), &arena, question, &fault) == KR_ERR_OK)
        assert(question->ask.key.data != NULL);
    arena_fini(&arena);
    free(question);
    return 0;
}
