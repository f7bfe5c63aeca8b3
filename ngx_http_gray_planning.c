
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Planning: what the member "rollout" of a document may say, and what it says
 * where it says nothing.
 *
 * Members are judged by tables, as all that a document has.  Times, numbers
 * and words have tables of their own, by names of members: a name is the same
 * thing wherever it stands.  What a guard is, is told by what it has, see
 * ngx_http_gray_plan_kind(), and each kind has members that go with it.
 *
 * The canonical form has all defaults in it, so that what will be done can be
 * seen, and changed member by member; but a step has its own members only.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_arms.h"
#include "ngx_http_gray_plan.h"
#include "ngx_http_gray_planning.h"
#include "ngx_http_gray_terms.h"
#include "ngx_http_gray_value.h"
#include "ngx_http_gray_watching.h"


#define NGX_HTTP_GRAY_PLANNING_HOLD      "\"5m\""
#define NGX_HTTP_GRAY_PLANNING_MAX_HOLD  "\"60m\""


static void ngx_http_gray_planning_variant(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static void ngx_http_gray_planning_unit(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static ngx_uint_t ngx_http_gray_planning_keyed(
    const ngx_http_gray_json_t *doc);
static void ngx_http_gray_planning_holds(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *object);
static ngx_str_t ngx_http_gray_planning_either(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_json_t *object, const char *key,
    const char *otherwise);
static void ngx_http_gray_planning_steps(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);
static ngx_int_t ngx_http_gray_planning_left(ngx_http_gray_judge_t *judge);
static void ngx_http_gray_planning_fits(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *step,
    ngx_int_t left);
static void ngx_http_gray_planning_ends(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *step);
static void ngx_http_gray_planning_windows(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);
static void ngx_http_gray_planning_notify(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);
static void ngx_http_gray_planning_url(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node);
static ngx_uint_t ngx_http_gray_planning_address(u_char *p, u_char *last);
static ngx_uint_t ngx_http_gray_planning_host(ngx_str_t *host);
static void ngx_http_gray_planning_on(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node);
static ngx_int_t ngx_http_gray_planning_inner(ngx_http_gray_json_t *plan);


static ngx_http_gray_member_t  ngx_http_gray_planning_members[] = {

    { "variant", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_REQUIRED,
      ngx_http_gray_planning_variant },

    { "unit", NGX_HTTP_GRAY_JSON_STRING, 0, ngx_http_gray_planning_unit },

    { "alpha", NGX_HTTP_GRAY_JSON_NUMBER, 0, ngx_http_gray_terms_number },

    { "steps", NGX_HTTP_GRAY_JSON_ARRAY, NGX_HTTP_GRAY_REQUIRED,
      ngx_http_gray_planning_steps },

    { "hold", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_time },

    { "max_hold", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_time },

    { "warmup", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_time },

    { "min_requests", NGX_HTTP_GRAY_JSON_NUMBER, 0,
      ngx_http_gray_terms_number },

    { "detect_ratio", NGX_HTTP_GRAY_JSON_NUMBER, 0,
      ngx_http_gray_terms_number },

    { "info_nats", NGX_HTTP_GRAY_JSON_NUMBER, 0,
      ngx_http_gray_terms_number },

    { "guards", NGX_HTTP_GRAY_JSON_ARRAY, 0, ngx_http_gray_watching_guards },

    { "on_inconclusive", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_word },

    { "on_success", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_word },

    { "cooldown", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_time },

    { "windows", NGX_HTTP_GRAY_JSON_ARRAY, 0, ngx_http_gray_planning_windows },

    { "notify", NGX_HTTP_GRAY_JSON_ARRAY, 0, ngx_http_gray_planning_notify },

    { NULL, 0, 0, NULL }
};


static ngx_http_gray_member_t  ngx_http_gray_planning_step_members[] = {

    { "weight", NGX_HTTP_GRAY_JSON_NUMBER, NGX_HTTP_GRAY_REQUIRED,
      ngx_http_gray_judge_weight },

    { "gate", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_word },

    { "hold", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_time },

    { "max_hold", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_time },

    { "warmup", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_ANY,
      ngx_http_gray_terms_time },

    { "min_requests", NGX_HTTP_GRAY_JSON_NUMBER, 0,
      ngx_http_gray_terms_number },

    { NULL, 0, 0, NULL }
};


/* judged by ngx_http_gray_window_read(): for the order */

static ngx_http_gray_member_t  ngx_http_gray_planning_window_members[] = {
    { "after", NGX_HTTP_GRAY_JSON_STRING, 0, NULL },
    { "before", NGX_HTTP_GRAY_JSON_STRING, 0, NULL },
    { "days", NGX_HTTP_GRAY_JSON_ARRAY, 0, NULL },
    { "from", NGX_HTTP_GRAY_JSON_STRING, 0, NULL },
    { "to", NGX_HTTP_GRAY_JSON_STRING, 0, NULL },
    { "utc_offset", NGX_HTTP_GRAY_JSON_STRING, 0, NULL },
    { NULL, 0, 0, NULL }
};


static ngx_http_gray_member_t  ngx_http_gray_planning_hook_members[] = {

    { "url", NGX_HTTP_GRAY_JSON_STRING, NGX_HTTP_GRAY_REQUIRED,
      ngx_http_gray_planning_url },

    { "on", NGX_HTTP_GRAY_JSON_ARRAY, 0, ngx_http_gray_planning_on },

    { NULL, 0, 0, NULL }
};


static const ngx_http_gray_terms_default_t
    ngx_http_gray_planning_defaults[] = {

    { "unit", "\"request\"" },
    { "alpha", "0.01" },
    { "hold", NGX_HTTP_GRAY_PLANNING_HOLD },
    { "max_hold", NGX_HTTP_GRAY_PLANNING_MAX_HOLD },
    { "warmup", "\"10s\"" },
    { "min_requests", "200" },
    { "detect_ratio", "3" },
    { "info_nats", "16" },
    { "guards", NGX_HTTP_GRAY_WATCHING_DEFAULT },
    { "on_inconclusive", "\"pause\"" },
    { "on_success", "\"promote\"" },
    { "cooldown", "\"10m\"" },
    { "windows", "[]" },
    { "notify", "[]" },
    { NULL, NULL }
};


static const ngx_http_gray_terms_default_t
    ngx_http_gray_planning_hook_defaults[] = {
    { "on", "[\"rollback\", \"pause\", \"promoted\"]" },
    { NULL, NULL }
};


void
ngx_http_gray_planning_judge(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    ngx_http_gray_path_t  frame;

    ngx_http_gray_judge_object(judge, path, node,
                               ngx_http_gray_planning_members);

    ngx_http_gray_planning_holds(judge, path, node);

    if (ngx_http_gray_json_get(node, "guards") == NULL) {
        frame.parent = path;
        frame.key = "guards";

        ngx_http_gray_watching_guards(judge, &frame, NULL);
    }
}


static void
ngx_http_gray_planning_variant(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    ngx_http_gray_judge_refer(judge, path, ngx_http_gray_json_text(node));
}


static void
ngx_http_gray_planning_unit(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    ngx_str_t  text;

    text = ngx_http_gray_json_text(node);

    if (ngx_strcmp(text.data, "key") == 0
        && !ngx_http_gray_planning_keyed(judge->root))
    {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "\"key\" needs \"hash\" or \"cookie\" in the "
                                 "document, \"request\" does not");
        return;
    }

    ngx_http_gray_terms_word(judge, path, node);
}


static ngx_uint_t
ngx_http_gray_planning_keyed(const ngx_http_gray_json_t *doc)
{
    return ngx_http_gray_json_get(doc, "hash")
           || ngx_http_gray_json_get(doc, "cookie");
}


/* a hold that is over after its own end would never be; of a plan, or a step */

static void
ngx_http_gray_planning_holds(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *object)
{
    uint64_t              ms, max_ms;
    ngx_str_t             hold, max_hold;
    ngx_http_gray_path_t  path;

    if (ngx_http_gray_json_get(object, "hold") == NULL
        && ngx_http_gray_json_get(object, "max_hold") == NULL)
    {
        return;
    }

    hold = ngx_http_gray_planning_either(judge, object, "hold",
                                         NGX_HTTP_GRAY_PLANNING_HOLD);
    max_hold = ngx_http_gray_planning_either(judge, object, "max_hold",
                                             NGX_HTTP_GRAY_PLANNING_MAX_HOLD);

    if (ngx_http_gray_plan_time(&hold, &ms) != NGX_OK
        || ngx_http_gray_plan_time(&max_hold, &max_ms) != NGX_OK
        || ms <= max_ms)
    {
        return;
    }

    path.parent = parent;
    path.key = "max_hold";

    if (ngx_http_gray_json_get(object, path.key)) {
        ngx_http_gray_json_fault(judge->faults, &path,
                                 "must not be shorter than \"hold\", which is "
                                 "\"%.*s\"", (int) hold.len, hold.data);
        return;
    }

    path.key = "hold";
    ngx_http_gray_json_fault(judge->faults, &path,
                             "must not be longer than \"max_hold\", which is "
                             "\"%.*s\"", (int) max_hold.len, max_hold.data);
}


/* of the step, or of the plan, or by default, which is in quotes */

static ngx_str_t
ngx_http_gray_planning_either(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_json_t *object, const char *key,
    const char *otherwise)
{
    ngx_str_t              text;
    ngx_http_gray_json_t  *member;

    member = ngx_http_gray_json_get(object, key);

    if (member == NULL) {
        member = ngx_http_gray_json_get(ngx_http_gray_json_get(judge->root,
                                                               "rollout"),
                                        key);
    }

    if (member) {
        return ngx_http_gray_json_text(member);
    }

    text.data = (u_char *) otherwise + 1;
    text.len = ngx_strlen(otherwise) - 2;

    return text;
}


static void
ngx_http_gray_planning_steps(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_int_t              left;
    ngx_http_gray_path_t   path;
    ngx_http_gray_json_t  *step;

    if (ngx_http_gray_terms_many(judge, parent, node, "steps", 1,
                                    NGX_HTTP_GRAY_PLAN_STEPS))
    {
        return;
    }

    left = ngx_http_gray_planning_left(judge);

    path.parent = parent;
    path.key = NULL;
    path.index = 0;

    for (step = ngx_http_gray_json_first(node);
         step;
         step = ngx_http_gray_json_next(step), path.index++)
    {
        if (ngx_http_gray_terms_object(judge, &path, step,
                                         ngx_http_gray_planning_step_members))
        {
            ngx_http_gray_planning_holds(judge, &path, step);
            ngx_http_gray_planning_fits(judge, &path, step, left);

            if (ngx_http_gray_json_next(step) == NULL) {
                ngx_http_gray_planning_ends(judge, &path, step);
            }
        }
    }
}


/*
 * Buckets that the variant may have: what those leave that are not part of it.
 * A variant that is the baseline by now takes what there is.
 */

static ngx_int_t
ngx_http_gray_planning_left(ngx_http_gray_judge_t *judge)
{
    ngx_int_t              n, left;
    ngx_str_t              name, baseline;
    const char            *key;
    ngx_http_gray_json_t  *variant, *rollout;

    left = NGX_HTTP_GRAY_BUCKETS;

    rollout = ngx_http_gray_json_get(judge->root, "rollout");
    name = ngx_http_gray_json_text(ngx_http_gray_json_get(rollout, "variant"));
    baseline = ngx_http_gray_json_text(ngx_http_gray_json_get(judge->root,
                                                              "baseline"));

    if (name.len == 0 || baseline.len == 0
        || ngx_strcmp(name.data, baseline.data) == 0)
    {
        return left;
    }

    for (variant = ngx_http_gray_json_first(ngx_http_gray_json_get(judge->root,
                                                                "variants"));
         variant && ngx_http_gray_json_key(variant);
         variant = ngx_http_gray_json_next(variant))
    {
        key = ngx_http_gray_json_key(variant);

        if (ngx_strcmp(key, name.data) != 0
            && ngx_strcmp(key, baseline.data) != 0)
        {
            n = ngx_http_gray_arms_buckets(ngx_http_gray_json_value(
                                  ngx_http_gray_json_get(variant, "weight")));

            left -= (n == NGX_ERROR) ? 0 : n;
        }
    }

    return ngx_max(left, 0);
}


static void
ngx_http_gray_planning_fits(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *step,
    ngx_int_t left)
{
    double                percent;
    ngx_http_gray_path_t  path;

    percent = ngx_http_gray_json_value(ngx_http_gray_json_get(step, "weight"));

    if (ngx_http_gray_arms_buckets(percent) <= left) {
        return;
    }

    path.parent = parent;
    path.key = "weight";

    ngx_http_gray_json_fault(judge->faults, &path,
                             "%.15g is more than other variants leave, which "
                             "is %.15g", percent,
                             (double) left / (NGX_HTTP_GRAY_BUCKETS / 100));
}


/* at 0% nothing is asked for, so what comes to its end there is not known */

static void
ngx_http_gray_planning_ends(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *step)
{
    ngx_str_t              text;
    ngx_http_gray_path_t   path;
    ngx_http_gray_json_t  *weight, *rollout;

    path.parent = parent;
    path.key = "weight";

    weight = ngx_http_gray_json_get(step, path.key);
    rollout = ngx_http_gray_json_get(judge->root, "rollout");
    text = ngx_http_gray_json_text(ngx_http_gray_json_get(rollout,
                                                          "on_success"));

    if (ngx_http_gray_json_type(weight) != NGX_HTTP_GRAY_JSON_NUMBER
        || ngx_http_gray_json_value(weight) != 0
        || (text.len && ngx_strcmp(text.data, "keep") == 0))
    {
        return;
    }

    ngx_http_gray_json_fault(judge->faults, &path,
                             "must not be 0 in the last step, from which the "
                             "variant is promoted, unless \"on_success\" is "
                             "\"keep\"");
}


static void
ngx_http_gray_planning_windows(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_http_gray_path_t     path;
    ngx_http_gray_json_t    *item;
    ngx_http_gray_window_t   window;

    if (ngx_http_gray_terms_many(judge, parent, node, "windows", 0,
                                    NGX_HTTP_GRAY_PLAN_WINDOWS))
    {
        return;
    }

    path.parent = parent;
    path.key = NULL;
    path.index = 0;

    for (item = ngx_http_gray_json_first(node);
         item;
         item = ngx_http_gray_json_next(item), path.index++)
    {
        if (ngx_http_gray_window_read(&window, &path, item, judge->faults)
            == NGX_OK
            && !ngx_http_gray_window_opens(&window))
        {
            ngx_http_gray_json_fault(judge->faults, &path,
                                     "never opens: none of the days is "
                                     "between \"after\" and \"before\"");
        }
    }
}


static void
ngx_http_gray_planning_notify(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_http_gray_path_t   path;
    ngx_http_gray_json_t  *hook;

    if (ngx_http_gray_terms_many(judge, parent, node, "hooks", 0,
                                    NGX_HTTP_GRAY_PLAN_HOOKS))
    {
        return;
    }

    path.parent = parent;
    path.key = NULL;
    path.index = 0;

    for (hook = ngx_http_gray_json_first(node);
         hook;
         hook = ngx_http_gray_json_next(hook), path.index++)
    {
        (void) ngx_http_gray_terms_object(judge, &path, hook,
                                        ngx_http_gray_planning_hook_members);
    }
}


/*
 * There is nobody to ask for the address of a name, and no TLS: both are what
 * a location of nginx can add.
 */

static void
ngx_http_gray_planning_url(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    u_char     *p, *last;
    ngx_str_t   text;

    text = ngx_http_gray_json_text(node);
    last = text.data + text.len;

    for (p = text.data; p < last; p++) {
        if (*p <= ' ' || *p >= 0x7f || *p == '#') {
            break;
        }
    }

    if (text.len >= 8 && ngx_strncmp(text.data, "https://", 8) == 0) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "must begin with \"http://\": a location of "
                                 "nginx with proxy_pass can go on by https");
        return;
    }

    if (p < last || text.len > NGX_HTTP_GRAY_PLAN_URL
        || ngx_strncmp(text.data, "http://", sizeof("http://") - 1) != 0
        || !ngx_http_gray_planning_address(text.data + sizeof("http://") - 1,
                                           last))
    {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "must be http://ADDRESS[:PORT]/PATH of at "
                                 "most %d characters, the address IPv4, IPv6 "
                                 "in brackets or \"localhost\", as "
                                 "\"http://127.0.0.1:9000/hook\"",
                                 NGX_HTTP_GRAY_PLAN_URL);
    }
}


