
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_RELEASE_H_INCLUDED_
#define _NGX_HTTP_GRAY_RELEASE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gray_attribute.h"
#include "ngx_http_gray_counters.h"
#include "ngx_http_gray_document.h"
#include "ngx_http_gray_rules.h"
#include "ngx_http_gray_shm.h"
#include "ngx_http_gray_trial.h"


#define NGX_HTTP_GRAY_VERSION  "0.4.0"


/* bytes of names of rules, for people */
#define NGX_HTTP_GRAY_TESTERS  128


/* what a release, as it is compiled in this process, has to do without */

typedef enum {
    NGX_HTTP_GRAY_HEALTHY = 0,
    NGX_HTTP_GRAY_MISSING,          /* names that nginx.conf does not have */
    NGX_HTTP_GRAY_BASELINE_GONE,    /* so the declared document serves */
    NGX_HTTP_GRAY_OUTDATED,         /* names of a newer nginx.conf: what was
                                       compiled before serves */
    NGX_HTTP_GRAY_UNCOMPILED        /* memory: the one before serves, if any */
} ngx_http_gray_health_e;


typedef struct {
    ngx_str_t                       name;
    ngx_str_t                       zone_name;
    ngx_http_gray_zone_t           *zone;
    ngx_http_gray_kind_e            kind;

    u_char                         *file;        /* where it is declared */
    ngx_uint_t                      line;

    /* as declared: canonical, with the allocation of a first revision */
    ngx_http_gray_json_t           *declared;
    ngx_str_t                       declared_text;

    /* where nothing could be compiled: the declared baseline */
    ngx_http_gray_variant_t         fallback;

    /* of this process: what "word", the last one that it saw, led to */
    ngx_http_gray_block_t          *block;
    ngx_http_gray_counters_t       *counters;    /* or NULL */

    /* of these, for this process, by slot */

    ngx_http_gray_claim_t          *names;
    ngx_http_gray_counts_t         *counts;
    uint64_t                       *matches;
    uint32_t                       *live;        /* or NULL */

    ngx_http_gray_trial_t          *trial;       /* or NULL */
    ngx_http_gray_plan_t           *plan;        /* of the revision that is
                                                    compiled, or NULL */
    ngx_http_gray_world_t           world;       /* as that revision has it */
    char                            testers[NGX_HTTP_GRAY_TESTERS];
    void                           *keep;        /* of ngx_http_gray_keep.h */
    void                           *applying;    /* of what a rollout wishes
                                                    for, under way, or NULL */
    ngx_msec_t                      kept;        /* likewise: when it was */
    ngx_uint_t                      failing;     /* unsigned  failing:1; that
                                                    it could not be was said */
    ngx_msec_t                      failed;      /* then */
    uint64_t                        behind;      /* revision that a rollout
                                                    has seen, and not this
                                                    process */
    ngx_msec_t                      noticed;     /* then */
    void                           *notify;      /* hooks under way in this
                                                    process, or NULL */

    ngx_atomic_uint_t               moves;       /* of the block, when the
                                                    configuration began */
    uint64_t                        word;
    uint64_t                        revision;    /* by which it is decided */
    ngx_http_gray_rules_t          *rules;
    uint64_t                        compiled;    /* revision of "rules" */
    ngx_uint_t                      enabled;     /* unsigned  enabled:1;
                                                    there */
    ngx_http_gray_health_e          health;
    time_t                          retry;       /* if uncompiled */
    ngx_uint_t                      due;         /* unsigned  due:1; what is
                                                    declared may have to be
                                                    taken up yet */
    ngx_uint_t                      deciding;    /* unsigned  deciding:1; */
    u_char                         *nested;      /* by index of a variable:
                                                    valid before a rule asked
                                                    for what is decided */
    ngx_uint_t                      limited;     /* matches given up, of
                                                    those counted in "block" */
    ngx_uint_t                      warned;      /* unsigned  warned:1; */
    ngx_uint_t                      uncounted;   /* variants */
    ngx_uint_t                      recount;     /* unsigned  recount:1; some
                                                    may get a slot yet */
} ngx_http_gray_release_t;


typedef struct {
    ngx_array_t                     releases;    /* of pointers */
    ngx_array_t                     zones;       /* of pointers */
    ngx_array_t                     blocks;      /* as they were parsed */
    ngx_http_gray_geo_t            *geo;         /* NULL: no gray_geoip */
    ngx_core_conf_t                *core;        /* of the same nginx.conf */
} ngx_http_gray_main_conf_t;


/* the module's, for the accessors of nginx */

extern ngx_module_t  ngx_http_gray_module;


/* a new one, which is freed with the configuration; NULL (memory) */
ngx_http_gray_release_t *ngx_http_gray_release_create(ngx_conf_t *cf,
    ngx_http_gray_main_conf_t *gmcf);

/* where the trial lies, behind its counters */
ngx_http_gray_trial_t *ngx_http_gray_release_trial(
    ngx_http_gray_release_t *release);

/* by its name, or NULL */
ngx_http_gray_release_t *ngx_http_gray_release_find(
    ngx_http_gray_main_conf_t *gmcf, ngx_str_t *name);

/*
 * Judges "input" against what nginx.conf has, and makes its canonical form;
 * arguments and results as of ngx_http_gray_document_build().  While nginx
 * reads its configuration "cf" is given, afterwards NULL.
 */
ngx_int_t ngx_http_gray_release_build(ngx_conf_t *cf,
    ngx_http_gray_release_t *release, const ngx_http_gray_json_t *input,
    const ngx_http_gray_json_t *current, ngx_http_gray_json_t **doc,
    ngx_str_t *text, ngx_http_gray_faults_t *faults);

/*
 * What nginx.conf declares, with the allocation that moves nobody of "current"
 * who need not; where that makes it longer than the zone takes, with the
 * allocation of a first revision.  Results as of
 * ngx_http_gray_document_build(), but for NGX_DECLINED.
 */
ngx_int_t ngx_http_gray_release_reset(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *current, ngx_http_gray_json_t **doc,
    ngx_str_t *text, ngx_http_gray_faults_t *faults);

/*
 * Are the lists that "doc" uses still there, but for those that "current" uses,
 * too?  It was built before.
 */
ngx_uint_t ngx_http_gray_release_holds(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *doc, const ngx_http_gray_json_t *current);

/*
 * Makes "input" what the release is declared to be, once all names are known.
 * NGX_OK; NGX_DECLINED or NGX_BUSY with faults; NGX_ERROR (memory).
 */
ngx_int_t ngx_http_gray_release_declare(ngx_conf_t *cf,
    ngx_http_gray_release_t *release, const ngx_http_gray_json_t *input,
    ngx_http_gray_faults_t *faults);

/* at run time: "doc" as far as nginx.conf has its names; NULL (memory) */
ngx_http_gray_rules_t *ngx_http_gray_release_compile(
    ngx_http_gray_release_t *release, const ngx_http_gray_json_t *doc);

/* does the live document say another thing than nginx.conf? */
ngx_uint_t ngx_http_gray_release_differs(ngx_http_gray_release_t *release,
    const ngx_http_gray_json_t *doc);

const char *ngx_http_gray_release_origin(ngx_http_gray_origin_e origin);
ngx_http_gray_origin_e ngx_http_gray_release_origin_of(ngx_str_t *name);


#endif /* _NGX_HTTP_GRAY_RELEASE_H_INCLUDED_ */
