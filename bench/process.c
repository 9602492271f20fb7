// SPDX-License-Identifier: Apache-2.0
// Figures of another process from /proc.
#include "bench/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KR_PROC_TEXT = 4096, KR_PROC_PATH = 320 };

static char *read_text(const char *path, char text[KR_PROC_TEXT])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, KR_PROC_TEXT - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (size <= 0)
        return NULL;
    text[size] = '\0';
    return text;
}

// utime and stime, the 14th and 15th field (proc(5)); the 2nd, a name, may hold spaces.
static uint64_t stat_ns(const char *text)
{
    const char *at = strrchr(text, ')');
    unsigned long long user = 0, system = 0;
    if (at == NULL || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
                             &user, &system) != 2)
        return 0;
    return (user + system) * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
}

static uint64_t task_cpu_ns(pid_t pid, const char *task)
{
    char path[KR_PROC_PATH], text[KR_PROC_TEXT];
    snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, task);
    uint64_t ns = read_text(path, text) != NULL ? strtoull(text, NULL, 10) : 0;
    if (ns > 0)
        return ns;
    snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", (int)pid, task);
    return read_text(path, text) != NULL ? stat_ns(text) : 0;
}

static bool is_named(pid_t pid, const char *task, const char *prefix)
{
    char path[KR_PROC_PATH], text[KR_PROC_TEXT];
    snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", (int)pid, task);
    return prefix == NULL ||
           (read_text(path, text) != NULL && strncmp(text, prefix, strlen(prefix)) == 0);
}

uint64_t process_cpu_ns(pid_t pid, const char *threads)
{
    char path[KR_PROC_PATH];
    uint64_t ns = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return 0;
    for (const struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks))
        if (task->d_name[0] != '.' && is_named(pid, task->d_name, threads))
            ns += task_cpu_ns(pid, task->d_name);
    closedir(tasks);
    return ns;
}

uint64_t process_resident_bytes(pid_t pid)
{
    char path[KR_PROC_PATH], text[KR_PROC_TEXT];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    const char *at = read_text(path, text) != NULL ? strstr(text, "\nVmRSS:") : NULL;
    return at != NULL ? strtoull(at + 7, NULL, 10) * 1024 : 0;
}
