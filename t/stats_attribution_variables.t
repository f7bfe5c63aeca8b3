#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What is counted where variables are all that is used of a decision: files, the
# name of an upstream, a feature switch.

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
    app    => 'server 127.0.0.1:%%PORT_v2%%;',
    gone   => 'server 127.0.0.1:%%PORT_dead%%;',
    direct => undef,
    sw     => undef);

mkdir $t->dir . "/html$_" for '', qw(/canary /on);
$t->write_file("html/$_/file", $_) for qw(canary on);
$t->write_file('html/page', 'page');

$t->config(<<"END")->start;
http {
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

${\$counted->http}
    gray_release direct {
        zone gray;
        hash \$remote_addr;
        variant stable up_stable;
        variant canary 127.0.0.1:%%PORT_v2%% weight=100%;
    }

    gray_release sw {
        zone gray;
        hash \$remote_addr;
        variant off;
        variant on weight=100%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;
        ${\$counted->log}

        proxy_intercept_errors on;

        # variables

        location /header { add_header X-App \$gray_app; return 204; }
        location /app/files/ { alias html/\$gray_app/; }

        location /up       { proxy_pass http://\$gray_app_upstream; }
        location /up/page  { proxy_pass http://\$gray_app_upstream;
                             error_page 500 502 =200 /page; }
        location /up/then  { proxy_pass http://127.0.0.1:%%PORT_v1%%;
                             error_page 500 = \@up; }
        location /up/lost  { proxy_pass http://\$gray_app_upstream;
                             error_page 500 = \@away; }
        location /up/gone  { proxy_pass http://\$gray_gone_upstream; }
        location /up/static { set \$used \$gray_app;
                              proxy_pass http://up_app; }
        location \@up       { proxy_pass http://\$gray_app_upstream; }
        location /away      { proxy_pass http://127.0.0.1:%%PORT_v1%%;
                              proxy_set_header X-Add ""; }
        location \@away     { proxy_pass http://127.0.0.1:%%PORT_v1%%; }
        location /direct   { proxy_pass http://direct; }
        location /up/direct { proxy_pass http://\$gray_direct_upstream; }

        # a feature switch

        location /sw/text   { return 200 \$gray_sw; }
        location /sw/moved  { set \$used \$gray_sw; return 301 /; }
        location /sw/failed { set \$used \$gray_sw; return 500; }
        location /sw/paged  { set \$used \$gray_sw; return 500;
                              error_page 500 =200 /page; }
        location /sw/files/ { alias html/\$gray_sw/; }
        location /sw/up     { set \$used \$gray_sw;
                              proxy_pass http://up_app; }
        location /sw/page   { set \$used \$gray_sw;
                              proxy_pass http://up_app;
                              error_page 500 502 =200 /page; }
        location /sw/then   { set \$used \$gray_sw;
                              proxy_pass http://up_app;
                              error_page 500 502 = \@away; }
        location /sw/gone   { set \$used \$gray_sw;
                              proxy_pass http://up_gone; }
        location /sw/cached { proxy_pass http://up_app;
                              proxy_cache cache;
                              proxy_cache_key \$gray_sw;
                              proxy_cache_valid 1h; }
        location /sw/check  { set \$used \$gray_sw;
                              auth_request /sw/denied;
                              proxy_pass http://up_app; }
        location /sw/denied { return 403; }
    }
}
END


sub get {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return $counted->get(@_);
}


my $ok = '2xx, header, duration';

get('header', '', 204, 'app canary: local');
get('app/files/file', '', 200, 'app canary: local');

for my $path (qw(up up/static)) {
    get($path, '', 200, "app canary: split $ok");
    get($path, 'v2 404', 404, 'app canary: split 4xx, header, duration');
    get($path, 'v2 close', 502, 'app canary: split 5xx, reset, duration');
    get($path, 'v2 short', 599, 'app canary: split 2xx, reset, header,'
                                . ' duration');
}

get('up/page', 'v2 500', 200, 'app canary: split 5xx, header, duration');
get('up/page', 'v2 close', 200, 'app canary: split 5xx, reset, duration');
get('up/then', 'v1 500', 200, "app canary: split $ok");
get('up/gone', '', 502, 'gone canary: split 5xx, connect, duration');
get('up/direct', '', 200, "direct canary: split $ok");
get('direct', '', 200, "direct canary: split $ok");

# no variant is known there any more

get('up/lost', 'v2 500', 200, 'app canary: local');
get('up', 'v2 200 + X-Accel-Redirect: /away', 200, 'app canary: local');
get('up', 'v2 200 + X-Accel-Redirect: /page', 200, "app canary: split $ok");

# a feature switch: by an upstream, whichever, or else by the response

get('sw/text', '', 200, 'sw on: split 2xx, duration');
get('sw/moved', '', 301, 'sw on: split 3xx, duration');
get('sw/failed', '', 500, 'sw on: split 5xx, duration');
get('sw/paged', '', 200, 'sw on: split 2xx, duration');
get('sw/files/file', '', 200, 'sw on: split 2xx, duration');
get('sw/files/none', '', 404, 'sw on: split 4xx, duration');
get('sw/up', '', 200, "sw on: split $ok");
get('sw/up', 'v2 500', 500, 'sw on: split 5xx, header, duration');
get('sw/up', 'v2 close', 502, 'sw on: split 5xx, duration');
get('sw/page', 'v2 500', 200, 'sw on: split 5xx, header, duration');
get('sw/page', 'v2 close', 200, 'sw on: split 5xx, duration');
get('sw/then', 'v2 500', 200, 'sw on: split 5xx, header, duration');
get('sw/gone', '', 502, 'sw on: split 5xx, duration');
get('sw/cached', '', 200, "sw on: split $ok");
get('sw/cached', 'v2 500', 200, 'sw on: split 2xx, duration');
get('sw/check', '', 403, 'sw on: split 4xx, duration');

$counted->case('sw: the client leaves', sub {
    my $connection = $t->http->connect;

    $connection->send(Test::Gray::HTTP::request_text(
                          'GET', '/sw/up', [ 'X-Do' => 'v2 silent' ]));
    acted($t, 'v2 silent');
    return;
}, 'sw on: split 499, duration');

$t->done;
