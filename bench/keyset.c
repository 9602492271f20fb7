// SPDX-License-Identifier: Apache-2.0
// A file of keys in memory.
#include "bench/keyset.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/keys/format.h"

static enum kr_err map_file(const char *path, struct keyset *out, struct fault *fault)
{
    struct stat about;
    void *data = MAP_FAILED;
    int number = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0)
        goto fail;
    if (about.st_size == 0) {
        close(fd);
        return fault_set(fault, KR_ERR_INVALID, "%s: the file holds no keys", path);
    }
    data = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        goto fail;
    close(fd);
    out->data = data;
    out->size_bytes = (size_t)about.st_size;
    return KR_ERR_OK;
fail:
    number = errno;
    if (fd >= 0)
        close(fd);
    return fault_set(fault, err_from_errno(number), "%s: %s", path, strerror(number));
}

// The line that begins at offset, without its line end; *next is where the one behind it begins.
static struct bytes line_at(const struct keyset *keyset, size_t offset, size_t *next)
{
    const uint8_t *begin = keyset->data + offset;
    size_t rest = keyset->size_bytes - offset;
    const uint8_t *end = memchr(begin, '\n', rest);
    size_t size = end != NULL ? (size_t)(end - begin) : rest;
    *next = offset + size + (end != NULL);
    return bytes_of(begin, size);
}

static enum kr_err count_lines(const char *path, struct keyset *keyset, struct fault *fault)
{
    size_t next = 0, stride = 0;
    bool is_even = true;
    for (size_t offset = 0; offset < keyset->size_bytes; offset = next) {
        struct bytes line = line_at(keyset, offset, &next);
        if (!format_is_custom(line))
            return fault_set(fault, KR_ERR_INVALID, "%s:%llu: not a key", path,
                             (unsigned long long)keyset->count + 1);
        if (stride == 0)
            stride = line.size + 1;
        is_even = is_even && line.size + 1 == stride;
        keyset->count++;
    }
    keyset->stride = is_even ? stride : 0;
    return KR_ERR_OK;
}

static void note_offsets(struct keyset *keyset)
{
    size_t next = 0, offset = 0;
    keyset->offsets = mem_alloc((size_t)keyset->count * sizeof(*keyset->offsets));
    for (uint64_t i = 0; i < keyset->count; i++, offset = next) {
        keyset->offsets[i] = offset;
        (void)line_at(keyset, offset, &next);
    }
}

enum kr_err keyset_open(const char *path, struct keyset *out, struct fault *fault)
{
    *out = (struct keyset){0};
    enum kr_err err = map_file(path, out, fault);
    if (err == KR_ERR_OK)
        err = count_lines(path, out, fault);
    if (err != KR_ERR_OK)
        keyset_close(out);
    else if (out->stride == 0)
        note_offsets(out);
    return err;
}

void keyset_close(struct keyset *keyset)
{
    // munmap takes no const pointer, though it changes nothing that the pointer's type speaks of.
    union {
        const uint8_t *in;
        void *out;
    } memory = {.in = keyset->data};
    if (memory.in != NULL)
        munmap(memory.out, keyset->size_bytes);
    mem_free(keyset->offsets);
    *keyset = (struct keyset){0};
}

struct bytes keyset_at(const struct keyset *keyset, uint64_t number)
{
    size_t next;
    if (keyset->stride > 0)
        return bytes_of(keyset->data + number * keyset->stride, keyset->stride - 1);
    return line_at(keyset, keyset->offsets[number], &next);
}
