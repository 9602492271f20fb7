// SPDX-License-Identifier: Apache-2.0
// Runs every file of the given corpus directories through a fuzz target, without libFuzzer.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { KR_REPLAY_FILE_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    // Exactly as large as the input, so that a sanitizer sees a read behind its end.
    uint8_t *whole = malloc(KR_REPLAY_FILE_MAX), *data = NULL;
    size_t size = 0;
    if (file == NULL || whole == NULL)
        goto fail;
    size = fread(whole, 1, KR_REPLAY_FILE_MAX, file);
    data = malloc(size);
    if (ferror(file) || !feof(file) || (data == NULL && size > 0))
        goto fail;
    for (size_t i = 0; i < size; i++)
        data[i] = whole[i];
    fclose(file);
    free(whole);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return;
fail:
    perror(path);
    exit(1);
}

static unsigned replay_directory(const char *directory)
{
    unsigned count = 0;
    struct dirent *entry;
    DIR *listing = opendir(directory);
    if (listing == NULL) {
        perror(directory);
        exit(1);
    }
    while ((entry = readdir(listing)) != NULL) {
        char path[4096];
        int size = snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] == '.' || size < 0 || (size_t)size >= sizeof(path))
            continue;
        replay(path);
        count++;
    }
    closedir(listing);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++)
        count += replay_directory(argv[i]);
    printf("%u inputs\n", count);
    return count > 0 ? 0 : 1; // an empty corpus proves nothing
}
