// SPDX-License-Identifier: Apache-2.0
// The same on a libuv loop: all keys are asked at once, and answered as the answers come.
//
//   cc verify_uv.c $(pkg-config --cflags --libs keyreeve libuv) -o verify_uv
//   ./verify_uv 127.0.0.1:7401,10.0.0.2:7401 KEY KEY KEY
#include <keyreeve.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct run {
    struct keyreeve *client;
    int left;
};

struct one {
    struct run *run;
    const char *key;
};

static void end(uv_idle_t *idle)
{
    struct run *run = idle->data;
    if (run->left > 0)
        return;
    keyreeve_close(&run->client);
    uv_close((uv_handle_t *)idle, NULL);
}

static void answered(void *ctx, const struct keyreeve_answer *answer)
{
    struct one *one = ctx;
    printf("%s %s\n", one->key, keyreeve_code_text(answer->code));
    one->run->left--;
}

int main(int argc, char **argv)
{
    struct run run = {.left = argc - 2};
    struct keyreeve_options options = {.nodes = argc > 1 ? argv[1] : "",
                                       .ca_file = getenv("KEYREEVE_CA"),
                                       .cert_file = getenv("KEYREEVE_CERT"),
                                       .key_file = getenv("KEYREEVE_KEY")};
    struct one ones[256];
    uv_loop_t *loop = uv_default_loop();
    uv_idle_t idle;
    if (argc > 258 || keyreeve_open(&options, &run.client) != KR_KEYREEVE_OK ||
        keyreeve_attach(run.client, loop) != 0) {
        fprintf(stderr, "usage: verify_uv NODES KEY…\n");
        return 2;
    }
    uv_idle_init(loop, &idle);
    idle.data = &run;
    uv_idle_start(&idle, end);
    for (int i = 2; i < argc; i++) {
        ones[i - 2] = (struct one){&run, argv[i]};
        // Not 0 there: that asks for knowledge of no age at all.
        struct keyreeve_question question = {
            .key = argv[i], .key_size = strlen(argv[i]), .max_staleness_ms = -1};
        if (keyreeve_ask(run.client, &question, answered, &ones[i - 2]) != KR_KEYREEVE_OK)
            run.left--;
    }
    uv_run(loop, UV_RUN_DEFAULT);
    return uv_loop_close(loop) == 0 ? 0 : 1;
}
