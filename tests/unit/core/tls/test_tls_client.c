// SPDX-License-Identifier: Apache-2.0
// Tests of a public connection with both ends ours: whom a client trusts, and who says goodbye.
#include "core/tls/tls_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// cmocka needs them.
#include <cmocka.h>
#include <openssl/err.h>

#include "core/base/rand.h"
#include "tests/unit/core/tls/browser.h"

#define WIRE_MAX ((size_t)1 << 20)

struct world {
    struct identity authority, other_authority, server, expired, gateway, stranger;
    struct tls_tickets *tickets;
};

static int make_world(void **state)
{
    static struct world world;
    rand_init();
    identity_make(&world.authority, "CA", NULL, 30, NULL);
    identity_make(&world.other_authority, "another CA", NULL, 30, NULL);
    identity_make(&world.server, "node", "DNS:node.example,DNS:*.nodes.example,IP:127.0.0.9", 30,
                  &world.authority);
    identity_make(&world.expired, "old node", "DNS:node.example", 0, &world.authority);
    identity_make(&world.gateway, "gateway-1", NULL, 30, &world.authority);
    identity_make(&world.stranger, "stranger", NULL, 30, &world.other_authority);
    world.tickets = tls_tickets_new();
    *state = &world;
    return 0;
}

static int free_world(void **state)
{
    struct world *world = *state;
    struct identity *all[] = {&world->authority, &world->other_authority, &world->server,
                              &world->expired,   &world->gateway,         &world->stranger};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        identity_fini(all[i]);
    tls_tickets_free(&world->tickets);
    return 0;
}

static struct tls_context *open_server(const struct world *world, const struct identity *identity,
                                       enum tls_clients clients)
{
    struct fault fault = {0};
    struct tls_context *context;
    const struct tls_files files = files_of(identity);
    const struct tls_server_options options = {
        .certificates = &files,
        .certificate_count = 1,
        .tickets = world->tickets,
        .alpn = "one/1",
        .clients = clients,
        .client_authorities = buf_bytes(&world->authority.chain_pem),
        .client_authorities_path = "gateways.pem",
        .client_names = "",
    };
    // Long ago, when what has expired was still good.
    if (tls_server_context_new(&options, 0, &context, &fault) != KR_ERR_OK)
        fail_msg("%s", fault.text);
    return context;
}

static struct tls_context *open_client(const struct identity *authority,
                                       const struct identity *shown)
{
    struct fault fault = {0};
    struct tls_context *context;
    const struct tls_files files = shown != NULL ? files_of(shown) : (struct tls_files){0};
    const struct tls_client_options options = {.authorities = buf_bytes(&authority->chain_pem),
                                               .authorities_path = "ca.pem",
                                               .certificate = shown != NULL ? &files : NULL,
                                               .alpn = "one/1"};
    if (tls_client_context_new(&options, clock_unix_ms(), &context, &fault) != KR_ERR_OK)
        fail_msg("%s", fault.text);
    return context;
}

static bool carry(struct tls *from, struct tls *to)
{
    struct buf wire;
    buf_init(&wire, WIRE_MAX);
    bool has_moved = tls_take(from, &wire) > 0;
    assert_int_equal(tls_receive(to, buf_bytes(&wire)), KR_ERR_OK);
    buf_fini(&wire);
    return has_moved;
}

static void carry_all(struct tls *client, struct tls *server)
{
    for (bool has_moved = true; has_moved;) {
        has_moved = carry(client, server);
        has_moved = carry(server, client) || has_moved;
    }
}

struct client_case {
    const char *name;
    bool is_known_authority, has_expired, shows_stranger;
    enum tls_clients clients;
    const char *client_why, *server_why; // "": that end is open
};