/* ADDRESS[:PORT]/, and whatever follows */

static ngx_uint_t
ngx_http_gray_planning_address(u_char *p, u_char *last)
{
    u_char     *slash, *colon;
    ngx_int_t   port;
    ngx_str_t   host;

    slash = ngx_strlchr(p, last, '/');

    if (slash == NULL) {
        return 0;
    }

    colon = ngx_strlchr(p, slash, (*p == '[') ? ']' : ':');

    if (*p == '[' && colon) {
        colon++;
    }

    host.data = p;
    host.len = (colon ? colon : slash) - p;

    if (!ngx_http_gray_planning_host(&host)) {
        return 0;
    }

    if (colon == NULL || colon == slash) {
        return 1;
    }

    port = ngx_atoi(colon + 1, slash - colon - 1);

    return *colon == ':' && port >= 1 && port <= 65535;
}


static ngx_uint_t
ngx_http_gray_planning_host(ngx_str_t *host)
{
    ngx_str_t              text;
    ngx_http_gray_addr_t   addr;

    text = *host;

    if (text.len < 2 || text.data[0] != '[') {
        return ngx_http_gray_value_inet(&text, &addr) != NGX_ERROR
               || (text.len == sizeof("localhost") - 1
                   && ngx_strncmp(text.data, "localhost", text.len) == 0);
    }

    if (text.data[text.len - 1] != ']') {
        return 0;
    }

    text.data++;
    text.len -= 2;

    return ngx_strlchr(text.data, text.data + text.len, ':')
           && ngx_http_gray_value_inet(&text, &addr) != NGX_ERROR;
}


