// SPDX-License-Identifier: Apache-2.0
// What was measured on, from /proc and uname(2).
#include "bench/machine.h"

#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { KR_MACHINE_TEXT = 256 };

// The value of the first line of a "name : value" file whose name begins so.
static void find_line(const char *path, const char *name, char out[KR_MACHINE_TEXT])
{
    char line[512];
    FILE *file = fopen(path, "re");
    out[0] = '\0';
    while (file != NULL && out[0] == '\0' && fgets(line, sizeof(line), file) != NULL) {
        const char *colon = strncmp(line, name, strlen(name)) == 0 ? strchr(line, ':') : NULL;
        if (colon == NULL)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(out, KR_MACHINE_TEXT, "%.*s", (int)strcspn(colon, "\n"), colon);
    }
    if (file != NULL)
        fclose(file);
}

// The type of the mount whose device the path lies on; the last one mounted wins.
static void find_file_system(const char *path, char out[KR_MACHINE_TEXT])
{
    struct stat wanted, mounted;
    FILE *table = setmntent("/proc/self/mounts", "re");
    snprintf(out, KR_MACHINE_TEXT, "unknown");
    if (table == NULL)
        return;
    if (stat(path, &wanted) == 0)
        for (const struct mntent *one = getmntent(table); one != NULL; one = getmntent(table))
            if (stat(one->mnt_dir, &mounted) == 0 && mounted.st_dev == wanted.st_dev)
                snprintf(out, KR_MACHINE_TEXT, "%s", one->mnt_type);
    endmntent(table);
}

void machine_write(struct json_writer *writer, const char *path)
{
    char text[KR_MACHINE_TEXT];
    struct utsname kernel = {0};
    uname(&kernel);
    json_open(writer, "machine", '{');
    find_line("/proc/cpuinfo", "model name", text);
    json_write_string(writer, "cpu", text[0] != '\0' ? text : kernel.machine);
    json_write_integer(writer, "cores", sysconf(_SC_NPROCESSORS_ONLN));
    json_write_integer(writer, "memoryBytes",
                       (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
    snprintf(text, sizeof(text), "%.60s %.100s", kernel.sysname, kernel.release);
    json_write_string(writer, "kernel", text);
    find_file_system(path, text);
    json_write_string(writer, "filesystem", text);
    json_close(writer, '}');
}
