// SPDX-License-Identifier: Apache-2.0
// The clocks that the product reads (the linker puts these in their place: --wrap), by whose code
// runs: each node's has its own rate, its own start, and a wall clock that jumps. And its log.
#include "core/base/clock.h"

#include <stdio.h>
#include <string.h>

#include "core/base/log.h"
#include "tests/sim/sim.h"

int64_t __wrap_clock_unix_ms(void);
int64_t __wrap_clock_unix_us(void);
uint64_t __wrap_clock_boot_ms(void);
uint64_t __wrap_clock_mono_ns(void);
void __wrap_log_write(enum log_level level, const char *event, const struct log_field *fields);

uint64_t sim_clock_boot_us(const struct sim_node *node, uint64_t at_us)
{
    if (node == NULL)
        return at_us;
    return node->boot_base_us + at_us / 1000000 * (1000000 - 500 + node->rate_ppm_up) +
           at_us % 1000000 * (1000000 - 500 + node->rate_ppm_up) / 1000000;
}

static int64_t wall_us(void)
{
    int64_t boot_us = (int64_t)sim_clock_boot_us(sim.running, sim.now_us);
    return KR_SIM_START_US + boot_us + (sim.running != NULL ? sim.running->wall_offset_us : 0);
}

int64_t __wrap_clock_unix_us(void)
{
    return wall_us();
}

int64_t __wrap_clock_unix_ms(void)
{
    return wall_us() / 1000;
}

uint64_t __wrap_clock_boot_ms(void)
{
    return sim_clock_boot_us(sim.running, sim.now_us) / 1000;
}

uint64_t __wrap_clock_mono_ns(void)
{
    return sim_clock_boot_us(sim.running, sim.now_us) * 1000;
}

void __wrap_log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    char text[KR_SIM_LINE] = "";
    size_t size = 0;
    (void)level;
    for (const struct log_field *field = fields; field != NULL && field->name != NULL; field++) {
        int more = field->text != NULL ? snprintf(text + size, sizeof(text) - size, " %s=%s",
                                                  field->name, field->text)
                                       : snprintf(text + size, sizeof(text) - size, " %s=%lld",
                                                  field->name, (long long)field->number);
        if (more < 0 || (size += (size_t)more) >= sizeof(text))
            break;
    }
    sim_say("log: %s%s", event, text);
}
