// SPDX-License-Identifier: Apache-2.0
// Small files: secrets that only their owner may read, atomic replacement, the lock of a directory.
#pragma once

#include <sys/types.h>
#include <time.h>

#include "core/base/buf.h"
#include "core/base/fault.h"

// By which a file is known to be as it was: what it holds, who it belongs to and who may read it do
// not change without its ctime. Zero: there is none.
struct file_stamp {
    dev_t device;
    ino_t number;
    off_t size;
    struct timespec written, changed; // mtime, ctime
};

struct file_stamp file_look(const char *path);
bool file_is_same(const struct file_stamp *a, const struct file_stamp *b);
// Appends a whole file of at most out's limit.
must_use enum kr_err file_read(const char *path, struct buf *out, struct fault *fault);
// The same, but IO for a directory, and FORBIDDEN for a file to which group or others have access
// ("chmod 600 PATH" mends it).
must_use enum kr_err file_read_secret(const char *path, struct buf *out, struct fault *fault);
// Appends what a descriptor still yields; name stands for it in faults.
must_use enum kr_err file_read_descriptor(int fd, const char *name, struct buf *out,
                                          struct fault *fault);
char *file_path(const char *directory, const char *name); // gives DIRECTORY/NAME
// Writes a temporary file beside it, fsyncs, renames, fsyncs the directory.
must_use enum kr_err file_replace(const char *path, struct bytes content, mode_t mode,
                                  struct fault *fault);
// mkdir -p with this mode for the last part; an existing directory keeps its own.
must_use enum kr_err file_make_directory(const char *path, mode_t mode, struct fault *fault);
// rm -r; what is not there is no error.
must_use enum kr_err file_remove_tree(const char *path, struct fault *fault);
// Renames, and fsyncs the directory above; both are in the same one.
must_use enum kr_err file_rename(const char *from, const char *to, struct fault *fault);
// Bytes that are free for this process where path lies; what cannot be asked counts as endless.
uint64_t file_disk_free(const char *path);
// Takes an exclusive flock on path (created 0600, holds the pid). LOCKED names the holder's pid.
must_use enum kr_err file_lock(const char *path, int *fd, struct fault *fault);
void file_unlock(int *fd);
