// SPDX-License-Identifier: Apache-2.0
// keyreeve key …
#include "client/run.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/body.h"
#include "client/change.h"
#include "client/receipt.h"
#include "client/roll.h"
#include "client/verify_bench.h"
#include "core/keys/model.h"

enum { KR_KEY_PAGE = 1000 };

static const struct view_column list_columns[] = {
    {"ID", "id", KR_VIEW_TEXT, false},
    {"STATUS", "status", KR_VIEW_STATUS, false},
    {"KEY", "masked", KR_VIEW_TEXT, false},
    {"CREATED", "createdOn", KR_VIEW_TIME, false},
    {"EXPIRES", "expiresOn", KR_VIEW_TIME, false},
    {"SCOPES", "scopes", KR_VIEW_TEXTS, true},
    {"DESCRIPTION", "description", KR_VIEW_TEXT, true},
};

static const struct view_column fields[] = {
    {"id", "id", KR_VIEW_TEXT, false},
    {"status", "status", KR_VIEW_STATUS, false},
    {"key", "masked", KR_VIEW_TEXT, false},
    {"description", "description", KR_VIEW_TEXT, false},
    {"scopes", "scopes", KR_VIEW_TEXTS, false},
    {"allowed addresses", "ipAllow", KR_VIEW_TEXTS, false},
    {"tags", "tags", KR_VIEW_TAGS, false},
    {"metadata", "metadata", KR_VIEW_JSON, false},
    {"created", "createdOn", KR_VIEW_TIME, false},
    {"created by", "createdBy", KR_VIEW_TEXT, false},
    {"updated", "updatedOn", KR_VIEW_TIME, false},
    {"not before", "notBefore", KR_VIEW_TIME, false},
    {"expires", "expiresOn", KR_VIEW_TIME, false},
    {"last used", "lastUsedOn", KR_VIEW_TIME, false},
    {"rotated from", "rotatedFrom", KR_VIEW_TEXT, false},
    {"revoked", "revokedOn", KR_VIEW_TIME, false},
    {"reason", "revokeReason", KR_VIEW_TEXT, false},
};

static const struct view_column verdict_fields[] = {
    {"verdict", "code", KR_VIEW_STATUS, false},
    {"key", "keyId", KR_VIEW_TEXT, false},
    {"consumer", "consumer.name", KR_VIEW_TEXT, false},
    {"bucket", "bucket", KR_VIEW_TEXT, false},
    {"environment", "environment", KR_VIEW_TEXT, false},
    {"scopes", "scopes", KR_VIEW_TEXTS, false},
    {"data", "data", KR_VIEW_JSON, false},
    {"expires", "expiresOn", KR_VIEW_TIME, false},
    {"as of index", "index", KR_VIEW_TEXT, false},
    {"age (ms)", "ageMs", KR_VIEW_NUMBER, false},
    {"node", "node", KR_VIEW_TEXT, false},
};

static const struct view_column check_columns[] = {
    {"CHECK", "check", KR_VIEW_TEXT, false},
    {"OK", "ok", KR_VIEW_BOOL, false},
    {"DETAIL", "detail", KR_VIEW_TEXT, true},
};

static const char *keys_of(struct session *session, const char *consumer)
{
    return api_under(session, api_consumer(session, consumer), "keys");
}

struct named_key {
    const char *path, *id;
};

// CONSUMER KEY-ID, or the id alone. What it is instead is not repeated: it may be a key's value.
static enum exit_code find_key(struct session *session, struct named_key *out)
{
    const struct invocation *in = session->in;
    bool is_alone = in->argument_count == 1;
    *out = (struct named_key){.id = in->arguments[is_alone ? 0 : 1]};
    if (is_alone && !format_is_id(out->id, "key"))
        return session_fail(session, KR_EXIT_USAGE, "keyreeve key list CONSUMER shows the ids",
                            "what stands alone is to be a key's id, key_ and 24 letters and "
                            "digits");
    out->path = api_key(session, is_alone ? KR_ANY_CONSUMER : in->arguments[0], out->id);
    return KR_EXIT_OK;
}

