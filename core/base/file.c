// SPDX-License-Identifier: Apache-2.0
// Small files.
#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/text.h"

enum { KR_FILE_CHUNK = 4096 };

static enum kr_err fail(struct fault *fault, const char *path, const char *what)
{
    int number = errno;
    char reason[64];
    return fault_set(fault, err_from_errno(number), "%s: cannot %s: %s", path, what,
                     strerror_r(number, reason, sizeof(reason)));
}

struct file_stamp file_look(const char *path)
{
    struct stat found;
    if (stat(path, &found) != 0)
        return (struct file_stamp){0};
    return (struct file_stamp){.device = found.st_dev,
                               .number = found.st_ino,
                               .size = found.st_size,
                               .written = found.st_mtim,
                               .changed = found.st_ctim};
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool file_is_same(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->number == b->number && a->size == b->size &&
           is_same_time(&a->written, &b->written) && is_same_time(&a->changed, &b->changed);
}

static ssize_t read_some(int fd, void *out, size_t size_bytes)
{
    ssize_t size;
    do {
        size = read(fd, out, size_bytes);
    } while (size < 0 && errno == EINTR);
    return size;
}

static enum kr_err check_secret(int fd, const char *path, struct fault *fault)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return fail(fault, path, "look at");
    // Before its mode: without x nobody could enter it any more.
    if (S_ISDIR(status.st_mode))
        return fault_set(fault, KR_ERR_IO, "%s is a directory, and a file is wanted", path);
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return fault_set(fault, KR_ERR_FORBIDDEN,
                         "%s holds a secret, and others than its owner have access: chmod 600 %s",
                         path, path);
    return KR_ERR_OK;
}

static enum kr_err read_all(int fd, const char *path, struct buf *out, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    uint8_t chunk[KR_FILE_CHUNK];
    ssize_t size;
    while ((size = read_some(fd, chunk, sizeof(chunk))) > 0 && !out->has_failed)
        buf_add(out, chunk, (size_t)size);
    if (size < 0)
        err = fail(fault, path, "read");
    else if (buf_result(out) != KR_ERR_OK)
        err = fault_set(fault, KR_ERR_TOO_LARGE, "%s is larger than %zu bytes", path, out->limit);
    mem_zero(chunk, sizeof(chunk));
    return err;
}

static enum kr_err read_file(const char *path, bool is_secret, struct buf *out, struct fault *fault)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(fault, path, "open");
    enum kr_err err = is_secret ? check_secret(fd, path, fault) : KR_ERR_OK;
    if (err == KR_ERR_OK)
        err = read_all(fd, path, out, fault);
    close(fd);
    return err;
}

enum kr_err file_read(const char *path, struct buf *out, struct fault *fault)
{
    return read_file(path, false, out, fault);
}

enum kr_err file_read_secret(const char *path, struct buf *out, struct fault *fault)
{
    return read_file(path, true, out, fault);
}

enum kr_err file_read_descriptor(int fd, const char *name, struct buf *out, struct fault *fault)
{
    return read_all(fd, name, out, fault);
}

char *file_path(const char *directory, const char *name)
{
    size_t size = strlen(directory) + 1 + strlen(name) + 1;
    char *path = mem_alloc(size);
    snprintf(path, size, "%s/%s", directory, name);
    return path;
}

static bool write_all(int fd, struct bytes content)
{
    while (content.size > 0) {
        ssize_t size = write(fd, content.data, content.size);
        if (size < 0 && errno != EINTR)
            return false;
        if (size > 0)
            content = bytes_of(content.data + size, content.size - (size_t)size);
    }
    return true;
}

static enum kr_err sync_parent(const char *path, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    char *parent = mem_text(size == 0 ? "." : path);
    if (size > 0)
        parent[size] = '\0';
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        err = fail(fault, parent, "sync");
    if (fd >= 0)
        close(fd);
    mem_free(parent);
    return err;
}

