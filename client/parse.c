// SPDX-License-Identifier: Apache-2.0
// The command line's parser.
#include "client/parse.h"

#include <stdio.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/base/text.h"
#include "core/keys/format.h"

enum { KR_PARSE_WORD_MAX = 32, KR_PARSE_NEAR = 2 };

struct parser {
    int argc, at;
    char *const *argv;
    const char *words[KR_PARSE_ARGUMENTS_MAX]; // what is no option
    size_t word_count;
    struct invocation *out;
    struct fault *fault;
};

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Levenshtein's distance of two short words, for "did you mean".
static size_t distance(const char *one, const char *other)
{
    size_t row[KR_PARSE_WORD_MAX + 1];
    size_t width = strlen(other);
    if (width > KR_PARSE_WORD_MAX || strlen(one) > KR_PARSE_WORD_MAX)
        return SIZE_MAX;
    for (size_t i = 0; i <= width; i++)
        row[i] = i;
    for (; *one != '\0'; one++) {
        size_t diagonal = row[0]++;
        for (size_t i = 1; i <= width; i++) {
            size_t changed = diagonal + (*one != other[i - 1]);
            diagonal = row[i];
            row[i] = least_of(changed, least_of(row[i], row[i - 1]) + 1);
        }
    }
    return row[width];
}

static const char *nearer(const char *word, const char *candidate, const char *best)
{
    size_t bound = best == NULL ? KR_PARSE_NEAR + 1 : distance(word, best);
    return candidate != NULL && distance(word, candidate) < bound ? candidate : best;
}

static const char *near_command(const char *group, const char *word)
{
    const char *best = NULL;
    for (size_t i = 0; i < spec_command_count; i++) {
        const char *theirs = spec_commands[i].group;
        if (group == NULL ? theirs == NULL : theirs != NULL && strcmp(theirs, group) == 0)
            best = nearer(word, spec_commands[i].name, best);
    }
    for (size_t i = 0; group == NULL && i < spec_group_count; i++)
        best = nearer(word, spec_groups[i].name, best);
    return best;
}

// A key or a token may stand where a word was to: it is not for the screen, nor for who reads logs.
static const char *shown(const char *word)
{
    return format_may_repeat(bytes_text(word)) ? word : "...";
}

static enum kr_err unknown(struct parser *parser, const char *what, const char *word,
                           const char *near)
{
    return fault_set(parser->fault, KR_ERR_INVALID, "there is no %s \"%.64s\"%s%s%s", what,
                     shown(word), near == NULL ? "" : "; did you mean ", near == NULL ? "" : near,
                     near == NULL ? "" : "?");
}

static enum spec_option_id find_long(const char *name, size_t size)
{
    for (size_t i = 0; i < KR_OPT_COUNT; i++)
        if (strlen(spec_options[i].name) == size && memcmp(spec_options[i].name, name, size) == 0)
            return (enum spec_option_id)i;
    return KR_OPT_COUNT;
}

static enum spec_option_id find_letter(char letter)
{
    for (size_t i = 0; i < KR_OPT_COUNT; i++)
        if (spec_options[i].letter == letter)
            return (enum spec_option_id)i;
    return KR_OPT_COUNT;
}

static enum kr_err unknown_option(struct parser *parser, const char *name, size_t size)
{
    char word[KR_PARSE_WORD_MAX + 1];
    const char *best = NULL;
    snprintf(word, sizeof(word), "%.*s", (int)size, name);
    for (size_t i = 0; i < KR_OPT_COUNT; i++)
        best = nearer(word, spec_options[i].name, best);
    return fault_set(parser->fault, KR_ERR_INVALID, "there is no option --%s%s%s%s", shown(word),
                     best == NULL ? "" : "; did you mean --", best == NULL ? "" : best,
                     best == NULL ? "" : "?");
}

static enum kr_err check_value(struct parser *parser, const struct spec_option *option,
                               const char *value)
{
    uint64_t number;
    bool has_choices = (option->kind == KR_OPTION_CHOICE || option->kind == KR_OPTION_LIST ||
                        option->kind == KR_OPTION_OPTIONAL_CHOICE) &&
                       strchr(option->value, '|') != NULL;
    bool is_alone = option->kind == KR_OPTION_OPTIONAL_CHOICE && *value == '\0';
    if (has_choices && !is_alone && !spec_is_choice(option->value, value))
        return fault_set(parser->fault, KR_ERR_INVALID, "--%s is one of %s", option->name,
                         option->value);
    if (option->kind != KR_OPTION_NUMBER)
        return KR_ERR_OK;
    if (text_decimal(bytes_text(value), option->most, &number) && number >= option->least)
        return KR_ERR_OK;
    return fault_set(parser->fault, KR_ERR_INVALID, "--%s is a number from %llu to %llu",
                     option->name, (unsigned long long)option->least,
                     (unsigned long long)option->most);
}