// An option that would be passed over is one whose effect somebody counts on.
static enum exit_code refuse_beside(struct session *session, const enum spec_option_id *options,
                                    size_t count, const char *hint, const char *why)
{
    for (size_t i = 0; i < count; i++)
        if (parse_has(session->in, options[i]))
            return session_fail(session, KR_EXIT_USAGE, hint, "--%s %s",
                                spec_options[options[i]].name, why);
    return KR_EXIT_OK;
}

enum exit_code run_key_create(struct session *session)
{
    static const enum spec_option_id of_digest[] = {KR_OPT_LAST4};
    enum exit_code code = KR_EXIT_OK;
    if (!parse_has(session->in, KR_OPT_KEY_SHA256))
        code = refuse_beside(session, of_digest, KR_VIEW_COUNT(of_digest),
                             "of a value that is known here the node takes them itself",
                             "belongs to --key-sha256");
    if (code != KR_EXIT_OK)
        return code;
    // An imported value is known to whoever imports it, and of a hash nobody here knows one.
    bool is_given =
        parse_has(session->in, KR_OPT_KEY_FILE) || parse_has(session->in, KR_OPT_KEY_SHA256);
    return change_send(session,
                       &(struct change){.method = "POST",
                                        .path = keys_of(session, session->in->arguments[0]),
                                        .columns = fields,
                                        .column_count = KR_VIEW_COUNT(fields),
                                        .secret = is_given ? NULL : "key"});
}

enum exit_code run_key_list(struct session *session)
{
    const char *path = keys_of(session, session->in->arguments[0]);
    const char *status = parse_value(session->in, KR_OPT_STATUS);
    path = api_with(session, path, "key-format", "masked");
    if (status != NULL)
        path = api_with(session, path, "status", status);
    return view_list(session, path, KR_KEY_PAGE, list_columns, KR_VIEW_COUNT(list_columns));
}

enum exit_code run_key_show(struct session *session)
{
    struct named_key key;
    enum exit_code code = find_key(session, &key);
    if (code != KR_EXIT_OK)
        return code;
    return view_fetched(session, api_with(session, key.path, "key-format", "masked"), fields,
                        KR_VIEW_COUNT(fields));
}

enum exit_code run_key_update(struct session *session)
{
    struct named_key key;
    enum exit_code code = find_key(session, &key);
    if (code != KR_EXIT_OK)
        return code;
    return change_send(session, &(struct change){.method = "PATCH",
                                                 .path = key.path,
                                                 .wants_change = true,
                                                 .columns = fields,
                                                 .column_count = KR_VIEW_COUNT(fields)});
}

// With return=key the route answers 200 and the new key; without, 204.
enum exit_code roll_keys(struct session *session, const char *consumer, bool wants_value)
{
    struct body body;
    struct api_answer answer = {0};
    const char *path = api_under(session, api_consumer(session, consumer), "roll-key");
    const char *expires = parse_value(session->in, KR_OPT_EXPIRES);
    if (expires != NULL && strcmp(expires, "never") == 0)
        return session_fail(session, KR_EXIT_USAGE,
                            "keyreeve key create makes a key beside those that there are",
                            "--expires needs a time here: the keys that are replaced end");
    if (wants_value)
        path = api_with(session, path, "return", "key");
    body_begin(&body, session);
    enum exit_code code = body_end(&body, false);
    if (code == KR_EXIT_OK)
        code = api_send(session,
                        &(struct api_request){.method = "POST", .path = path, .body = &body.text},
                        &answer);
    if (code == KR_EXIT_OK && wants_value) {
        view_aside(session, answer.json, fields, KR_VIEW_COUNT(fields));
        code = change_print_secret(session, answer.json, api_text(answer.json, "key"));
    } else if (code == KR_EXIT_OK) {
        session_note(session, "the keys of %s were rolled", consumer);
    }
    api_answer_fini(&answer);
    body_fini(&body);
    return code;
}

enum exit_code run_key_roll(struct session *session)
{
    return roll_keys(session, session->in->arguments[0], true);
}

enum exit_code run_key_revoke(struct session *session)
{
    struct named_key key;
    enum exit_code code = find_key(session, &key);
    return code == KR_EXIT_OK
               ? receipt_revoke(session, api_under(session, key.path, "revoke"), NULL)
               : code;
}

