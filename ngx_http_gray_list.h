
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_LIST_H_INCLUDED_
#define _NGX_HTTP_GRAY_LIST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_network.h"
#include "ngx_http_gray_value.h"


#define NGX_HTTP_GRAY_LIST_ENTRIES  1000000
#define NGX_HTTP_GRAY_LIST_LINE     1024     /* bytes of an entry */


/* what the header of a file says */

typedef struct {
    uint64_t                    revision;
    uint64_t                    entries;
    uint64_t                    pos;         /* where they are in the file, */
    uint64_t                    bytes;       /* as they are sent */
    uint64_t                    size;        /* of the file */
    uint64_t                    sum;         /* XXH64 of the entries */
    uint64_t                    odd;         /* number of the first entry that
                                                is no network, or 0 */
    int64_t                     time;        /* seconds since the epoch */
    uint64_t                    deleted;
} ngx_http_gray_list_info_t;


/* a named list, as this process has it mapped: always of its last revision */

typedef struct ngx_http_gray_list_s  ngx_http_gray_list_t;

struct ngx_http_gray_list_s {
    const uint64_t             *generation;  /* moves with any list */
    uint64_t                    seen;

    /* called by a lookup where they differ, to map what is new */
    void                      (*refresh)(ngx_http_gray_list_t *list);

    /* gives back what was mapped, which takes long; NULL: by munmap() */
    void                      (*release)(ngx_http_gray_list_t *list,
                                    u_char *map, size_t mapped);

    u_char                     *map;         /* NULL: there is none */
    size_t                      mapped;
    ngx_http_gray_list_info_t   info;        /* of what is mapped */

    const uint64_t             *slots;
    const u_char               *blob;
    ngx_uint_t                  usable;      /* it is mapped, not deleted, */
    ngx_uint_t                  networks;    /* and has only networks */
    const uint32_t             *inet;        /* first, last */
    const ngx_http_gray_range_t *inet6;
    uint64_t                    nslots;
    uint64_t                    probes;
    uint64_t                    ninet;
    uint64_t                    ninet6;
};


/* a list that is made of a text, in memory; to be discarded in any case */

typedef struct {
    ngx_http_gray_list_info_t   info;
    ngx_uint_t                  duplicates;
    ngx_uint_t                  odd;         /* line of the text that has the
                                                first that is no network; or
                                                0 */
    ngx_http_gray_faults_t      faults;

    u_char                     *data;
    size_t                      reserved;
    uint64_t                    nslots;
    uint64_t                    probes;
    uint64_t                    ninet;
    uint64_t                    ninet6;

    ngx_http_gray_range_t      *ranges;      /* IPv4 from the start on, */
    size_t                      nranges;     /* IPv6 from the end on */
} ngx_http_gray_list_build_t;


/*
 * Is the text (with its XXH3) an entry?  1 or 0; NGX_ERROR where
 * there is no such list, or none that can be read.
 */
ngx_int_t ngx_http_gray_list_has(ngx_http_gray_list_t *list,
    const ngx_str_t *text, uint64_t hash);

/* is the address in a network of the list?  Likewise; of networks only */
ngx_int_t ngx_http_gray_list_covers(ngx_http_gray_list_t *list,
    ngx_int_t family, ngx_http_gray_addr_t addr);


/*
 * What follows uses no pool, no log and no global, so that any thread may
 * call it.
 */

/*
 * Reads the header of an open file.  NGX_OK; NGX_DECLINED where it is no list,
 * one of another machine or version, or a damaged one; NGX_ERROR with errno.
 */
ngx_int_t ngx_http_gray_list_stat(int fd, ngx_http_gray_list_info_t *info);

/*
 * Maps an open file in place of what is mapped, which stays where it fails;
 * results as of _stat().  The descriptor may be closed afterwards.
 */
ngx_int_t ngx_http_gray_list_map(ngx_http_gray_list_t *list, int fd);
void ngx_http_gray_list_unmap(ngx_http_gray_list_t *list);

/*
 * Makes a list of a text: NGX_OK; NGX_DECLINED with faults; NGX_ERROR where
 * memory is short.
 */
ngx_int_t ngx_http_gray_list_build(ngx_http_gray_list_build_t *build,
    const u_char *text, size_t len);
void ngx_http_gray_list_discard(ngx_http_gray_list_build_t *build);

/*
 * Writes everything but the header, and then the header: the file is a list
 * from then on.  Both return when the data is on the disk; NGX_OK, or
 * NGX_ERROR with errno.
 */
ngx_int_t ngx_http_gray_list_write(ngx_http_gray_list_build_t *build, int fd);
ngx_int_t ngx_http_gray_list_seal(ngx_http_gray_list_build_t *build, int fd,
    uint64_t revision, time_t time);

/* does an open file have the same entries, in the same order? */
ngx_uint_t ngx_http_gray_list_same(ngx_http_gray_list_build_t *build, int fd);


#endif /* _NGX_HTTP_GRAY_LIST_H_INCLUDED_ */
