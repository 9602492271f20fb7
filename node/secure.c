// SPDX-License-Identifier: Apache-2.0
// Reading the certificates, noticing that they have changed, handing them to new connections.
#include "node/secure.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "proto/binary.h"

enum { KR_SECURE_PATH = 1024, KR_SECURE_FILES = 2 * KR_TLS_CERTIFICATES_MAX + 1 };

// Of each protocol: with an optional and with a required client certificate.
enum { KR_SECURE_REQUIRED = KR_SECURE_PROTOCOLS, KR_SECURE_KINDS = 2 * KR_SECURE_PROTOCOLS };

// What is agreed on by ALPN, so that no connection is taken for one of another protocol.
static const char *const alpns[KR_SECURE_PROTOCOLS] = {
    [KR_SECURE_HTTP] = "h2,http/1.1",
    [KR_SECURE_BINARY] = KR_BINARY_ALPN,
};

// The files of the settings, and what is in them.
struct material {
    size_t count;
    char chain_paths[KR_TLS_CERTIFICATES_MAX][KR_SECURE_PATH];
    char key_paths[KR_TLS_CERTIFICATES_MAX][KR_SECURE_PATH];
    struct buf chains[KR_TLS_CERTIFICATES_MAX], keys[KR_TLS_CERTIFICATES_MAX], authorities;
};

struct secure {
    const struct config *config;
    struct tls_tickets *tickets;
    pthread_mutex_t lock; // of what follows
    struct tls_context *contexts[KR_SECURE_KINDS];
    struct secure_figures figures;
    // Of the control loop alone.
    struct file_stamp stamps[KR_SECURE_FILES];
    char complaint[KR_FAULT_TEXT_MAX]; // of the last load; "": it went well
    uint64_t look_at_ms;
};

// --- the settings --------------------------------------------------------------------------------

static bool split(const char *list, char out[][KR_SECURE_PATH], size_t *count)
{
    *count = 0;
    for (const char *at = list; *at != '\0'; at += strspn(at, ", ")) {
        size_t size = strcspn(at, ",");
        while (size > 0 && at[size - 1] == ' ')
            size--;
        if (size == 0 || size >= KR_SECURE_PATH || *count == KR_TLS_CERTIFICATES_MAX)
            return false;
        memcpy(out[*count], at, size);
        out[(*count)++][size] = '\0';
        at += size;
    }
    return true;
}

static enum kr_err read_paths(const struct config *config, struct material *out,
                              struct fault *fault)
{
    size_t keys = 0;
    if (!split(config->tls_cert, out->chain_paths, &out->count) ||
        !split(config->tls_key, out->key_paths, &keys))
        return fault_set(fault, KR_ERR_INVALID,
                         "tls_cert, tls_key: paths of at most %d files, separated by commas",
                         KR_TLS_CERTIFICATES_MAX);
    if (keys < out->count)
        return fault_set(fault, KR_ERR_INVALID,
                         "tls_key: the key of %s is missing; name its file at the same place of "
                         "the list as the certificate",
                         out->chain_paths[keys]);
    if (keys > out->count)
        return fault_set(fault, KR_ERR_INVALID,
                         "tls_cert: there is no certificate for the key %s; name its file at the "
                         "same place of the list as the key",
                         out->key_paths[out->count]);
    return KR_ERR_OK;
}

// --- the files -----------------------------------------------------------------------------------

static void init_material(struct material *material)
{
    for (size_t i = 0; i < KR_TLS_CERTIFICATES_MAX; i++) {
        buf_init(&material->chains[i], KR_TLS_BUNDLE_MAX / 2);
        buf_init(&material->keys[i], KR_TLS_BUNDLE_MAX / 4);
    }
    buf_init(&material->authorities, KR_TLS_BUNDLE_MAX);
}

static void free_material(struct material **material)
{
    for (size_t i = 0; i < KR_TLS_CERTIFICATES_MAX; i++) {
        buf_fini(&(*material)->chains[i]);
        buf_fini(&(*material)->keys[i]);
    }
    buf_fini(&(*material)->authorities);
    mem_free(*material);
    *material = NULL;
}

