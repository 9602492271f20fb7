// SPDX-License-Identifier: Apache-2.0
// The watermark: two checked copies, written in turn, so that a torn write leaves the older one.
#include "core/store/watermark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/hash.h"
#include "core/base/mem.h"

#define KR_WATERMARK_SLOT 512 // bytes: a sector of its own each
#define KR_WATERMARK_SEED 0x6b6565707265

struct watermark {
    int fd;
    uint64_t index;
    unsigned next; // slot
    char path[];
};

struct slot {
    uint64_t index, checksum;
};

static struct slot make_slot(uint64_t index)
{
    return (struct slot){index, hash_u64(bytes_of(&index, sizeof index), KR_WATERMARK_SEED)};
}

static enum kr_err io_fault(const struct watermark *watermark, struct fault *fault)
{
    return fault_set(fault, KR_ERR_IO, "%s: %s", watermark->path, strerror(errno));
}

static enum kr_err read_slots(struct watermark *watermark, struct fault *fault)
{
    size_t found = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct slot slot;
        ssize_t size = pread(watermark->fd, &slot, sizeof slot, (off_t)i * KR_WATERMARK_SLOT);
        if (size < 0) {
            return io_fault(watermark, fault);
        }
        if (size != sizeof slot || slot.checksum != make_slot(slot.index).checksum) {
            continue;
        }
        found++;
        if (slot.index >= watermark->index) {
            watermark->index = slot.index;
            watermark->next = 1 - i;
        }
    }
    off_t size = lseek(watermark->fd, 0, SEEK_END);
    if (found == 0 && size >= KR_WATERMARK_SLOT) {
        return fault_set(fault, KR_ERR_CORRUPT,
                         "%s is damaged; restore this directory from a backup, or empty it and let "
                         "the node join again",
                         watermark->path);
    }
    return KR_ERR_OK;
}

enum kr_err watermark_open(const char *directory, struct watermark **out, struct fault *fault)
{
    static const char name[] = "/watermark";
    size_t size = strlen(directory) + sizeof name;
    struct watermark *watermark = mem_zalloc(sizeof *watermark + size);
    snprintf(watermark->path, size, "%s%s", directory, name);
    watermark->fd = open(watermark->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    enum kr_err err = watermark->fd < 0 ? io_fault(watermark, fault) : read_slots(watermark, fault);
    if (err != KR_ERR_OK) {
        watermark_close(&watermark);
    }
    *out = watermark;
    return err;
}

void watermark_close(struct watermark **watermark)
{
    if (!*watermark) {
        return;
    }
    if ((*watermark)->fd >= 0) {
        fdatasync((*watermark)->fd);
        close((*watermark)->fd);
    }
    mem_free(*watermark);
    *watermark = NULL;
}

uint64_t watermark_index(const struct watermark *watermark)
{
    return watermark->index;
}

void watermark_set(struct watermark *watermark, uint64_t index)
{
    struct slot slot = make_slot(index);
    off_t at = (off_t)watermark->next * KR_WATERMARK_SLOT;
    if (pwrite(watermark->fd, &slot, sizeof slot, at) == sizeof slot) {
        watermark->index = index;
        watermark->next = 1 - watermark->next;
    }
}
