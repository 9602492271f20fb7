// SPDX-License-Identifier: Apache-2.0
// A new database for the tests is a copy of one that this process has made.
//
// For each family that it creates, RocksDB writes the options of all families, and reads and checks
// them: 18 times for a new database, a third of a second under AddressSanitizer, which was most of
// what the tests of the store, of replication and of the node took. So the linker puts this in the
// place of index_open (--wrap): the first new directory is made as always, aside; it and all others
// are copies, and opened as always.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/store/index.h"

enum kr_err __real_index_open(const struct index_options *options, struct index **out,
                              struct fault *fault);
enum kr_err __wrap_index_open(const struct index_options *options, struct index **out,
                              struct fault *fault);

static struct {
    pthread_mutex_t lock;
    char directory[256]; // "": not made yet
    pid_t maker;         // who removes it
} made = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void remove_made(void)
{
    struct fault fault;
    if (getpid() == made.maker && file_remove_tree(made.directory, &fault) != KR_ERR_OK)
        fprintf(stderr, "%s\n", fault.text);
}

static enum kr_err make(const struct index_options *like, struct fault *fault)
{
    const char *parent = getenv("TMPDIR");
    char directory[sizeof made.directory];
    struct index_options options = *like;
    struct index *index = NULL;
    snprintf(directory, sizeof directory, "%s/keyreeve-index-XXXXXX",
             parent && *parent ? parent : "/tmp");
    assert_non_null(mkdtemp(directory));
    memcpy(made.directory, directory, sizeof directory);
    made.maker = getpid();
    atexit(remove_made);
    options.directory = directory;
    enum kr_err err = __real_index_open(&options, &index, fault);
    index_close(&index);
    return err;
}

static void copy_file(int from_directory, int to_directory, const char *name)
{
    char part[65536];
    ssize_t size;
    int from = openat(from_directory, name, O_RDONLY | O_CLOEXEC);
    int to = openat(to_directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(from >= 0 && to >= 0);
    while ((size = read(from, part, sizeof part)) > 0)
        assert_int_equal(write(to, part, (size_t)size), size);
    assert_int_equal(size, 0);
    close(from);
    close(to);
}

// Its own log and lock are not part of a database.
static bool is_part(const char *name)
{
    return name[0] != '.' && strncmp(name, "LOG", 3) != 0 && strcmp(name, "LOCK") != 0;
}

static void copy_to(const char *directory)
{
    int to = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *from = opendir(made.directory);
    assert_true(to >= 0 && from);
    for (struct dirent *entry; (entry = readdir(from));) {
        if (is_part(entry->d_name))
            copy_file(dirfd(from), to, entry->d_name);
    }
    closedir(from);
    close(to);
}

static bool is_new(const char *directory)
{
    DIR *entries = opendir(directory);
    bool is_empty = true;
    if (!entries)
        return mkdir(directory, 0700) == 0;
    for (struct dirent *entry; is_empty && (entry = readdir(entries));)
        is_empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(entries);
    return is_empty;
}

enum kr_err __wrap_index_open(const struct index_options *options, struct index **out,
                              struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    if (is_new(options->directory)) {
        pthread_mutex_lock(&made.lock);
        if (made.directory[0] == '\0')
            err = make(options, fault);
        if (err == KR_ERR_OK)
            copy_to(options->directory);
        pthread_mutex_unlock(&made.lock);
    }
    if (err == KR_ERR_OK)
        return __real_index_open(options, out, fault);
    *out = NULL;
    return err;
}
