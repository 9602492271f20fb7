// SPDX-License-Identifier: Apache-2.0
// GET /openapi: the embedded description, as YAML or, for those who accept it, as JSON.
#include "node/api/openapi.h"

#include <strings.h>

#include "node/api/api.h"
#include "node/api/handlers.h"

// Made from node/api/openapi.yaml by the build.
extern const unsigned char openapi_yaml_data[];
extern const size_t openapi_yaml_size;

struct bytes openapi_yaml(void)
{
    return bytes_of(openapi_yaml_data, openapi_yaml_size);
}

// RFC 9110 §12.5.1, without weights: JSON for who names it, YAML for everyone else.
static bool wants_json(const struct call *call)
{
    return call->accept != NULL && strcasestr(call->accept, "application/json") != NULL;
}

enum kr_err api_openapi(struct call *call)
{
    api_answer_status(call, 200);
    api_field(call, "Vary", "Accept");
    if (!wants_json(call)) {
        call->answer.content_type = "application/yaml";
        buf_add_bytes(&call->answer.body, openapi_yaml());
        return buf_result(&call->answer.body);
    }
    call->answer.content_type = "application/json";
    enum kr_err err = openapi_json(openapi_yaml(), &call->answer.body);
    return err == KR_ERR_OK ? err
                            : api_problem(call, KR_ERR_INTERNAL, "the description is damaged");
}
