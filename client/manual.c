// SPDX-License-Identifier: Apache-2.0
// Manual pages from the tables.
#include "client/manual.h"

#include <stdio.h>
#include <string.h>

#include "client/help.h"

enum { KR_MANUAL_FORM_MAX = 192 };

// Text as troff prints it: a backslash, a dash, and a dot or quote that would begin a request.
static void add_escaped(struct buf *out, const char *text)
{
    bool is_at_start = out->size == 0 || out->data[out->size - 1] == '\n';
    for (; *text != '\0'; text++) {
        if (is_at_start && (*text == '.' || *text == '\''))
            buf_add_text(out, "\\&");
        if (*text == '\\')
            buf_add_text(out, "\\e");
        else if (*text == '-')
            buf_add_text(out, "\\-");
        else if (*text == '\'')
            buf_add_text(out, "\\(aq");
        else if (*text == '\n')
            buf_add_text(out, "\n.PP\n");
        else
            buf_add_u8(out, (uint8_t)*text);
        is_at_start = *text == '\n';
    }
}

static void add_title(struct buf *out, const char *name)
{
    buf_add_text(out, ".TH \"");
    for (; *name != '\0'; name++)
        buf_add_u8(out,
                   *name >= 'a' && *name <= 'z' ? (uint8_t)(*name - 'a' + 'A') : (uint8_t)*name);
    buf_add_text(out, "\" 1 \"\" \"Keyreeve " KR_VERSION "\" \"Keyreeve Manual\"\n");
}

static void add_names(struct buf *out, const char *name, const char *summary)
{
    add_title(out, name);
    buf_add_text(out, ".SH NAME\n");
    add_escaped(out, name);
    buf_add_text(out, " \\- ");
    add_escaped(out, summary);
    buf_add_text(out, "\n.SH SYNOPSIS\n");
}

static void add_term(struct buf *out, const char *term, const char *help)
{
    buf_add_text(out, ".TP\n.B ");
    add_escaped(out, term);
    buf_add_u8(out, '\n');
    add_escaped(out, help);
    buf_add_u8(out, '\n');
}

static void add_options(struct buf *out, spec_bits options)
{
    for (size_t i = 0; i < KR_OPT_COUNT; i++) {
        char form[KR_MANUAL_FORM_MAX];
        struct buf text;
        if ((options & KR_OPT_BIT_AT(i)) == 0)
            continue;
        buf_init_fixed(&text, form, sizeof(form) - 1);
        help_add_option_form(&text, &spec_options[i]);
        form[text.size] = '\0';
        add_term(out, form, spec_options[i].help);
        if (spec_options[i].environment != NULL)
            buf_printf(out, "(environment:\n.BR %s )\n", spec_options[i].environment);
    }
}

static void add_ending(struct buf *out, const char *example)
{
    buf_add_text(out, ".SH EXAMPLES\n.nf\n");
    add_escaped(out, example);
    buf_add_text(out, "\n.fi\n.SH EXIT STATUS\n");
#define X(name, code, text) add_term(out, #code, text);
    KR_EXIT_TABLE(X)
#undef X
}

static void add_files(struct buf *out)
{
    buf_add_text(out, ".SH ENVIRONMENT\n");
    add_term(out, "KEYREEVE_TOKEN", "The management token, when --token-file is not given.");
    add_term(out, "NO_COLOR", "When set, nothing is coloured.");
    add_term(out, "XDG_CONFIG_HOME", "Where the directory keyreeve with contexts.json is kept.");
    buf_add_text(out, ".SH FILES\n");
    add_term(out, "~/.config/keyreeve/contexts.json",
             "Stored logins. Refused when others than its owner have access.");
}

void manual_add_command(struct buf *out, const struct spec_command *command)
{
    char name[64], page[80];
    spec_command_name(command, name, sizeof(name));
    snprintf(page, sizeof(page), "keyreeve-%s", name);
    for (char *at = page; *at != '\0'; at++)
        if (*at == ' ')
            *at = '-';
    add_names(out, page, command->summary);
    buf_add_text(out, ".B keyreeve ");
    add_escaped(out, name);
    buf_add_text(out, "\n[options]\n");
    if (*command->arguments != '\0') {
        buf_add_text(out, ".I ");
        add_escaped(out, command->arguments);
        buf_add_u8(out, '\n');
    }
    buf_add_text(out, ".SH DESCRIPTION\n");
    add_escaped(out, command->summary);
    buf_add_text(out, ".\n");
    if (command->detail != NULL) {
        buf_add_text(out, ".PP\n");
        add_escaped(out, command->detail);
        buf_add_u8(out, '\n');
    }
    if (command->options != 0)
        buf_add_text(out, ".SH OPTIONS\n");
    add_options(out, command->options);
    buf_add_text(out, ".SH OPTIONS OF EVERY COMMAND\n");
    add_options(out, KR_OPT_GLOBAL_BITS);
    add_ending(out, command->example);
    add_files(out);
    buf_add_text(out, ".SH SEE ALSO\n.BR keyreeve (1)\n");
}

void manual_add_overview(struct buf *out)
{
    add_names(out, "keyreeve", "API keys, issued, checked and revoked on your own machines");
    buf_add_text(out, ".B keyreeve\n[options]\n.I command\n[arguments]\n.SH DESCRIPTION\n"
                      "Manages the buckets, consumers and keys of a Keyreeve node over its HTTP "
                      "API.\n.SH COMMANDS\n");
    for (size_t i = 0; i < spec_command_count; i++) {
        char name[64], term[160];
        spec_command_name(&spec_commands[i], name, sizeof(name));
        snprintf(term, sizeof(term), "%s %s", name, spec_commands[i].arguments);
        add_term(out, term, spec_commands[i].summary);
    }
    buf_add_text(out, ".SH OPTIONS\n");
    add_options(out, KR_OPT_GLOBAL_BITS);
    add_ending(out, "keyreeve login http://127.0.0.1:7400");
    add_files(out);
}
