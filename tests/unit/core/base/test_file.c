// SPDX-License-Identifier: Apache-2.0
// Small files: secrets stay secret, replacement is whole, a lock names its holder.
#include "core/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/mem.h"

// A directory for one test, and a path in it.
struct place {
    char directory[64];
    char path[96];
    struct fault fault;
    struct buf buf;
};

static int set_up(void **state)
{
    struct place *place = mem_zalloc(sizeof(*place));
    snprintf(place->directory, sizeof(place->directory), "/tmp/keyreeve-test-XXXXXX");
    if (mkdtemp(place->directory) == NULL)
        return -1;
    snprintf(place->path, sizeof(place->path), "%s/file", place->directory);
    buf_init(&place->buf, 10000);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", place->directory);
    buf_fini(&place->buf);
    int result = system(command);
    mem_free(place);
    return result;
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static unsigned count_entries(const char *directory)
{
    unsigned count = 0;
    DIR *listing = opendir(directory);
    assert_non_null(listing);
    while (readdir(listing) != NULL)
        count++;
    closedir(listing);
    return count - 2;
}

static void put(struct place *place, const char *content, mode_t mode)
{
    assert_int_equal(file_replace(place->path, bytes_text(content), mode, &place->fault),
                     KR_ERR_OK);
}

static void a_file_is_appended_whole(void **state)
{
    struct place *place = *state;
    static char content[9001];
    memset(content, 'x', sizeof(content) - 1);
    put(place, content, 0600);
    buf_add_text(&place->buf, "before ");
    assert_int_equal(file_read(place->path, &place->buf, &place->fault), KR_ERR_OK);
    assert_int_equal(place->buf.size, 7 + 9000);
    assert_memory_equal(place->buf.data, "before xxx", 10);
}

static void an_empty_file_is_read(void **state)
{
    struct place *place = *state;
    put(place, "", 0600);
    assert_int_equal(file_read(place->path, &place->buf, &place->fault), KR_ERR_OK);
    assert_int_equal(place->buf.size, 0);
}

static void a_file_above_the_limit_is_refused(void **state)
{
    struct place *place = *state;
    struct buf small;
    put(place, "12345678", 0600);
    buf_init(&small, 8);
    assert_int_equal(file_read(place->path, &small, &place->fault), KR_ERR_OK);
    buf_fini(&small);
    buf_init(&small, 7);
    assert_int_equal(file_read(place->path, &small, &place->fault), KR_ERR_TOO_LARGE);
    assert_non_null(strstr(place->fault.text, "larger than 7 bytes"));
    buf_fini(&small);
}

static void a_missing_file_is_told_by_its_path(void **state)
{
    struct place *place = *state;
    assert_int_equal(file_read(place->path, &place->buf, &place->fault), KR_ERR_NOT_FOUND);
    assert_non_null(strstr(place->fault.text, place->path));
    assert_int_equal(file_read(place->directory, &place->buf, &place->fault), KR_ERR_IO);
}

static void a_directory_is_no_secret_that_a_mode_could_mend(void **state)
{
    struct place *place = *state;
    assert_int_equal(chmod(place->directory, 0755), 0);
    assert_int_equal(file_read_secret(place->directory, &place->buf, &place->fault), KR_ERR_IO);
    assert_non_null(strstr(place->fault.text, "is a directory"));
    assert_null(strstr(place->fault.text, "chmod"));
}

static void a_secret_must_be_its_owners_alone(void **state)
{
    struct place *place = *state;
    static const mode_t open_modes[] = {0640, 0604, 0620, 0602, 0610, 0644, 0666};
    put(place, "s3cret", 0600);
    for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
        assert_int_equal(chmod(place->path, open_modes[i]), 0);
        assert_int_equal(file_read_secret(place->path, &place->buf, &place->fault),
                         KR_ERR_FORBIDDEN);
        assert_int_equal(place->buf.size, 0);
        assert_non_null(strstr(place->fault.text, "chmod 600 "));
        assert_null(strstr(place->fault.text, "s3cret"));
    }
    assert_int_equal(chmod(place->path, 0400), 0);
    assert_int_equal(file_read_secret(place->path, &place->buf, &place->fault), KR_ERR_OK);
    assert_true(bytes_equal_text(buf_bytes(&place->buf), "s3cret"));
}

static void expect_changed(struct place *place, struct file_stamp *before)
{
    struct file_stamp now = file_look(place->path), again = file_look(place->path);
    assert_true(file_is_same(&now, &again));
    assert_false(file_is_same(&now, before));
    *before = now;
    usleep(20000); // the kernel's times of files stand still for a few milliseconds
}

static void a_look_tells_of_rights_and_of_what_has_the_old_time(void **state)
{
    struct place *place = *state;
    struct file_stamp stamp = file_look(place->path);
    assert_int_equal(stamp.number, 0);
    put(place, "before", 0644);
    expect_changed(place, &stamp);
    assert_int_equal(chmod(place->path, 0600), 0);
    expect_changed(place, &stamp);
    const struct timespec old[2] = {stamp.written, stamp.written};
    int fd = open(place->path, O_WRONLY);
    assert_int_equal(write(fd, "behind", 6), 6);
    assert_int_equal(futimens(fd, old), 0);
    close(fd);
    expect_changed(place, &stamp);
    assert_int_equal(unlink(place->path), 0);
    expect_changed(place, &stamp);
}

static void replacing_sets_content_and_mode_and_leaves_no_rest(void **state)
{
    struct place *place = *state;
    put(place, "a long first content", 0644);
    put(place, "second", 0600);
    assert_int_equal(mode_of(place->path), 0600);
    assert_int_equal(count_entries(place->directory), 1);
    assert_int_equal(file_read(place->path, &place->buf, &place->fault), KR_ERR_OK);
    assert_true(bytes_equal_text(buf_bytes(&place->buf), "second"));
}

