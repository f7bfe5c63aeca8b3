#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What is counted where a request is not answered by the variant alone: by
# error_page, by X-Accel-Redirect, by a fallback, or by nginx itself.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Counted;

my $t = Test::Gray->new;

$t->daemon($_ => acting($_)) for qw(v1 v2);

my $counted = Test::Gray::Counted->new($t,
    app   => 'server 127.0.0.1:%%PORT_v2%%;',
    dead  => 'server 127.0.0.1:%%PORT_dead%%;',
    back  => [ 'server 127.0.0.1:%%PORT_dead%%;', 'fallback baseline;' ]);

mkdir $t->dir . '/html';
$t->write_file('html/static', 'static');

$t->config(<<"END")->start;
http {
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;
    limit_req_zone \$server_port zone=never:1m rate=1r/m;

${\$counted->http}
    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;
        ${\$counted->log}

        proxy_intercept_errors on;

        location = /static { }

        location \@other   { proxy_pass http://127.0.0.1:%%PORT_v1%%; }
        location \@failing { proxy_pass http://127.0.0.1:%%PORT_v1%%;
                            proxy_set_header X-Do "v1 500"; }
        location \@again   { proxy_pass http://app;
                            proxy_set_header X-Do "v2 200"; }
        location \@dead    { proxy_pass http://dead; }
        location \@cached  { proxy_pass http://127.0.0.1:%%PORT_v1%%;
                            proxy_cache cache;
                            proxy_cache_key key;
                            proxy_cache_valid 1h; }

        location = /fill { proxy_pass http://127.0.0.1:%%PORT_v1%%;
                           proxy_cache cache;
                           proxy_cache_key key;
                           proxy_cache_valid 1h; }

        # what becomes of errors

        location /page/file       { proxy_pass http://app;
                                    error_page 500 502 =200 /static; }
        location /page/other      { proxy_pass http://app;
                                    error_page 500 502 = \@other; }
        location /page/failing    { proxy_pass http://app;
                                    error_page 500 404 = \@failing; }
        location /page/again      { proxy_pass http://app;
                                    error_page 500 502 = \@again; }
        location /page/dead       { proxy_pass http://app;
                                    error_page 500 502 = \@dead; }
        location /page/cached     { proxy_pass http://app;
                                    error_page 500 502 = \@cached; }
        location /page/unbuffered { proxy_pass http://app;
                                    proxy_buffering off;
                                    error_page 500 502 = \@cached; }
        location /page/refused    { proxy_pass http://dead;
                                    error_page 502 =200 /static; }
        location /page/back       { proxy_pass http://back;
                                    error_page 500 = \@other; }

        # requests that the release does not get

        location /moved { set \$used \$gray_app; return 301 /; }
        location /used  { set \$used \$gray_app;
                          proxy_pass http://127.0.0.1:%%PORT_v1%%; }

        location /limited      { limit_req zone=never;
                                 proxy_pass http://app; }
        location /limited/used { limit_req zone=never;
                                 set \$used \$gray_app;
                                 proxy_pass http://app; }

        # X-Accel-Redirect

        location /accel         { proxy_pass http://app; }
        location /accel/bare    { proxy_pass http://app; proxy_buffering off; }
        location /then/other    { proxy_pass http://127.0.0.1:%%PORT_v1%%;
                                  proxy_set_header X-Do "v1 500"; }
        location /then/again    { proxy_pass http://app;
                                  proxy_set_header X-Add ""; }
        location /then/failing  { proxy_pass http://app;
                                  proxy_set_header X-Add "";
                                  proxy_set_header X-Do "v2 500"; }
    }
}
END


sub get {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return $counted->get(@_);
}


my $app = 'app canary: split';
my $failed = "$app 5xx, header, duration";

# an error_page hides no error of the variant

get('page/file', 'v2 500', 200, $failed);
get('page/file', 'v2 close', 200, "$app 5xx, reset, duration");
get('page/file', 'v2 short', 599, "$app 2xx, reset, header, duration");
get('page/other', 'v2 500', 200, $failed);
get('page/other', 'v2 close', 200, "$app 5xx, reset, duration");
get('page/failing', 'v2 500', 500, $failed);
get('page/failing', 'v2 404', 500, "$app 4xx, header, duration");
get('page/again', 'v2 500', 200, $failed);
get('page/again', 'v2 close', 200, "$app 5xx, reset, duration");
get('page/dead', 'v2 500', 502, $failed,
    'dead canary: split 5xx, connect, duration');
get('page/refused', '', 200, 'dead canary: split 5xx, connect, duration');

get('fill', '', 200);
get('page/cached', 'v2 500', 200, $failed);
get('page/cached', 'v2 close', 200, "$app 5xx, reset, duration");
get('page/unbuffered', 'v2 500', 200, $failed);

# the baseline answers, and is counted nowhere

get('page/back', '', 200, 'back canary: split 5xx, connect, fallback, duration');
get('page/back', 'v1 500', 500,
    'back canary: split 5xx, connect, fallback, duration');

# by nginx, or by others, though the variant was asked for; or not even that

get('moved', '', 301, 'app canary: local');
get('used', '', 200, 'app canary: local');
get('used', 'v1 500', 500, 'app canary: local');

get('limited', '', 200, "$app 2xx, header, duration");
get('limited', '', 503);
get('limited/used', '', 503, 'app canary: local');

# what the variant's server hands on is its answer, but for what comes back

for my $path (qw(accel accel/bare)) {
    get($path, 'v2 200 + X-Accel-Redirect: /static', 200,
        "$app 2xx, header, duration");
    get($path, 'v2 200 + X-Accel-Redirect: /then/other', 500,
        "$app 2xx, header, duration");
    get($path, 'v2 200 + X-Accel-Redirect: /then/again', 200,
        "$app 2xx, header, duration");
    get($path, 'v2 200 + X-Accel-Redirect: /then/failing', 500, $failed);
    get($path, 'v2 200 + X-Accel-Redirect: /none', 404,
        "$app 2xx, header, duration");
}

$t->done;
