// SPDX-License-Identifier: Apache-2.0
// Tests of a public listener's TLS: names, versions, tickets, clients' certificates, bad files.
#include "core/tls/tls_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// cmocka needs them.
#include <cmocka.h>
#include <openssl/err.h>

#include "core/base/rand.h"
#include "tests/unit/core/tls/browser.h"

struct world {
    struct identity authority, first, second, gateway, stranger, other_authority;
    struct tls_tickets *tickets;
    struct tls_files files[2];
    struct tls_server_options options;
};

static int make_world(void **state)
{
    static struct world world;
    rand_init();
    identity_make(&world.authority, "gateways CA", NULL, 30, NULL);
    identity_make(&world.other_authority, "another CA", NULL, 30, NULL);
    identity_make(&world.first, "first", "DNS:first.example,DNS:*.first.example", 30,
                  &world.other_authority);
    identity_make(&world.second, "second", "DNS:second.example", 30, &world.other_authority);
    identity_make(&world.gateway, "gateway-1", "URI:spiffe://a/gateway", 30, &world.authority);
    identity_make(&world.stranger, "stranger", NULL, 30, &world.other_authority);
    world.tickets = tls_tickets_new();
    world.files[0] = files_of(&world.first);
    world.files[1] = files_of(&world.second);
    world.options = (struct tls_server_options){
        .certificates = world.files,
        .certificate_count = 2,
        .tickets = world.tickets,
        .alpn = "h2,http/1.1",
        .client_authorities = buf_bytes(&world.authority.chain_pem),
        .client_authorities_path = "gateways.pem",
        .client_names = "",
    };
    *state = &world;
    return 0;
}

static int free_world(void **state)
{
    struct world *world = *state;
    tls_tickets_free(&world->tickets);
    identity_fini(&world->authority);
    identity_fini(&world->other_authority);
    identity_fini(&world->first);
    identity_fini(&world->second);
    identity_fini(&world->gateway);
    identity_fini(&world->stranger);
    return 0;
}

static struct tls_context *open_context(const struct tls_server_options *options)
{
    struct fault fault = {0};
    struct tls_context *context;
    if (tls_server_context_new(options, clock_unix_ms(), &context, &fault) != KR_ERR_OK)
        fail_msg("%s", fault.text);
    return context;
}

static void end_visit(struct visit *visit)
{
    SSL_SESSION_free(visit->session);
    visit->session = NULL;
    assert_int_equal(ERR_peek_error(), 0);
}

static void the_name_picks_the_certificate(void **state)
{
    struct world *world = *state;
    static const char *const cases[][2] = {
        {"first.example", "first"},   {"a.first.example", "first"}, {"second.example", "second"},
        {"SECOND.example", "second"}, {"unknown.example", "first"}, {NULL, "first"},
    };
    struct tls_context *context = open_context(&world->options);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct visit visit = {.server_name = cases[i][0], .version = version};
            visit_run(&visit, context);
            assert_true(visit.is_open);
            assert_int_equal(visit.spoken_version, version);
            assert_string_equal(visit.met, cases[i][1]);
            end_visit(&visit);
        }
    }
    tls_context_free(&context);
}

static void versions_below_the_least_are_refused(void **state)
{
    struct world *world = *state;
    struct tls_server_options options = world->options;
    options.least_version = KR_TLS_1_3;
    struct tls_context *context = open_context(&options);
    struct visit visit = {.version = TLS1_2_VERSION};
    visit_run(&visit, context);
    assert_false(visit.is_open);
    assert_non_null(strstr(visit.why, "too old"));
    end_visit(&visit);
    tls_context_free(&context);
    context = open_context(&world->options);
    visit = (struct visit){.version = TLS1_1_VERSION};
    visit_run(&visit, context);
    assert_false(visit.is_open);
    end_visit(&visit);
    tls_context_free(&context);
}