static void
ngx_http_gray_planning_on(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *parent, const ngx_http_gray_json_t *node)
{
    ngx_str_t              text;
    ngx_http_gray_path_t   path;
    ngx_http_gray_json_t  *item;

    path.parent = parent;
    path.key = NULL;
    path.index = 0;

    for (item = ngx_http_gray_json_first(node);
         item;
         item = ngx_http_gray_json_next(item), path.index++)
    {
        text = ngx_http_gray_json_text(item);

        if (ngx_http_gray_plan_hook(&text) == NGX_DECLINED) {
            ngx_http_gray_json_fault(judge->faults, &path,
                                     "must be one of started, step, gate, "
                                     "pause, resumed, rollback, aborted, "
                                     "promoted");
        }
    }

    if (path.index == 0) {
        ngx_http_gray_json_fault(judge->faults, parent,
                                 "must not be empty; there are started, step, "
                                 "gate, pause, resumed, rollback, aborted, "
                                 "promoted");
    }
}


ngx_http_gray_json_t *
ngx_http_gray_planning_fill(const ngx_http_gray_json_t *doc,
    const ngx_http_gray_json_t *rollout)
{
    ngx_http_gray_json_t  *plan;

    plan = ngx_http_gray_terms_made(rollout, ngx_http_gray_planning_members,
                                       ngx_http_gray_planning_defaults);

    if (plan == NULL || ngx_http_gray_planning_inner(plan) != NGX_OK) {
        goto failed;
    }

    if (ngx_http_gray_json_get(rollout, "unit") == NULL
        && ngx_http_gray_planning_keyed(doc)
        && ngx_http_gray_json_set(plan, "unit",
                                  ngx_http_gray_json_string((u_char *) "key",
                                                            3))
           != NGX_OK)
    {
        goto failed;
    }

    /* where nothing is watched, time alone counts */

    if (ngx_http_gray_json_get(rollout, "min_requests") == NULL
        && ngx_http_gray_json_first(ngx_http_gray_json_get(plan, "guards"))
           == NULL
        && ngx_http_gray_json_set(plan, "min_requests",
                                  ngx_http_gray_json_number(0))
           != NGX_OK)
    {
        goto failed;
    }

    return plan;

failed:

    ngx_http_gray_json_free(plan);

    return NULL;
}


static ngx_int_t
ngx_http_gray_planning_inner(ngx_http_gray_json_t *plan)
{
    if (ngx_http_gray_json_set(plan, "steps",
                ngx_http_gray_terms_array(
                    ngx_http_gray_json_get(plan, "steps"),
                    ngx_http_gray_planning_step_members, NULL))
        != NGX_OK
        || ngx_http_gray_json_set(plan, "guards",
                ngx_http_gray_watching_fill(
                    ngx_http_gray_json_get(plan, "guards")))
           != NGX_OK
        || ngx_http_gray_json_set(plan, "windows",
                ngx_http_gray_terms_array(
                    ngx_http_gray_json_get(plan, "windows"),
                    ngx_http_gray_planning_window_members, NULL))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_gray_json_set(plan, "notify",
                ngx_http_gray_terms_array(
                    ngx_http_gray_json_get(plan, "notify"),
                    ngx_http_gray_planning_hook_members,
                    ngx_http_gray_planning_hook_defaults));
}
