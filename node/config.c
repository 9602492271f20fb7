// SPDX-License-Identifier: Apache-2.0
// Loading the settings: flags over environment over file over defaults, each checked by the table.
#include "node/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "node/config_file.h"
#include "node/config_row.h"

const struct config_row config_rows[] = {
#define TEXT(name, fallback, help)                                                                 \
    {#name,                                                                                        \
     KR_CONFIG_TEXT,                                                                               \
     offsetof(struct config, name),                                                                \
     offsetof(struct config_file, name),                                                           \
     fallback,                                                                                     \
     0,                                                                                            \
     0,                                                                                            \
     "",                                                                                           \
     help},
#define NUMBER(name, fallback, least, most, unit, help)                                            \
    {#name,                                                                                        \
     KR_CONFIG_NUMBER,                                                                             \
     offsetof(struct config, name),                                                                \
     offsetof(struct config_file, name),                                                           \
     #fallback,                                                                                    \
     least,                                                                                        \
     most,                                                                                         \
     unit,                                                                                         \
     help},
#define FLAG(name, fallback, help)                                                                 \
    {#name,                                                                                        \
     KR_CONFIG_FLAG,                                                                               \
     offsetof(struct config, name),                                                                \
     offsetof(struct config_file, name),                                                           \
     #fallback,                                                                                    \
     0,                                                                                            \
     0,                                                                                            \
     "",                                                                                           \
     help},
#define SECRET(name, help) {#name, KR_CONFIG_SECRET, 0, 0, "", 0, 0, "", help},
#include "node/config_table.h"
#undef TEXT
#undef NUMBER
#undef FLAG
#undef SECRET
};

const size_t config_row_count = sizeof(config_rows) / sizeof(config_rows[0]);

#define KR_CONFIG_DEFAULT_FILE "/etc/keyreeve/keyreeve.yaml"

void *config_place(const struct config *config, const struct config_row *row)
{
    return (void *)((uintptr_t)config + row->offset);
}

void config_dashes(const char *name, char out[KR_CONFIG_NAME_SIZE])
{
    snprintf(out, KR_CONFIG_NAME_SIZE, "%s", name);
    for (char *at = out; *at != '\0'; at++) {
        if (*at == '_')
            *at = '-';
    }
}

void config_flag_name(const struct config_row *row, char out[KR_CONFIG_NAME_SIZE])
{
    char dashes[KR_CONFIG_NAME_SIZE];
    config_dashes(row->name, dashes);
    snprintf(out, KR_CONFIG_NAME_SIZE, "--%.*s", KR_CONFIG_NAME_SIZE - 3, dashes);
}

void config_variable_name(const struct config_row *row, char out[KR_CONFIG_NAME_SIZE])
{
    snprintf(out, KR_CONFIG_NAME_SIZE, "KEYREEVE_%s", row->name);
    for (char *at = out; *at != '\0'; at++) {
        if (*at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
    }
}

// --- one value -----------------------------------------------------------------------------------

// Digits alone, to the base of ten: what another reader would cut, or take for octal, is refused.
static enum kr_err set_number(struct config *config, const struct config_row *row,
                              const char *value, const char *where, struct fault *fault)
{
    const char *digits = value + (*value == '-');
    errno = 0;
    int64_t number = strtoll(value, NULL, 10);
    if (digits[strspn(digits, "0123456789")] != '\0' || *digits == '\0')
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: \"%.64s\" is no whole number; write digits alone, %lld to %lld %s",
                         where, value, (long long)row->least, (long long)row->most, row->unit);
    if (errno != 0 || number < row->least || number > row->most)
        return fault_set(fault, KR_ERR_INVALID, "%s: %.64s is out of range; %lld to %lld %s", where,
                         value, (long long)row->least, (long long)row->most, row->unit);
    memcpy(config_place(config, row), &number, sizeof(number));
    return KR_ERR_OK;
}

static void set_text(struct config *config, const struct config_row *row, const char *value)
{
    char **place = config_place(config, row);
    mem_free(*place);
    *place = mem_text(value);
}

static enum kr_err set(struct config *config, const struct config_row *row, const char *value,
                       const char *where, struct fault *fault)
{
    bool is_on = strcmp(value, "true") == 0;
    switch (row->kind) {
    case KR_CONFIG_TEXT:
        set_text(config, row, value);
        return KR_ERR_OK;
    case KR_CONFIG_NUMBER:
        return set_number(config, row, value, where, fault);
    case KR_CONFIG_FLAG:
        if (!is_on && strcmp(value, "false") != 0)
            return fault_set(fault, KR_ERR_INVALID, "%s: \"%.64s\" is neither true nor false",
                             where, value);
        memcpy(config_place(config, row), &is_on, sizeof(is_on));
        return KR_ERR_OK;
    case KR_CONFIG_SECRET:
        return KR_ERR_OK; // never kept here
    }
    return KR_ERR_INTERNAL;
}

