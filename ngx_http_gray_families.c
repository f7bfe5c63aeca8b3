
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * The families of metrics: a table, and what writes their lines.
 *
 * A reason that was never seen has no lines.  One that was has a line for each
 * class, and so has the one for which users are drawn, from the start: then a
 * ratio of errors is 0 where there are none, and the first error is an
 * increase.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <math.h>

#include "ngx_http_gray_families.h"


#define NGX_HTTP_GRAY_SHARE_DIGITS  6        /* of 1,000,000 buckets */

#define NGX_HTTP_GRAY_EVIDENCE_MAX  1e300    /* which is enormous */


typedef struct {
    ngx_http_gray_exposition_t      *exposition;
    ngx_http_gray_gather_t           *gather;
} ngx_http_gray_families_t;


/* what a family has lines for */

typedef enum {
    NGX_HTTP_GRAY_EACH_ONCE = 0,
    NGX_HTTP_GRAY_EACH_RELEASE,
    NGX_HTTP_GRAY_EACH_TRIAL,       /* releases that have a rollout */
    NGX_HTTP_GRAY_EACH_PRESENT,     /* variants in the document */
    NGX_HTTP_GRAY_EACH_COUNTED,     /* variants that have counters */
    NGX_HTTP_GRAY_EACH_ALIAS        /* likewise, if it is asked for */
} ngx_http_gray_family_each_e;


typedef struct ngx_http_gray_family_s  ngx_http_gray_family_t;

typedef void (*ngx_http_gray_family_pt)(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);


/* what is counted lies at "offset"; many of it are told apart by a label */

struct ngx_http_gray_family_s {
    ngx_str_t                        name;
    ngx_http_gray_exposition_type_e  type;
    const char                      *help;
    ngx_http_gray_family_each_e      each;
    ngx_http_gray_family_pt          write;
    size_t                           offset;
    size_t                           sum;        /* of times, likewise */
    ngx_str_t                        label;
    ngx_str_t                       *values;
    ngx_uint_t                       n;
};


