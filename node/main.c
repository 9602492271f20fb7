// SPDX-License-Identifier: Apache-2.0
// keyreeved: reads the settings, then checks, prints, or runs the node.
#include <stdio.h>

#include "core/base/rand.h"
#include "core/base/standard.h"
#include "node/config.h"
#include "node/start.h"

enum { KR_MAIN_FAILED = 1, KR_MAIN_SETTING = 2 }; // exit codes

static int fail(const struct fault *fault, int code)
{
    fprintf(stderr, "keyreeved: %s\n", fault->text);
    return code;
}

static int run(const struct config *config)
{
    struct fault fault = {0};
    struct vault *vault = NULL;
    int code = 0;
    start_prepare(config);
    if (start_check(config, &vault, &fault) != KR_ERR_OK)
        code = fail(&fault, KR_MAIN_SETTING);
    else if (start_run(config, &vault, &fault) != KR_ERR_OK)
        code = fail(&fault, KR_MAIN_FAILED);
    vault_free(&vault);
    return code;
}

static int check(const struct config *config)
{
    struct fault fault = {0};
    struct vault *vault = NULL;
    int code = 0;
    rand_init(); // the master key is kept in its memory
    if (start_check(config, &vault, &fault) != KR_ERR_OK)
        code = fail(&fault, KR_MAIN_SETTING);
    else
        puts("the settings are good");
    vault_free(&vault);
    return code;
}

static int act(const struct config *config, enum config_action action)
{
    switch (action) {
    case KR_CONFIG_RUN:
        return run(config);
    case KR_CONFIG_CHECK:
        return check(config);
    case KR_CONFIG_PRINT:
        config_print(config, stdout);
        return 0;
    case KR_CONFIG_HELP:
        config_print_help(stdout);
        return 0;
    case KR_CONFIG_MAN:
        config_print_manual(stdout);
        return 0;
    case KR_CONFIG_VERSION:
        puts("keyreeved " KR_VERSION);
        return 0;
    }
    return KR_MAIN_FAILED;
}

int main(int argc, char **argv)
{
    struct config *config = NULL;
    struct fault fault = {0};
    enum config_action action;
    standard_hold();
    if (config_load(argc, argv, &config, &action, &fault) != KR_ERR_OK)
        return fail(&fault, KR_MAIN_SETTING);
    int code = act(config, action);
    config_free(&config);
    bool is_printed = action == KR_CONFIG_RUN || standard_end("keyreeved");
    return code == 0 && !is_printed ? KR_MAIN_FAILED : code;
}
