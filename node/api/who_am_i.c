// SPDX-License-Identifier: Apache-2.0
// Who-am-i: what the presented token is and may do.
#include "node/api/api.h"
#include "node/api/handlers.h"
#include "node/api/token.h"

enum kr_err api_who_am_i(struct call *call)
{
    struct json_writer writer;
    struct key token;
    struct store_cluster cluster;
    if (!store_get_cluster(call->view, &call->arena, &cluster))
        return api_problem(call, KR_ERR_BUSY, "this node has not joined its cluster yet");
    bool is_there = store_get_key_by_id(call->view, call->actor.token_id, &call->arena, &token);
    api_json_begin(call, &writer);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "sub", call->actor.token_id);
    json_write_string(&writer, "account", cluster.account_name);
    token_write_access(call, &writer, &call->actor);
    json_write_string(&writer, "label", is_there ? token.description : NULL);
    api_write_stamp(&writer, "expiresOn", is_there ? token.expires_ms : 0);
    json_close(&writer, '}');
    return api_json_end(call, &writer);
}