static enum kr_err store(struct parser *parser, enum spec_option_id id, const char *value)
{
    struct parse_option *given = &parser->out->options[id];
    if (spec_options[id].kind != KR_OPTION_LIST)
        given->count = 0; // the last one counts
    if (given->count == KR_PARSE_VALUES_MAX)
        return fault_set(parser->fault, KR_ERR_INVALID, "--%s is given more than %d times",
                         spec_options[id].name, KR_PARSE_VALUES_MAX);
    given->values[given->count++] = value;
    return KR_ERR_OK;
}

// An option's value: what stands behind '=' (or the letter), else the next word.
static enum kr_err take_value(struct parser *parser, enum spec_option_id id, const char *attached)
{
    const struct spec_option *option = &spec_options[id];
    const char *next = parser->at < parser->argc ? parser->argv[parser->at] : NULL;
    if (option->kind == KR_OPTION_FLAG && attached != NULL)
        return fault_set(parser->fault, KR_ERR_INVALID, "--%s takes no value", option->name);
    if (option->kind == KR_OPTION_FLAG)
        return store(parser, id, "");
    if (attached != NULL)
        return store(parser, id, attached);
    if (option->kind == KR_OPTION_OPTIONAL_CHOICE) {
        if (next == NULL || !spec_is_choice(option->value, next))
            return store(parser, id, "");
        parser->at++;
        return store(parser, id, next);
    }
    if (next == NULL)
        return fault_set(parser->fault, KR_ERR_INVALID, "--%s needs a value: %s", option->name,
                         option->value);
    parser->at++;
    return store(parser, id, next);
}

static enum kr_err take_long(struct parser *parser, const char *text)
{
    size_t size = strcspn(text, "=");
    enum spec_option_id id = find_long(text, size);
    if (id == KR_OPT_COUNT)
        return unknown_option(parser, text, size);
    return take_value(parser, id, text[size] == '=' ? text + size + 1 : NULL);
}

static enum kr_err take_letters(struct parser *parser, const char *text)
{
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && *text != '\0') {
        enum spec_option_id id = find_letter(*text++);
        if (id == KR_OPT_COUNT)
            return fault_set(parser->fault, KR_ERR_INVALID, "there is no option -%c", text[-1]);
        bool is_flag = spec_options[id].kind == KR_OPTION_FLAG;
        err = take_value(parser, id, is_flag || *text == '\0' ? NULL : text);
        if (!is_flag)
            break;
    }
    return err;
}

static enum kr_err take_words(struct parser *parser)
{
    enum kr_err err = KR_ERR_OK;
    bool has_ended = false;
    while (err == KR_ERR_OK && parser->at < parser->argc) {
        const char *text = parser->argv[parser->at++];
        if (!has_ended && strcmp(text, "--") == 0)
            has_ended = true;
        else if (!has_ended && strncmp(text, "--", 2) == 0)
            err = take_long(parser, text + 2);
        else if (!has_ended && text[0] == '-' && text[1] != '\0')
            err = take_letters(parser, text + 1);
        else if (parser->word_count == KR_PARSE_ARGUMENTS_MAX)
            err = fault_set(parser->fault, KR_ERR_INVALID, "more than %d arguments",
                            KR_PARSE_ARGUMENTS_MAX);
        else
            parser->words[parser->word_count++] = text;
    }
    return err;
}

static enum kr_err find_command(struct parser *parser)
{
    struct invocation *out = parser->out;
    size_t used = 0;
    if (parser->word_count == 0)
        return KR_ERR_OK;
    out->group = spec_find_group(parser->words[used]);
    if (out->group != NULL)
        used++;
    if (used == parser->word_count)
        return KR_ERR_OK;
    const char *group = out->group == NULL ? NULL : out->group->name;
    out->command = spec_find(group, parser->words[used]);
    if (out->command == NULL)
        return unknown(parser, out->group == NULL ? "command" : "command of that group called",
                       parser->words[used], near_command(group, parser->words[used]));
    used++;
    while (used < parser->word_count)
        out->arguments[out->argument_count++] = parser->words[used++];
    return KR_ERR_OK;
}