// Says which setting named the file.
static enum kr_err name_setting(const char *setting, enum kr_err err, const struct fault *cause,
                                struct fault *fault)
{
    return err == KR_ERR_OK ? err : fault_set(fault, err, "%s: %s", setting, cause->text);
}

static enum kr_err read_files(const struct config *config, struct material *out,
                              struct fault *fault)
{
    struct fault cause = {0};
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < out->count && err == KR_ERR_OK; i++) {
        err = file_read(out->chain_paths[i], &out->chains[i], &cause);
        err = name_setting("tls_cert", err, &cause, fault);
        if (err != KR_ERR_OK)
            break;
        err = file_read_secret(out->key_paths[i], &out->keys[i], &cause);
        err = name_setting("tls_key", err, &cause, fault);
    }
    if (err != KR_ERR_OK || config->tls_client_ca[0] == '\0')
        return err;
    err = file_read(config->tls_client_ca, &out->authorities, &cause);
    return name_setting("tls_client_ca", err, &cause, fault);
}

static enum tls_clients clients_of(const struct config *config, size_t kind)
{
    if (config->tls_client_ca[0] == '\0')
        return KR_TLS_CLIENTS_UNASKED;
    return kind < KR_SECURE_REQUIRED ? KR_TLS_CLIENTS_OPTIONAL : KR_TLS_CLIENTS_REQUIRED;
}

static enum kr_err make_context(const struct secure *secure, const struct material *material,
                                size_t kind, struct tls_context **out, struct fault *fault)
{
    struct tls_files certificates[KR_TLS_CERTIFICATES_MAX];
    struct tls_server_options options = {
        .certificates = certificates,
        .certificate_count = material->count,
        .tickets = secure->tickets,
        .alpn = alpns[kind % KR_SECURE_PROTOCOLS],
        .clients = clients_of(secure->config, kind),
        .client_authorities = buf_bytes(&material->authorities),
        .client_authorities_path = secure->config->tls_client_ca,
        .client_names = secure->config->tls_client_names,
        .least_version =
            strcmp(secure->config->tls_min_version, "1.3") == 0 ? KR_TLS_1_3 : KR_TLS_1_2,
    };
    for (size_t i = 0; i < material->count; i++)
        certificates[i] = (struct tls_files){
            .chain = buf_bytes(&material->chains[i]),
            .key = buf_bytes(&material->keys[i]),
            .chain_path = material->chain_paths[i],
            .key_path = material->key_paths[i],
        };
    return tls_server_context_new(&options, clock_unix_ms(), out, fault);
}

static enum kr_err make_contexts(const struct secure *secure, const struct material *material,
                                 struct tls_context *out[KR_SECURE_KINDS], struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    size_t count = secure->config->tls_client_ca[0] != '\0' ? KR_SECURE_KINDS : KR_SECURE_REQUIRED;
    for (size_t i = 0; i < count && err == KR_ERR_OK; i++)
        err = make_context(secure, material, i, &out[i], fault);
    return err;
}

static void free_contexts(struct tls_context *contexts[KR_SECURE_KINDS])
{
    for (size_t i = 0; i < KR_SECURE_KINDS; i++)
        tls_context_free(&contexts[i]);
}

static enum kr_err load(struct secure *secure, struct fault *fault)
{
    struct tls_context *made[KR_SECURE_KINDS] = {0};
    struct material *material = mem_zalloc(sizeof(*material));
    init_material(material);
    enum kr_err err = read_paths(secure->config, material, fault);
    if (err == KR_ERR_OK)
        err = read_files(secure->config, material, fault);
    if (err == KR_ERR_OK)
        err = make_contexts(secure, material, made, fault);
    free_material(&material);
    pthread_mutex_lock(&secure->lock);
    if (err == KR_ERR_OK) {
        for (size_t i = 0; i < KR_SECURE_KINDS; i++) {
            struct tls_context *old = secure->contexts[i];
            secure->contexts[i] = made[i];
            made[i] = old;
        }
        secure->figures.loads++;
        secure->figures.not_after_ms = tls_server_not_after_ms(secure->contexts[0]);
    } else {
        secure->figures.failures++;
    }
    pthread_mutex_unlock(&secure->lock);
    free_contexts(made);
    return err;
}

// --- changes -------------------------------------------------------------------------------------

