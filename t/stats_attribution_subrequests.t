#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What is counted of requests with subrequests: of auth_request, mirror and SSI.

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
    back  => [ 'server 127.0.0.1:%%PORT_dead%%;', 'fallback baseline;' ],
    other => 'server 127.0.0.1:%%PORT_v2%% max_fails=0;'
             . ' server 127.0.0.1:%%PORT_v1%% backup;');

mkdir $t->dir . "/$_" for qw(html html/ssi);

$t->write_file('html/static', 'static');
$t->write_file("html/ssi/$_->[0]", join '', map {
    "<!--#include virtual=\"/fragment/$_\" -->"
} @{$_}[1 .. $#$_]) for [ qw(two 200 200) ], [ qw(bad 200 500) ],
                        [ qw(dead 200 dead) ], [ qw(empty 204) ];

$t->config(<<"END")->start;
http {
${\$counted->http}
    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;
        ${\$counted->log}

        # auth_request

        location /check/app    { proxy_pass http://app; }
        location /check/other  { proxy_pass http://other;
                                 proxy_next_upstream error http_500;
                                 proxy_set_header X-Do "v2 500"; }
        location /check/back   { proxy_pass http://back; }
        location /check/away   { proxy_pass http://127.0.0.1:%%PORT_v1%%; }

        location /auth/away    { auth_request /check/away;
                                 proxy_pass http://app; }
        location /auth/used    { auth_request /check/away;
                                 set \$used \$gray_app;
                                 proxy_pass http://app; }
        location /auth/app     { auth_request /check/app;
                                 proxy_pass http://app;
                                 proxy_set_header X-Do "v2 404"; }
        location /auth/other   { auth_request /check/other;
                                 proxy_pass http://other;
                                 proxy_set_header X-Do ""; }
        location /auth/back    { auth_request /check/back;
                                 proxy_pass http://back; }
        location /auth/file    { auth_request /check/app;
                                 try_files /static =404; }
        location /auth/then    { auth_request /check/app;
                                 proxy_pass http://127.0.0.1:%%PORT_v1%%; }

        # mirror

        location = /mirror        { proxy_pass http://app; }
        location = /mirror_away   { proxy_pass http://127.0.0.1:%%PORT_dead%%; }
        location /mirrored/away   { mirror /mirror_away;
                                    proxy_pass http://app; }
        location /mirrored/app    { mirror /mirror;
                                    proxy_pass http://127.0.0.1:%%PORT_v1%%; }
        location /mirrored/both   { mirror /mirror;
                                    proxy_pass http://app;
                                    proxy_set_header X-Do "v2 404"; }

        # SSI

        location /ssi/           { ssi on; ssi_types *; }
        location = /ssi/app      { ssi on; ssi_types *;
                                   proxy_pass http://app; }
        location /fragment/200   { proxy_pass http://app;
                                   proxy_set_header X-Do ""; }
        location /fragment/204   { proxy_pass http://app;
                                   proxy_set_header X-Do "v2 204"; }
        location /fragment/500   { proxy_pass http://app;
                                   proxy_set_header X-Do "v2 500"; }
        location /fragment/dead  { proxy_pass http://dead; }
    }
}
END


sub get {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return $counted->get(@_);
}


my $app = 'app canary: split';
my $failed = "$app 5xx, header, duration";

# the request's own way, or else the last one of its subrequests

get('auth/away', 'v1 403', 403);
get('auth/used', 'v1 403', 403, 'app canary: local');
get('auth/used', 'v1 200', 200, "$app 2xx, header, duration");
get('auth/app', 'v2 403', 403, "$app 4xx, header, duration");
get('auth/app', 'v2 close', 500, "$app 5xx, reset, duration");
get('auth/app', 'v2 200', 404, "$app 4xx, header, duration");
get('auth/other', '', 200, 'other canary: split 2xx, status, header, duration');
get('auth/back', '', 200,
    'back canary: split 5xx, connect x2, fallback x2, duration');
get('auth/file', '', 200, "$app 2xx, header, duration");
get('auth/then', 'v1 500', 500, "$app 2xx, header, duration");

get('mirrored/away', '', 200, "$app 2xx, header, duration");
get('mirrored/away', 'v2 500', 500, $failed);
get('mirrored/app', '', 200, "$app 2xx, header, duration");
get('mirrored/app', 'v2 500', 200, $failed);
get('mirrored/app', 'v2 204', 200, "$app 2xx, header, duration");
get('mirrored/app', 'v2 short', 200, "$app 2xx, header, duration");
get('mirrored/both', '', 404, "$app 4xx, header, duration");

like(get('ssi/two', '', 200, "$app 2xx, header, duration")->{body},
     qr/^v2.*v2/, 'both fragments are there');
get('ssi/bad', '', 200, $failed);
get('ssi/dead', '', 200, "$app 2xx, header, duration",
    'dead canary: split 5xx, connect, duration');
get('ssi/empty', '', 200, "$app 2xx, header, duration");
get('ssi/app', '', 200, "$app 2xx, header, duration");

$t->done;
