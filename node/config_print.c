// SPDX-License-Identifier: Apache-2.0
// The settings as people read them: --print-config, --help and the manual page, from the one table.
#include <string.h>

#include "core/base/buf.h"
#include "core/base/troff.h"
#include "node/config_row.h"

#define KR_CONFIG_TEXT_MAX ((size_t)1 << 20)

static void print_value(const struct config *config, const struct config_row *row, FILE *out)
{
    const void *place = config_place(config, row);
    switch (row->kind) {
    case KR_CONFIG_TEXT: {
        fputc('"', out);
        for (const char *at = *(char *const *)place; *at != '\0'; at++)
            fprintf(out, strchr("\"\\", *at) != NULL ? "\\%c" : "%c", *at);
        fputc('"', out);
        return;
    }
    case KR_CONFIG_NUMBER:
        fprintf(out, "%lld", *(const long long *)place);
        return;
    case KR_CONFIG_FLAG:
        fputs(*(const bool *)place ? "true" : "false", out);
        return;
    case KR_CONFIG_SECRET:
        return;
    }
}

void config_print(const struct config *config, FILE *out)
{
    for (size_t i = 0; i < config_row_count; i++) {
        if (config_rows[i].kind == KR_CONFIG_SECRET)
            continue;
        fprintf(out, "# %s\n%s: ", config_rows[i].help, config_rows[i].name);
        print_value(config, &config_rows[i], out);
        fputc('\n', out);
    }
}

static const char usage[] =
    "keyreeved: issues API keys and answers in every region whether they are good.\n"
    "\n"
    "Usage: keyreeved [--config FILE] [SETTING …]\n"
    "       keyreeved --check | --print-config | --help | --version | --man\n"
    "\n"
    "Example:\n"
    "  keyreeved --data /var/lib/keyreeve --http 127.0.0.1:7400\n"
    "\n"
    "  --config FILE    settings as YAML (default /etc/keyreeve/keyreeve.yaml, where it exists)\n"
    "  --check          read and check the settings and the secret files, then exit\n"
    "  --print-config   print the settings in force as a YAML file, then exit\n"
    "  --help           this text\n"
    "  --version        the version\n"
    "  --man            this text as a manual page (troff)\n"
    "\n"
    "Every setting is a flag, a line of the file (underscores for dashes) and a variable\n"
    "KEYREEVE_NAME; a flag goes before a variable, a variable before the file.\n"
    "\n"
    "Settings:\n";

static const char exit_codes[] = "\n"
                                 "Exit codes: 0 stopped as asked; 1 could not start, had to stop, "
                                 "or could not print what it was\n"
                                 "asked for (one line on stderr says why and how to mend it); 2 an "
                                 "option or setting is wrong.\n";

static void add_bounds(struct buf *out, const struct config_row *row)
{
    if (row->kind == KR_CONFIG_NUMBER)
        buf_printf(out, " (%lld to %lld %s; default %s)", (long long)row->least,
                   (long long)row->most, row->unit, row->fallback);
    else if (row->fallback[0] != '\0')
        buf_printf(out, " (default %s)", row->fallback);
}

// Takes the text.
static void print(struct buf *text, FILE *out)
{
    fwrite(text->data, 1, text->size, out);
    buf_fini(text);
}

// A secret has no flag: whoever lists the processes would see it.
static void name_of(const struct config_row *row, char out[KR_CONFIG_NAME_SIZE])
{
    if (row->kind == KR_CONFIG_SECRET)
        config_variable_name(row, out);
    else
        config_flag_name(row, out);
}

void config_print_help(FILE *out)
{
    struct buf text;
    buf_init(&text, KR_CONFIG_TEXT_MAX);
    buf_add_text(&text, usage);
    for (size_t i = 0; i < config_row_count; i++) {
        char name[KR_CONFIG_NAME_SIZE];
        name_of(&config_rows[i], name);
        buf_printf(&text, "  %-24s %s", name, config_rows[i].help);
        add_bounds(&text, &config_rows[i]);
        buf_add_text(&text, "\n");
    }
    buf_add_text(&text, exit_codes);
    print(&text, out);
}

static void add_setting(struct buf *out, const struct config_row *row)
{
    char name[KR_CONFIG_NAME_SIZE], variable[KR_CONFIG_NAME_SIZE];
    struct buf help;
    name_of(row, name);
    config_variable_name(row, variable);
    buf_init(&help, KR_CONFIG_TEXT_MAX);
    buf_add_text(&help, row->help);
    add_bounds(&help, row);
    if (row->kind == KR_CONFIG_SECRET)
        buf_add_text(&help, ". A variable alone.");
    else
        buf_printf(&help, ". Variable %s.", variable);
    buf_add_u8(&help, '\0');
    troff_add_term(out, name, (const char *)help.data);
    buf_fini(&help);
}

void config_print_manual(FILE *out)
{
    struct buf text;
    buf_init(&text, KR_CONFIG_TEXT_MAX);
    troff_add_title(&text, "keyreeved", "8");
    troff_add_name(&text, "keyreeved", "the node of Keyreeve, a replicated API-key service");
    troff_add_section(&text, "SYNOPSIS");
    troff_add_bold(&text, "keyreeved");
    troff_add_text(&text, "[--config FILE] [SETTING …]");
    troff_add_section(&text, "DESCRIPTION");
    troff_add_verbatim(&text, usage);
    troff_add_section(&text, "SETTINGS");
    for (size_t i = 0; i < config_row_count; i++)
        add_setting(&text, &config_rows[i]);
    troff_add_section(&text, "EXIT STATUS");
    troff_add_verbatim(&text, exit_codes + 1);
    troff_add_section(&text, "FILES");
    troff_add_term(&text, "<data>/db", "the database");
    troff_add_term(&text, "<data>/owner-token",
                   "the first owner token (0600), written by the bootstrap");
    troff_add_term(&text, "<data>/master-key",
                   "the master key (0600) of retrievable values; keep a copy elsewhere");
    print(&text, out);
}
