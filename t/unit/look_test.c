
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What a document says of the variant of a rollout.
 */


#include "unit.h"

#include "ngx_http_gray_look.h"


#define CANARY                                                                \
    "\"variants\": {\"stable\": {}, \"canary\": {\"weight\": 20}, "           \
    "\"other\": {\"weight\": 30}}"
#define STABLE  "\"baseline\": \"stable\", \"enabled\": true"


typedef struct {
    const char  *doc;
    ngx_uint_t   enabled;
    ngx_uint_t   promoted;
    uint32_t     weight;
    uint32_t     rest;
    ngx_uint_t   spread;
    const char  *testers;
} look_t;


static const look_t  looks[] = {

    { "{" STABLE ", " CANARY ", \"rules\": []}",
      1, 0, 200000, 500000, 0, "" },

    { "{" STABLE ", " CANARY "}", 1, 0, 200000, 500000, 0, "" },

    /* neither weight nor place: it was removed */

    { "{" STABLE ", \"variants\": {\"stable\": {}, \"other\": {\"weight\":"
      " 30}}}", 1, 0, 0, 700000, 0, "" },

    { "{\"baseline\": \"stable\", \"enabled\": false, " CANARY "}",
      0, 0, 200000, 500000, 0, "" },

    { "{" STABLE ", \"variants\": {\"stable\": {}, \"canary\": {\"weight\":"
      " 0.0001}}}", 1, 0, 1, 999999, 0, "" },

    { "{" STABLE ", \"variants\": {\"stable\": {}, \"canary\": {\"weight\":"
      " 100}}}", 1, 0, 1000000, 0, 0, "" },

    /* it has no weight then, and takes the rest */

    { "{\"baseline\": \"canary\", \"enabled\": true, \"variants\": {\"stable\":"
      " {\"weight\": 10}, \"canary\": {}}}", 1, 1, 0, 900000, 0, "" },

    /* rules by name or by number; those of others are no concern */

    { "{" STABLE ", " CANARY ", \"rules\": ["
      "{\"name\": \"staff\", \"variant\": \"canary\"},"
      "{\"name\": \"old\", \"variant\": \"stable\"},"
      "{\"variant\": \"canary\"},"
      "{\"name\": \"beta\", \"variant\": \"canary\"}]}",
      1, 0, 200000, 500000, 0, "staff, 2, beta" },

    /* a weight in a rule is one of it, unless it is 0 */

    { "{" STABLE ", " CANARY ", \"rules\": ["
      "{\"weights\": {\"canary\": 0}}, {\"weights\": {\"other\": 50}}]}",
      1, 0, 200000, 500000, 0, "" },

    { "{" STABLE ", " CANARY ", \"rules\": ["
      "{\"weights\": {\"canary\": 0}}, {\"weights\": {\"canary\": 0.5}}]}",
      1, 0, 200000, 500000, 1, "" }
};


static void
test_look(void **state)
{
    char                    testers[128];
    ngx_uint_t              i;
    const look_t           *l;
    ngx_http_gray_json_t   *doc;
    ngx_http_gray_world_t   world;

    for (i = 0; i < ITEMS(looks); i++) {
        l = &looks[i];
        doc = parse(l->doc);

        memset(&world, 0xff, sizeof(world));
        ngx_http_gray_look(doc, "canary", &world, testers, sizeof(testers));

        if (world.enabled != l->enabled
            || world.promoted != l->promoted
            || world.weight != l->weight
            || world.rest != l->rest
            || world.spread != l->spread
            || strcmp(world.testers, l->testers) != 0)
        {
            fail_msg("%s: enabled %lu, promoted %lu, weight %u, rest %u, "
                     "spread %lu, testers \"%s\"", l->doc,
                     (unsigned long) world.enabled,
                     (unsigned long) world.promoted, world.weight, world.rest,
                     (unsigned long) world.spread, world.testers);
        }

        /* without a place for names all else is the same */

        ngx_http_gray_look(doc, "canary", &world, NULL, 0);
        assert_int_equal(world.weight, l->weight);
        assert_int_equal(world.spread, l->spread);
        assert_string_equal(world.testers, "");

        ngx_http_gray_json_free(doc);
    }
}


/* names that do not fit are counted, and nothing is written beyond */

static void
test_testers(void **state)
{
    char                    testers[256], doc[8192], *p;
    size_t                  size, len;
    ngx_uint_t              i;
    ngx_http_gray_json_t   *tree;
    ngx_http_gray_world_t   world;

    p = doc + sprintf(doc, "{" STABLE ", " CANARY ", \"rules\": [");

    for (i = 0; i < 100; i++) {
        p += sprintf(p, "%s{\"name\": \"%.*s%lu\", \"variant\": \"canary\"}",
                     i ? ", " : "", (int) (i % 20), "a_name_of_some_length",
                     (unsigned long) i);
    }

    (void) sprintf(p, "]}");
    tree = parse(doc);

    for (size = 1; size < sizeof(testers); size++) {
        memset(testers, '#', sizeof(testers));
        ngx_http_gray_look(tree, "canary", &world, testers, size);

        len = strlen(testers);
        assert_true(len < size);

        for (i = size; i < sizeof(testers); i++) {
            assert_int_equal(testers[i], '#');
        }

        assert_true(len == 0
                    || (testers[0] != ',' && testers[len - 1] != ' '));
    }

    assert_memory_equal(testers, "0, a1, a_2, a_n3, ", 18);

    /* all of them are told of */

    len = 1;

    for (p = testers; *p; p++) {
        len += (*p == ',');
    }

    p = strstr(testers, " and ");
    assert_non_null(p);
    assert_int_equal(len + strtoul(p + 5, NULL, 10), 100);
    assert_string_equal(strstr(p, " more"), " more");

    ngx_http_gray_json_free(tree);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_look),
        cmocka_unit_test(test_testers)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
