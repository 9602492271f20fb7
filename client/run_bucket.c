// SPDX-License-Identifier: Apache-2.0
// keyreeve bucket …
#include "client/run.h"

#include "client/change.h"
#include "client/receipt.h"

enum { KR_BUCKET_PAGE = 1000 };

static const struct view_column list_columns[] = {
    {"NAME", "name", KR_VIEW_TEXT, false},
    {"ENVIRONMENT", "environment", KR_VIEW_TEXT, false},
    {"PREFIX", "keyPrefix", KR_VIEW_TEXT, false},
    {"RETRIEVABLE", "isRetrievable", KR_VIEW_BOOL, false},
    {"CREATED", "createdOn", KR_VIEW_TIME, false},
    {"DESCRIPTION", "description", KR_VIEW_TEXT, true},
};

static const struct view_column fields[] = {
    {"name", "name", KR_VIEW_TEXT, false},
    {"id", "id", KR_VIEW_TEXT, false},
    {"description", "description", KR_VIEW_TEXT, false},
    {"environment", "environment", KR_VIEW_TEXT, false},
    {"key prefix", "keyPrefix", KR_VIEW_TEXT, false},
    {"retrievable", "isRetrievable", KR_VIEW_BOOL, false},
    {"default expiry (days)", "defaultExpiryDays", KR_VIEW_NUMBER, false},
    {"max staleness (ms)", "maxStalenessMs", KR_VIEW_STALENESS, false},
    {"metadata limit (bytes)", "metadataLimit", KR_VIEW_NUMBER, false},
    {"delete protection", "deleteProtection", KR_VIEW_BOOL, false},
    {"tags", "tags", KR_VIEW_TAGS, false},
    {"created", "createdOn", KR_VIEW_TIME, false},
    {"updated", "updatedOn", KR_VIEW_TIME, false},
};

enum exit_code run_bucket_list(struct session *session)
{
    return view_list(session, api_buckets(session), KR_BUCKET_PAGE, list_columns,
                     KR_VIEW_COUNT(list_columns));
}

enum exit_code run_bucket_show(struct session *session)
{
    return view_fetched(session, api_bucket(session, session->in->arguments[0]), fields,
                        KR_VIEW_COUNT(fields));
}

enum exit_code run_bucket_create(struct session *session)
{
    return change_send(session, &(struct change){.method = "POST",
                                                 .path = api_buckets(session),
                                                 .name_member = "name",
                                                 .name = session->in->arguments[0],
                                                 .columns = fields,
                                                 .column_count = KR_VIEW_COUNT(fields)});
}

enum exit_code run_bucket_update(struct session *session)
{
    return change_send(session,
                       &(struct change){.method = "PATCH",
                                        .path = api_bucket(session, session->in->arguments[0]),
                                        .wants_change = true,
                                        .columns = fields,
                                        .column_count = KR_VIEW_COUNT(fields)});
}

enum exit_code run_bucket_delete(struct session *session)
{
    const char *name = session->in->arguments[0];
    return change_delete(session, api_bucket(session, name), "bucket", name);
}

enum exit_code run_bucket_revoke(struct session *session)
{
    const char *name = session->in->arguments[0];
    if (!session_confirm(session, "revoke every key of the bucket", name))
        return KR_EXIT_USAGE;
    return receipt_revoke(session, api_under(session, api_bucket(session, name), "revoke"), name);
}
