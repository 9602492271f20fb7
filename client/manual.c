// SPDX-License-Identifier: Apache-2.0
// Manual pages from the tables.
#include "client/manual.h"

#include <stdio.h>
#include <string.h>

#include "client/help.h"
#include "core/base/troff.h"

enum { KR_MANUAL_FORM_MAX = 192 };

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
        troff_add_term(out, form, spec_options[i].help);
        if (spec_options[i].environment != NULL)
            buf_printf(out, "(environment:\n.BR %s )\n", spec_options[i].environment);
    }
}

static void add_ending(struct buf *out, const char *example)
{
    troff_add_section(out, "EXAMPLES");
    troff_add_verbatim(out, example);
    troff_add_section(out, "EXIT STATUS");
#define X(name, code, text) troff_add_term(out, #code, text);
    KR_EXIT_TABLE(X)
#undef X
}

static void add_files(struct buf *out)
{
    troff_add_section(out, "ENVIRONMENT");
    troff_add_term(out, "KEYREEVE_TOKEN", "The management token, when --token-file is not given.");
    troff_add_term(out, "NO_COLOR", "When set, nothing is coloured.");
    troff_add_term(out, "XDG_CONFIG_HOME",
                   "Where the directory keyreeve with contexts.json is kept.");
    troff_add_section(out, "FILES");
    troff_add_term(out, "~/.config/keyreeve/contexts.json",
                   "Stored logins. Refused when others than its owner have access.");
}

static void add_head(struct buf *out, const char *page, const char *summary, const char *synopsis)
{
    troff_add_title(out, page, "1");
    troff_add_name(out, page, summary);
    troff_add_section(out, "SYNOPSIS");
    troff_add_bold(out, synopsis);
    troff_add_text(out, "[options]");
}

void manual_add_command(struct buf *out, const struct spec_command *command)
{
    char name[64], page[80], synopsis[80];
    spec_command_name(command, name, sizeof(name));
    snprintf(page, sizeof(page), "keyreeve-%s", name);
    snprintf(synopsis, sizeof(synopsis), "keyreeve %s", name);
    for (char *at = page; *at != '\0'; at++)
        if (*at == ' ')
            *at = '-';
    add_head(out, page, command->summary, synopsis);
    if (*command->arguments != '\0')
        troff_add_italic(out, command->arguments);
    troff_add_section(out, "DESCRIPTION");
    troff_add_text(out, command->detail != NULL ? command->detail : command->summary);
    if (command->options != 0)
        troff_add_section(out, "OPTIONS");
    add_options(out, command->options);
    troff_add_section(out, "OPTIONS OF EVERY COMMAND");
    add_options(out, KR_OPT_GLOBAL_BITS);
    add_ending(out, command->example);
    add_files(out);
    troff_add_section(out, "SEE ALSO");
    buf_add_text(out, ".BR keyreeve (1)\n");
}

void manual_add_overview(struct buf *out)
{
    add_head(out, "keyreeve", "API keys, issued, checked and revoked on your own machines",
             "keyreeve");
    troff_add_italic(out, "command");
    troff_add_text(out, "[arguments]");
    troff_add_section(out, "DESCRIPTION");
    troff_add_text(out, "Manages the buckets, consumers and keys of a Keyreeve node over its HTTP "
                        "API.");
    troff_add_section(out, "COMMANDS");
    for (size_t i = 0; i < spec_command_count; i++) {
        char name[64], term[160];
        spec_command_name(&spec_commands[i], name, sizeof(name));
        snprintf(term, sizeof(term), "%s %s", name, spec_commands[i].arguments);
        troff_add_term(out, term, spec_commands[i].summary);
    }
    troff_add_section(out, "OPTIONS");
    add_options(out, KR_OPT_GLOBAL_BITS);
    add_ending(out, "keyreeve login http://127.0.0.1:7400");
    add_files(out);
}
