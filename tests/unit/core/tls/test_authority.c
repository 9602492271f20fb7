// SPDX-License-Identifier: Apache-2.0
// Tests of the cluster's CA: what it makes, what can be read of it, and what it refuses.
#include "core/tls/authority.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tests/unit/core/tls/pair.h"

struct room {
    struct authority *authority;
    struct buf certificate, key, bundle;
    int64_t now_ms;
};

static int make_room(void **state)
{
    static struct room room;
    struct fault fault = {0};
    rand_init();
    room.now_ms = clock_unix_ms();
    buf_init(&room.certificate, BUNDLE_MAX);
    buf_init(&room.key, BUNDLE_MAX);
    buf_init(&room.bundle, BUNDLE_MAX);
    enum kr_err err = authority_make(CLUSTER, room.now_ms - DAY_MS, room.now_ms + 100 * DAY_MS,
                                     &room.certificate, &room.key, &fault);
    if (err == KR_ERR_OK)
        err = authority_open(buf_bytes(&room.certificate), buf_bytes(&room.key), &room.authority,
                             &fault);
    *state = &room;
    return err == KR_ERR_OK ? 0 : -1;
}

static int free_room(void **state)
{
    struct room *room = *state;
    authority_close(&room->authority);
    buf_fini(&room->certificate);
    buf_fini(&room->key);
    buf_fini(&room->bundle);
    return 0;
}

static struct authority_request request_of(const struct room *room, const char *node_id)
{
    return (struct authority_request){.node_id = node_id,
                                      .region = "eu-central-1",
                                      .role = KR_TLS_ROLE_FOLLOWER,
                                      .not_before_ms = room->now_ms - DAY_MS,
                                      .not_after_ms = room->now_ms + 90 * DAY_MS};
}

static X509 *first_certificate(const struct buf *pem)
{
    BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->size);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(certificate);
    return certificate;
}

static void an_authority_opens_with_its_own_key_alone(void **state)
{
    struct room *room = *state;
    struct authority *opened;
    struct fault fault = {0};
    struct buf certificate, key;
    buf_init(&certificate, BUNDLE_MAX);
    buf_init(&key, BUNDLE_MAX);
    assert_string_equal(authority_cluster_id(room->authority), CLUSTER);
    assert_int_equal(authority_not_after_ms(room->authority) / 1000,
                     (room->now_ms + 100 * DAY_MS) / 1000);
    assert_int_equal(authority_make(OTHER_CLUSTER, room->now_ms, room->now_ms + DAY_MS,
                                    &certificate, &key, &fault),
                     KR_ERR_OK);
    assert_int_equal(
        authority_open(buf_bytes(&room->certificate), buf_bytes(&key), &opened, &fault),
        KR_ERR_INVALID);
    assert_null(opened);
    assert_non_null(strstr(fault.text, "does not belong"));
    assert_int_equal(authority_open(bytes_text("x"), buf_bytes(&key), &opened, &fault),
                     KR_ERR_INVALID);
    buf_fini(&certificate);
    buf_fini(&key);
}

static void a_nodes_certificate_is_no_authority(void **state)
{
    struct room *room = *state;
    struct authority *opened;
    struct fault fault = {0};
    struct authority_request request = request_of(room, "n1");
    buf_clear(&room->bundle);
    assert_int_equal(authority_issue(room->authority, &request, &room->bundle, &fault), KR_ERR_OK);
    assert_int_equal(authority_open(buf_bytes(&room->bundle), (struct bytes){0}, &opened, &fault),
                     KR_ERR_INVALID);
    assert_non_null(strstr(fault.text, "no CA's"));
}

static void a_bundle_says_whose_it_is_and_until_when(void **state)
{
    struct room *room = *state;
    struct fault fault = {0};
    struct tls_peer peer;
    struct authority_request request = request_of(room, "edge-1");
    buf_clear(&room->bundle);
    assert_int_equal(authority_issue(room->authority, &request, &room->bundle, &fault), KR_ERR_OK);
    assert_int_equal(authority_read(buf_bytes(&room->bundle), &peer, &fault), KR_ERR_OK);
    assert_string_equal(peer.node_id, "edge-1");
    assert_string_equal(peer.cluster_id, CLUSTER);
    assert_string_equal(peer.region, "eu-central-1");
    assert_int_equal(peer.role, KR_TLS_ROLE_FOLLOWER);
    assert_int_equal(peer.not_before_ms / 1000, request.not_before_ms / 1000);
    assert_int_equal(peer.not_after_ms / 1000, request.not_after_ms / 1000);
    buf_clear(&room->bundle);
    buf_add_bytes(&room->bundle, buf_bytes(&room->certificate));
    buf_add_bytes(&room->bundle, buf_bytes(&room->key));
    assert_int_equal(authority_read(buf_bytes(&room->bundle), &peer, &fault), KR_ERR_INVALID);
    assert_non_null(strstr(fault.text, "no node's"));
}

