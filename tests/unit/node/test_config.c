// SPDX-License-Identifier: Apache-2.0
// Tests of the settings: precedence, bounds, and errors that name where the mistake stands.
#include "node/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
// cmocka needs stdarg, setjmp and stdlib.
#include <cmocka.h>

static char path[64];

static void write_file(const char *text)
{
    snprintf(path, sizeof(path), "/tmp/keyreeve-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static enum kr_err load(char *flag, struct config **config, struct fault *fault)
{
    char program[] = "keyreeved", option[] = "--config";
    char *argv[] = {program, option, path, flag, NULL};
    enum config_action action;
    *fault = (struct fault){0};
    enum kr_err err = config_load(flag == NULL ? 3 : 4, argv, config, &action, fault);
    unlink(path);
    return err;
}

static void flags_go_before_variables_before_the_file(void **state)
{
    (void)state;
    struct config *config;
    struct fault fault;
    char flag[] = "--region=flag";
    write_file("node_id: file\nregion: file\nrealm: file\nserve_threads: 3\ninsecure: true\n");
    setenv("KEYREEVE_NODE_ID", "variable", 1);
    setenv("KEYREEVE_REGION", "variable", 1);
    assert_int_equal(load(flag, &config, &fault), KR_ERR_OK);
    unsetenv("KEYREEVE_NODE_ID");
    unsetenv("KEYREEVE_REGION");
    assert_string_equal(config->region, "flag");
    assert_string_equal(config->node_id, "variable");
    assert_string_equal(config->realm, "file");
    assert_int_equal(config->serve_threads, 3);
    assert_true(config->insecure);
    assert_string_equal(config->http, "127.0.0.1:7400");
    config_free(&config);
}

static void expect_fault(const char *text, const char *flag, const char *first, const char *second)
{
    struct config *config;
    struct fault fault;
    char copy[64] = "";
    write_file(text);
    if (flag != NULL)
        snprintf(copy, sizeof(copy), "%s", flag);
    assert_int_equal(load(flag == NULL ? NULL : copy, &config, &fault), KR_ERR_INVALID);
    assert_null(config);
    assert_non_null(strstr(fault.text, first));
    assert_non_null(strstr(fault.text, second));
}

static void names_line_and_setting_of_a_mistake(void **state)
{
    (void)state;
    expect_fault("region: x\n# a comment\ncolour: blue\n", NULL, ":3: ", "\"colour\"");
    expect_fault("region: x\nregion: y\n", NULL, ":2: ", "twice");
    expect_fault("region: x\nserve_threads: many\n", NULL, ":2: ", "many");
    expect_fault("region: x\nrealm: a: b\n", NULL, ":2: ", "mapping values are not allowed");
    expect_fault("region: x\n\trealm: a\n", NULL, ":2: ", "a tab");
    expect_fault("region: x\n# \xc3\xa9\nrealm: \xff\n", NULL, ":3: ", "UTF-8");
    expect_fault("region: x\n- a\n", NULL, ":2: ", "expected key");
    expect_fault("node_id: a\"b\n", NULL, "node_id", "quote");
    expect_fault("node_id: a\n", "--region=a\\b", "region", "backslash");
    expect_fault("node_id: a\n", "--region=a\nb", "region", "visible");
    expect_fault("node_id: a\n", "--node-id=a b", "node_id", "space");
    expect_fault("node_id: a\n", "--region=", "region", "1 to 63");
    expect_fault("serve_threads: 9999\n", NULL, ":1: serve_threads", "0 to 256");
    expect_fault("", "--serve-threads=x", "--serve-threads", "whole number");
    expect_fault("", "--colour=blue", "--colour", "--help");
    expect_fault("", "--trusted-proxies=10.0.0.1/8", "trusted_proxies", "10.0.0.1/8");
    expect_fault("", "--log-level=loud", "log_level", "loud");
    expect_fault("", "--credential-scheme=Api Key", "credential_scheme", "Api Key");
    expect_fault("", "--credential-scheme=", "credential_scheme", "ApiKey");
    expect_fault("", "--http", "--http", "value");
}

static void expect_good(const char *flag)
{
    struct config *config;
    struct fault fault;
    char copy[300];
    snprintf(copy, sizeof(copy), "%s", flag);
    write_file("");
    assert_int_equal(load(copy, &config, &fault), KR_ERR_OK);
    config_free(&config);
}

static void knows_names_of_gateways_that_no_certificate_has(void **state)
{
    (void)state;
    for (size_t size = 256; size <= 257; size++) {
        struct config *config;
        struct fault fault;
        char flag[400] = "--tls-client-names=gateway-1, ";
        memset(flag + strlen(flag), 'a', size);
        strcat(flag, " ,gateway-2");
        write_file("");
        assert_int_equal(load(flag, &config, &fault), size == 256 ? KR_ERR_OK : KR_ERR_INVALID);
        if (size == 256)
            config_free(&config);
        else if (strstr(fault.text, "tls_client_names: \"aaa") == NULL ||
                 strstr(fault.text, "257 bytes") == NULL || strstr(fault.text, "256") == NULL)
            fail_msg("%s", fault.text);
    }
}

static void knows_names_that_can_stand_where_they_will(void **state)
{
    (void)state;
    static const char *const bad[][3] = {
        {"--account=", "account", "1 to 128"},
        {"--account=a/b", "account", "\"a/b\""},
        {"--account=..", "account", "\"..\""},
        {"--account=Acme", "account", "a-z"},
        {"--account=a b", "account", "\"a b\""},
        {"--credential-header=X Y", "credential_header", "\"X Y\""},
        {"--credential-header=X-Key:", "credential_header", "X-API-Key"},
        {"--credential-cookie=a=b", "credential_cookie", "\"a=b\""},
        {"--credential-cookie=a;", "credential_cookie", "api_key"},
        {"--credential-query=a&b", "credential_query", "\"a&b\""},
        {"--credential-query=a=b", "credential_query", "like api_key"},
        {"--credential-query=a#", "credential_query", "\"a#\""},
        {"--credential-query=a b", "credential_query", "\"a b\""},
        {"--credential-query=a\x7f", "credential_query", "blanks"},
        {"--tls-min-version=1.1", "tls_min_version", "\"1.1\""},
        {"--peer-advertise=foo", "peer_advertise", "\"foo\""},
        {"--peer-advertise=foo:0", "peer_advertise", "HOST:PORT"},
        {"--peer-advertise=http://foo:7402", "peer_advertise", "HOST:PORT"},
        {"--http-advertise=foo", "http_advertise", "\"foo\""},
        {"--http-advertise=ftp://foo", "http_advertise", "https://keys.eu.example"},
        {"--http-advertise=http://", "http_advertise", "URL"},
        {"--http-advertise=http:///v1", "http_advertise", "URL"},
        {"--http-advertise=http://a b", "http_advertise", "URL"},
        {"--http-advertise=http://a:x", "http_advertise", "URL"},
        {"--http-advertise=http://u@a", "http_advertise", "URL"},
        {"--http-advertise=http://[::1", "http_advertise", "URL"},
    };
    static const char *const good[] = {
        "--account=a",
        "--account=-",
        "--account=acme_corp-2",
        "--credential-header=X-Key",
        "--credential-header=",
        "--credential-cookie=__Host-key",
        "--credential-cookie=",
        "--credential-query=api_key",
        "--credential-query=key+name",
        "--credential-query=auth%5Bkey%5D",
        "--credential-query=auth[key]",
        "--credential-query=",
        "--tls-min-version=1.3",
        "--peer-advertise=core-1.example:7402",
        "--peer-advertise=[::1]:7402",
        "--http-advertise=https://keys.eu.example",
        "--http-advertise=http://10.0.0.1:7400/",
        "--http-advertise=https://[::1]:7400/keyreeve",
        "--http-advertise=https://[::1]",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_fault("", bad[i][0], bad[i][1], bad[i][2]);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        expect_good(good[i]);
}

// Whatever a number is taken for, it is the same in a file, a variable and a flag.
static void reads_numbers_alike_wherever_they_stand(void **state)
{
    (void)state;
    static const char *const wrong[] = {"64M", "20_000", "1e4", "10s", "0x10", "+10", " 10",
                                        "1 0", "",       "-",   "~",   "1.5",  "--1"};
    static const char *const right[] = {"10", "010", "-1", "0"};
    static const int64_t means[] = {10, 10, -1, 0};
    char text[64], flag[64];
    struct config *config;
    struct fault fault;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), "region: x\nmaster_key_fd: \"%s\"\n", wrong[i]);
        expect_fault(text, NULL, ":2: master_key_fd: ", "no whole number; write digits alone");
        snprintf(flag, sizeof(flag), "--master-key-fd=%s", wrong[i]);
        expect_fault("", flag, "--master-key-fd: ", "no whole number; write digits alone");
        setenv("KEYREEVE_MASTER_KEY_FD", wrong[i], 1);
        expect_fault("", NULL, "KEYREEVE_MASTER_KEY_FD: ", "no whole number; write digits alone");
        unsetenv("KEYREEVE_MASTER_KEY_FD");
    }
    expect_fault("disk_reserve_bytes: 64M\n", NULL, ":1: disk_reserve_bytes", "\"64M\"");
    expect_fault("disk_reserve_bytes:\n", NULL, ":1: disk_reserve_bytes", "\"\"");
    expect_fault("serve_threads: 99999999999999999999\n", NULL, ":1: ", "out of range");
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        snprintf(text, sizeof(text), "master_key_fd: %s\n", right[i]);
        write_file(text);
        assert_int_equal(load(NULL, &config, &fault), KR_ERR_OK);
        assert_int_equal(config->master_key_fd, means[i]);
        config_free(&config);
        snprintf(flag, sizeof(flag), "--master-key-fd=%s", right[i]);
        write_file("");
        assert_int_equal(load(flag, &config, &fault), KR_ERR_OK);
        assert_int_equal(config->master_key_fd, means[i]);
        config_free(&config);
    }
}

