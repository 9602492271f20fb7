// SPDX-License-Identifier: Apache-2.0
// From argv to a command's function.
#include "client/cli.h"

#include "client/help.h"
#include "client/session.h"

#define KR_CLI_HELP_MAX ((size_t)1 << 20)

static enum exit_code show_help(struct session *session)
{
    const struct invocation *in = session->in;
    struct buf out;
    buf_init(&out, KR_CLI_HELP_MAX);
    if (in->command != NULL)
        help_add_command(&out, in->command);
    else if (in->group != NULL)
        help_add_group(&out, in->group);
    else
        help_add_overview(&out);
    enum exit_code code = session_flush(session, &out);
    buf_fini(&out);
    return code;
}

static enum exit_code refuse(struct session *session, const struct fault *fault)
{
    char hint[128], name[64];
    const struct invocation *in = session->in;
    if (in->command != NULL) {
        spec_command_name(in->command, name, sizeof(name));
        snprintf(hint, sizeof(hint), "keyreeve help %s", name);
    } else {
        snprintf(hint, sizeof(hint), "keyreeve help%s%s", in->group == NULL ? "" : " ",
                 in->group == NULL ? "" : in->group->name);
    }
    return session_fail(session, KR_EXIT_USAGE, hint, "%s", fault->text);
}

enum exit_code cli_run(int argc, char *const argv[])
{
    struct invocation *in = mem_zalloc(sizeof(*in));
    struct session *session = mem_zalloc(sizeof(*session));
    struct fault fault = {0};
    enum exit_code code;
    enum kr_err err = parse_invocation(argc, argv, in, &fault);
    session_init(session, in);
    if (err != KR_ERR_OK) {
        code = refuse(session, &fault);
    } else if (parse_has(in, KR_OPT_VERSION)) {
        code = session_write(session, bytes_text("keyreeve " KR_VERSION "\n"));
    } else if (in->wants_help) {
        code = show_help(session);
    } else {
        code = session_open(session);
        if (code == KR_EXIT_OK)
            code = in->command->run(session);
    }
    session_fini(session);
    mem_free(session);
    mem_free(in);
    return code;
}
