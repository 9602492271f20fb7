// SPDX-License-Identifier: Apache-2.0
// The subcommands of keyreeve-bench. argv[0] is the subcommand's name; the result an exit code.
#pragma once

enum bench_exit {
    KR_BENCH_OK = 0,
    KR_BENCH_FAILED = 1, // could not measure, or the answers were wrong
    KR_BENCH_USAGE = 2   // the command line is not valid
};

int bench_serve(int argc, char **argv);
int bench_keys(int argc, char **argv);
int bench_restart(int argc, char **argv);
int bench_propagate(int argc, char **argv);
int bench_write(int argc, char **argv);
int bench_beside(int argc, char **argv);
int bench_failover(int argc, char **argv);
int bench_join(int argc, char **argv);
int bench_plan(int argc, char **argv);
int bench_report(int argc, char **argv);
int bench_relay(int argc, char **argv);
int bench_wan(int argc, char **argv);