static void a_protocol_is_agreed_by_our_order_or_refused(void **state)
{
    struct world *world = *state;
    struct tls_context *context = open_context(&world->options);
    struct visit both = {.alpn = "\x8http/1.1\x2h2"}, none = {0}, other = {.alpn = "\x4smtp"};
    visit_run(&both, context);
    assert_string_equal(both.protocol, "h2");
    visit_run(&none, context);
    assert_true(none.is_open);
    assert_string_equal(none.protocol, "");
    visit_run(&other, context);
    assert_false(other.is_open);
    end_visit(&both);
    end_visit(&none);
    end_visit(&other);
    tls_context_free(&context);
}

// Also by a context that was made of renewed files, as long as the ticket's key is kept.
static void a_session_resumes_until_its_key_is_forgotten(void **state)
{
    struct world *world = *state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_context *context = open_context(&world->options);
        struct tls_context *renewed = open_context(&world->options);
        struct visit visit = {.server_name = "first.example", .version = version};
        visit_run(&visit, context);
        assert_true(visit.is_open && !visit.is_resumed);
        assert_non_null(visit.session);
        for (int rotations = 0; rotations <= 3; rotations++) {
            // A copy: OpenSSL's client uses a session of TLS 1.3 once.
            struct visit later = {.server_name = "first.example",
                                  .version = version,
                                  .session = SSL_SESSION_dup(visit.session)};
            visit_run(&later, renewed);
            assert_true(later.is_open);
            assert_int_equal(later.is_resumed, rotations < 3);
            end_visit(&later);
            tls_tickets_rotate(world->tickets);
        }
        end_visit(&visit);
        tls_context_free(&context);
        tls_context_free(&renewed);
    }
}

static void a_ticket_of_another_process_is_no_ticket(void **state)
{
    struct world *world = *state;
    struct tls_tickets *others = tls_tickets_new();
    struct tls_server_options options = world->options;
    options.tickets = others;
    struct tls_context *context = open_context(&world->options), *other = open_context(&options);
    struct visit visit = {0};
    visit_run(&visit, context);
    visit_run(&visit, other);
    assert_true(visit.is_open && !visit.is_resumed);
    end_visit(&visit);
    tls_context_free(&context);
    tls_context_free(&other);
    tls_tickets_free(&others);
}

struct client_case {
    enum tls_clients clients;
    const char *names;
    const struct identity *client;
    bool is_open;
    const char *name, *why;
};

static void expect_client(const struct world *world, const struct client_case *expected,
                          int version)
{
    struct tls_server_options options = world->options;
    options.clients = expected->clients;
    options.client_names = expected->names;
    struct tls_context *context = open_context(&options);
    struct visit visit = {.client = expected->client, .version = version};
    visit_run(&visit, context);
    if (visit.is_open != expected->is_open || strstr(visit.why, expected->why) == NULL)
        fail_msg("\"%s\": open %d, \"%s\"", expected->names, visit.is_open, visit.why);
    assert_string_equal(visit.client_name, expected->name);
    if (visit.is_open && visit.session != NULL) {
        visit_run(&visit, context);
        assert_true(visit.is_open && visit.is_resumed);
        assert_string_equal(visit.client_name, expected->name);
    }
    end_visit(&visit);
    tls_context_free(&context);
}

