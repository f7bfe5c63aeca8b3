
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Patterns: PCRE2, with a bound to what a match may cost.
 *
 * The match limit of PCRE2 is counted anew at each character that a match may
 * begin with, so it bounds nothing.  Instead, each item of a pattern has a
 * callout, and a match may make so many of them: a few milliseconds for
 * the worst patterns known, with the JIT compiler of PCRE2 as with its
 * interpreter.  An item with a repeat count looks at so many characters
 * without any callout, and may come to nothing, so the largest count in a
 * pattern is a part of the price of each of its callouts.  So it is with a
 * back reference and the bytes that it stands for.  "\X" is refused: it looks
 * back from each place, and goes as far as accents follow each other.  What
 * PCRE2 holds is freed by the cleanups of a pool.
 *
 * The match data and the context are those of a rule set, so a set cannot
 * match in two threads at once.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#define PCRE2_CODE_UNIT_WIDTH  8
#include <pcre2.h>

#include "ngx_http_gray_pattern.h"


#define NGX_HTTP_GRAY_PATTERN_HEAP    1024      /* kilobytes */
#define NGX_HTTP_GRAY_PATTERN_STACK   1048576   /* bytes, of JIT */
#define NGX_HTTP_GRAY_PATTERN_SIZE    65536     /* bytes, compiled */
#define NGX_HTTP_GRAY_PATTERN_GROUPS  100


/* what is left for a match, and where its last callout was */

typedef struct {
    ngx_int_t                    left;
    size_t                       position;
    size_t                       unseen;     /* what an item may look at */
    size_t                       groups;     /* that are referred to */
} ngx_http_gray_pattern_budget_t;


static int ngx_http_gray_pattern_callout(pcre2_callout_block *block,
    void *data);
static size_t ngx_http_gray_pattern_unseen(
    ngx_http_gray_pattern_budget_t *budget, pcre2_callout_block *block);
static size_t ngx_http_gray_pattern_repeat(const ngx_str_t *text);
static ngx_int_t ngx_http_gray_pattern_judge(pcre2_code *code,
    const ngx_str_t *text, char *why, size_t size);
static void ngx_http_gray_pattern_free_code(void *data);
static void ngx_http_gray_pattern_free_data(void *data);
static void ngx_http_gray_pattern_free_context(void *data);
static void ngx_http_gray_pattern_free_stack(void *data);


ngx_int_t
ngx_http_gray_pattern_match(const ngx_http_gray_pattern_t *pattern,
    void *context, const ngx_str_t *text, ngx_uint_t *limited)
{
    ngx_int_t  left;

    left = NGX_HTTP_GRAY_PATTERN_STEPS;

    return ngx_http_gray_pattern_try(pattern, context, text, &left, limited);
}


ngx_int_t
ngx_http_gray_pattern_try(const ngx_http_gray_pattern_t *pattern,
    void *context, const ngx_str_t *text, ngx_int_t *left,
    ngx_uint_t *limited)
{
    int                             rc;
    ngx_int_t                       steps;
    ngx_http_gray_pattern_budget_t  budget;

    steps = ngx_min(*left, NGX_HTTP_GRAY_PATTERN_STEPS);

    budget.left = steps;
    budget.position = 0;
    budget.unseen = ngx_min(pattern->repeat, text->len);
    budget.groups = pattern->groups;

    (void) pcre2_set_callout(context, ngx_http_gray_pattern_callout, &budget);

    rc = pcre2_match(pattern->code, text->data, text->len, 0, 0,
                     pattern->data, context);

    *left -= steps - budget.left;

    if (rc >= 0) {
        return 1;
    }

    switch (rc) {

    case PCRE2_ERROR_NOMATCH:
        return 0;

    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
    case PCRE2_ERROR_JIT_STACKLIMIT:

        if (limited) {
            (*limited)++;
        }
    }

    return NGX_ERROR;
}


/* called before each item of a pattern; what was skipped at once is cheap */

static int
ngx_http_gray_pattern_callout(pcre2_callout_block *block, void *data)
{
    ngx_http_gray_pattern_budget_t *budget = data;

    ssize_t  skipped;

    skipped = (ssize_t) (block->current_position - budget->position);

    budget->left -= 1 + (ngx_http_gray_pattern_unseen(budget, block) >> 6)
                    + (ngx_abs(skipped) >> 4);
    budget->position = block->current_position;

    return budget->left < 0 ? PCRE2_ERROR_MATCHLIMIT : 0;
}


/* the bytes that the next item may look at before it fails */

static size_t
ngx_http_gray_pattern_unseen(ngx_http_gray_pattern_budget_t *budget,
    pcre2_callout_block *block)
{
    size_t  i, n, longest, *group;

    longest = 0;
    n = ngx_min(budget->groups + 1, block->capture_top);

    for (i = 1; i < n; i++) {
        group = &block->offset_vector[2 * i];

        if (group[0] < group[1] && group[1] <= block->subject_length) {
            longest = ngx_max(longest, group[1] - group[0]);
        }
    }

    longest *= ngx_max(budget->unseen, 1);

    return ngx_max(budget->unseen, ngx_min(longest, block->subject_length));
}


/* the stack of JIT is address space until it is used */

