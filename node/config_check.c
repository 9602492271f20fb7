// SPDX-License-Identifier: Apache-2.0
// The forms of the settings that are texts, each by itself. What listeners there can be is checked
// where they are planned (listen_plan.c).
#include <string.h>

#include "core/base/log.h"
#include "core/http/syntax.h"
#include "core/keys/model.h"
#include "core/tls/tls_server.h"
#include "node/config_row.h"

static bool is_one_of(const char *value, const char *one, const char *other, const char *third)
{
    return strcmp(value, one) == 0 || strcmp(value, other) == 0 || strcmp(value, third) == 0;
}

static enum kr_err check_words(const struct config *config, struct fault *fault)
{
    enum log_level level;
    if (!log_parse_level(config->log_level, &level))
        return fault_set(fault, KR_ERR_INVALID,
                         "log_level: \"%.32s\" is none of debug, info, warn, error",
                         config->log_level);
    if (!is_one_of(config->log_format, "auto", "text", "json"))
        return fault_set(fault, KR_ERR_INVALID, "log_format: \"%.32s\" is none of auto, text, json",
                         config->log_format);
    // Also where no listener has TLS: it would be found the day that one gets it.
    if (!is_one_of(config->tls_min_version, "1.2", "1.3", "1.3"))
        return fault_set(fault, KR_ERR_INVALID, "tls_min_version: \"%.16s\" is neither 1.2 nor 1.3",
                         config->tls_min_version);
    return KR_ERR_OK;
}

// --- names ---------------------------------------------------------------------------------------

// The name of a member that may stand in a label of the metrics as it is.
static bool is_label(const char *name)
{
    return model_is_member_name(name) && strpbrk(name, "\"\\") == NULL;
}

static enum kr_err check_names(const struct config *config, struct fault *fault)
{
    if (config->data[0] == '\0')
        return fault_set(fault, KR_ERR_INVALID, "data: no directory is named");
    // It stands in every management URL, where another one would be cut or taken for a part.
    if (!model_is_account_name(config->account))
        return fault_set(fault, KR_ERR_INVALID,
                         "account: \"%.64s\" is no name; write 1 to 128 of a-z, 0-9, _ and -",
                         config->account);
    if (!is_label(config->node_id) || !is_label(config->region))
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: 1 to 63 visible ASCII characters without space, quote or backslash",
                         is_label(config->node_id) ? "region" : "node_id");
    return KR_ERR_OK;
}

// --- where a key is looked for -------------------------------------------------------------------

static bool is_token(const char *text)
{
    return syntax_token_size(bytes_text(text)) == strlen(text);
}

// It is compared with the query as that came, undecoded: "a+b" and "a%5Bb%5D" are names, but what
// ends a name or a query, or cannot stand in one, is never found.
static bool is_parameter(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f || strchr("&=#", *text) != NULL)
            return false;
    return true;
}

static enum kr_err check_credentials(const struct config *config, struct fault *fault)
{
    const char *scheme = config->credential_scheme;
    if (strpbrk(config->realm, "\"\\\r\n") != NULL)
        return fault_set(fault, KR_ERR_INVALID, "realm: no quotes, backslashes or line ends");
    if (scheme[0] == '\0' || strlen(scheme) > KR_CONFIG_SCHEME_MAX || !is_token(scheme))
        return fault_set(fault, KR_ERR_INVALID,
                         "credential_scheme: \"%.64s\" is no scheme of Authorization; write one "
                         "word of at most %d characters, like ApiKey",
                         scheme, KR_CONFIG_SCHEME_MAX);
    // Under any other name no request would bring it, and every key would be refused.
    if (!is_token(config->credential_header))
        return fault_set(fault, KR_ERR_INVALID,
                         "credential_header: \"%.64s\" is no name of a header; write one like "
                         "X-API-Key",
                         config->credential_header);
    if (!is_token(config->credential_cookie))
        return fault_set(fault, KR_ERR_INVALID,
                         "credential_cookie: \"%.64s\" is no name of a cookie; write one like "
                         "api_key, or nothing",
                         config->credential_cookie);
    if (!is_parameter(config->credential_query))
        return fault_set(fault, KR_ERR_INVALID,
                         "credential_query: \"%.64s\" is no name of a parameter; write it as URLs "
                         "have it, like api_key, without &, =, # and blanks, or nothing",
                         config->credential_query);
    return KR_ERR_OK;
}

// --- gateways ------------------------------------------------------------------------------------

// What cannot be the name of a certificate would shut out the gateway that it stands for.
static enum kr_err check_client_names(const struct config *config, struct fault *fault)
{
    struct bytes name;
    for (const char *at = config->tls_client_names; tls_client_names_next(&at, &name);) {
        if (name.size >= KR_TLS_CLIENT_SIZE)
            return fault_set(fault, KR_ERR_INVALID,
                             "tls_client_names: \"%.64s…\" is %zu bytes long; write names of at "
                             "most %d, with commas between them",
                             (const char *)name.data, name.size, KR_TLS_CLIENT_SIZE - 1);
    }
    return KR_ERR_OK;
}

// --- what others are told ------------------------------------------------------------------------

// A name or an address, and a port that somebody can connect to.
static bool is_reachable(const char *address)
{
    char host[256];
    unsigned port;
    return config_split_address(address, host, sizeof(host), &port) && port > 0 &&
           host[strcspn(host, "/?#@ \"\\")] == '\0' && model_is_member_address(address);
}

static bool is_url(const char *text)
{
    char authority[256];
    size_t scheme = strncmp(text, "https://", 8) == 0  ? 8
                    : strncmp(text, "http://", 7) == 0 ? 7
                                                       : 0;
    const char *host = text + scheme;
    size_t size = strcspn(host, "/?#");
    if (scheme == 0 || size == 0 || size >= sizeof(authority) || !model_is_member_address(text) ||
        strpbrk(text, "?#\"\\<>") != NULL)
        return false;
    snprintf(authority, sizeof(authority), "%.*s", (int)size, host);
    const char *behind = host[0] == '[' ? strchr(authority, ']') : authority;
    if (behind == NULL || strchr(authority, '@') != NULL)
        return false;
    return strchr(behind, ':') == NULL || is_reachable(authority);
}

static enum kr_err check_told(const struct config *config, struct fault *fault)
{
    if (config->peer_advertise[0] != '\0' && !is_reachable(config->peer_advertise))
        return fault_set(fault, KR_ERR_INVALID,
                         "peer_advertise: \"%.128s\" is no address; write HOST:PORT, like "
                         "10.0.0.1:7402",
                         config->peer_advertise);
    if (config->http_advertise[0] != '\0' && !is_url(config->http_advertise))
        return fault_set(fault, KR_ERR_INVALID,
                         "http_advertise: \"%.128s\" is no URL; write one like "
                         "https://keys.eu.example",
                         config->http_advertise);
    return KR_ERR_OK;
}

enum kr_err config_check(const struct config *config, struct fault *fault)
{
    enum kr_err err = check_words(config, fault);
    if (err == KR_ERR_OK)
        err = check_names(config, fault);
    if (err == KR_ERR_OK)
        err = check_credentials(config, fault);
    if (err == KR_ERR_OK)
        err = check_client_names(config, fault);
    return err == KR_ERR_OK ? check_told(config, fault) : err;
}
