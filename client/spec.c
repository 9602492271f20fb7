// SPDX-License-Identifier: Apache-2.0
// Look-ups in the tables of options and commands.
#include "client/spec.h"

#include <stdio.h>
#include <string.h>

static bool is_same_group(const char *one, const char *other)
{
    if (one == NULL || other == NULL)
        return one == other;
    return strcmp(one, other) == 0;
}

const struct spec_command *spec_find(const char *group, const char *name)
{
    for (size_t i = 0; i < spec_command_count; i++)
        if (is_same_group(spec_commands[i].group, group) &&
            strcmp(spec_commands[i].name, name) == 0)
            return &spec_commands[i];
    return NULL;
}

const struct spec_group *spec_find_group(const char *name)
{
    for (size_t i = 0; i < spec_group_count; i++)
        if (strcmp(spec_groups[i].name, name) == 0)
            return &spec_groups[i];
    return NULL;
}

void spec_argument_range(const struct spec_command *command, size_t *least, size_t *most)
{
    *least = *most = 0;
    for (const char *at = command->arguments; *at != '\0';) {
        size_t size = strcspn(at, " ");
        bool repeats = size >= 3 && strstr(at, "...") != NULL && strstr(at, "...") < at + size;
        if (*at != '[')
            (*least)++;
        (*most)++;
        if (repeats)
            *most = SIZE_MAX;
        at += size;
        at += strspn(at, " ");
    }
}

bool spec_next_choice(const char **cursor, const char **choice, size_t *size)
{
    if (*cursor == NULL || **cursor == '\0')
        return false;
    *choice = *cursor;
    *size = strcspn(*cursor, "|");
    *cursor += *size;
    if (**cursor == '|')
        (*cursor)++;
    return true;
}

bool spec_is_choice(const char *choices, const char *text)
{
    const char *choice;
    size_t size;
    while (spec_next_choice(&choices, &choice, &size))
        if (strlen(text) == size && memcmp(text, choice, size) == 0)
            return true;
    return false;
}

void spec_command_name(const struct spec_command *command, char *out, size_t size)
{
    snprintf(out, size, "%s%s%s", command->group == NULL ? "" : command->group,
             command->group == NULL ? "" : " ", command->name);
}
