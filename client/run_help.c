// SPDX-License-Identifier: Apache-2.0
// keyreeve help, man and completion: what is made from the command table.
#include "client/run.h"

#include <string.h>

#include "client/completion.h"
#include "client/help.h"
#include "client/manual.h"
#include "client/session.h"

#define KR_HELP_MAX ((size_t)1 << 20)

// The command or group that the arguments name; both NULL when there are none.
static enum exit_code find(struct session *session, const struct spec_group **group,
                           const struct spec_command **command)
{
    const struct invocation *in = session->in;
    *group = NULL;
    *command = NULL;
    if (in->argument_count == 0)
        return KR_EXIT_OK;
    *group = spec_find_group(in->arguments[0]);
    if (*group != NULL && in->argument_count == 1)
        return KR_EXIT_OK;
    if (*group != NULL)
        *command = spec_find((*group)->name, in->arguments[1]);
    else if (in->argument_count == 1)
        *command = spec_find(NULL, in->arguments[0]);
    if (*command != NULL && in->argument_count <= 2)
        return KR_EXIT_OK;
    return session_fail(session, KR_EXIT_USAGE, "keyreeve help lists the commands",
                        "there is no such command");
}

enum exit_code run_help(struct session *session)
{
    const struct spec_group *group;
    const struct spec_command *command;
    struct buf out;
    enum exit_code code = find(session, &group, &command);
    if (code != KR_EXIT_OK)
        return code;
    buf_init(&out, KR_HELP_MAX);
    if (command != NULL)
        help_add_command(&out, command);
    else if (group != NULL)
        help_add_group(&out, group);
    else
        help_add_overview(&out);
    code = session_flush(session, &out);
    buf_fini(&out);
    return code;
}

enum exit_code run_man(struct session *session)
{
    const struct spec_group *group;
    const struct spec_command *command;
    struct buf out;
    enum exit_code code = find(session, &group, &command);
    if (code != KR_EXIT_OK)
        return code;
    if (command == NULL && group != NULL)
        return session_fail(session, KR_EXIT_USAGE, "keyreeve man GROUP COMMAND prints one",
                            "%s is a group; its commands have a page each", group->name);
    buf_init(&out, KR_HELP_MAX);
    if (command != NULL)
        manual_add_command(&out, command);
    else
        manual_add_overview(&out);
    code = session_flush(session, &out);
    buf_fini(&out);
    return code;
}

enum exit_code run_completion(struct session *session)
{
    const char *shell = session->in->arguments[0];
    struct buf out;
    buf_init(&out, KR_HELP_MAX);
    if (strcmp(shell, "bash") == 0)
        completion_add_bash(&out);
    else if (strcmp(shell, "zsh") == 0)
        completion_add_zsh(&out);
    else if (strcmp(shell, "fish") == 0)
        completion_add_fish(&out);
    enum exit_code code = out.size > 0 ? session_flush(session, &out)
                                       : session_fail(session, KR_EXIT_USAGE, NULL,
                                                      "completion is for bash, zsh or fish");
    buf_fini(&out);
    return code;
}
