// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench report: hands over to the generator, a Node.js program in bench/report.
#include "bench/bench.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/options.h"

struct report_options {
    const char *in, *out, *script;
    bool has_no_png;
};

static enum option_outcome parse(int argc, char **argv, struct report_options *o)
{
    const struct option_row rows[] = {
        {"--in", "DIR", KR_OPTION_TEXT, &o->in, 0, 0, true,
         "where the subcommands' --out has put rows.jsonl"},
        {"--out", "FILE", KR_OPTION_TEXT, &o->out, 0, 0, true,
         "the page; the charts' PNGs go into charts/ beside it"},
        {"--no-png", NULL, KR_OPTION_FLAG, &o->has_no_png, 0, 0, false, "the page alone"},
        {"--script", "FILE", KR_OPTION_TEXT, &o->script, 0, 0, false,
         "the generator (default: of the source tree)"},
    };
    const struct option_spec spec = {
        "report",
        "Makes one HTML page, which needs nothing else, of a run's rows: the targets, the charts,\n"
        "and every row with the command that measures it again; and a PNG of each chart, light\n"
        "and dark. Needs the packages of `deploy/packages.sh report` (Node.js, Vega, librsvg).\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve-bench report --in bench/out/run --out bench/out/run/report.html\n"};
    return options_parse(&spec, argc, argv);
}

int bench_report(int argc, char **argv)
{
    struct report_options o = {.script = KR_BENCH_SOURCE "/report/report.mjs"};
    enum option_outcome outcome = parse(argc, argv, &o);
    if (outcome != KR_OPTIONS_RUN)
        return outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    if (access(o.script, R_OK) != 0) {
        fprintf(stderr, "keyreeve-bench report: %s: %s; name it with --script\n", o.script,
                strerror(errno));
        return KR_BENCH_FAILED;
    }
    execlp("node", "node", o.script, "--in", o.in, "--out", o.out,
           o.has_no_png ? "--no-png" : (char *)NULL, (char *)NULL);
    fprintf(stderr, "keyreeve-bench report: node: %s; deploy/packages.sh report installs it\n",
            strerror(errno));
    return KR_BENCH_FAILED;
}
