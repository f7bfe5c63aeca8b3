
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What the module makes of documents and requests, without a process of
 * nginx.  Reads lines, and answers them:
 *
 *     L NAME TEXT                            a named list, TEXT in hex
 *     D DOCUMENT                             "ok", or faults
 *     R NOW CHANCE MINTED [KEY=VALUE,...]... a request: VARIANT REASON RULE
 *                                            BUCKET VERDICTS
 *
 * A KEY is NAME|OF|VALUES|DECODE of an attribute, a VALUE is "s" and hex, "n"
 * and a number, or "!" where it cannot be told.  Of a verdict there is one
 * character: 1, 0, or e where it cannot be evaluated.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <stdio.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_compile.h"
#include "ngx_http_gray_document.h"
#include "lists.h"


#define ATTRIBUTES  64
#define VALUES      4


typedef struct {
    char                         *key;
    ngx_int_t                     state;
    ngx_uint_t                    n;
    ngx_http_gray_value_t         value[VALUES];
} attribute_t;


typedef struct {
    double                        now;
    uint32_t                      chance;
    ngx_str_t                     minted;
    ngx_uint_t                    n;
    attribute_t                   attribute[ATTRIBUTES];
} request_t;


static void
fail(const char *why, const char *what)
{
    (void) fprintf(stderr, "driver: %s: %s\n", why, what);
    exit(2);
}


/* hex, in place */

static ngx_str_t
unhex(char *text)
{
    u_char     *p;
    ngx_str_t   s;

    s.data = (u_char *) text;

    for (p = s.data; text[0] && text[1]; text += 2) {
        *p++ = (u_char) ngx_hextoi((u_char *) text, 2);
    }

    s.len = p - s.data;

    return s;
}


static ngx_int_t
known_attribute(void *data, ngx_pool_t *pool,
    ngx_http_gray_attribute_t *attribute, char *why)
{
    return NGX_OK;
}


static ngx_int_t
known_upstream(void *data, ngx_str_t *name, void **peer, char *why)
{
    *peer = data;
    return NGX_OK;
}