static void the_server_must_show_who_it_is(void **state)
{
    const struct world *world = *state;
    const struct client_case cases[] = {
        {"node.example", true, false, false, KR_TLS_CLIENTS_UNASKED, "", ""},
        {"NODE.example", true, false, false, KR_TLS_CLIENTS_UNASKED, "", ""},
        {"a.nodes.example", true, false, false, KR_TLS_CLIENTS_UNASKED, "", ""},
        {"127.0.0.9", true, false, false, KR_TLS_CLIENTS_REQUIRED, "", ""},
        {"127.0.0.8", true, false, false, KR_TLS_CLIENTS_UNASKED, "IP address mismatch", "refuses"},
        {"other.example", true, false, false, KR_TLS_CLIENTS_UNASKED, "hostname mismatch",
         "refuses"},
        {"b.a.nodes.example", true, false, false, KR_TLS_CLIENTS_UNASKED, "hostname mismatch",
         "refuses"},
        {"node.example", false, false, false, KR_TLS_CLIENTS_UNASKED, "certificate is refused",
         "refuses"},
        {"node.example", true, true, false, KR_TLS_CLIENTS_UNASKED, "expired", "refuses"},
        {"node.example", true, false, true, KR_TLS_CLIENTS_OPTIONAL, "refuses this connection",
         "client's certificate is refused"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct client_case *it = &cases[i];
        struct tls_context *server_context =
            open_server(world, it->has_expired ? &world->expired : &world->server, it->clients);
        struct tls_context *client_context =
            open_client(it->is_known_authority ? &world->authority : &world->other_authority,
                        it->shows_stranger ? &world->stranger : &world->gateway);
        struct tls *server = tls_new(server_context, true);
        struct tls *client = tls_client_new(client_context, it->name);
        carry_all(client, server);
        const char *client_why = tls_fault(client)->text, *server_why = tls_fault(server)->text;
        if (strstr(client_why, it->client_why) == NULL ||
            strstr(server_why, it->server_why) == NULL ||
            (it->client_why[0] == '\0') != (tls_state(client) == KR_TLS_OPEN) ||
            (it->server_why[0] == '\0') != (tls_state(server) == KR_TLS_OPEN))
            fail_msg("case %zu: \"%s\", \"%s\"", i, client_why, server_why);
        if (tls_state(client) == KR_TLS_OPEN)
            assert_true(bytes_equal_text(tls_protocol(client), "one/1"));
        assert_string_equal(tls_client(server),
                            it->clients == KR_TLS_CLIENTS_REQUIRED ? "gateway-1" : "");
        tls_free(&server);
        tls_free(&client);
        tls_context_free(&server_context);
        tls_context_free(&client_context);
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void a_name_that_none_can_have_fails(void **state)
{
    const struct world *world = *state;
    const size_t sizes[] = {0, 256, 300, 255};
    char name[301];
    struct tls_context *context = open_client(&world->authority, NULL);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memset(name, 'n', sizeof(name));
        name[sizes[i]] = '\0';
        bool is_good = sizes[i] == 255;
        struct tls *client = tls_client_new(context, name);
        assert_int_equal(tls_state(client), is_good ? KR_TLS_HANDSHAKE : KR_TLS_FAILED);
        assert_int_equal(tls_fault(client)->err, is_good ? KR_ERR_OK : KR_ERR_INVALID);
        assert_int_equal(tls_untaken(client) > 0, is_good);
        tls_free(&client);
        assert_int_equal(ERR_peek_error(), 0);
    }
    tls_context_free(&context);
}

static void assert_reads(struct tls *tls, const char *expected)
{
    struct buf got;
    buf_init(&got, WIRE_MAX);
    tls_read(tls, &got);
    assert_true(bytes_equal_text(buf_bytes(&got), expected));
    buf_fini(&got);
}

// RFC 8446 §6.1: a goodbye is for one direction.
static void a_clients_goodbye_leaves_the_server_its_answer(void **state)
{
    const struct world *world = *state;
    struct tls_context *server_context = open_server(world, &world->server, KR_TLS_CLIENTS_UNASKED);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        char answer[16], noise[65536] = {0};
        struct visit visit = {.version = version};
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        SSL *ssl = new_client(context, &visit);
        struct tls *server = tls_new(server_context, true);
        do
            (void)SSL_do_handshake(ssl);
        while (carry_both_ways(ssl, server));
        assert_int_equal(SSL_write(ssl, "question", 8), 8);
        SSL_shutdown(ssl);
        assert_true(carry_both_ways(ssl, server));
        assert_true(tls_has_ended(server));
        assert_int_equal(tls_state(server), KR_TLS_OPEN);
        // Whatever it says behind its goodbye is dropped, however much it is.
        for (int i = 0; i < 40; i++)
            assert_int_equal(tls_receive(server, bytes_of(noise, sizeof(noise))), KR_ERR_OK);
        assert_reads(server, "question");
        assert_int_equal(tls_write(server, bytes_text("answer")), KR_ERR_OK);
        tls_shutdown(server);
        assert_int_equal(tls_state(server), KR_TLS_CLOSED);
        assert_true(carry_both_ways(ssl, server));
        assert_int_equal(SSL_read(ssl, answer, sizeof(answer)), 6);
        assert_memory_equal(answer, "answer", 6);
        assert_int_equal(SSL_read(ssl, answer, sizeof(answer)), 0);
        assert_int_equal(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
        SSL_SESSION_free(visit.session);
        tls_free(&server);
        SSL_free(ssl);
        SSL_CTX_free(context);
    }
    tls_context_free(&server_context);
}

static void assert_refused(const struct tls_client_options *options, const char *part)
{
    struct tls_context *context;
    struct fault fault = {0};
    assert_int_equal(tls_client_context_new(options, clock_unix_ms(), &context, &fault),
                     KR_ERR_INVALID);
    assert_null(context);
    if (strstr(fault.text, part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", fault.text, part);
    assert_int_equal(ERR_peek_error(), 0);
}

static void what_is_wrong_with_a_file_is_said_by_its_name(void **state)
{
    const struct world *world = *state;
    struct bytes authority = buf_bytes(&world->authority.chain_pem);
    struct tls_files files = files_of(&world->gateway);
    files.key = buf_bytes(&world->server.key_pem);
    struct tls_files old = files_of(&world->expired);
    assert_refused(&(struct tls_client_options){.authorities = bytes_text("nothing"),
                                                .authorities_path = "ca.pem"},
                   "ca.pem holds no certificate");
    assert_refused(&(struct tls_client_options){.authorities = bytes_of(authority.data, 200),
                                                .authorities_path = "ca.pem"},
                   "ca.pem: certificate 1 of the file is damaged");
    assert_refused(&(struct tls_client_options){.authorities_path = "empty.pem"},
                   "empty.pem holds no certificate");
    assert_refused(&(struct tls_client_options){.authorities = authority,
                                                .authorities_path = "ca.pem",
                                                .certificate = &files},
                   "key.pem does not belong to the certificate cert.pem");
    assert_refused(&(struct tls_client_options){.authorities = authority,
                                                .authorities_path = "ca.pem",
                                                .certificate = &old},
                   "cert.pem: the certificate has expired");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_must_show_who_it_is),
        cmocka_unit_test(a_name_that_none_can_have_fails),
        cmocka_unit_test(a_clients_goodbye_leaves_the_server_its_answer),
        cmocka_unit_test(what_is_wrong_with_a_file_is_said_by_its_name),
    };
    return cmocka_run_group_tests(tests, make_world, free_world);
}