// --- the sources ---------------------------------------------------------------------------------

static void take_defaults(struct config *config)
{
    struct fault fault;
    for (size_t i = 0; i < config_row_count; i++) {
        enum kr_err err =
            set(config, &config_rows[i], config_rows[i].fallback, config_rows[i].name, &fault);
        if (err != KR_ERR_OK)
            abort(); // a row of the table contradicts itself
    }
}

static enum kr_err take_file_row(struct config *config, const struct config_row *row,
                                 const struct config_file *file, const char *path,
                                 struct fault *fault)
{
    char where[512];
    const char *value;
    if (row->kind == KR_CONFIG_SECRET) // no member of the file
        return KR_ERR_OK;
    memcpy(&value, (const uint8_t *)file + row->file_offset, sizeof(value));
    if (value == NULL)
        return KR_ERR_OK;
    unsigned line = config_file_line(file, row->name);
    if (line > 0)
        snprintf(where, sizeof(where), "%s:%u: %s", path, line, row->name);
    else
        snprintf(where, sizeof(where), "%s: %s", path, row->name);
    return set(config, row, value, where, fault);
}

static enum kr_err take_file(struct config *config, const char *path, struct fault *fault)
{
    struct config_file *file = NULL;
    enum kr_err err = config_file_load(path, &file, fault);
    for (size_t i = 0; i < config_row_count && err == KR_ERR_OK && file != NULL; i++)
        err = take_file_row(config, &config_rows[i], file, path, fault);
    config_file_free(&file);
    return err;
}

static enum kr_err take_environment(struct config *config, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < config_row_count && err == KR_ERR_OK; i++) {
        char name[KR_CONFIG_NAME_SIZE];
        config_variable_name(&config_rows[i], name);
        const char *value = getenv(name);
        if (value != NULL)
            err = set(config, &config_rows[i], value, name, fault);
    }
    return err;
}

static const struct config_row *row_of_flag(const char *flag, size_t size)
{
    for (size_t i = 0; i < config_row_count; i++) {
        char name[KR_CONFIG_NAME_SIZE];
        config_flag_name(&config_rows[i], name);
        if (config_rows[i].kind != KR_CONFIG_SECRET && strlen(name) == size &&
            memcmp(name, flag, size) == 0)
            return &config_rows[i];
    }
    return NULL;
}

// "--http=…", "--http …", "--insecure". Moves *at behind what it took.
static enum kr_err take_flag(struct config *config, int argc, char **argv, int *at,
                             struct fault *fault)
{
    const char *flag = argv[*at];
    size_t size = strcspn(flag, "=");
    const struct config_row *row = row_of_flag(flag, size);
    if (row == NULL)
        return fault_set(fault, KR_ERR_INVALID, "unknown option %.64s; keyreeved --help lists them",
                         flag);
    const char *value = flag[size] == '=' ? flag + size + 1 : NULL;
    if (value == NULL && row->kind == KR_CONFIG_FLAG)
        value = "true";
    if (value == NULL && *at + 1 < argc)
        value = argv[++*at];
    if (value == NULL)
        return fault_set(fault, KR_ERR_INVALID, "%s needs a value; keyreeved --help shows it",
                         flag);
    ++*at;
    char where[KR_CONFIG_NAME_SIZE];
    config_flag_name(row, where);
    return set(config, row, value, where, fault);
}

// --- options that are no settings ----------------------------------------------------------------

static bool take_action(const char *option, enum config_action *action)
{
    static const struct {
        const char *option;
        enum config_action action;
    } actions[] = {
        {"--check", KR_CONFIG_CHECK},     {"--print-config", KR_CONFIG_PRINT},
        {"--help", KR_CONFIG_HELP},       {"-h", KR_CONFIG_HELP},
        {"--version", KR_CONFIG_VERSION}, {"--man", KR_CONFIG_MAN},
    };
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(option, actions[i].option) == 0) {
            *action = actions[i].action;
            return true;
        }
    }
    return false;
}

static bool is_config(const char *option)
{
    return strcmp(option, "--config") == 0 || strncmp(option, "--config=", 9) == 0;
}

// How many words an option and its value are: a value is no option, whatever it looks like.
static int words_of(const char *option)
{
    const struct config_row *row = row_of_flag(option, strlen(option));
    bool wants_value = row != NULL && row->kind != KR_CONFIG_FLAG;
    return wants_value || strcmp(option, "--config") == 0 ? 2 : 1;
}

// The file that the last --config names, else the default one when it is there, else none. One that
// is there and cannot be opened must not be passed over: whoever reads it will say why.
static enum kr_err choose_file(int argc, char **argv, const char **path, struct fault *fault)
{
    bool is_absent = access(KR_CONFIG_DEFAULT_FILE, F_OK) != 0 && errno == ENOENT;
    *path = is_absent ? NULL : KR_CONFIG_DEFAULT_FILE;
    for (int at = 1; at < argc; at += words_of(argv[at])) {
        if (!is_config(argv[at]))
            continue;
        *path = argv[at][8] == '=' ? argv[at] + 9 : argv[at + 1]; // behind the last word is NULL
        if (*path == NULL || **path == '\0')
            return fault_set(fault, KR_ERR_INVALID,
                             "--config needs a value; keyreeved --help shows it");
    }
    return KR_ERR_OK;
}