static void ngx_http_gray_family(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family);
static void ngx_http_gray_family_build(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_zones(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_enabled(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_revision(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_block(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_rules(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_stage(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_step(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_pending(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_transitions(
    ngx_http_gray_families_t *families, ngx_http_gray_family_t *family,
    ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_guards(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_evidence(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_guard(ngx_http_gray_families_t *families,
    ngx_http_gray_gather_release_t *release, ngx_uint_t i, double n);
static void ngx_http_gray_family_share(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_requests(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_counters(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_times(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);
static void ngx_http_gray_family_statuses(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant);


/* by ngx_http_gray_code_e: what stands for a class where a status is wanted */

static ngx_str_t  ngx_http_gray_family_stands[] = {
    ngx_string("100"),
    ngx_string("200"),
    ngx_string("300"),
    ngx_string("400"),
    ngx_string("500"),
    ngx_string("499")
};


#define ngx_http_gray_family_at_one(member)                                   \
    offsetof(ngx_http_gray_gather_variant_t, member), 0, ngx_null_string,      \
    NULL, 1

#define ngx_http_gray_family_at_many(member, label, values)                   \
    offsetof(ngx_http_gray_gather_variant_t, counts.member), 0,                \
    ngx_string(label), values,                                                \
    sizeof(((ngx_http_gray_counts_t *) NULL)->member) / sizeof(uint64_t)

#define ngx_http_gray_family_at_times(member)                                 \
    offsetof(ngx_http_gray_gather_variant_t, counts.member),                   \
    offsetof(ngx_http_gray_gather_variant_t, counts.member##_ms),              \
    ngx_null_string, NULL, 0

#define ngx_http_gray_family_at_block(member)                                 \
    offsetof(ngx_http_gray_block_t, member), 0, ngx_null_string, NULL, 0

#define ngx_http_gray_family_at_guard(member)                                 \
    offsetof(ngx_http_gray_standing_t, member), 0, ngx_null_string, NULL, 0

#define ngx_http_gray_family_at_null  0, 0, ngx_null_string, NULL, 0


static ngx_http_gray_family_t  ngx_http_gray_family_table[] = {

    { ngx_string("nginx_gray_build_info"), NGX_HTTP_GRAY_INFO,
      "Versions of the module and of nginx.",
      NGX_HTTP_GRAY_EACH_ONCE, ngx_http_gray_family_build,
      ngx_http_gray_family_at_null },

    { ngx_string("nginx_gray_zone_bytes"), NGX_HTTP_GRAY_GAUGE,
      "Shared memory of a zone.",
      NGX_HTTP_GRAY_EACH_ONCE, ngx_http_gray_family_zones,
      ngx_http_gray_family_at_null },

    { ngx_string("nginx_gray_enabled"), NGX_HTTP_GRAY_GAUGE,
      "Whether the release is enabled by its live document.",
      NGX_HTTP_GRAY_EACH_RELEASE, ngx_http_gray_family_enabled,
      ngx_http_gray_family_at_null },

    { ngx_string("nginx_gray_revision"), NGX_HTTP_GRAY_GAUGE,
      "Revision of the live document.",
      NGX_HTTP_GRAY_EACH_RELEASE, ngx_http_gray_family_revision,
      ngx_http_gray_family_at_null },

    { ngx_string("nginx_gray_degraded_total"), NGX_HTTP_GRAY_COUNTER,
      "Requests that got the baseline as no decision could be made.",
      NGX_HTTP_GRAY_EACH_RELEASE, ngx_http_gray_family_block,
      ngx_http_gray_family_at_block(degraded) },

    { ngx_string("nginx_gray_limited_total"), NGX_HTTP_GRAY_COUNTER,
      "Matches of patterns that were given up as they took too long.",
      NGX_HTTP_GRAY_EACH_RELEASE, ngx_http_gray_family_block,
      ngx_http_gray_family_at_block(limited) },

    { ngx_string("nginx_gray_rule_matches_total"), NGX_HTTP_GRAY_COUNTER,
      "Decisions that were made by a rule.",
      NGX_HTTP_GRAY_EACH_RELEASE, ngx_http_gray_family_rules,
      ngx_http_gray_family_at_null },

    { ngx_string("nginx_gray_rollout_state"), NGX_HTTP_GRAY_GAUGE,
      "Whether the rollout is in this state.",
      NGX_HTTP_GRAY_EACH_TRIAL, ngx_http_gray_family_stage,
      ngx_http_gray_family_at_null },

    { ngx_string("nginx_gray_rollout_step"), NGX_HTTP_GRAY_GAUGE,
      "Step of the rollout, from 1 on, or 0 where there is none.",
      NGX_HTTP_GRAY_EACH_TRIAL, ngx_http_gray_family_step,
      ngx_http_gray_family_at_null },

    { ngx_string("nginx_gray_rollout_pending"), NGX_HTTP_GRAY_GAUGE,
      "Whether the rollout has decided what the document does not say yet.",
      NGX_HTTP_GRAY_EACH_TRIAL, ngx_http_gray_family_pending,
      ngx_http_gray_family_at_null },

    { ngx_string("nginx_gray_rollout_transitions_total"),
      NGX_HTTP_GRAY_COUNTER, "How often rollouts came to a state, and why.",
      NGX_HTTP_GRAY_EACH_TRIAL, ngx_http_gray_family_transitions,
      ngx_http_gray_family_at_null },

    { ngx_string("nginx_gray_guard_value"), NGX_HTTP_GRAY_GAUGE,
      "What a guard sees: a ratio to the baseline, or a rate.",
      NGX_HTTP_GRAY_EACH_TRIAL, ngx_http_gray_family_guards,
      ngx_http_gray_family_at_guard(value) },

    { ngx_string("nginx_gray_guard_limit"), NGX_HTTP_GRAY_GAUGE,
      "What the value of a guard may be.",
      NGX_HTTP_GRAY_EACH_TRIAL, ngx_http_gray_family_guards,
      ngx_http_gray_family_at_guard(limit) },

    { ngx_string("nginx_gray_guard_evidence"), NGX_HTTP_GRAY_GAUGE,
      "Evidence that the value is over its limit, as an e-value.",
      NGX_HTTP_GRAY_EACH_TRIAL, ngx_http_gray_family_evidence,
      ngx_http_gray_family_at_guard(evidence) },

    { ngx_string("nginx_gray_guard_evidence_needed"), NGX_HTTP_GRAY_GAUGE,
      "Evidence at which a guard fires.",
      NGX_HTTP_GRAY_EACH_TRIAL, ngx_http_gray_family_evidence,
      ngx_http_gray_family_at_guard(needed) },

    { ngx_string("nginx_gray_guard_info"), NGX_HTTP_GRAY_GAUGE,
      "Information that a guard has gathered, in nats.",
      NGX_HTTP_GRAY_EACH_TRIAL, ngx_http_gray_family_guards,
      ngx_http_gray_family_at_guard(info) },

    { ngx_string("nginx_gray_guard_info_needed"), NGX_HTTP_GRAY_GAUGE,
      "Information that the next step asks for, in nats.",
      NGX_HTTP_GRAY_EACH_TRIAL, ngx_http_gray_family_guards,
      ngx_http_gray_family_at_guard(info_needed) },

    { ngx_string("nginx_gray_weight_ratio"), NGX_HTTP_GRAY_GAUGE,
      "Share of users by the weights of the live document.",
      NGX_HTTP_GRAY_EACH_PRESENT, ngx_http_gray_family_share,
      ngx_http_gray_family_at_null },

    { ngx_string("nginx_gray_requests_total"), NGX_HTTP_GRAY_COUNTER,
      "Requests that were answered by the variant.",
      NGX_HTTP_GRAY_EACH_COUNTED, ngx_http_gray_family_requests,
      ngx_http_gray_family_at_null },

    { ngx_string("nginx_gray_requests_absent_total"), NGX_HTTP_GRAY_COUNTER,
      "Requests that never reached an upstream of the variant.",
      NGX_HTTP_GRAY_EACH_COUNTED, ngx_http_gray_family_counters,
      ngx_http_gray_family_at_many(absent, "cause", ngx_http_gray_absences) },

    { ngx_string("nginx_gray_request_duration_seconds"), NGX_HTTP_GRAY_TIMES,
      "Time from the first byte of a request to the end of its response.",
      NGX_HTTP_GRAY_EACH_COUNTED, ngx_http_gray_family_times,
      ngx_http_gray_family_at_times(total) },

    { ngx_string("nginx_gray_response_header_seconds"), NGX_HTTP_GRAY_TIMES,
      "Time that the variant took until its response header was there.",
      NGX_HTTP_GRAY_EACH_COUNTED, ngx_http_gray_family_times,
      ngx_http_gray_family_at_times(header) },

    { ngx_string("nginx_gray_upstream_failures_total"), NGX_HTTP_GRAY_COUNTER,
      "Attempts at a server of the variant that failed.",
      NGX_HTTP_GRAY_EACH_COUNTED, ngx_http_gray_family_counters,
      ngx_http_gray_family_at_many(failures, "kind", ngx_http_gray_failures) },

    { ngx_string("nginx_gray_fallbacks_total"), NGX_HTTP_GRAY_COUNTER,
      "Requests of the variant that the baseline answered in its place.",
      NGX_HTTP_GRAY_EACH_COUNTED, ngx_http_gray_family_counters,
      ngx_http_gray_family_at_one(counts.fallbacks) },

    { ngx_string("nginx_gray_streams_total"), NGX_HTTP_GRAY_COUNTER,
      "Requests that were streams, of which no time is kept.",
      NGX_HTTP_GRAY_EACH_COUNTED, ngx_http_gray_family_counters,
      ngx_http_gray_family_at_one(counts.streams) },

    { ngx_string("nginx_gray_received_bytes_total"), NGX_HTTP_GRAY_COUNTER,
      "Bytes of requests, from clients.",
      NGX_HTTP_GRAY_EACH_COUNTED, ngx_http_gray_family_counters,
      ngx_http_gray_family_at_one(counts.bytes_in) },

    { ngx_string("nginx_gray_sent_bytes_total"), NGX_HTTP_GRAY_COUNTER,
      "Bytes of responses, to clients.",
      NGX_HTTP_GRAY_EACH_COUNTED, ngx_http_gray_family_counters,
      ngx_http_gray_family_at_one(counts.bytes_out) },

    { ngx_string("nginx_gray_live_requests"), NGX_HTTP_GRAY_GAUGE,
      "Requests of the variant that are under way.",
      NGX_HTTP_GRAY_EACH_COUNTED, ngx_http_gray_family_counters,
      ngx_http_gray_family_at_one(live) },

    { ngx_string("nginx_ingress_controller_requests"), NGX_HTTP_GRAY_COUNTER,
      "nginx_gray_requests_total, a status stands for its class.",
      NGX_HTTP_GRAY_EACH_ALIAS, ngx_http_gray_family_statuses,
      ngx_http_gray_family_at_null },

    { ngx_string("nginx_ingress_controller_response_duration_seconds"),
      NGX_HTTP_GRAY_TIMES, "nginx_gray_request_duration_seconds.",
      NGX_HTTP_GRAY_EACH_ALIAS, ngx_http_gray_family_times,
      ngx_http_gray_family_at_times(total) },

    { ngx_null_string, 0, NULL, 0, NULL, ngx_http_gray_family_at_null }
};


void
ngx_http_gray_families_write(ngx_http_gray_exposition_t *exposition,
    ngx_http_gray_gather_t *gather, ngx_uint_t alias)
{
    ngx_http_gray_family_t    *family;
    ngx_http_gray_families_t   families;

    families.exposition = exposition;
    families.gather = gather;

    for (family = ngx_http_gray_family_table; family->name.len; family++) {

        if (family->each != NGX_HTTP_GRAY_EACH_ALIAS || alias) {
            ngx_http_gray_family(&families, family);
        }
    }
}


static void
ngx_http_gray_family(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family)
{
    ngx_uint_t                      i;
    ngx_http_gray_gather_release_t  *release;
    ngx_http_gray_gather_variant_t  *variant;

    ngx_http_gray_exposition_family(families->exposition, &family->name,
                                    family->type, family->help);

    if (family->each == NGX_HTTP_GRAY_EACH_ONCE) {
        family->write(families, family, NULL, NULL);
        return;
    }

    for (i = 0; i < families->gather->n; i++) {
        release = &families->gather->releases[i];

        if (family->each == NGX_HTTP_GRAY_EACH_RELEASE) {
            family->write(families, family, release, NULL);
            continue;
        }

        if (family->each == NGX_HTTP_GRAY_EACH_TRIAL) {
            if (release->trial) {
                family->write(families, family, release, NULL);
            }

            continue;
        }

        for (variant = release->variants; variant; variant = variant->next) {

            if (family->each == NGX_HTTP_GRAY_EACH_PRESENT
                ? variant->present : variant->counted)
            {
                family->write(families, family, release, variant);
            }
        }
    }
}


static void
ngx_http_gray_family_build(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    ngx_http_gray_exposition_t  *exposition;

    static ngx_str_t  version = ngx_string(NGX_HTTP_GRAY_VERSION);
    static ngx_str_t  nginx = ngx_string(NGINX_VERSION);

    exposition = families->exposition;

    ngx_http_gray_exposition_begin(exposition, "", NULL);
    ngx_http_gray_exposition_add(exposition, "version", &version);
    ngx_http_gray_exposition_add(exposition, "nginx", &nginx);
    ngx_http_gray_exposition_sample(exposition, NULL, NULL, 1);
}


static void
ngx_http_gray_family_zones(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    ngx_uint_t                    i;
    ngx_shm_t                    *shm;
    ngx_http_gray_zone_t        **zone;
    ngx_http_gray_exposition_t   *exposition;

    static ngx_str_t  kind = ngx_string("kind");
    static ngx_str_t  total = ngx_string("total");
    static ngx_str_t  unused = ngx_string("free");

    exposition = families->exposition;
    zone = families->gather->gmcf->zones.elts;

    for (i = 0; i < families->gather->gmcf->zones.nelts; i++) {
        shm = &zone[i]->shm_zone->shm;

        ngx_http_gray_exposition_begin(exposition, "", NULL);
        ngx_http_gray_exposition_add(exposition, "zone", &shm->name);
        ngx_http_gray_exposition_sample(exposition, &kind, &total, shm->size);
        ngx_http_gray_exposition_sample(exposition, &kind, &unused,
                                        ngx_http_gray_shm_free(zone[i]));
    }
}


static void
ngx_http_gray_family_enabled(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    if (release->rules) {
        ngx_http_gray_exposition_begin(families->exposition, "",
                                       &release->labels);
        ngx_http_gray_exposition_sample(families->exposition, NULL, NULL,
                                  ngx_http_gray_rules_enabled(release->rules));
    }
}


static void
ngx_http_gray_family_revision(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    uint64_t  word;

    word = ngx_http_gray_shm_word(release->release->block);

    ngx_http_gray_exposition_begin(families->exposition, "",
                                   &release->labels);
    ngx_http_gray_exposition_sample(families->exposition, NULL, NULL,
                                    word >> 1);
}


static void
ngx_http_gray_family_block(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    ngx_atomic_t  *n;

    n = (ngx_atomic_t *) ((u_char *) release->release->block + family->offset);

    ngx_http_gray_exposition_begin(families->exposition, "",
                                   &release->labels);
    ngx_http_gray_exposition_sample(families->exposition, NULL, NULL, *n);
}


/* of "_other" only what there is */

static void
ngx_http_gray_family_rules(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    uint64_t                     n;
    ngx_str_t                    name;
    ngx_uint_t                   i;
    ngx_http_gray_counters_t    *counters;
    ngx_http_gray_exposition_t  *exposition;

    counters = release->release->counters;
    exposition = families->exposition;

    for (i = 0; counters && i <= NGX_HTTP_GRAY_COUNTED_RULES; i++) {

        if (ngx_http_gray_counters_rule(counters, i, &name) != NGX_OK) {
            continue;
        }

        n = ngx_http_gray_counters_matched(counters, i);

        if (n == 0 && i == NGX_HTTP_GRAY_COUNTED_RULES) {
            continue;
        }

        ngx_http_gray_exposition_begin(exposition, "", &release->labels);
        ngx_http_gray_exposition_add(exposition, "rule", &name);
        ngx_http_gray_exposition_sample(exposition, NULL, NULL, n);
    }
}


static void
ngx_http_gray_family_stage(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    ngx_uint_t                   i;
    ngx_http_gray_exposition_t  *exposition;

    static ngx_str_t  state = ngx_string("state");

    exposition = families->exposition;

    ngx_http_gray_exposition_begin(exposition, "", &release->labels);

    for (i = 0; i < NGX_HTTP_GRAY_STAGES; i++) {
        ngx_http_gray_exposition_sample(exposition, &state,
                                        &ngx_http_gray_stages[i],
                                        release->trial->record.state.stage
                                        == i);
    }
}


static void
ngx_http_gray_family_step(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    ngx_http_gray_state_t  *state;

    state = &release->trial->record.state;

    ngx_http_gray_exposition_begin(families->exposition, "",
                                   &release->labels);
    ngx_http_gray_exposition_sample(families->exposition, NULL, NULL,
                               (state->stage == NGX_HTTP_GRAY_STAGE_IDLE
                                || state->stage
                                   == NGX_HTTP_GRAY_STAGE_SCHEDULED)
                               ? 0 : state->step + 1);
}


static void
ngx_http_gray_family_pending(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    ngx_http_gray_state_t  *state;

    state = &release->trial->record.state;

    ngx_http_gray_exposition_begin(families->exposition, "",
                                   &release->labels);
    ngx_http_gray_exposition_sample(families->exposition, NULL, NULL,
                                    state->wish != NGX_HTTP_GRAY_WISH_NONE);
}


/* those that there were */

static void
ngx_http_gray_family_transitions(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    uint64_t                     n;
    ngx_uint_t                   i, k;
    ngx_http_gray_exposition_t  *exposition;

    exposition = families->exposition;

    for (i = 0; i < NGX_HTTP_GRAY_STAGES; i++) {

        for (k = 0; k < NGX_HTTP_GRAY_CAUSES; k++) {
            n = release->trial->record.transitions[i][k];

            if (n == 0) {
                continue;
            }

            ngx_http_gray_exposition_begin(exposition, "", &release->labels);
            ngx_http_gray_exposition_add(exposition, "to",
                                         &ngx_http_gray_stages[i]);
            ngx_http_gray_exposition_add(exposition, "reason",
                                         &ngx_http_gray_causes[k]);
            ngx_http_gray_exposition_sample(exposition, NULL, NULL, n);
        }
    }
}


static void
ngx_http_gray_family_guards(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    u_char      *guard;
    ngx_uint_t   i;

    for (i = 0; i < release->trial->guards; i++) {
        guard = (u_char *) &release->trial->guard[i];

        ngx_http_gray_family_guard(families, release, i,
                                   *(double *) (guard + family->offset));
    }
}


/* of which there are logarithms */

static void
ngx_http_gray_family_evidence(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    double       ln, n;
    u_char      *guard;
    ngx_uint_t   i;

    for (i = 0; i < release->trial->guards; i++) {
        guard = (u_char *) &release->trial->guard[i];
        ln = *(double *) (guard + family->offset);

        n = (ln < log(NGX_HTTP_GRAY_EVIDENCE_MAX))
            ? exp(ln) : NGX_HTTP_GRAY_EVIDENCE_MAX;

        ngx_http_gray_family_guard(families, release, i, n);
    }
}


/* less than 0 stands for what is not known */

static void
ngx_http_gray_family_guard(ngx_http_gray_families_t *families,
    ngx_http_gray_gather_release_t *release, ngx_uint_t i, double n)
{
    ngx_str_t                    name;
    ngx_http_gray_exposition_t  *exposition;

    if (n < 0) {
        return;
    }

    exposition = families->exposition;

    name.data = (u_char *) release->trial->plan->guard[i].name;
    name.len = ngx_strlen(name.data);

    ngx_http_gray_exposition_begin(exposition, "", &release->labels);
    ngx_http_gray_exposition_add(exposition, "guard", &name);
    ngx_http_gray_exposition_real(exposition, n);
}


static void
ngx_http_gray_family_share(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    ngx_http_gray_exposition_begin(families->exposition, "",
                                   &variant->labels);
    ngx_http_gray_exposition_decimal(families->exposition, variant->share,
                                     NGX_HTTP_GRAY_SHARE_DIGITS);
}


static void
ngx_http_gray_family_requests(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    uint64_t                    *n;
    ngx_uint_t                   i, k, drawn, seen;
    ngx_http_gray_exposition_t  *exposition;

    static ngx_str_t  code = ngx_string("code");

    exposition = families->exposition;

    drawn = (release->rules && !ngx_http_gray_rules_keyed(release->rules))
            ? NGX_HTTP_GRAY_RANDOM : NGX_HTTP_GRAY_SPLIT;

    for (i = 0; i < NGX_HTTP_GRAY_REASONS; i++) {
        n = variant->counts.requests[i];
        seen = (i == drawn);

        for (k = 0; k < NGX_HTTP_GRAY_CODES; k++) {
            seen |= (n[k] != 0);
        }

        if (!seen) {
            continue;
        }

        ngx_http_gray_exposition_begin(exposition, "", &variant->labels);
        ngx_http_gray_exposition_add(exposition, "reason",
                                     &ngx_http_gray_reasons[i]);

        for (k = 0; k < NGX_HTTP_GRAY_CODES; k++) {
            ngx_http_gray_exposition_sample(exposition, &code,
                                            &ngx_http_gray_codes[k], n[k]);
        }
    }
}


static void
ngx_http_gray_family_counters(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    uint64_t                    *n;
    ngx_uint_t                   i;
    ngx_http_gray_exposition_t  *exposition;

    exposition = families->exposition;
    n = (uint64_t *) ((u_char *) variant + family->offset);

    ngx_http_gray_exposition_begin(exposition, "", &variant->labels);

    if (family->values == NULL) {
        ngx_http_gray_exposition_sample(exposition, NULL, NULL, *n);
        return;
    }

    for (i = 0; i < family->n; i++) {
        ngx_http_gray_exposition_sample(exposition, &family->label,
                                        &family->values[i], n[i]);
    }
}


static void
ngx_http_gray_family_times(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    u_char     *p;
    ngx_str_t  *labels;

    p = (u_char *) variant;
    labels = (family->each == NGX_HTTP_GRAY_EACH_ALIAS) ? &variant->alias
                                                          : &variant->labels;

    ngx_http_gray_exposition_times(families->exposition, labels,
                                   (uint64_t *) (p + family->offset),
                                   *(uint64_t *) (p + family->sum));
}


static void
ngx_http_gray_family_statuses(ngx_http_gray_families_t *families,
    ngx_http_gray_family_t *family, ngx_http_gray_gather_release_t *release,
    ngx_http_gray_gather_variant_t *variant)
{
    uint64_t    n;
    ngx_uint_t  i, k;

    static ngx_str_t  status = ngx_string("status");

    ngx_http_gray_exposition_begin(families->exposition, "", &variant->alias);

    for (k = 0; k < NGX_HTTP_GRAY_CODES; k++) {
        n = 0;

        for (i = 0; i < NGX_HTTP_GRAY_REASONS; i++) {
            n += variant->counts.requests[i][k];
        }

        ngx_http_gray_exposition_sample(families->exposition, &status,
                                        &ngx_http_gray_family_stands[k], n);
    }
}