void *
ngx_http_gray_pattern_context(ngx_pool_t *pool)
{
    ngx_pool_cleanup_t   *cln[2];
    pcre2_jit_stack      *stack;
    pcre2_match_context  *context;

    cln[0] = ngx_pool_cleanup_add(pool, 0);
    cln[1] = ngx_pool_cleanup_add(pool, 0);

    if (cln[0] == NULL || cln[1] == NULL) {
        return NULL;
    }

    context = pcre2_match_context_create(NULL);
    if (context == NULL) {
        return NULL;
    }

    cln[0]->handler = ngx_http_gray_pattern_free_context;
    cln[0]->data = context;

    (void) pcre2_set_heap_limit(context, NGX_HTTP_GRAY_PATTERN_HEAP);

    /* NULL also where this PCRE2 has no JIT */

    stack = pcre2_jit_stack_create(ngx_pagesize, NGX_HTTP_GRAY_PATTERN_STACK,
                                   NULL);
    if (stack) {
        cln[1]->handler = ngx_http_gray_pattern_free_stack;
        cln[1]->data = stack;

        pcre2_jit_stack_assign(context, NULL, stack);
    }

    return context;
}


ngx_int_t
ngx_http_gray_pattern_compile(ngx_http_gray_pattern_t *pattern,
    ngx_pool_t *pool, const ngx_str_t *text, ngx_uint_t ignore_case,
    char *why, size_t size)
{
    int                  code;
    u_char               message[128];
    PCRE2_SIZE           offset;
    ngx_pool_cleanup_t  *cln[2];

    cln[0] = ngx_pool_cleanup_add(pool, 0);
    cln[1] = ngx_pool_cleanup_add(pool, 0);

    if (cln[0] == NULL || cln[1] == NULL) {
        return NGX_ERROR;
    }

    pattern->code = pcre2_compile(text->data, text->len,
                                  PCRE2_AUTO_CALLOUT
                                  | (ignore_case ? PCRE2_CASELESS : 0),
                                  &code, &offset, NULL);

    if (pattern->code == NULL && code == PCRE2_ERROR_HEAP_FAILED) {
        return NGX_ERROR;
    }

    if (pattern->code == NULL) {
        if (pcre2_get_error_message(code, message, sizeof(message)) < 0) {
            message[0] = '\0';
        }

        (void) snprintf(why, size, "invalid pattern at offset %lu: %s",
                        (unsigned long) offset, (char *) message);

        return NGX_DECLINED;
    }

    cln[0]->handler = ngx_http_gray_pattern_free_code;
    cln[0]->data = pattern->code;

    (void) pcre2_pattern_info(pattern->code, PCRE2_INFO_BACKREFMAX,
                              &pattern->groups);

    pattern->repeat = ngx_http_gray_pattern_repeat(text);

    if (ngx_http_gray_pattern_judge(pattern->code, text, why, size) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    /*
     * Where there is no JIT, or not for this pattern, which PCRE2 takes for a
     * lack of memory, it is interpreted.
     */

    (void) pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);

    pattern->data = pcre2_match_data_create(1, NULL);

    if (pattern->data == NULL) {
        return NGX_ERROR;
    }

    cln[1]->handler = ngx_http_gray_pattern_free_data;
    cln[1]->data = pattern->data;

    return NGX_OK;
}


/*
 * The largest number behind a "{" or a comma: nothing that repeats is left
 * out, and what is no repeat is counted in vain.
 */

static size_t
ngx_http_gray_pattern_repeat(const ngx_str_t *text)
{
    size_t      i, n, max;
    ngx_uint_t  counted;

    n = 0;
    max = 0;
    counted = 0;

    for (i = 0; i < text->len; i++) {

        if (text->data[i] == '{' || text->data[i] == ',') {
            counted = 1;
            n = 0;

        } else if (counted
                   && text->data[i] >= '0' && text->data[i] <= '9'
                   && n <= NGX_MAX_INT32_VALUE / 16)
        {
            n = n * 10 + (text->data[i] - '0');
            max = ngx_max(max, n);

        } else if (text->data[i] != ' ') {
            counted = 0;
        }
    }

    return max;
}


static ngx_int_t
ngx_http_gray_pattern_judge(pcre2_code *code, const ngx_str_t *text,
    char *why, size_t size)
{
    size_t    i, bytes;
    uint32_t  groups;

    /* it looks back from each place, and nothing bounds how far */

    for (i = 1; i < text->len; i++) {

        if (text->data[i - 1] != '\\') {
            continue;
        }

        if (text->data[i] == 'X') {
            (void) snprintf(why, size,
                            "the pattern has \\X at offset %lu, which is not "
                            "taken", (unsigned long) i - 1);
            return NGX_DECLINED;
        }

        i++;
    }

    (void) pcre2_pattern_info(code, PCRE2_INFO_SIZE, &bytes);
    (void) pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);

    if (bytes <= NGX_HTTP_GRAY_PATTERN_SIZE
        && groups <= NGX_HTTP_GRAY_PATTERN_GROUPS)
    {
        return NGX_OK;
    }

    (void) snprintf(why, size,
                    "the pattern is too large, with %lu bytes and %lu groups "
                    "when compiled; at most %d and %d are taken",
                    (unsigned long) bytes, (unsigned long) groups,
                    NGX_HTTP_GRAY_PATTERN_SIZE, NGX_HTTP_GRAY_PATTERN_GROUPS);

    return NGX_DECLINED;
}


static void
ngx_http_gray_pattern_free_code(void *data)
{
    pcre2_code_free(data);
}


static void
ngx_http_gray_pattern_free_data(void *data)
{
    pcre2_match_data_free(data);
}


static void
ngx_http_gray_pattern_free_context(void *data)
{
    pcre2_match_context_free(data);
}


static void
ngx_http_gray_pattern_free_stack(void *data)
{
    pcre2_jit_stack_free(data);
}
