// SPDX-License-Identifier: Apache-2.0
// The settings as people read them: --print-config, --help and the manual page, from the one table.
#include <string.h>

#include "node/config_row.h"

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
    }
}

void config_print(const struct config *config, FILE *out)
{
    for (size_t i = 0; i < config_row_count; i++) {
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

static const char exit_codes[] =
    "\n"
    "Exit codes: 0 stopped as asked; 1 could not start, or had to stop (one line on stderr says\n"
    "why and how to mend it); 2 an option or setting is wrong.\n";

static void print_bounds(const struct config_row *row, FILE *out)
{
    if (row->kind == KR_CONFIG_NUMBER)
        fprintf(out, " (%lld to %lld %s; default %s)", (long long)row->least, (long long)row->most,
                row->unit, row->fallback);
    else if (row->fallback[0] != '\0')
        fprintf(out, " (default %s)", row->fallback);
}

void config_print_help(FILE *out)
{
    fputs(usage, out);
    for (size_t i = 0; i < config_row_count; i++) {
        char flag[KR_CONFIG_NAME_SIZE];
        config_flag_name(&config_rows[i], flag);
        fprintf(out, "  %-24s %s", flag, config_rows[i].help);
        print_bounds(&config_rows[i], out);
        fputc('\n', out);
    }
    fputs(exit_codes, out);
}

static void print_troff(const char *text, FILE *out)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '-' || *at == '\\')
            fputc('\\', out);
        if (*at == '.' && (at == text || at[-1] == '\n'))
            fputs("\\&", out);
        fputc(*at, out);
    }
}

void config_print_manual(FILE *out)
{
    fputs(".TH KEYREEVED 8 \"\" \"keyreeve " KR_VERSION "\" \"Keyreeve\"\n"
          ".SH NAME\nkeyreeved \\- the node of Keyreeve, a replicated API-key service\n"
          ".SH SYNOPSIS\n.B keyreeved\n[\\-\\-config FILE] [SETTING ...]\n"
          ".SH DESCRIPTION\n.nf\n",
          out);
    print_troff(usage, out);
    fputs(".fi\n.SH SETTINGS\n", out);
    for (size_t i = 0; i < config_row_count; i++) {
        char flag[KR_CONFIG_NAME_SIZE], variable[KR_CONFIG_NAME_SIZE];
        config_flag_name(&config_rows[i], flag);
        config_variable_name(&config_rows[i], variable);
        fputs(".TP\n.B ", out);
        print_troff(flag, out);
        fputc('\n', out);
        print_troff(config_rows[i].help, out);
        print_bounds(&config_rows[i], out);
        fprintf(out, ". Variable %s.\n", variable);
    }
    fputs(".SH EXIT STATUS\n", out);
    print_troff(exit_codes + 1, out);
    fputs(".SH FILES\n.TP\n<data>/db\nthe database\n.TP\n<data>/owner\\-token\nthe first owner "
          "token (0600), written by the bootstrap\n.TP\n<data>/master\\-key\nthe master key (0600) "
          "of retrievable values; keep a copy elsewhere\n",
          out);
}
