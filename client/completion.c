// SPDX-License-Identifier: Apache-2.0
// Completion scripts from the tables.
//
// bash and zsh get one function each that finds the command among the words typed so far and offers
// its words; fish gets one `complete` line an option and command.
#include "client/completion.h"

#include <string.h>

static bool is_of_group(const struct spec_command *command, const char *group)
{
    if (group == NULL || command->group == NULL)
        return group == NULL && command->group == NULL;
    return strcmp(command->group, group) == 0;
}

static void add_names(struct buf *out, const char *group)
{
    for (size_t i = 0; i < spec_command_count; i++)
        if (is_of_group(&spec_commands[i], group))
            buf_printf(out, " %s", spec_commands[i].name);
    for (size_t i = 0; group == NULL && i < spec_group_count; i++)
        buf_printf(out, " %s", spec_groups[i].name);
}

static void add_long_options(struct buf *out, spec_bits options)
{
    for (size_t i = 0; i < KR_OPT_COUNT; i++)
        if ((options & KR_OPT_BIT_AT(i)) != 0)
            buf_printf(out, " --%s", spec_options[i].name);
}

static void add_choices(struct buf *out, const char *choices)
{
    const char *choice;
    size_t size;
    while (spec_next_choice(&choices, &choice, &size))
        buf_printf(out, " %.*s", (int)size, choice);
}

static bool has_choices(const char *value)
{
    return value != NULL && strchr(value, '|') != NULL;
}

static bool takes_file(const struct spec_command *command)
{
    return strncmp(command->arguments, "FILE", 4) == 0;
}

// "key:create)" … what may follow: options, and words that stand for arguments.
static void add_shell_cases(struct buf *out)
{
    for (size_t i = 0; i < spec_command_count; i++) {
        const struct spec_command *command = &spec_commands[i];
        buf_printf(out, "    %s:%s) offer=\"", command->group == NULL ? "" : command->group,
                   command->name);
        if (has_choices(command->arguments))
            add_choices(out, command->arguments);
        add_long_options(out, command->options | KR_OPT_GLOBAL_BITS);
        buf_printf(out, "\"%s ;;\n", takes_file(command) ? "; files=1" : "");
    }
    for (size_t i = 0; i < spec_group_count; i++) {
        buf_printf(out, "    %s:) offer=\"", spec_groups[i].name);
        add_names(out, spec_groups[i].name);
        buf_add_text(out, "\" ;;\n");
    }
    buf_add_text(out, "    *) offer=\"");
    add_names(out, NULL);
    add_long_options(out, KR_OPT_GLOBAL_BITS);
    buf_add_text(out, "\" ;;\n");
}

// The first option of its name?
static bool is_first(size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(spec_options[i].name, spec_options[at].name) == 0)
            return false;
    return true;
}

// The choices of every option of this name.
static void add_choices_of(struct buf *out, const char *name)
{
    for (size_t i = 0; i < KR_OPT_COUNT; i++)
        if (strcmp(spec_options[i].name, name) == 0 && has_choices(spec_options[i].value))
            add_choices(out, spec_options[i].value);
}

// "--status|…)" what may follow an option that takes a value.
static void add_shell_values(struct buf *out)
{
    for (size_t i = 0; i < KR_OPT_COUNT; i++) {
        const struct spec_option *option = &spec_options[i];
        if (option->kind == KR_OPTION_FLAG || !is_first(i))
            continue;
        buf_printf(out, "    --%s", option->name);
        if (option->letter != '\0')
            buf_printf(out, "|-%c", option->letter);
        buf_add_text(out, ") ");
        if (option->kind == KR_OPTION_OPTIONAL_CHOICE)
            buf_add_text(out, "values=\"");
        else
            buf_add_text(out, "wants=1; values=\"");
        add_choices_of(out, option->name);
        buf_printf(out, "\"%s ;;\n", option->kind == KR_OPTION_FILE ? "; files=1" : "");
    }
}

static void add_group_names(struct buf *out)
{
    for (size_t i = 0; i < spec_group_count; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : "|", spec_groups[i].name);
}

// Sets group, command, offer, values, wants, files from the words before the cursor.
static void add_shell_body(struct buf *out, const char *each)
{
    buf_printf(out,
               "  local word previous= group= command= offer= values= wants= files= skip=\n"
               "  for word in %s; do\n"
               "    if [[ -n $skip ]]; then skip=; previous=$word; continue; fi\n"
               "    wants=; values=; files=; previous=$word\n"
               "    case $word in\n",
               each);
    add_shell_values(out);
    buf_add_text(out, "    -*) ;;\n    ");
    add_group_names(out);
    buf_add_text(out, ") if [[ -z $group$command ]]; then group=$word; "
                      "elif [[ -z $command ]]; then command=$word; fi ;;\n"
                      "    *) [[ -z $command ]] && command=$word ;;\n"
                      "    esac\n"
                      "    [[ -n $wants ]] && skip=1\n"
                      "  done\n"
                      "  [[ -z $skip ]] && { wants=; files=; }\n"
                      "  case $group:$command in\n");
    add_shell_cases(out);
    buf_add_text(out, "  esac\n"
                      "  if [[ -n $skip ]]; then offer=$values; [[ -z $files ]] || offer=; "
                      "else offer=\"$values $offer\"; fi\n");
}

