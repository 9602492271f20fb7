// SPDX-License-Identifier: Apache-2.0
// Help texts from the tables.
#include "client/help.h"

#include <string.h>

enum { KR_HELP_WIDTH = 90, KR_HELP_COLUMN = 24 };

static void add_spaces(struct buf *out, size_t count)
{
    for (; count > 0; count--)
        buf_add_u8(out, ' ');
}

// One paragraph; returns where it ended.
static const char *add_paragraph(struct buf *out, const char *text, unsigned indent, unsigned width)
{
    size_t column = indent;
    while (*text != '\0' && *text != '\n') {
        size_t size = strcspn(text, " \n");
        if (column > indent && column + 1 + size > width) {
            buf_add_u8(out, '\n');
            add_spaces(out, indent);
            column = indent;
        } else if (column > indent) {
            buf_add_u8(out, ' ');
            column++;
        }
        buf_add(out, text, size);
        column += size;
        text += size;
        text += strspn(text, " ");
    }
    return text;
}

void help_add_wrapped(struct buf *out, const char *text, unsigned indent, unsigned width)
{
    for (;;) {
        text = add_paragraph(out, text, indent, width);
        buf_add_u8(out, '\n');
        if (*text == '\0')
            return;
        text++;
        buf_add_u8(out, '\n');
        add_spaces(out, indent);
    }
}

void help_add_option_form(struct buf *out, const struct spec_option *option)
{
    if (option->letter != '\0')
        buf_printf(out, "-%c, ", option->letter);
    buf_printf(out, "--%s", option->name);
    if (option->kind == KR_OPTION_OPTIONAL_CHOICE)
        buf_printf(out, "[=%s]", option->value);
    else if (option->kind != KR_OPTION_FLAG)
        buf_printf(out, " %s", option->value);
}

// A term and its explanation, in two columns.
static void add_row(struct buf *out, const char *term, const char *help)
{
    size_t size = strlen(term);
    buf_printf(out, "  %s", term);
    if (size + 2 > KR_HELP_COLUMN - 2) {
        buf_add_u8(out, '\n');
        add_spaces(out, KR_HELP_COLUMN);
    } else {
        add_spaces(out, KR_HELP_COLUMN - 2 - size);
    }
    help_add_wrapped(out, help, KR_HELP_COLUMN, KR_HELP_WIDTH);
}

static void add_options(struct buf *out, spec_bits options)
{
    char term[192], help[256];
    for (size_t i = 0; i < KR_OPT_COUNT; i++) {
        const struct spec_option *option = &spec_options[i];
        struct buf form, text;
        if ((options & KR_OPT_BIT_AT(i)) == 0)
            continue;
        buf_init_fixed(&form, term, sizeof(term) - 1);
        help_add_option_form(&form, option);
        term[form.size] = '\0';
        buf_init_fixed(&text, help, sizeof(help));
        buf_add_text(&text, option->help);
        if (option->environment != NULL)
            buf_printf(&text, " [%s]", option->environment);
        buf_add_u8(&text, '\0');
        add_row(out, term, help);
    }
}

static void add_codes(struct buf *out)
{
    buf_add_text(out, "\nexit codes:\n");
#define X(name, code, text) add_row(out, #code, text);
    KR_EXIT_TABLE(X)
#undef X
}

static void add_command_row(struct buf *out, const struct spec_command *command)
{
    char term[96];
    struct buf text;
    buf_init_fixed(&text, term, sizeof(term));
    buf_printf(&text, "%s%s%s", command->name, *command->arguments == '\0' ? "" : " ",
               command->arguments);
    buf_add_u8(&text, '\0');
    add_row(out, term, command->summary);
}

void help_add_overview(struct buf *out)
{
    buf_add_text(out, "keyreeve: API keys, issued, checked and revoked on your own machines\n\n"
                      "usage: keyreeve [options] COMMAND [arguments]\n\ncommands:\n");
    for (size_t i = 0; i < spec_group_count; i++)
        add_row(out, spec_groups[i].name, spec_groups[i].summary);
    for (size_t i = 0; i < spec_command_count; i++)
        if (spec_commands[i].group == NULL)
            add_command_row(out, &spec_commands[i]);
    buf_add_text(out, "\noptions of every command:\n");
    add_options(out, KR_OPT_GLOBAL_BITS);
    buf_add_text(out, "\nenvironment:\n");
    add_row(out, "KEYREEVE_TOKEN", "the management token, when --token-file is not given");
    add_row(out, "NO_COLOR", "when set, nothing is coloured");
    add_codes(out);
    buf_add_text(out, "\nexample:\n  keyreeve login http://127.0.0.1:7400\n"
                      "  keyreeve consumer create acme --bucket production --with-key\n\n"
                      "keyreeve help COMMAND tells more.\n");
}

void help_add_group(struct buf *out, const struct spec_group *group)
{
    const char *example = NULL;
    buf_printf(out,
               "keyreeve %s: %s\n\nusage: keyreeve %s COMMAND [options] [arguments]\n\n"
               "commands:\n",
               group->name, group->summary, group->name);
    for (size_t i = 0; i < spec_command_count; i++) {
        if (spec_commands[i].group == NULL || strcmp(spec_commands[i].group, group->name) != 0)
            continue;
        add_command_row(out, &spec_commands[i]);
        example = example == NULL ? spec_commands[i].example : example;
    }
    buf_printf(out, "\nexample:\n  %s\n\nkeyreeve help %s COMMAND tells more.\n", example,
               group->name);
}

void help_add_command(struct buf *out, const struct spec_command *command)
{
    char name[64];
    spec_command_name(command, name, sizeof(name));
    buf_printf(out, "keyreeve %s: %s\n\nusage: keyreeve %s [options]%s%s\n", name, command->summary,
               name, *command->arguments == '\0' ? "" : " ", command->arguments);
    if (command->detail != NULL) {
        buf_add_u8(out, '\n');
        help_add_wrapped(out, command->detail, 0, KR_HELP_WIDTH);
    }
    if (command->options != 0) {
        buf_add_text(out, "\noptions:\n");
        add_options(out, command->options);
    }
    buf_add_text(out, "\noptions of every command:\n");
    add_options(out, KR_OPT_GLOBAL_BITS);
    buf_printf(out, "\nexample:\n  %s\n", command->example);
    add_codes(out);
}