// Looks at all files, and says whether one is another than before.
static bool has_changed(struct secure *secure)
{
    struct fault fault;
    bool is_changed = false;
    struct file_stamp now[KR_SECURE_FILES] = {0};
    struct material *material = mem_zalloc(sizeof(*material));
    if (read_paths(secure->config, material, &fault) == KR_ERR_OK) {
        for (size_t i = 0; i < material->count; i++) {
            now[2 * i] = file_look(material->chain_paths[i]);
            now[2 * i + 1] = file_look(material->key_paths[i]);
        }
    }
    now[KR_SECURE_FILES - 1] = file_look(secure->config->tls_client_ca);
    for (size_t i = 0; i < KR_SECURE_FILES; i++)
        is_changed = is_changed || !file_is_same(&now[i], &secure->stamps[i]);
    memcpy(secure->stamps, now, sizeof(now));
    mem_free(material);
    return is_changed;
}

// Behind a look at the files: what changes from then on is found by the next one. The same
// complaint is not repeated.
static void reload(struct secure *secure)
{
    struct fault fault = {0};
    char stamp[KR_STAMP_SIZE];
    if (load(secure, &fault) != KR_ERR_OK) {
        if (strcmp(secure->complaint, fault.text) != 0)
            LOG_ERROR("the certificates cannot be used, the old ones stay",
                      LOG_TEXT("why", fault.text));
        strcpy(secure->complaint, fault.text);
        return;
    }
    secure->complaint[0] = '\0';
    clock_stamp(secure->figures.not_after_ms, stamp);
    LOG_INFO("new connections use the certificates that were read", LOG_TEXT("until", stamp));
}

void secure_reload(struct secure *secure)
{
    if (secure == NULL)
        return;
    has_changed(secure);
    secure->complaint[0] = '\0';
    reload(secure);
}

// What could not be used is tried again though it has not changed: the reason may lie elsewhere, as
// a want of descriptors does.
void secure_tick(struct secure *secure, uint64_t now_ms)
{
    if (secure == NULL || now_ms < secure->look_at_ms)
        return;
    secure->look_at_ms = now_ms + (uint64_t)secure->config->tls_check_ms;
    if (has_changed(secure))
        secure->complaint[0] = '\0';
    else if (secure->complaint[0] == '\0')
        return;
    reload(secure);
}

// --- its life ------------------------------------------------------------------------------------

enum kr_err secure_new(const struct config *config, struct secure **out, struct fault *fault)
{
    *out = NULL;
    if (config->tls_cert[0] == '\0' && config->tls_key[0] == '\0' &&
        config->tls_client_ca[0] == '\0')
        return KR_ERR_OK;
    if (config->tls_cert[0] == '\0')
        return fault_set(fault, KR_ERR_INVALID,
                         "tls_cert: missing, while %s is set; name the certificate's file",
                         config->tls_key[0] != '\0' ? "tls_key" : "tls_client_ca");
    struct secure *secure = mem_zalloc(sizeof(*secure));
    secure->config = config;
    secure->tickets = tls_tickets_new();
    pthread_mutex_init(&secure->lock, NULL);
    has_changed(secure);
    enum kr_err err = load(secure, fault);
    if (err != KR_ERR_OK)
        secure_free(&secure);
    *out = secure;
    return err;
}

void secure_free(struct secure **secure)
{
    if (*secure == NULL)
        return;
    free_contexts((*secure)->contexts);
    tls_tickets_free(&(*secure)->tickets);
    pthread_mutex_destroy(&(*secure)->lock);
    mem_free(*secure);
    *secure = NULL;
}

struct tls *secure_connection(struct secure *secure, enum secure_protocol protocol,
                              bool needs_client)
{
    pthread_mutex_lock(&secure->lock);
    struct tls *tls =
        tls_new(secure->contexts[protocol + (needs_client ? KR_SECURE_REQUIRED : 0)], true);
    pthread_mutex_unlock(&secure->lock);
    return tls;
}

void secure_figures(struct secure *secure, struct secure_figures *out)
{
    *out = (struct secure_figures){0};
    if (secure == NULL)
        return;
    pthread_mutex_lock(&secure->lock);
    *out = secure->figures;
    pthread_mutex_unlock(&secure->lock);
}
