// SPDX-License-Identifier: Apache-2.0
// JSON: what is accepted is UTF-8 and survives being written and read; what is refused has a place.
#include <assert.h>
#include <string.h>

#include "core/base/json.h"
#include "core/base/text.h"

static void write_and_read(const struct json *document, struct buf *out, struct json **again)
{
    struct fault fault;
    buf_init(out, 1 << 24);
    json_add(out, document);
    assert(buf_result(out) == KR_ERR_OK);
    assert(json_parse(buf_bytes(out), again, &fault) == KR_ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json *first, *second, *third;
    struct buf one, two;
    struct fault fault = {0};

    if (json_parse(bytes_of(data, size), &first, &fault) != KR_ERR_OK) {
        assert(first == NULL && fault.err == KR_ERR_INVALID);
        assert(strncmp(fault.text, "line ", 5) == 0);
        return 0;
    }
    assert(text_is_utf8(bytes_of(data, size)));
    write_and_read(first, &one, &second);
    write_and_read(second, &two, &third);
    assert(bytes_equal(buf_bytes(&one), buf_bytes(&two)));
    buf_fini(&one);
    buf_fini(&two);
    json_free(&first);
    json_free(&second);
    json_free(&third);
    return 0;
}
