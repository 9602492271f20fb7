// SPDX-License-Identifier: Apache-2.0
// What a path leads to.
#include "client/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum kr_err target_find(struct arena *arena, const char *path, struct target *out,
                        struct fault *fault)
{
    struct stat status;
    *out = (struct target){.path = arena_text(arena, path)};
    if (stat(path, &status) != 0) {
        if (errno != ENOENT)
            return fault_set(fault, err_from_errno(errno), "%s: %s", path, strerror(errno));
        if (lstat(path, &status) == 0)
            return fault_set(fault, KR_ERR_INVALID, "the link %s leads to nothing", path);
        return KR_ERR_OK;
    }
    if (S_ISDIR(status.st_mode))
        return fault_set(fault, KR_ERR_INVALID, "%s is a directory", path);
    out->is_special = !S_ISREG(status.st_mode);
    char *real = out->is_special ? NULL : realpath(path, NULL);
    if (real != NULL)
        out->path = arena_text(arena, real);
    free(real);
    return KR_ERR_OK;
}

static bool is_one(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool target_is_same(const char *path, const char *other)
{
    struct stat a, b;
    return stat(path, &a) == 0 && stat(other, &b) == 0 && is_one(&a, &b);
}

bool target_is_open(const char *path, int fd)
{
    struct stat a, b;
    return stat(path, &a) == 0 && fstat(fd, &b) == 0 && is_one(&a, &b);
}
