
/*
 * Copyright (C) the nginx gray module authors
 */


#ifndef _NGX_HTTP_GRAY_REPORT_H_INCLUDED_
#define _NGX_HTTP_GRAY_REPORT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_gray_json.h"
#include "ngx_http_gray_trial.h"


/* these make JSON of a rollout: NULL where memory is short */

/* what hooks are sent, and what is listed as "history" */
ngx_http_gray_json_t *ngx_http_gray_report_event(const ngx_str_t *release,
    const ngx_http_gray_event_t *event);

/*
 * What GET of a rollout serves.  "plan" is NULL where the document has none.
 * "filled" is that of the filter of keys, or -1 where there is none.
 */
ngx_http_gray_json_t *ngx_http_gray_report_rollout(const ngx_str_t *release,
    const ngx_http_gray_plan_t *plan,
    const ngx_http_gray_trial_record_t *record, double filled);


#endif /* _NGX_HTTP_GRAY_REPORT_H_INCLUDED_ */
