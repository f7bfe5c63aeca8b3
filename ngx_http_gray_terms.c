
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Terms: what the members of a plan may be, wherever they stand.
 *
 * Times, numbers and words are judged by tables, by the names of members: a
 * name is the same thing in a plan, in a step of it and in a guard.  And they
 * are written in the order of a table, with defaults for those that are left
 * out.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_plan.h"
#include "ngx_http_gray_terms.h"


#define NGX_HTTP_GRAY_TERMS_YEAR  ((uint64_t) 365 * 24 * 3600 * 1000)
#define NGX_HTTP_GRAY_TERMS_HOUR  ((uint64_t) 3600 * 1000)


typedef struct {
    const char                  *name;
    uint64_t                     low;        /* ms */
    uint64_t                     high;
    const char                  *limits;
} ngx_http_gray_terms_time_t;


typedef struct {
    const char                  *name;
    double                       low;
    double                       high;
    unsigned                     above:1;    /* low itself is not accepted */
    unsigned                     below:1;    /* nor high */
    unsigned                     whole:1;
    const char                  *limits;
} ngx_http_gray_terms_number_t;


typedef struct {
    const char                  *name;
    const char                  *words[4];
    const char                  *accepted;
} ngx_http_gray_terms_word_t;



static const char *ngx_http_gray_terms_default(
    const ngx_http_gray_terms_default_t *defaults, const char *name);
static ngx_http_gray_json_t *ngx_http_gray_terms_parse(const char *text);


static const ngx_http_gray_terms_time_t  ngx_http_gray_terms_times[] = {

    { "hold", 0, NGX_HTTP_GRAY_TERMS_YEAR, "must be at most 365d" },
    { "max_hold", 1000, NGX_HTTP_GRAY_TERMS_YEAR, "must be from 1s to 365d" },
    { "warmup", 0, NGX_HTTP_GRAY_TERMS_YEAR, "must be at most 365d" },
    { "cooldown", 0, NGX_HTTP_GRAY_TERMS_YEAR, "must be at most 365d" },
    { "min_delta", 0, NGX_HTTP_GRAY_TERMS_HOUR, "must be at most 1h" },
    { "slower_than", 1, NGX_HTTP_GRAY_TERMS_HOUR, "must be from 1ms to 1h" },
    { NULL, 0, 0, NULL }
};


static const ngx_http_gray_terms_number_t
    ngx_http_gray_terms_numbers[] = {

    { "alpha", 0, 1, 1, 1, 0, "must be more than 0 and less than 1" },
    { "min_requests", 0, 1000000000, 0, 0, 1,
      "must be a whole number from 0 to 1000000000" },
    { "detect_ratio", 1, 1000, 1, 0, 0,
      "must be more than 1 and at most 1000" },
    { "info_nats", 0, 1000, 0, 0, 0, "must be from 0 to 1000" },
    { "max_ratio", 1, 1000, 0, 0, 0, "must be from 1 to 1000" },
    { "floor", 0, 1, 0, 1, 0, "must be from 0 up to, but not, 1" },
    { "max", 0, 1, 1, 1, 0, "must be more than 0 and less than 1" },
    { "quantiles", 0, 1, 1, 1, 0,
      "must be a number of more than 0 and less than 1" },
    { NULL, 0, 0, 0, 0, 0, NULL }
};


static const ngx_http_gray_terms_word_t  ngx_http_gray_terms_words[] = {

    { "unit", { "key", "request", NULL }, "\"key\" or \"request\"" },

    { "gate", { "manual", NULL }, "\"manual\"" },

    { "action", { "rollback", "pause", NULL }, "\"rollback\" or \"pause\"" },

    { "if_baseline_bad", { "pause", NULL }, "\"pause\"" },

    { "on_inconclusive", { "pause", "next", "rollback", NULL },
      "\"pause\", \"next\" or \"rollback\"" },

    { "on_success", { "promote", "keep", NULL },
      "\"promote\" or \"keep\"" },

    { NULL, { NULL }, NULL }
};


void
ngx_http_gray_terms_time(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    uint64_t                              ms;
    ngx_str_t                             text;
    const ngx_http_gray_terms_time_t  *time;

    text = ngx_http_gray_json_text(node);

    if (ngx_http_gray_plan_time(&text, &ms) != NGX_OK) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "must be a time with units, as \"500ms\", "
                                 "\"10s\" or \"2h30m\"");
        return;
    }

    for (time = ngx_http_gray_terms_times; time->name; time++) {

        if (ngx_strcmp(time->name, path->key) == 0
            && (ms < time->low || ms > time->high))
        {
            ngx_http_gray_json_fault(judge->faults, path, "%s", time->limits);
        }
    }
}


