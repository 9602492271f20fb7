// SPDX-License-Identifier: Apache-2.0
// The file of stored logins.
#include "client/contexts.h"

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

static char directory[64];
static struct contexts contexts;
static struct fault fault;

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/keyreeve-contexts-XXXXXX");
    assert_non_null(mkdtemp(directory));
    setenv("XDG_CONFIG_HOME", directory, 1);
    contexts_init(&contexts);
    fault = (struct fault){0};
    return 0;
}

static int teardown(void **state)
{
    char path[128];
    (void)state;
    contexts_fini(&contexts);
    snprintf(path, sizeof(path), "%s/keyreeve/contexts.json", directory);
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
    rmdir(directory);
    return 0;
}

static void store_one(const char *name)
{
    struct context context = {
        .name = name, .url = "http://127.0.0.1:7400", .token = "t0ken", .account = "default"};
    assert_int_equal(contexts_put(&contexts, &context, &fault), KR_ERR_OK);
    assert_int_equal(contexts_store(&contexts, &fault), KR_ERR_OK);
}

static void reload(void)
{
    contexts_fini(&contexts);
    contexts_init(&contexts);
    assert_int_equal(contexts_load(&contexts, &fault), KR_ERR_OK);
}

static void no_file_is_an_empty_set(void **state)
{
    (void)state;
    assert_int_equal(contexts_load(&contexts, &fault), KR_ERR_OK);
    assert_int_equal(contexts.count, 0);
    assert_null(contexts_find(&contexts, NULL));
}

static void the_file_is_for_its_owner_alone(void **state)
{
    struct stat status;
    (void)state;
    assert_int_equal(contexts_load(&contexts, &fault), KR_ERR_OK);
    store_one("one");
    assert_int_equal(stat(contexts.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    *strrchr(contexts.path, '/') = '\0';
    assert_int_equal(stat(contexts.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
}

static void what_was_stored_is_read_again(void **state)
{
    (void)state;
    assert_int_equal(contexts_load(&contexts, &fault), KR_ERR_OK);
    store_one("one");
    store_one("two");
    reload();
    assert_int_equal(contexts.count, 2);
    assert_string_equal(contexts_find(&contexts, NULL)->name, "two");
    assert_string_equal(contexts_find(&contexts, "one")->token, "t0ken");
    assert_null(contexts_find(&contexts, "one")->bucket);
    store_one("one");
    reload();
    assert_int_equal(contexts.count, 2);
    assert_string_equal(contexts.current, "one");
}

static void a_removed_one_is_gone_and_no_longer_current(void **state)
{
    (void)state;
    assert_int_equal(contexts_load(&contexts, &fault), KR_ERR_OK);
    store_one("one");
    store_one("two");
    assert_true(contexts_remove(&contexts, "two"));
    assert_false(contexts_remove(&contexts, "two"));
    assert_int_equal(contexts_store(&contexts, &fault), KR_ERR_OK);
    reload();
    assert_int_equal(contexts.count, 1);
    assert_null(contexts_find(&contexts, NULL));
}

static void a_file_that_others_can_read_is_refused(void **state)
{
    (void)state;
    assert_int_equal(contexts_load(&contexts, &fault), KR_ERR_OK);
    store_one("one");
    for (mode_t bit = 01; bit <= 040; bit <<= 1) {
        assert_int_equal(chmod(contexts.path, 0600 | bit), 0);
        contexts_fini(&contexts);
        contexts_init(&contexts);
        assert_int_equal(contexts_load(&contexts, &fault), KR_ERR_FORBIDDEN);
        assert_non_null(strstr(fault.text, "chmod 600"));
    }
}

static void a_damaged_file_is_refused_without_quoting_it(void **state)
{
    static const char *const texts[] = {
        "", "{", "[]", "{\"contexts\":[{\"token\":\"t0ken\"}]}", "{\"contexts\":{}}", "t0ken"};
    (void)state;
    assert_int_equal(contexts_load(&contexts, &fault), KR_ERR_OK);
    store_one("one");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        FILE *file = fopen(contexts.path, "w");
        fputs(texts[i], file);
        fclose(file);
        contexts_fini(&contexts);
        contexts_init(&contexts);
        assert_int_equal(contexts_load(&contexts, &fault), KR_ERR_INVALID);
        assert_null(strstr(fault.text, "t0ken"));
    }
}

static void there_is_a_limit(void **state)
{
    char name[16];
    (void)state;
    assert_int_equal(contexts_load(&contexts, &fault), KR_ERR_OK);
    struct context context = {.name = name, .url = "http://x", .token = "t"};
    for (unsigned i = 0; i < KR_CONTEXTS_MAX; i++) {
        snprintf(name, sizeof(name), "c%u", i);
        assert_int_equal(contexts_put(&contexts, &context, &fault), KR_ERR_OK);
    }
    snprintf(name, sizeof(name), "more");
    assert_int_equal(contexts_put(&contexts, &context, &fault), KR_ERR_TOO_LARGE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(no_file_is_an_empty_set),
        T(the_file_is_for_its_owner_alone),
        T(what_was_stored_is_read_again),
        T(a_removed_one_is_gone_and_no_longer_current),
        T(a_file_that_others_can_read_is_refused),
        T(a_damaged_file_is_refused_without_quoting_it),
        T(there_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