// The command's own option of that name; KR_OPT_COUNT when it has none.
static enum spec_option_id resolve(const struct spec_command *command, enum spec_option_id id)
{
    spec_bits allowed = command->options | KR_OPT_GLOBAL_BITS;
    for (size_t i = 0; i < KR_OPT_COUNT; i++)
        if ((allowed & KR_OPT_BIT_AT(i)) != 0 &&
            strcmp(spec_options[i].name, spec_options[id].name) == 0)
            return (enum spec_option_id)i;
    return KR_OPT_COUNT;
}

static enum kr_err check_values(struct parser *parser, enum spec_option_id id)
{
    const struct parse_option *given = &parser->out->options[id];
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < given->count && err == KR_ERR_OK; i++)
        err = check_value(parser, &spec_options[id], given->values[i]);
    return err;
}

// Only now is the command known, and with it which of two options of a name is meant.
static enum kr_err check_options(struct parser *parser)
{
    char name[64];
    enum kr_err err = KR_ERR_OK;
    struct parse_option *options = parser->out->options;
    for (size_t i = 0; i < KR_OPT_COUNT && err == KR_ERR_OK; i++) {
        if (options[i].count == 0)
            continue;
        enum spec_option_id meant = resolve(parser->out->command, (enum spec_option_id)i);
        if (meant == KR_OPT_COUNT) {
            spec_command_name(parser->out->command, name, sizeof(name));
            return fault_set(parser->fault, KR_ERR_INVALID, "%s has no option --%s", name,
                             spec_options[i].name);
        }
        if (meant != i) {
            options[meant] = options[i];
            options[i].count = 0;
        }
        err = check_values(parser, meant);
    }
    return err;
}

static enum kr_err check_arguments(struct parser *parser)
{
    const struct invocation *out = parser->out;
    size_t least, most;
    char name[64];
    spec_argument_range(out->command, &least, &most);
    spec_command_name(out->command, name, sizeof(name));
    if (out->argument_count < least)
        return fault_set(parser->fault, KR_ERR_INVALID, "%s needs %s", name,
                         out->command->arguments);
    if (out->argument_count <= most)
        return KR_ERR_OK;
    if (out->command == spec_find("key", "verify"))
        return fault_set(parser->fault, KR_ERR_INVALID,
                         "a key on the command line is seen by every process of this machine: "
                         "give it on standard input, or type it when asked");
    return fault_set(parser->fault, KR_ERR_INVALID, "%s takes %s, and \"%.64s\" is one too many",
                     name, most == 0 ? "no argument" : out->command->arguments,
                     shown(out->arguments[most]));
}

enum kr_err parse_invocation(int argc, char *const argv[], struct invocation *out,
                             struct fault *fault)
{
    struct parser parser = {.argc = argc, .at = 1, .argv = argv, .out = out, .fault = fault};
    *out = (struct invocation){0};
    enum kr_err err = take_words(&parser);
    if (err == KR_ERR_OK)
        err = find_command(&parser);
    out->wants_help = parse_has(out, KR_OPT_HELP);
    if (err != KR_ERR_OK || out->wants_help || parse_has(out, KR_OPT_VERSION))
        return err;
    if (out->command == NULL)
        return fault_set(fault, KR_ERR_INVALID,
                         out->group == NULL ? "no command is given"
                                            : "which command of the group?");
    err = check_options(&parser);
    return err == KR_ERR_OK ? check_arguments(&parser) : err;
}

const char *parse_value(const struct invocation *in, enum spec_option_id option)
{
    size_t count = in->options[option].count;
    return count == 0 ? NULL : in->options[option].values[count - 1];
}

bool parse_has(const struct invocation *in, enum spec_option_id option)
{
    return in->options[option].count > 0;
}

uint64_t parse_number(const struct invocation *in, enum spec_option_id option, uint64_t otherwise)
{
    uint64_t number;
    const char *value = parse_value(in, option);
    if (value == NULL || !text_decimal(bytes_text(value), spec_options[option].most, &number))
        return otherwise;
    return number;
}