static void who_has_the_old_file_open_keeps_it(void **state)
{
    struct place *place = *state;
    char old[3];
    put(place, "old", 0600);
    int fd = open(place->path, O_RDONLY);
    put(place, "new", 0600);
    assert_int_equal(read(fd, old, sizeof(old)), 3);
    assert_memory_equal(old, "old", 3);
    close(fd);
}

static void a_failed_replacement_leaves_everything_as_it_was(void **state)
{
    struct place *place = *state;
    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_int_equal(file_replace(place->path, bytes_text("x"), 0600, &place->fault), KR_ERR_IO);
    assert_int_equal(count_entries(place->directory), 1);
    assert_int_equal(file_replace("/nowhere/at/all", bytes_text("x"), 0600, &place->fault),
                     KR_ERR_NOT_FOUND);
    assert_non_null(strstr(place->fault.text, "/nowhere/at/all"));
}

static void what_cannot_be_written_whole_replaces_nothing(void **state)
{
    struct place *place = *state;
    static char large[1000];
    struct rlimit unlimited, small;
    memset(large, 'x', sizeof(large) - 1);
    put(place, "old", 0600);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    small = (struct rlimit){.rlim_cur = 100, .rlim_max = unlimited.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum kr_err err = file_replace(place->path, bytes_text(large), 0600, &place->fault);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    assert_int_equal(err, KR_ERR_IO);
    assert_int_equal(count_entries(place->directory), 1);
    assert_int_equal(file_read(place->path, &place->buf, &place->fault), KR_ERR_OK);
    assert_true(bytes_equal_text(buf_bytes(&place->buf), "old"));
}

static void directories_are_made_with_their_parents(void **state)
{
    struct place *place = *state;
    char deep[128];
    snprintf(deep, sizeof(deep), "%s/a//b/c/", place->directory);
    assert_int_equal(file_make_directory(deep, 0700, &place->fault), KR_ERR_OK);
    assert_int_equal(mode_of(deep), 0700);
    assert_int_equal(chmod(deep, 0750), 0);
    assert_int_equal(file_make_directory(deep, 0700, &place->fault), KR_ERR_OK);
    assert_int_equal(mode_of(deep), 0750);
    assert_int_equal(file_make_directory("/", 0700, &place->fault), KR_ERR_OK);
}

static void a_file_in_the_way_of_a_directory_is_told(void **state)
{
    struct place *place = *state;
    char below[128];
    put(place, "x", 0600);
    assert_int_equal(file_make_directory(place->path, 0700, &place->fault), KR_ERR_IO);
    assert_non_null(strstr(place->fault.text, "not a directory"));
    snprintf(below, sizeof(below), "%s/x", place->path);
    assert_int_equal(file_make_directory(below, 0700, &place->fault), KR_ERR_IO);
}

static void a_lock_is_held_once_and_names_its_holder(void **state)
{
    struct place *place = *state;
    int first, second;
    char holder[32];
    assert_int_equal(file_lock(place->path, &first, &place->fault), KR_ERR_OK);
    assert_int_equal(mode_of(place->path), 0600);
    assert_int_equal(file_lock(place->path, &second, &place->fault), KR_ERR_LOCKED);
    assert_int_equal(second, -1);
    snprintf(holder, sizeof(holder), "process %d", (int)getpid());
    assert_non_null(strstr(place->fault.text, holder));
    assert_non_null(strstr(place->fault.text, place->path));
    file_unlock(&first);
    assert_int_equal(first, -1);
    assert_int_equal(file_lock(place->path, &second, &place->fault), KR_ERR_OK);
    file_unlock(&second);
    file_unlock(&second);
}

static void a_lock_file_with_nonsense_in_it_names_nobody(void **state)
{
    struct place *place = *state;
    int lock, other;
    assert_int_equal(file_lock(place->path, &lock, &place->fault), KR_ERR_OK);
    assert_int_equal(pwrite(lock, "\xff nonsense %s%n\n", 16, 0), 16);
    assert_int_equal(file_lock(place->path, &other, &place->fault), KR_ERR_LOCKED);
    assert_non_null(strstr(place->fault.text, "another process"));
    file_unlock(&lock);
}

static void a_lock_dies_with_its_process(void **state)
{
    struct place *place = *state;
    int lock, status;
    pid_t child = fork();
    if (child == 0)
        _exit(file_lock(place->path, &lock, NULL) == KR_ERR_OK ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(file_lock(place->path, &lock, &place->fault), KR_ERR_OK);
    file_unlock(&lock);
}

#define placed(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        placed(a_file_is_appended_whole),
        placed(an_empty_file_is_read),
        placed(a_file_above_the_limit_is_refused),
        placed(a_missing_file_is_told_by_its_path),
        placed(a_directory_is_no_secret_that_a_mode_could_mend),
        placed(a_secret_must_be_its_owners_alone),
        placed(a_look_tells_of_rights_and_of_what_has_the_old_time),
        placed(replacing_sets_content_and_mode_and_leaves_no_rest),
        placed(who_has_the_old_file_open_keeps_it),
        placed(a_failed_replacement_leaves_everything_as_it_was),
        placed(what_cannot_be_written_whole_replaces_nothing),
        placed(directories_are_made_with_their_parents),
        placed(a_file_in_the_way_of_a_directory_is_told),
        placed(a_lock_is_held_once_and_names_its_holder),
        placed(a_lock_file_with_nonsense_in_it_names_nobody),
        placed(a_lock_dies_with_its_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
