// SPDX-License-Identifier: Apache-2.0
// The switch: directory → .old, .next → directory, .old away; each step is found again by what the
// others have left. The mark goes last, and is what tells a whole .next from a half one.
#include "core/store/store_switch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/mem.h"

static const char ready[] = "ready";
static const char *const suffixes[] = {
    [KR_PLACE_PARTS] = ".parts", [KR_PLACE_NEXT] = ".next", [KR_PLACE_OLD] = ".old"};

static char *join(const char *first, const char *second, const char *third)
{
    size_t size = strlen(first) + strlen(second) + (third ? strlen(third) + 1 : 0) + 1;
    char *path = mem_alloc(size);
    snprintf(path, size, "%s%s%s%s", first, second, third ? "/" : "", third ? third : "");
    return path;
}

char *store_place_path(const char *directory, enum store_place place, const char *name)
{
    return join(directory, suffixes[place], name);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

enum kr_err store_switch_mark(const char *directory, struct fault *fault)
{
    char *path = store_place_path(directory, KR_PLACE_NEXT, ready);
    enum kr_err err = file_replace(path, bytes_text("whole\n"), 0600, fault);
    mem_free(path);
    return err;
}

static enum kr_err put_in_place(const char *directory, const char *next, const char *old,
                                struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    if (is_there(directory)) {
        err = file_remove_tree(old, fault);
        if (err == KR_ERR_OK) {
            err = file_rename(directory, old, fault);
        }
    }
    return err == KR_ERR_OK ? file_rename(next, directory, fault) : err;
}

// The mark goes first: what is left without it is removed at the next start.
enum kr_err store_switch_drop(const char *directory, struct fault *fault)
{
    char *next = store_place_path(directory, KR_PLACE_NEXT, NULL);
    char *mark = store_place_path(directory, KR_PLACE_NEXT, ready);
    unlink(mark);
    enum kr_err err = file_remove_tree(next, fault);
    mem_free(mark);
    mem_free(next);
    return err;
}

enum kr_err store_switch(const char *directory, struct fault *fault)
{
    char *next = store_place_path(directory, KR_PLACE_NEXT, NULL);
    char *old = store_place_path(directory, KR_PLACE_OLD, NULL);
    char *mark = store_place_path(directory, KR_PLACE_NEXT, ready);
    char *used_mark = join(directory, "", ready);
    enum kr_err err = KR_ERR_OK;
    if (is_there(mark)) {
        err = put_in_place(directory, next, old, fault);
    } else {
        err = file_remove_tree(next, fault);
    }
    if (err == KR_ERR_OK && is_there(used_mark)) {
        unlink(used_mark);
    }
    if (err == KR_ERR_OK && is_there(directory)) {
        err = file_remove_tree(old, fault);
    }
    mem_free(used_mark);
    mem_free(mark);
    mem_free(old);
    mem_free(next);
    return err;
}
