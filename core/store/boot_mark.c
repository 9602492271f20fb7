// SPDX-License-Identifier: Apache-2.0
// The boot mark: the kernel's boot id, in a small file.
#include "core/store/boot_mark.h"

#include "core/base/file.h"
#include "core/base/mem.h"

#define KR_BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"
#define KR_BOOT_ID_MAX 64 // bytes

static const char name[] = "boot";

// A kernel that does not tell has no boot that is known to be the same.
bool boot_mark_is_of_another(const char *directory)
{
    struct buf mark, own;
    char *path = file_path(directory, name);
    buf_init(&mark, KR_BOOT_ID_MAX);
    buf_init(&own, KR_BOOT_ID_MAX);
    bool is_same = file_read(KR_BOOT_ID_PATH, &own, NULL) == KR_ERR_OK;
    enum kr_err err = file_read(path, &mark, NULL);
    is_same = is_same && err == KR_ERR_OK && bytes_equal(buf_bytes(&mark), buf_bytes(&own));
    buf_fini(&mark);
    buf_fini(&own);
    mem_free(path);
    return err != KR_ERR_NOT_FOUND && !is_same;
}

enum kr_err boot_mark_write(const char *directory, struct fault *fault)
{
    struct buf own;
    char *path = file_path(directory, name);
    buf_init(&own, KR_BOOT_ID_MAX);
    enum kr_err err = file_read(KR_BOOT_ID_PATH, &own, NULL);
    // Without one every later start finds another's mark.
    err =
        file_replace(path, err == KR_ERR_OK ? buf_bytes(&own) : bytes_text("unknown"), 0600, fault);
    buf_fini(&own);
    mem_free(path);
    return err;
}

enum kr_err boot_mark_remove(const char *directory, struct fault *fault)
{
    char *path = file_path(directory, name);
    enum kr_err err = file_remove_tree(path, fault);
    mem_free(path);
    return err;
}