enum kr_err file_replace(const char *path, struct bytes content, mode_t mode, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    size_t size = strlen(path) + sizeof(".XXXXXX");
    char *temporary = mem_alloc(size);
    snprintf(temporary, size, "%s.XXXXXX", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        err = fail(fault, path, "create beside");
        goto done;
    }
    if (!write_all(fd, content) || fchmod(fd, mode) != 0 || fsync(fd) != 0)
        err = fail(fault, temporary, "write");
    if (close(fd) != 0 && err == KR_ERR_OK)
        err = fail(fault, temporary, "close");
    if (err == KR_ERR_OK && rename(temporary, path) != 0)
        err = fail(fault, path, "replace");
    if (err != KR_ERR_OK)
        unlink(temporary);
    else
        err = sync_parent(path, fault);
done:
    mem_free(temporary);
    return err;
}

static enum kr_err make_one(const char *path, mode_t mode, struct fault *fault)
{
    struct stat status;
    if (mkdir(path, mode) == 0)
        return KR_ERR_OK;
    if (errno != EEXIST)
        return fail(fault, path, "create the directory");
    if (stat(path, &status) != 0)
        return fail(fault, path, "look at");
    if (!S_ISDIR(status.st_mode))
        return fault_set(fault, KR_ERR_IO, "%s is not a directory", path);
    return KR_ERR_OK;
}

enum kr_err file_make_directory(const char *path, mode_t mode, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    char *part = mem_text(path);
    size_t size = strlen(part);
    while (size > 1 && part[size - 1] == '/')
        part[--size] = '\0';
    for (size_t i = 1; i < size && err == KR_ERR_OK; i++) {
        if (part[i] != '/')
            continue;
        part[i] = '\0';
        err = make_one(part, 0755, fault);
        part[i] = '/';
    }
    if (err == KR_ERR_OK)
        err = make_one(part, mode, fault);
    mem_free(part);
    return err;
}

static enum kr_err tell_holder(int fd, const char *path, struct fault *fault)
{
    char text[24];
    uint64_t pid;
    ssize_t size = pread(fd, text, sizeof(text), 0);
    if (size > 0 && text[size - 1] == '\n')
        size--;
    if (size > 0 && text_decimal(bytes_of(text, (size_t)size), INT32_MAX, &pid))
        return fault_set(fault, KR_ERR_LOCKED,
                         "%s is locked by process %llu; stop it, or name another directory", path,
                         (unsigned long long)pid);
    return fault_set(fault, KR_ERR_LOCKED,
                     "%s is locked by another process; stop it, or name another directory", path);
}

static enum kr_err write_holder(int fd, const char *path, struct fault *fault)
{
    char text[24];
    int size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)size, 0) != size)
        return fail(fault, path, "write to");
    return KR_ERR_OK;
}

uint64_t file_disk_free(const char *path)
{
    struct statvfs status;
    if (statvfs(path, &status) != 0)
        return UINT64_MAX;
    return (uint64_t)status.f_bavail * status.f_frsize;
}

enum kr_err file_lock(const char *path, int *fd, struct fault *fault)
{
    enum kr_err err;
    *fd = -1;
    int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (opened < 0)
        return fail(fault, path, "open");
    if (flock(opened, LOCK_EX | LOCK_NB) == 0)
        err = write_holder(opened, path, fault);
    else if (errno == EWOULDBLOCK)
        err = tell_holder(opened, path, fault);
    else
        err = fail(fault, path, "lock");
    if (err == KR_ERR_OK)
        *fd = opened;
    else
        close(opened);
    return err;
}

void file_unlock(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

enum kr_err file_remove_tree(const char *path, struct fault *fault)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return fail(fault, path, "remove");
    return KR_ERR_OK;
}

enum kr_err file_rename(const char *from, const char *to, struct fault *fault)
{
    if (rename(from, to) != 0)
        return fail(fault, from, "rename");
    return sync_parent(to, fault);
}