static void certificates_follow_the_profile(void **state)
{
    struct room *room = *state;
    struct fault fault = {0};
    struct authority_request request = request_of(room, "n1");
    buf_clear(&room->bundle);
    assert_int_equal(authority_issue(room->authority, &request, &room->bundle, &fault), KR_ERR_OK);
    X509 *authority = first_certificate(&room->certificate);
    X509 *node = first_certificate(&room->bundle);
    assert_int_equal(X509_check_ca(authority), 1);
    assert_int_equal(X509_get_key_usage(authority), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_int_equal(X509_get_pathlen(authority), 0);
    assert_int_equal(X509_check_ca(node), 0);
    assert_int_equal(X509_get_key_usage(node), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(node), XKU_SSL_SERVER | XKU_SSL_CLIENT);
    assert_int_equal(X509_check_issued(authority, node), X509_V_OK);
    assert_int_equal(X509_verify(node, X509_get0_pubkey(authority)), 1);
    assert_int_equal(EVP_PKEY_get_security_bits(X509_get0_pubkey(node)), 128);
    assert_true(ASN1_STRING_length(X509_get0_serialNumber(node)) >= 16);
    X509_free(authority);
    X509_free(node);
}

// A renewal keeps the name and changes serial number and key.
static void issuing_again_is_a_renewal(void **state)
{
    struct room *room = *state;
    struct fault fault = {0};
    struct buf again;
    struct authority_request request = request_of(room, "n1");
    buf_init(&again, BUNDLE_MAX);
    buf_clear(&room->bundle);
    assert_int_equal(authority_issue(room->authority, &request, &room->bundle, &fault), KR_ERR_OK);
    request.not_after_ms += DAY_MS;
    assert_int_equal(authority_issue(room->authority, &request, &again, &fault), KR_ERR_OK);
    X509 *first = first_certificate(&room->bundle), *second = first_certificate(&again);
    assert_int_equal(X509_NAME_cmp(X509_get_subject_name(first), X509_get_subject_name(second)), 0);
    assert_int_not_equal(
        ASN1_INTEGER_cmp(X509_get0_serialNumber(first), X509_get0_serialNumber(second)), 0);
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(first), X509_get0_pubkey(second)), 0);
    X509_free(first);
    X509_free(second);
    buf_fini(&again);
}

static void assert_refuses(const struct room *room, struct authority_request request,
                           const char *why)
{
    struct fault fault = {0};
    struct buf bundle;
    buf_init(&bundle, BUNDLE_MAX);
    assert_int_equal(authority_issue(room->authority, &request, &bundle, &fault), KR_ERR_INVALID);
    assert_int_equal(bundle.size, 0);
    if (strstr(fault.text, why) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", fault.text, why);
}

static void names_and_times_that_cannot_be_are_refused(void **state)
{
    struct room *room = *state;
    const char *names[] = {"",
                           "-n1",
                           "N1",
                           "n_1",
                           "n1.example",
                           "n1/../n2",
                           "a23456789012345678901234567890123456789012345678901234567890ab64"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct authority_request request = request_of(room, "n1");
        assert_false(tls_is_name(names[i]));
        assert_refuses(room, request_of(room, names[i]), "is no node's name");
        request.region = names[i];
        assert_refuses(room, request, "is no region");
    }
    assert_true(tls_is_name("a23456789012345678901234567890123456789012345678901234567890a63"));
    struct authority_request request = request_of(room, "n1");
    request.not_after_ms = room->now_ms + 101 * DAY_MS;
    assert_refuses(room, request, "outlive the CA");
    request.not_after_ms = request.not_before_ms;
    assert_refuses(room, request, "not in order");
}

static void an_id_that_is_no_clusters_is_refused(void **state)
{
    struct room *room = *state;
    struct fault fault = {0};
    struct buf pem;
    const char *ids[] = {"", "clst/1", "cl st",
                         "clst_567890123456789012345678901234567890123456789012345678901234"};
    buf_init(&pem, BUNDLE_MAX);
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        assert_int_equal(
            authority_make(ids[i], room->now_ms, room->now_ms + DAY_MS, &pem, &pem, &fault),
            KR_ERR_INVALID);
    assert_int_equal(pem.size, 0);
    assert_int_equal(ERR_peek_error(), 0);
    buf_fini(&pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_authority_opens_with_its_own_key_alone),
        cmocka_unit_test(a_nodes_certificate_is_no_authority),
        cmocka_unit_test(a_bundle_says_whose_it_is_and_until_when),
        cmocka_unit_test(certificates_follow_the_profile),
        cmocka_unit_test(issuing_again_is_a_renewal),
        cmocka_unit_test(names_and_times_that_cannot_be_are_refused),
        cmocka_unit_test(an_id_that_is_no_clusters_is_refused),
    };
    return cmocka_run_group_tests(tests, make_room, free_room);
}