// Who asks for help, or which version this is, may have settings that are wrong: they are not read.
static bool is_about_itself(int argc, char **argv, enum config_action *action)
{
    for (int at = 1; at < argc; at += words_of(argv[at]))
        (void)take_action(argv[at], action);
    return *action == KR_CONFIG_HELP || *action == KR_CONFIG_MAN || *action == KR_CONFIG_VERSION;
}

static enum kr_err take_options(struct config *config, int argc, char **argv, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    enum config_action action;
    for (int at = 1; at < argc && err == KR_ERR_OK;) {
        if (is_config(argv[at]) || take_action(argv[at], &action))
            at += words_of(argv[at]);
        else
            err = take_flag(config, argc, argv, &at, fault);
    }
    return err;
}

// --- what follows from the texts -----------------------------------------------------------------

static enum kr_err derive_proxies(struct config *config, struct fault *fault)
{
    const char *at = config->trusted_proxies;
    while (*at != '\0') {
        size_t size = strcspn(at, ", ");
        if (size > 0) {
            size_t count = config->trusted_proxy_count;
            config->trusted_proxy_list =
                mem_realloc(config->trusted_proxy_list, (count + 1) * sizeof(struct cidr));
            if (!cidr_parse(bytes_of(at, size), &config->trusted_proxy_list[count]))
                return fault_set(fault, KR_ERR_INVALID,
                                 "trusted_proxies: \"%.*s\" is no CIDR block; write 10.0.0.0/8",
                                 (int)(size > 64 ? 64 : size), at);
            config->trusted_proxy_count++;
        }
        at += size;
        at += strspn(at, ", ");
    }
    return KR_ERR_OK;
}

static enum kr_err derive_master_key(struct config *config, struct fault *fault)
{
    config->has_master_key_variable = getenv("KEYREEVE_MASTER_KEY") != NULL;
    int places = (config->master_key_file[0] != '\0') + (config->master_key_fd >= 0) +
                 config->has_master_key_variable;
    if (places > 1)
        return fault_set(fault, KR_ERR_INVALID,
                         "master_key_file, master_key_fd, KEYREEVE_MASTER_KEY: the master key is "
                         "in more than one place; give one of them");
    return KR_ERR_OK;
}

static enum kr_err derive(struct config *config, struct fault *fault)
{
    enum kr_err err = derive_master_key(config, fault);
    if (err == KR_ERR_OK)
        err = config_check(config, fault);
    return err == KR_ERR_OK ? derive_proxies(config, fault) : err;
}

enum kr_err config_load(int argc, char **argv, struct config **out, enum config_action *action,
                        struct fault *fault)
{
    struct config *config = mem_zalloc(sizeof(*config));
    const char *path;
    *action = KR_CONFIG_RUN;
    take_defaults(config);
    *out = config;
    if (is_about_itself(argc, argv, action))
        return KR_ERR_OK;
    enum kr_err err = choose_file(argc, argv, &path, fault);
    if (err == KR_ERR_OK && path != NULL)
        err = take_file(config, path, fault);
    if (err == KR_ERR_OK)
        err = take_environment(config, fault);
    if (err == KR_ERR_OK)
        err = take_options(config, argc, argv, fault);
    if (err == KR_ERR_OK)
        err = derive(config, fault);
    if (err != KR_ERR_OK)
        config_free(&config);
    *out = config;
    return err;
}

void config_free(struct config **config)
{
    for (size_t i = 0; i < config_row_count; i++) {
        if (config_rows[i].kind == KR_CONFIG_TEXT)
            mem_free(*(char **)config_place(*config, &config_rows[i]));
    }
    mem_free((*config)->trusted_proxy_list);
    mem_free(*config);
    *config = NULL;
}

bool config_split_address(const char *text, char *host, size_t host_size, unsigned *port)
{
    const char *colon = strrchr(text, ':');
    uint64_t number = 0;
    if (colon == NULL || colon == text)
        return false;
    char *end;
    errno = 0;
    number = strtoull(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || errno != 0 || number > 65535)
        return false;
    size_t size = (size_t)(colon - text);
    if (text[0] == '[' && text[size - 1] == ']') {
        text++;
        size -= 2;
    }
    if (size == 0 || size >= host_size)
        return false;
    memcpy(host, text, size);
    host[size] = '\0';
    *port = (unsigned)number;
    return true;
}

bool config_is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

bool config_wants_etcd(const struct config *config)
{
    return strcmp(config->engine, "etcd") == 0;
}