static ngx_int_t
get(void *ctx, ngx_http_gray_attribute_t *attribute,
    ngx_http_gray_value_t *value)
{
    char                key[512];
    u_char             *p;
    request_t          *request;
    ngx_uint_t          i;
    attribute_t        *a;

    static const char  *values[] = { "", "first", "last", "any" };

    request = ctx;

    if (attribute->type == NGX_HTTP_GRAY_TIME) {
        value->number = request->now;
        value->numeric = NGX_HTTP_GRAY_IS;
        return NGX_OK;
    }

    p = ngx_snprintf((u_char *) key, sizeof(key) - 1, "%V|%V|%s|%ui",
                     &attribute->name, &attribute->of,
                     values[attribute->values], attribute->decode);
    *p = '\0';

    for (i = 0; i < request->n; i++) {
        a = &request->attribute[i];

        if (strcmp(a->key, key) == 0) {

            if (a->state == NGX_OK && a->n == 0) {
                return NGX_DECLINED;
            }

            if (a->state == NGX_OK) {
                *value = a->value[0];
            }

            return a->state;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
mint(void *ctx, ngx_http_gray_cookie_t *cookie, ngx_str_t *key)
{
    request_t  *request;

    request = ctx;

    if (request->minted.len == 0) {
        return NGX_DECLINED;
    }

    *key = request->minted;

    return NGX_OK;
}


static uint32_t
chance(void *ctx)
{
    request_t  *request;

    request = ctx;

    return request->chance;
}


static const ngx_http_gray_rules_ops_t  ops = { get, mint, chance };


static void
print_faults(ngx_http_gray_faults_t *faults)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_min(faults->n, NGX_HTTP_GRAY_FAULTS); i++) {
        (void) printf("%s%s %s", i ? "; " : "", faults->fault[i].pointer,
                      faults->fault[i].detail);
    }

    (void) printf("\n");
}


/* the way of a document that is PUT, and then used */

static ngx_http_gray_rules_t *
read_document(char *text, ngx_log_t *log)
{
    ngx_int_t                   rc;
    ngx_str_t                   canonical;
    ngx_http_gray_json_t       *input, *doc;
    ngx_http_gray_rules_t      *rules;
    ngx_http_gray_faults_t      faults;
    ngx_http_gray_document_t    env;
    ngx_http_gray_rules_env_t   names;
    ngx_http_gray_json_error_t  err;

    input = ngx_http_gray_json_parse((u_char *) text, strlen(text), &err);

    if (input == NULL) {
        (void) printf("%s\n", err.detail);
        return NULL;
    }

    ngx_memzero(&names, sizeof(ngx_http_gray_rules_env_t));
    names.attribute = known_attribute;
    names.upstream = known_upstream;
    names.list = lists_find;

    ngx_memzero(&env, sizeof(ngx_http_gray_document_t));
    ngx_str_set(&env.schema.release, "app");
    env.schema.kind = NGX_HTTP_GRAY_SWITCH;
    env.max = 1048576;
    env.env = &names;
    env.log = log;

    faults.n = 0;

    rc = ngx_http_gray_document_build(&env, input, NULL, &doc, &canonical,
                                      &faults);

    ngx_http_gray_json_free(input);

    if (rc != NGX_OK) {
        print_faults(&faults);
        return NULL;
    }

    rules = ngx_http_gray_compile(doc, &names, NULL, log);

    ngx_http_gray_json_free(doc);
    free(canonical.data);

    (void) printf("%s\n", rules ? "ok" : "no memory");

    return rules;
}


static void
read_value(attribute_t *a, char *text)
{
    ngx_http_gray_value_t  *value;

    if (*text == '!') {
        a->state = NGX_ERROR;
        return;
    }

    if (a->n == VALUES) {
        fail("too many values", a->key);
    }

    value = &a->value[a->n];
    ngx_memzero(value, sizeof(ngx_http_gray_value_t));

    if (*text == 'n') {
        value->number = strtod(text + 1, NULL);
        value->numeric = NGX_HTTP_GRAY_IS;

    } else {
        value->text = unhex(text + 1);
    }

    if (a->n) {
        a->value[a->n - 1].next = value;
    }

    a->n++;
}


static void
read_request(request_t *request, char *line)
{
    char         *word, *value, *words, *values;
    attribute_t  *a;

    request->n = 0;
    request->now = strtod(strtok_r(line, " ", &words), NULL);
    request->chance = atoi(strtok_r(NULL, " ", &words));

    word = strtok_r(NULL, " ", &words);
    request->minted.len = 0;

    if (strcmp(word, "-") != 0) {
        request->minted = unhex(word);
    }

    while ((word = strtok_r(NULL, " ", &words)) != NULL) {

        if (request->n == ATTRIBUTES) {
            fail("too many attributes", word);
        }

        a = &request->attribute[request->n++];
        a->key = word;
        a->state = NGX_OK;
        a->n = 0;

        value = strrchr(word, '=');
        *value++ = '\0';

        for (value = strtok_r(value, ",", &values);
             value;
             value = strtok_r(NULL, ",", &values))
        {
            read_value(a, value);
        }
    }
}


static void
answer(ngx_http_gray_rules_t *rules, request_t *request)
{
    ngx_str_t                *name;
    ngx_int_t                 rc;
    ngx_uint_t                i;
    ngx_http_gray_failed_t    failed;
    ngx_http_gray_outcome_t   outcome;

    ngx_http_gray_rules_decide(rules, &ops, request, &outcome);

    (void) printf("%s %s %.*s %ld ", (char *) outcome.variant->name.data,
                  (char *) ngx_http_gray_reasons[outcome.reason].data,
                  outcome.rule ? (int) outcome.rule->len : 1,
                  outcome.rule ? (char *) outcome.rule->data : "-",
                  (long) outcome.bucket);

    for (i = 0; i < ngx_http_gray_rules_count(rules); i++) {
        rc = ngx_http_gray_rules_verdict(rules, i, &ops, request, &name,
                                         &failed);

        (void) putchar(rc == NGX_ERROR ? 'e' : rc ? '1' : '0');
    }

    (void) putchar('\n');
}


int
main(void)
{
    char                   *line, *text, *name;
    size_t                  size;
    ssize_t                 n;
    ngx_log_t               log;
    ngx_str_t               entries;
    ngx_open_file_t         file;
    ngx_http_gray_rules_t  *rules;

    static request_t        request;

    ngx_pagesize = getpagesize();
    ngx_cacheline_size = 64;
    ngx_time_init();

    ngx_memzero(&log, sizeof(ngx_log_t));
    ngx_memzero(&file, sizeof(ngx_open_file_t));
    file.fd = NGX_INVALID_FILE;
    log.file = &file;

    line = NULL;
    size = 0;
    rules = NULL;

    while ((n = getline(&line, &size, stdin)) > 2) {
        line[n - 1] = '\0';
        text = line + 2;

        switch (line[0]) {

        case 'L':
            name = strtok_r(text, " ", &text);
            entries = unhex(text);
            lists_add(name, entries.data, entries.len);
            continue;

        case 'D':
            if (rules) {
                ngx_http_gray_rules_destroy(rules);
            }

            rules = read_document(text, &log);
            break;

        default:
            if (rules == NULL) {
                fail("no document", text);
            }

            read_request(&request, text);
            answer(rules, &request);
        }

        (void) fflush(stdout);
    }

    if (rules) {
        ngx_http_gray_rules_destroy(rules);
    }

    lists_free();
    free(line);

    return 0;
}