void
ngx_http_gray_terms_number(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    ngx_http_gray_terms_within(judge, path, path->key,
                                  ngx_http_gray_json_value(node));
}


void
ngx_http_gray_terms_within(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const char *name, double value)
{
    const ngx_http_gray_terms_number_t  *number;

    for (number = ngx_http_gray_terms_numbers; number->name; number++) {

        if (ngx_strcmp(number->name, name) != 0) {
            continue;
        }

        if (!(number->above ? value > number->low : value >= number->low)
            || !(number->below ? value < number->high : value <= number->high)
            || (number->whole && value != (double) (int64_t) value))
        {
            ngx_http_gray_json_fault(judge->faults, path, "%s",
                                     number->limits);
        }
    }
}


void
ngx_http_gray_terms_word(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node)
{
    ngx_str_t                             text;
    ngx_uint_t                            i;
    const ngx_http_gray_terms_word_t  *word;

    text = ngx_http_gray_json_text(node);

    for (word = ngx_http_gray_terms_words; word->name; word++) {

        if (ngx_strcmp(word->name, path->key) != 0) {
            continue;
        }

        for (i = 0; text.data && word->words[i]; i++) {
            if (ngx_strcmp(word->words[i], text.data) == 0) {
                return;
            }
        }

        ngx_http_gray_json_fault(judge->faults, path, "must be %s",
                                 word->accepted);
    }
}


ngx_uint_t
ngx_http_gray_terms_many(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node,
    const char *what, ngx_uint_t min, ngx_uint_t max)
{
    ngx_uint_t  n;

    n = ngx_http_gray_json_count(node);

    if (n >= min && n <= max) {
        return 0;
    }

    if (min) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "has %lu %s, must have %lu to %lu",
                                 (unsigned long) n, what, (unsigned long) min,
                                 (unsigned long) max);
    } else {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "has %lu %s, may have %lu",
                                 (unsigned long) n, what, (unsigned long) max);
    }

    return 1;
}


ngx_uint_t
ngx_http_gray_terms_object(ngx_http_gray_judge_t *judge,
    const ngx_http_gray_path_t *path, const ngx_http_gray_json_t *node,
    ngx_http_gray_member_t *members)
{
    if (ngx_http_gray_json_type(node) != NGX_HTTP_GRAY_JSON_OBJECT) {
        ngx_http_gray_json_fault(judge->faults, path,
                                 "must be an object with \"%s\"",
                                 members->name);
        return 0;
    }

    ngx_http_gray_judge_object(judge, path, node, members);

    return 1;
}


ngx_http_gray_json_t *
ngx_http_gray_terms_made(const ngx_http_gray_json_t *input,
    ngx_http_gray_member_t *members,
    const ngx_http_gray_terms_default_t *defaults)
{
    const char              *text;
    ngx_http_gray_json_t    *object, *member;
    ngx_http_gray_member_t  *m;

    object = ngx_http_gray_json_object();

    for (m = members; object && m->name; m++) {
        member = ngx_http_gray_json_get(input, m->name);
        text = ngx_http_gray_terms_default(defaults, m->name);

        if (member == NULL && text == NULL) {
            continue;
        }

        if (ngx_http_gray_json_set(object, m->name,
                                   member ? ngx_http_gray_json_copy(member)
                                          : ngx_http_gray_terms_parse(text))
            != NGX_OK)
        {
            ngx_http_gray_json_free(object);
            return NULL;
        }
    }

    return object;
}


static const char *
ngx_http_gray_terms_default(const ngx_http_gray_terms_default_t *defaults,
    const char *name)
{
    for ( /* void */ ; defaults && defaults->name; defaults++) {
        if (ngx_strcmp(defaults->name, name) == 0) {
            return defaults->text;
        }
    }

    return NULL;
}


static ngx_http_gray_json_t *
ngx_http_gray_terms_parse(const char *text)
{
    ngx_http_gray_json_error_t  err;

    return ngx_http_gray_json_parse((u_char *) text, ngx_strlen(text), &err);
}


ngx_http_gray_json_t *
ngx_http_gray_terms_array(const ngx_http_gray_json_t *input,
    ngx_http_gray_member_t *members,
    const ngx_http_gray_terms_default_t *defaults)
{
    ngx_http_gray_json_t  *array, *item;

    array = ngx_http_gray_json_array();

    for (item = ngx_http_gray_json_first(input);
         array && item;
         item = ngx_http_gray_json_next(item))
    {
        if (ngx_http_gray_json_append(array,
                             ngx_http_gray_terms_made(item, members, defaults))
            != NGX_OK)
        {
            ngx_http_gray_json_free(array);
            return NULL;
        }
    }

    return array;
}