enum exit_code run_key_reveal(struct session *session)
{
    struct named_key key;
    struct api_answer answer = {0};
    enum exit_code code = find_key(session, &key);
    if (code == KR_EXIT_OK)
        code = api_send(
            session,
            &(struct api_request){.method = "POST", .path = api_under(session, key.path, "reveal")},
            &answer);
    if (code == KR_EXIT_OK)
        code = change_print_secret(session, answer.json, api_text(answer.json, "key"));
    api_answer_fini(&answer);
    return code;
}

static enum exit_code ask_key(struct session *session, const char **key)
{
    struct fault fault = {0};
    struct buf typed;
    enum exit_code code = KR_EXIT_OK;
    if (isatty(STDIN_FILENO) != 1)
        return session_read_secret(session, "-", key);
    buf_init(&typed, 1 << 13);
    if (term_ask("Key (not shown): ", true, &typed, &fault) == KR_ERR_OK)
        *key = arena_text_of(&session->arena, buf_bytes(&typed));
    else
        code = session_fail(session, KR_EXIT_USAGE, NULL, "%s", fault.text);
    buf_fini(&typed);
    return code;
}

static enum exit_code show_verdict(struct session *session, const struct json *verdict)
{
    const struct json *explain = verdict == NULL || json_type_of(verdict) != KR_JSON_OBJECT
                                     ? NULL
                                     : json_member(verdict, "explain");
    const struct json *checks = api_array(explain, "checks");
    enum exit_code code =
        view_record(session, verdict, verdict_fields, KR_VIEW_COUNT(verdict_fields));
    if (code != KR_EXIT_OK || checks == NULL || session->is_json)
        return code;
    code = session_write(session, bytes_text("\n"));
    return code != KR_EXIT_OK
               ? code
               : view_rows(session, checks, check_columns, KR_VIEW_COUNT(check_columns));
}

// The binary protocol's question is a key, its bucket and nothing more.
static enum exit_code check_verify(struct session *session)
{
    static const enum spec_option_id of_one[] = {KR_OPT_SCOPE, KR_OPT_IP, KR_OPT_MIN_INDEX,
                                                 KR_OPT_EXPLAIN};
    static const enum spec_option_id of_bench[] = {KR_OPT_NODES, KR_OPT_CERT, KR_OPT_CERT_KEY};
    if (parse_has(session->in, KR_OPT_BENCH))
        return refuse_beside(session, of_one, KR_VIEW_COUNT(of_one),
                             "without --bench it is asked once, with all of that",
                             "and --bench exclude each other");
    return refuse_beside(session, of_bench, KR_VIEW_COUNT(of_bench),
                         "without it the node at --url is asked", "belongs to --bench");
}

enum exit_code run_key_verify(struct session *session)
{
    struct body body;
    struct api_answer answer = {0};
    const char *key = NULL;
    bool is_bench = parse_has(session->in, KR_OPT_BENCH);
    enum exit_code code = check_verify(session);
    if (code != KR_EXIT_OK)
        return code;
    if (!parse_has(session->in, KR_OPT_KEY_FILE))
        code = ask_key(session, &key);
    else if (is_bench)
        code = session_read_secret(session, parse_value(session->in, KR_OPT_KEY_FILE), &key);
    if (code != KR_EXIT_OK)
        return code;
    if (is_bench)
        return verify_bench(session, key);
    body_begin(&body, session);
    if (key != NULL)
        body_add_text(&body, "key", key);
    if (session->bucket != NULL)
        body_add_text(&body, "bucket", session->bucket);
    code = body_end(&body, false);
    if (code == KR_EXIT_OK)
        code = api_send(
            session,
            &(struct api_request){
                .method = "POST", .path = "/v1/validate", .body = &body.text, .is_verdict = true},
            &answer);
    if (code == KR_EXIT_OK)
        code = show_verdict(session, answer.json);
    if (code == KR_EXIT_OK && !api_flag(answer.json, "valid"))
        code = answer.status == 503 ? KR_EXIT_UNTOLD : KR_EXIT_NOT_VALID;
    api_answer_fini(&answer);
    body_fini(&body);
    return code;
}

enum exit_code run_key_delete(struct session *session)
{
    struct named_key key;
    enum exit_code code = find_key(session, &key);
    return code == KR_EXIT_OK ? change_delete(session, key.path, "key", key.id) : code;
}
