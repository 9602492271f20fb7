// SPDX-License-Identifier: Apache-2.0
// Small appends and their flushes.
#include "bench/flush.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"

enum { KR_FLUSH_BYTES = 512, KR_FLUSH_ALLOCATED = 200 }; // rows, whose space is allocated at once

static enum kr_err failed(const struct flush *flush, struct fault *fault)
{
    return fault_set(fault, err_from_errno(errno), "%s: %s", flush->directory, strerror(errno));
}

enum kr_err flush_open(struct flush *flush, const char *directory, struct fault *fault)
{
    char path[4096];
    *flush = (struct flush){.directory = directory};
    snprintf(path, sizeof(path), "%s/keyreeve-bench-XXXXXX", directory);
    flush->fd = mkostemp(path, O_CLOEXEC);
    if (flush->fd < 0)
        return failed(flush, fault);
    unlink(path);
    return KR_ERR_OK;
}

enum kr_err flush_once(struct flush *flush, uint64_t *out_ns, struct fault *fault)
{
    static const uint8_t row[KR_FLUSH_BYTES] = {1};
    const off_t at = (off_t)(flush->rows * sizeof(row));
    bool is_full = flush->rows % KR_FLUSH_ALLOCATED == 0;
    if (is_full && fallocate(flush->fd, FALLOC_FL_KEEP_SIZE, at,
                             (off_t)(KR_FLUSH_ALLOCATED * sizeof(row))) != 0)
        return failed(flush, fault);
    uint64_t begin_ns = clock_mono_ns();
    if (pwrite(flush->fd, row, sizeof(row), at) != sizeof(row) || fdatasync(flush->fd) != 0)
        return failed(flush, fault);
    *out_ns = clock_mono_ns() - begin_ns;
    flush->rows++;
    return KR_ERR_OK;
}

void flush_close(struct flush *flush)
{
    if (flush->fd >= 0)
        close(flush->fd);
    flush->fd = -1;
}