void completion_add_bash(struct buf *out)
{
    buf_add_text(out, "# bash completion for keyreeve\n_keyreeve() {\n");
    // bash splits words at ":" and "=" too: they are put together again, but for an option's "=",
    // behind which its value is a word. What is completed is the last piece.
    buf_add_text(out, "  local part glue=\n  local -a typed=()\n"
                      "  for part in \"${COMP_WORDS[@]:1:COMP_CWORD}\"; do\n"
                      "    if [[ -n $glue || ( $part == [:=]* && ${#typed[@]} -gt 0 ) ]]; then\n"
                      "      if [[ $part == = && ${typed[-1]} == --* ]]; then typed+=(''); "
                      "else typed[-1]+=$part; fi\n"
                      "      glue=; [[ $part == [:=]* ]] && glue=1\n"
                      "    else\n"
                      "      typed+=(\"$part\")\n"
                      "    fi\n"
                      "  done\n");
    add_shell_body(out, "\"${typed[@]:0:${#typed[@]}-1}\"");
    buf_add_text(out, "  local current=${COMP_WORDS[COMP_CWORD]}\n"
                      "  [[ $current == [:=]* ]] && current=\n"
                      "  COMPREPLY=($(compgen -W \"$offer\" -- \"$current\"))\n"
                      "  [[ -n $files && $current != -* ]] && "
                      "COMPREPLY+=($(compgen -f -- \"$current\"))\n"
                      "  return 0\n}\n"
                      "complete -o filenames -F _keyreeve keyreeve\n");
}

void completion_add_zsh(struct buf *out)
{
    buf_add_text(out, "#compdef keyreeve\n_keyreeve() {\n  local -a typed offered\n"
                      "  typed=(\"${(@)words[2,CURRENT-1]}\")\n  _keyreeve_offer\n"
                      "  offered=(${=REPLY})\n"
                      "  (( $#offered )) && compadd -- $offered\n"
                      "  [[ -n $reply[1] ]] && _files\n  return 0\n}\n"
                      "_keyreeve_offer() {\n");
    add_shell_body(out, "$typed");
    buf_add_text(out, "  REPLY=$offer\n  reply=(\"$files\")\n}\n"
                      "compdef _keyreeve keyreeve\n");
}

// A text inside single quotes of fish, where only \ and ' are special.
static void add_fish_quoted(struct buf *out, const char *text)
{
    buf_add_u8(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\\' || *text == '\'')
            buf_add_u8(out, '\\');
        buf_add_u8(out, (uint8_t)*text);
    }
    buf_add_u8(out, '\'');
}

static void add_fish_condition(struct buf *out, const struct spec_command *command)
{
    if (command->group == NULL)
        buf_printf(out, "complete -c keyreeve -n '__fish_seen_subcommand_from %s'", command->name);
    else
        buf_printf(out,
                   "complete -c keyreeve -n '__fish_seen_subcommand_from %s; and "
                   "__fish_seen_subcommand_from %s'",
                   command->group, command->name);
}

static void add_fish_option(struct buf *out, const struct spec_option *option)
{
    buf_printf(out, " -l %s", option->name);
    if (option->letter != '\0')
        buf_printf(out, " -s %c", option->letter);
    if (option->kind == KR_OPTION_FILE)
        buf_add_text(out, " -r -F");
    else if (option->kind != KR_OPTION_FLAG && option->kind != KR_OPTION_OPTIONAL_CHOICE)
        buf_add_text(out, " -x");
    if (option->kind != KR_OPTION_FLAG && has_choices(option->value)) {
        buf_add_text(out, " -a '");
        add_choices(out, option->value);
        buf_add_u8(out, '\'');
    }
    buf_add_text(out, " -d ");
    add_fish_quoted(out, option->help);
    buf_add_u8(out, '\n');
}

static void add_fish_command(struct buf *out, const struct spec_command *command)
{
    if (command->group == NULL)
        buf_printf(out, "complete -c keyreeve -n __fish_use_subcommand -a %s -d ", command->name);
    else
        buf_printf(out,
                   "complete -c keyreeve -n '__fish_seen_subcommand_from %s; and not "
                   "__keyreeve_has_second %s' -a %s -d ",
                   command->group, command->group, command->name);
    add_fish_quoted(out, command->summary);
    buf_add_u8(out, '\n');
    for (size_t i = 0; i < KR_OPT_COUNT; i++) {
        if ((command->options & KR_OPT_BIT_AT(i)) == 0)
            continue;
        add_fish_condition(out, command);
        add_fish_option(out, &spec_options[i]);
    }
    if (takes_file(command) || has_choices(command->arguments)) {
        add_fish_condition(out, command);
        buf_add_text(out, takes_file(command) ? " -F" : " -a '");
        if (!takes_file(command)) {
            add_choices(out, command->arguments);
            buf_add_u8(out, '\'');
        }
        buf_add_u8(out, '\n');
    }
}

void completion_add_fish(struct buf *out)
{
    buf_add_text(out, "# fish completion for keyreeve\n"
                      "function __keyreeve_has_second\n"
                      "  set -l words (commandline -opc)\n"
                      "  set -l at (contains -i -- $argv[1] $words)\n"
                      "  or return 1\n"
                      "  test (count $words) -gt $at\n"
                      "end\n"
                      "complete -c keyreeve -f\n");
    for (size_t i = 0; i < spec_group_count; i++) {
        buf_printf(out, "complete -c keyreeve -n __fish_use_subcommand -a %s -d ",
                   spec_groups[i].name);
        add_fish_quoted(out, spec_groups[i].summary);
        buf_add_u8(out, '\n');
    }
    for (size_t i = 0; i < KR_OPT_GLOBAL_COUNT; i++) {
        buf_add_text(out, "complete -c keyreeve");
        add_fish_option(out, &spec_options[i]);
    }
    for (size_t i = 0; i < spec_command_count; i++)
        add_fish_command(out, &spec_commands[i]);
}
