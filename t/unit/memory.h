
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * Every allocation fails once: those of the module and of nginx's pools by
 * wrappers, those of cJSON by its hooks, those inside of PCRE2 by failures of
 * the functions that allocate.  A test that includes this names the wrappers,
 * so that they are linked.
 */


#ifndef _MEMORY_H_INCLUDED_
#define _MEMORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <cjson/cJSON.h>

#define PCRE2_CODE_UNIT_WIDTH  8
#include <pcre2.h>


void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
int __real_posix_memalign(void **p, size_t alignment, size_t size);
int __wrap_posix_memalign(void **p, size_t alignment, size_t size);

pcre2_code *__real_pcre2_compile_8(PCRE2_SPTR pattern, PCRE2_SIZE len,
    uint32_t options, int *error, PCRE2_SIZE *offset,
    pcre2_compile_context *context);
pcre2_code *__wrap_pcre2_compile_8(PCRE2_SPTR pattern, PCRE2_SIZE len,
    uint32_t options, int *error, PCRE2_SIZE *offset,
    pcre2_compile_context *context);
pcre2_match_data *__real_pcre2_match_data_create_8(uint32_t pairs,
    pcre2_general_context *context);
pcre2_match_data *__wrap_pcre2_match_data_create_8(uint32_t pairs,
    pcre2_general_context *context);
pcre2_match_context *__real_pcre2_match_context_create_8(
    pcre2_general_context *context);
pcre2_match_context *__wrap_pcre2_match_context_create_8(
    pcre2_general_context *context);


/* allocations so far, the one that fails (0: none), blocks not yet freed */

static ngx_uint_t  allocations;
static ngx_uint_t  failing;
static ngx_int_t   blocks;

/* what else happens where malloc() is called, or NULL */

static void        (*allocating)(void);


static ngx_inline ngx_uint_t
fails(void)
{
    return ++allocations == failing;
}


void *
__wrap_malloc(size_t size)
{
    if (allocating) {
        allocating();
    }

    return fails() ? NULL : __real_malloc(size);
}


void *
__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}


void *
__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}


int
__wrap_posix_memalign(void **p, size_t alignment, size_t size)
{
    return fails() ? ENOMEM : __real_posix_memalign(p, alignment, size);
}


pcre2_code *
__wrap_pcre2_compile_8(PCRE2_SPTR pattern, PCRE2_SIZE len, uint32_t options,
    int *error, PCRE2_SIZE *offset, pcre2_compile_context *context)
{
    if (fails()) {
        *error = PCRE2_ERROR_HEAP_FAILED;
        *offset = 0;
        return NULL;
    }

    return __real_pcre2_compile_8(pattern, len, options, error, offset,
                                  context);
}


pcre2_match_data *
__wrap_pcre2_match_data_create_8(uint32_t pairs,
    pcre2_general_context *context)
{
    return fails() ? NULL : __real_pcre2_match_data_create_8(pairs, context);
}


pcre2_match_context *
__wrap_pcre2_match_context_create_8(pcre2_general_context *context)
{
    return fails() ? NULL : __real_pcre2_match_context_create_8(context);
}


static ngx_inline void * CJSON_CDECL
cjson_malloc(size_t size)
{
    void  *p;

    p = fails() ? NULL : __real_malloc(size);

    blocks += (p != NULL);

    return p;
}


static ngx_inline void CJSON_CDECL
cjson_free(void *p)
{
    blocks -= (p != NULL);

    free(p);
}


static ngx_inline void
count_allocations(void)
{
    cJSON_Hooks  hooks;

    hooks.malloc_fn = cjson_malloc;
    hooks.free_fn = cjson_free;
    cJSON_InitHooks(&hooks);

    allocations = 0;
    failing = 0;
    blocks = 0;
}


static ngx_inline void
forget_allocations(void)
{
    failing = 0;
    cJSON_InitHooks(NULL);
}


#endif /* _MEMORY_H_INCLUDED_ */