static void clients_come_in_by_their_certificates(void **state)
{
    struct world *world = *state;
    const struct identity *gateway = &world->gateway, *stranger = &world->stranger;
    const struct client_case cases[] = {
        {KR_TLS_CLIENTS_UNASKED, "", gateway, true, "", ""},
        {KR_TLS_CLIENTS_OPTIONAL, "", NULL, true, "", ""},
        {KR_TLS_CLIENTS_OPTIONAL, "", gateway, true, "gateway-1", ""},
        {KR_TLS_CLIENTS_OPTIONAL, "", stranger, false, "", "refused"},
        {KR_TLS_CLIENTS_REQUIRED, "", NULL, false, "", "no certificate"},
        {KR_TLS_CLIENTS_REQUIRED, "", gateway, true, "gateway-1", ""},
        {KR_TLS_CLIENTS_REQUIRED, "x, gateway-1", gateway, true, "gateway-1", ""},
        {KR_TLS_CLIENTS_REQUIRED, "spiffe://a/gateway", gateway, true, "spiffe://a/gateway", ""},
        {KR_TLS_CLIENTS_REQUIRED, "gateway-2,gateway", gateway, false, "", "none of the names"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
            expect_client(world, &cases[i], version);
    }
}

// A name is what stands between two commas: neither a word of it nor a part that fits is one.
static void names_are_whole_whatever_is_in_them_and_however_long(void **state)
{
    struct world *world = *state;
    char uri[256] = "spiffe://a/", alternative[300], list[600];
    const char *longest = "a gateway whose name has all of the 64 characters that CNs hold.";
    memset(uri + strlen(uri), 'b', sizeof(uri) - 1 - strlen(uri));
    snprintf(alternative, sizeof(alternative), "URI:%s", uri);
    snprintf(list, sizeof(list), "gateway-9,%s , gateway-8", uri);
    struct identity spaced, word, named, cited;
    identity_make(&spaced, "Edge Gateway 1", NULL, 30, &world->authority);
    identity_make(&word, "Edge", NULL, 30, &world->authority);
    identity_make(&named, longest, "DNS:edge.internal", 30, &world->authority);
    identity_make(&cited, "other", alternative, 30, &world->authority);
    assert_int_equal(strlen(longest), 64);
    const struct client_case cases[] = {
        {KR_TLS_CLIENTS_REQUIRED, "Edge Gateway 1", &spaced, true, "Edge Gateway 1", ""},
        {KR_TLS_CLIENTS_REQUIRED, " x,, Edge Gateway 1 ,", &spaced, true, "Edge Gateway 1", ""},
        {KR_TLS_CLIENTS_REQUIRED, "Edge Gateway 1", &word, false, "", "none of the names"},
        {KR_TLS_CLIENTS_REQUIRED, " , ", &word, false, "", "none of the names"},
        {KR_TLS_CLIENTS_REQUIRED, longest, &named, true, longest, ""},
        {KR_TLS_CLIENTS_REQUIRED, "", &named, true, longest, ""},
        {KR_TLS_CLIENTS_REQUIRED, list, &cited, true, uri, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_client(world, &cases[i], TLS1_3_VERSION);
    identity_fini(&spaced);
    identity_fini(&word);
    identity_fini(&named);
    identity_fini(&cited);
}

// Else a ticket would carry its holder past a rule that was made since.
static void a_session_ends_with_the_rules_that_admitted_it(void **state)
{
    struct world *world = *state;
    struct tls_server_options options = world->options, narrower = world->options;
    options.clients = narrower.clients = KR_TLS_CLIENTS_OPTIONAL;
    narrower.client_names = "gateway-2";
    struct tls_context *before = open_context(&options), *after = open_context(&narrower);
    struct visit visit = {.client = &world->gateway};
    visit_run(&visit, before);
    assert_string_equal(visit.client_name, "gateway-1");
    visit.client = NULL;
    visit_run(&visit, after);
    assert_false(visit.is_resumed);
    assert_string_equal(visit.client_name, "");
    end_visit(&visit);
    tls_context_free(&before);
    tls_context_free(&after);
}

static void expect_refused(const struct tls_server_options *options, int64_t now_ms,
                           const char *first, const char *second)
{
    struct fault fault = {0};
    struct tls_context *context;
    assert_int_equal(tls_server_context_new(options, now_ms, &context, &fault), KR_ERR_INVALID);
    assert_null(context);
    if (strstr(fault.text, first) == NULL || strstr(fault.text, second) == NULL)
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", fault.text, first, second);
    assert_int_equal(ERR_peek_error(), 0);
}

static void what_is_wrong_with_a_file_is_said_with_its_name(void **state)
{
    struct world *world = *state;
    int64_t now_ms = clock_unix_ms();
    struct tls_files files = files_of(&world->first);
    struct tls_server_options options = world->options;
    options.certificates = &files;
    options.certificate_count = 1;
    expect_refused(&options, now_ms + INT64_C(40) * 86400000, "cert.pem", "expired");
    files.key = buf_bytes(&world->second.key_pem);
    expect_refused(&options, now_ms, "key.pem", "does not belong to the certificate cert.pem");
    files.key = bytes_text("nothing");
    expect_refused(&options, now_ms, "key.pem", "no private key");
    files.chain = bytes_text("");
    expect_refused(&options, now_ms, "cert.pem", "no certificate");
    files.chain = bytes_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    expect_refused(&options, now_ms, "cert.pem: certificate 1", "damaged");
    files = files_of(&world->first);
    options.clients = KR_TLS_CLIENTS_REQUIRED;
    options.client_authorities = bytes_text("nothing");
    expect_refused(&options, now_ms, "gateways.pem", "no certificate");
}

// Of the second of two certificates a line is changed, its end is cut off, or a byte within is
// another. OpenSSL reads the first and says no more.
static void a_damaged_certificate_behind_a_good_one_is_named(void **state)
{
    struct world *world = *state;
    int64_t now_ms = clock_unix_ms();
    struct tls_files files = files_of(&world->first);
    struct tls_server_options options = world->options;
    const struct buf *good = &world->first.chain_pem, *other = &world->authority.chain_pem;
    options.certificates = &files;
    options.certificate_count = 1;
    options.clients = KR_TLS_CLIENTS_OPTIONAL;
    for (int kind = 0; kind < 3; kind++) {
        struct buf both;
        buf_init(&both, 1 << 16);
        buf_add(&both, good->data, good->size);
        buf_add(&both, other->data, kind == 0 ? other->size / 2 : other->size);
        if (kind > 0)
            both.data[good->size + 40] = kind == 1 ? '!' : 'Z';
        options.client_authorities = buf_bytes(&both);
        expect_refused(&options, now_ms, "gateways.pem: certificate 2", "damaged (");
        options.client_authorities = buf_bytes(other);
        files.chain = buf_bytes(&both);
        expect_refused(&options, now_ms, "cert.pem: certificate 2", "damaged (");
        files = files_of(&world->first);
        buf_fini(&both);
    }
    struct tls_context *context = open_context(&options);
    tls_context_free(&context);
    files.key = bytes_of(files.key.data, files.key.size / 2);
    expect_refused(&options, now_ms, "key.pem is damaged (", "whole copy of the key");
}

static void tells_when_the_first_certificate_ends(void **state)
{
    struct world *world = *state;
    struct identity soon;
    identity_make(&soon, "soon", "DNS:soon.example", 3, NULL);
    world->files[1] = files_of(&soon);
    struct tls_context *context = open_context(&world->options);
    int64_t days = (tls_server_not_after_ms(context) - clock_unix_ms() + 43200000) / 86400000;
    assert_int_equal(days, 3);
    tls_context_free(&context);
    world->files[1] = files_of(&world->second);
    identity_fini(&soon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_picks_the_certificate),
        cmocka_unit_test(versions_below_the_least_are_refused),
        cmocka_unit_test(a_protocol_is_agreed_by_our_order_or_refused),
        cmocka_unit_test(a_session_resumes_until_its_key_is_forgotten),
        cmocka_unit_test(a_ticket_of_another_process_is_no_ticket),
        cmocka_unit_test(clients_come_in_by_their_certificates),
        cmocka_unit_test(names_are_whole_whatever_is_in_them_and_however_long),
        cmocka_unit_test(a_session_ends_with_the_rules_that_admitted_it),
        cmocka_unit_test(what_is_wrong_with_a_file_is_said_with_its_name),
        cmocka_unit_test(a_damaged_certificate_behind_a_good_one_is_named),
        cmocka_unit_test(tells_when_the_first_certificate_ends),
    };
    return cmocka_run_group_tests(tests, make_world, free_world);
}
