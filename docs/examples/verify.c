// SPDX-License-Identifier: Apache-2.0
// Reads keys, one a line, and says of each whether it is good: the shortest use of libkeyreeve.
//
//   sudo ldconfig # once, when the library is new
//   cc verify.c $(pkg-config --cflags --libs keyreeve) -o verify
//   ./verify 127.0.0.1:7401,unix:/run/keyreeve/binary.sock < keys.txt
//   KEYREEVE_CA=ca.pem ./verify tls://fra-1.example:7401,tls://iad-1.example:7401 < keys.txt
#include <keyreeve.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    char why[400];
    struct keyreeve_options options = {.nodes = argc > 1 ? argv[1] : "127.0.0.1:7401",
                                       .cache_entries = argc > 2 ? 10000 : 0,
                                       .ca_file = getenv("KEYREEVE_CA"),
                                       .cert_file = getenv("KEYREEVE_CERT"),
                                       .key_file = getenv("KEYREEVE_KEY"),
                                       .why = why,
                                       .why_size = sizeof(why)};
    struct keyreeve *client = NULL;
    char line[1024];
    if (keyreeve_open(&options, &client) != KR_KEYREEVE_OK) {
        fprintf(stderr, "verify: %s\n", why);
        return 2;
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        // Not 0 there: that asks for knowledge of no age at all.
        struct keyreeve_question question = {
            .key = line, .key_size = strcspn(line, "\r\n"), .max_staleness_ms = -1};
        struct keyreeve_answer answer;
        if (keyreeve_verify(client, &question, &answer) != KR_KEYREEVE_OK)
            break;
        printf("%s%s {%.*s}\n", keyreeve_code_text(answer.code), answer.is_cached ? " kept" : "",
               (int)answer.body_size, answer.body);
        fflush(stdout);
        if (answer.code == KR_KEYREEVE_UNAVAILABLE)
            fprintf(stderr, "verify: %s\n", keyreeve_why(client));
    }
    keyreeve_close(&client);
    return 0;
}
