// SPDX-License-Identifier: Apache-2.0
// What the kernel says of another process: processor time, resident memory. Linux's /proc.
#pragma once

#include <stdint.h>
#include <sys/types.h>

// Processor time so far of its threads whose name begins with this (NULL: of all), in ns:
// /proc/PID/task/*/schedstat, or stat where the kernel does not keep it (10 ms steps). 0: there is
// no such process.
uint64_t process_cpu_ns(pid_t pid, const char *threads);
// VmRSS in bytes; 0: there is no such process.
uint64_t process_resident_bytes(pid_t pid);
