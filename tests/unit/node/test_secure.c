// SPDX-License-Identifier: Apache-2.0
// Tests of the certificates' renewal: what could not be used is used once it can be, and is
// complained about once.
#include "node/secure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka needs them.
#include <cmocka.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rand.h"
#include "tests/unit/core/tls/browser.h"

static size_t complaints; // in the log

void __wrap_log_write(enum log_level level, const char *event, const struct log_field *fields);
void __wrap_log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    (void)event, (void)fields;
    complaints += level == KR_LOG_ERROR;
}

struct world {
    struct config config;
    char directory[64], cert[96], key[96], none[1];
    struct identity identity;
    struct secure *secure;
    uint64_t now_ms;
};

static void put(const char *path, const struct buf *content)
{
    struct fault fault;
    assert_int_equal(file_replace(path, buf_bytes(content), 0600, &fault), KR_ERR_OK);
}

static int make_world(void **state)
{
    struct fault fault;
    struct world *world = mem_zalloc(sizeof(*world));
    rand_init();
    snprintf(world->directory, sizeof(world->directory), "/tmp/keyreeve-test-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    snprintf(world->cert, sizeof(world->cert), "%s/cert.pem", world->directory);
    snprintf(world->key, sizeof(world->key), "%s/key.pem", world->directory);
    identity_make(&world->identity, "localhost", "DNS:localhost", 30, NULL);
    put(world->cert, &world->identity.chain_pem);
    put(world->key, &world->identity.key_pem);
    world->config = (struct config){.tls_cert = world->cert,
                                    .tls_key = world->key,
                                    .tls_client_ca = world->none,
                                    .tls_client_names = world->none,
                                    .tls_min_version = world->none,
                                    .tls_check_ms = 100};
    assert_int_equal(secure_new(&world->config, &world->secure, &fault), KR_ERR_OK);
    complaints = 0;
    *state = world;
    return 0;
}

static int free_world(void **state)
{
    struct world *world = *state;
    secure_free(&world->secure);
    identity_fini(&world->identity);
    enum kr_err err = file_remove_tree(world->directory, NULL);
    mem_free(world);
    return err != KR_ERR_OK;
}

// Looks once more, and says how often the files were read with success until now.
static uint64_t loads_after_look(struct world *world)
{
    struct secure_figures figures;
    world->now_ms += 100;
    secure_tick(world->secure, world->now_ms);
    secure_figures(world->secure, &figures);
    usleep(20000); // the kernel's times of files stand still for a few milliseconds
    return figures.loads;
}

static void what_has_not_changed_is_not_read_again(void **state)
{
    struct world *world = *state;
    assert_int_equal(loads_after_look(world), 1);
    assert_int_equal(loads_after_look(world), 1);
    put(world->cert, &world->identity.chain_pem);
    assert_int_equal(loads_after_look(world), 2);
    assert_int_equal(loads_after_look(world), 2);
    assert_int_equal(complaints, 0);
}

static void rights_that_are_mended_are_noticed(void **state)
{
    struct world *world = *state;
    struct stat before, after;
    assert_int_equal(loads_after_look(world), 1);
    assert_int_equal(stat(world->key, &before), 0);
    assert_int_equal(chmod(world->key, 0640), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(loads_after_look(world), 1);
    assert_int_equal(complaints, 1);
    assert_int_equal(chmod(world->key, 0600), 0);
    assert_int_equal(stat(world->key, &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
    assert_int_equal(loads_after_look(world), 2);
    assert_int_equal(loads_after_look(world), 2);
    assert_int_equal(complaints, 1);
}

static void a_want_of_descriptors_loses_no_renewal(void **state)
{
    struct world *world = *state;
    struct rlimit before, none;
    assert_int_equal(loads_after_look(world), 1);
    put(world->cert, &world->identity.chain_pem);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(loads_after_look(world), 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(complaints, 1);
    assert_int_equal(loads_after_look(world), 2);
    assert_int_equal(loads_after_look(world), 2);
    assert_int_equal(complaints, 1);
}

// A wrong try at a mend, and who asks by SIGHUP, are told so.
static void a_complaint_is_repeated_to_whom_it_is_news(void **state)
{
    struct world *world = *state;
    assert_int_equal(chmod(world->key, 0640), 0);
    assert_int_equal(loads_after_look(world), 1);
    assert_int_equal(chmod(world->key, 0660), 0);
    assert_int_equal(loads_after_look(world), 1);
    assert_int_equal(complaints, 2);
    secure_reload(world->secure);
    assert_int_equal(loads_after_look(world), 1);
    assert_int_equal(complaints, 3);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, make_world, free_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_world(what_has_not_changed_is_not_read_again),
        in_world(rights_that_are_mended_are_noticed),
        in_world(a_want_of_descriptors_loses_no_renewal),
        in_world(a_complaint_is_repeated_to_whom_it_is_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
