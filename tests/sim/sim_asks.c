// SPDX-License-Identifier: Apache-2.0
// Validators: random keys of random nodes at random moments, by the real verdict and the node's own
// age, with all that can happen between the look-up and the answer.
#include "tests/sim/sim_asks.h"

#include "core/base/clock.h"
#include "core/keys/verdict.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_writes.h"

enum { KR_SIM_ASKED = 8192 };

// Questions whose answer is not out yet: a ring, far larger than what can be open at once.
static struct sim_question {
    struct sim_answer answer;
    enum verdict_code code;
    struct replica_known known;
} questions[KR_SIM_ASKED];
static uint64_t question_count, pause_us;

void sim_asks_pause_next(uint64_t duration_us)
{
    pause_us = duration_us;
}

static uint64_t freshness_ms(const struct sim_node *node, const struct sim_question *question)
{
    uint64_t now_ms = sim_is_broken(KR_SIM_CACHED_TURN_TIME) ? node->turn_ms : clock_boot_ms();
    return sim_is_broken(KR_SIM_LATE_LEASE) ? replica_age_ms(node->replica, now_ms)
                                            : replica_known_age_ms(&question->known, now_ms);
}

static void answer(struct sim_node *node, uint64_t number)
{
    struct sim_question *question = &questions[number % KR_SIM_ASKED];
    question->answer.age_ms = freshness_ms(node, question);
    enum verdict_code code = verdict_freshen(
        question->code, question->answer.age_ms,
        question->known.is_doubtful ? KR_NEVER_FRESH : question->answer.max_staleness_ms);
    question->answer.is_valid = code == KR_VERDICT_VALID;
    sim.figures.answers++;
    sim.figures.valid += question->answer.is_valid;
    sim.figures.stale += code == KR_VERDICT_STALE;
    sim_check_answer(node, &question->answer);
}

static uint64_t marked_before(const struct consumer *consumer, const struct bucket *bucket)
{
    uint64_t before = consumer->revocation.last.before;
    if (sim_is_broken(KR_SIM_MARKS_UNREAD))
        return 0;
    return before > bucket->revocation.last.before ? before : bucket->revocation.last.before;
}

// As node/validate.c: the key, what revokes it, and its bucket's bound.
static enum verdict_code judge(struct sim_node *node, unsigned number, int64_t *max_staleness_ms)
{
    struct fake *fake = &node->disk->fake;
    struct key key;
    struct consumer consumer;
    struct bucket bucket;
    uint8_t digest[KR_DIGEST_SIZE];
    sim_writes_digest(number, digest);
    *max_staleness_ms = KR_MAX_STALENESS_DEFAULT_MS;
    if (!fake_get_key(fake, digest, &key) || !fake_get_consumer(fake, key.consumer_id, &consumer) ||
        !fake_get_bucket(fake, key.bucket_id, &bucket))
        return KR_VERDICT_NOT_FOUND;
    *max_staleness_ms = bucket.max_staleness_ms;
    const struct verdict_key known = {.revision = key.revision,
                                      .revoked_before = marked_before(&consumer, &bucket),
                                      .is_revoked = key.is_revoked,
                                      .is_enabled = key.is_enabled};
    const struct verdict_request request = {.now_ms = clock_unix_ms(),
                                            .bucket = KR_VERDICT_ANY_BUCKET};
    return verdict_judge(&known, &request);
}

static struct replica_known known_of(const struct sim_node *node)
{
    struct replica_known known = replica_known(node->replica);
    bool is_carried = !node->carried.is_leader && node->carried.until_ms > known.until_ms;
    return sim_is_broken(KR_SIM_CARRIED_LEASE) && is_carried ? node->carried : known;
}

static void look_up(struct sim_node *node, uint64_t number)
{
    struct sim_question *question = &questions[number % KR_SIM_ASKED];
    question->known = known_of(node);
    question->code = judge(node, question->answer.key, &question->answer.max_staleness_ms);
    question->answer.looked_index = node->disk->position.index;
    sim_after(sim_chance(97) ? sim_below(100) : sim_below(3000), node, answer, number);
    if (pause_us > 0 && question->code == KR_VERDICT_VALID) {
        sim_say("is stopped between a look-up and its answer for %llu ms",
                (unsigned long long)(pause_us / 1000));
        sim_node_pause(node, pause_us);
        pause_us = 0;
    }
}

static void next_question(struct sim_node *none, uint64_t arg)
{
    struct sim_node *node = &sim.nodes[sim_below(sim.node_count)];
    (void)none;
    if (node->is_up) {
        questions[question_count % KR_SIM_ASKED].answer =
            (struct sim_answer){.key = (unsigned)sim_below(KR_SIM_KEYS), .asked_us = sim.now_us};
        sim_at(sim.now_us, node, look_up, question_count++);
    }
    sim_after(sim_between(500, arg), NULL, next_question, arg);
}

void sim_asks_begin(void)
{
    question_count = pause_us = 0;
    sim_after(500000, NULL, next_question, 8000);
}
