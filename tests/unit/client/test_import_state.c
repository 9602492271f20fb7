// SPDX-License-Identifier: Apache-2.0
// The state file of an import.
#include "client/import_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64];
static struct fault fault;

static void what_is_stored_is_loaded(void **state)
{
    struct import_state stored = {.target = "http://x, account default, bucket -",
                                  .offset = UINT64_C(9000000000),
                                  .lines = 10000000,
                                  .imported = 9999990,
                                  .existing = 7,
                                  .refused = 3,
                                  .report_bytes = 120};
    struct import_state loaded;
    struct stat status;
    (void)state;
    memset(stored.digest, 0xa5, sizeof(stored.digest));
    assert_int_equal(import_state_store(path, &stored, &fault), KR_ERR_OK);
    assert_int_equal(import_state_load(path, &loaded, &fault), KR_ERR_OK);
    assert_string_equal(loaded.target, stored.target);
    assert_memory_equal(loaded.digest, stored.digest, sizeof(loaded.digest));
    assert_int_equal(loaded.offset, stored.offset);
    assert_int_equal(loaded.lines, stored.lines);
    assert_int_equal(loaded.imported, stored.imported);
    assert_int_equal(loaded.existing, stored.existing);
    assert_int_equal(loaded.refused, stored.refused);
    assert_int_equal(loaded.report_bytes, stored.report_bytes);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void no_file_is_told_from_a_damaged_one(void **state)
{
    static const char *const texts[] = {"", "{}", "[]", "{\"format\":2}",
                                        "{\"format\":1,\"offset\":-1}"};
    struct import_state loaded;
    (void)state;
    assert_int_equal(import_state_load(path, &loaded, &fault), KR_ERR_NOT_FOUND);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        FILE *file = fopen(path, "w");
        fputs(texts[i], file);
        fclose(file);
        assert_int_equal(import_state_load(path, &loaded, &fault), KR_ERR_INVALID);
        assert_non_null(strstr(fault.text, "--restart"));
    }
}

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "/tmp/keyreeve-state-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_stored_is_loaded, setup, teardown),
        cmocka_unit_test_setup_teardown(no_file_is_told_from_a_damaged_one, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