static void prints_a_file_that_reads_back(void **state)
{
    (void)state;
    struct config *config, *again;
    struct fault fault;
    char flag[] = "--realm=a b#c: d";
    write_file("");
    assert_int_equal(load(flag, &config, &fault), KR_ERR_OK);
    write_file("");
    FILE *file = fopen(path, "w");
    config_print(config, file);
    fclose(file);
    assert_int_equal(load(NULL, &again, &fault), KR_ERR_OK);
    assert_string_equal(again->realm, "a b#c: d");
    assert_int_equal(again->retention_days, config->retention_days);
    config_free(&config);
    config_free(&again);
}

static void splits_addresses(void **state)
{
    (void)state;
    char host[32];
    unsigned port;
    assert_true(config_split_address("127.0.0.1:7400", host, sizeof(host), &port));
    assert_string_equal(host, "127.0.0.1");
    assert_int_equal(port, 7400);
    assert_true(config_split_address("[::1]:0", host, sizeof(host), &port));
    assert_string_equal(host, "::1");
    static const char *const bad[] = {"", "x", ":1", "h:", "h:65536", "h:1x", "h:-1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(config_split_address(bad[i], host, sizeof(host), &port));
    assert_true(config_is_loopback("127.1.2.3"));
    assert_false(config_is_loopback("0.0.0.0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_go_before_variables_before_the_file),
        cmocka_unit_test(names_line_and_setting_of_a_mistake),
        cmocka_unit_test(knows_names_of_gateways_that_no_certificate_has),
        cmocka_unit_test(knows_names_that_can_stand_where_they_will),
        cmocka_unit_test(reads_numbers_alike_wherever_they_stand),
        cmocka_unit_test(prints_a_file_that_reads_back),
        cmocka_unit_test(splits_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
