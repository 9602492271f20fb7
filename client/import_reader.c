// SPDX-License-Identifier: Apache-2.0
// Reading lines in large pieces.
#include "client/import_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/import_row.h"
#include "core/base/mem.h"

#define KR_READER_BUFFER_BYTES ((size_t)4 << 20)

_Static_assert(KR_READER_BUFFER_BYTES > 2 * KR_IMPORT_LINE_MAX, "a line fits into the buffer");

enum kr_err import_reader_open(struct import_reader *reader, const char *path, struct fault *fault)
{
    struct stat status;
    bool is_input = strcmp(path, "-") == 0;
    *reader = (struct import_reader){.fd = -1, .name = is_input ? "standard input" : path};
    reader->fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0 || fstat(reader->fd, &status) != 0)
        return fault_set(fault, err_from_errno(errno), "%s: %s", reader->name, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return fault_set(fault, KR_ERR_IO, "%s is a directory", reader->name);
    reader->is_regular = S_ISREG(status.st_mode);
    reader->size_bytes = reader->is_regular ? (uint64_t)status.st_size : 0;
    reader->buffer = mem_alloc(KR_READER_BUFFER_BYTES);
    reader->head = mem_alloc(KR_READER_HEAD_BYTES);
    if (reader->is_regular)
        (void)posix_fadvise(reader->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return KR_ERR_OK;
}

void import_reader_close(struct import_reader *reader)
{
    if (reader->fd > STDIN_FILENO)
        close(reader->fd);
    if (reader->buffer != NULL) {
        mem_zero(reader->buffer, KR_READER_BUFFER_BYTES);
        mem_zero(reader->head, KR_READER_HEAD_BYTES);
    }
    mem_free(reader->buffer);
    mem_free(reader->head);
    *reader = (struct import_reader){.fd = -1};
}

static ssize_t read_some(struct import_reader *reader, struct fault *fault)
{
    ssize_t size;
    do {
        size = read(reader->fd, reader->buffer + reader->end, KR_READER_BUFFER_BYTES - reader->end);
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        fault_set(fault, KR_ERR_IO, "%s: %s", reader->name, strerror(errno));
        return -1;
    }
    size_t room = KR_READER_HEAD_BYTES - reader->head_size;
    size_t kept = (size_t)size < room ? (size_t)size : room;
    memcpy(reader->head + reader->head_size, reader->buffer + reader->end, kept);
    reader->head_size += kept;
    reader->end += (size_t)size;
    reader->has_ended = size == 0;
    return size;
}

// Would a read wait?
static bool is_quiet(const struct import_reader *reader)
{
    struct pollfd input = {.fd = reader->fd, .events = POLLIN};
    return !reader->is_regular && poll(&input, 1, 0) == 0;
}

static void make_room(struct import_reader *reader)
{
    if (reader->begin > 0)
        memmove(reader->buffer, reader->buffer + reader->begin, reader->end - reader->begin);
    reader->end -= reader->begin;
    reader->begin = 0;
}

// Gives size bytes and passes over them and the line feed behind.
static enum import_reader_result give(struct import_reader *reader, size_t size, struct bytes *line)
{
    size_t feed = reader->begin + size < reader->end ? 1 : 0;
    *line = bytes_of(reader->buffer + reader->begin, size);
    reader->begin += size + feed;
    reader->offset += size + feed;
    return size > KR_IMPORT_LINE_MAX ? KR_READER_TOO_LONG : KR_READER_LINE;
}

// Passes over a line that does not fit, up to its line feed.
static enum import_reader_result pass_over(struct import_reader *reader, struct fault *fault)
{
    for (;;) {
        size_t size = reader->end - reader->begin;
        const uint8_t *data = reader->buffer + reader->begin;
        const uint8_t *feed = size == 0 ? NULL : memchr(data, '\n', size);
        size_t passed = feed == NULL ? size : (size_t)(feed - data) + 1;
        reader->begin += passed;
        reader->offset += passed;
        reader->is_passing = feed == NULL && !reader->has_ended;
        if (!reader->is_passing)
            return KR_READER_TOO_LONG;
        make_room(reader);
        if (is_quiet(reader))
            return KR_READER_QUIET;
        if (read_some(reader, fault) < 0)
            return KR_READER_FAILED;
    }
}

enum import_reader_result import_reader_next(struct import_reader *reader, struct bytes *line,
                                             struct fault *fault)
{
    size_t searched = 0;
    if (reader->is_passing)
        return pass_over(reader, fault);
    for (;;) {
        const uint8_t *data = reader->buffer + reader->begin;
        size_t size = reader->end - reader->begin;
        const uint8_t *feed =
            size == searched ? NULL : memchr(data + searched, '\n', size - searched);
        if (feed != NULL)
            return give(reader, (size_t)(feed - data), line);
        if (reader->has_ended)
            return size == 0 ? KR_READER_END : give(reader, size, line);
        if (size > KR_IMPORT_LINE_MAX)
            return pass_over(reader, fault);
        searched = size;
        make_room(reader);
        if (is_quiet(reader))
            return KR_READER_QUIET;
        if (read_some(reader, fault) < 0)
            return KR_READER_FAILED;
    }
}

void import_reader_digest(const struct import_reader *reader, uint64_t offset,
                          uint8_t out[KR_DIGEST_SIZE])
{
    size_t size = offset < reader->head_size ? (size_t)offset : reader->head_size;
    digest_sha256(bytes_of(reader->head, size), out);
}

static enum kr_err skip(struct import_reader *reader, uint64_t offset, struct fault *fault)
{
    while (reader->offset < offset) {
        uint64_t left = offset - reader->offset;
        size_t size = reader->end - reader->begin;
        if (size == 0 && reader->has_ended)
            return fault_set(fault, KR_ERR_CONFLICT, "%s ends before byte %llu", reader->name,
                             (unsigned long long)offset);
        size = left < size ? (size_t)left : size;
        reader->begin += size;
        reader->offset += size;
        make_room(reader);
        if (reader->offset < offset && read_some(reader, fault) < 0)
            return KR_ERR_IO;
    }
    return KR_ERR_OK;
}

enum kr_err import_reader_resume(struct import_reader *reader, uint64_t offset,
                                 const uint8_t digest[KR_DIGEST_SIZE], struct fault *fault)
{
    uint8_t found[KR_DIGEST_SIZE];
    uint64_t wanted = offset < KR_READER_HEAD_BYTES ? offset : KR_READER_HEAD_BYTES;
    while (reader->head_size < wanted && !reader->has_ended)
        if (read_some(reader, fault) < 0)
            return KR_ERR_IO;
    import_reader_digest(reader, offset, found);
    bool is_shorter = reader->is_regular && reader->size_bytes < offset;
    if (reader->head_size < wanted || is_shorter || memcmp(found, digest, sizeof(found)) != 0)
        return fault_set(fault, KR_ERR_CONFLICT, "%s is not the input that the state file is about",
                         reader->name);
    if (!reader->is_regular || offset <= reader->end)
        return skip(reader, offset, fault);
    if (lseek(reader->fd, (off_t)offset, SEEK_SET) < 0)
        return fault_set(fault, KR_ERR_IO, "%s: %s", reader->name, strerror(errno));
    reader->begin = reader->end = 0;
    reader->offset = offset;
    return KR_ERR_OK;
}
