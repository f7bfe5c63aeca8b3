#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What is counted where a request goes more ways than one: by error_page, by
# X-Accel-Redirect, and with subrequests of auth_request, mirror and SSI.

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

# upstreams of canaries, each with a release of its name

my %canary = (
    app   => 'server 127.0.0.1:%%PORT_v2%%;',
    dead  => 'server 127.0.0.1:%%PORT_dead%%;',
    back  => 'server 127.0.0.1:%%PORT_dead%%;',
    other => 'server 127.0.0.1:%%PORT_v2%% max_fails=0;'
             . ' server 127.0.0.1:%%PORT_v1%% backup;',
);

my %more = (back => 'fallback baseline;');
my $counted = Test::Gray::Counted->new($t, sort keys %canary);

my $releases = join '', map { $more{$_} ||= ''; <<"END" } sort keys %canary;
    upstream up_$_ { $canary{$_} }

    gray_release $_ {
        zone gray;
        hash \$remote_addr;
        variant stable up_stable;
        variant canary up_$_ weight=100%;
        $more{$_}
    }
END

mkdir $t->dir . "/$_" for qw(html html/ssi);

$t->write_file('html/static', 'static');
$t->write_file("html/ssi/$_->[0]", join '', map {
    "<!--#include virtual=\"/fragment/$_\" -->"
} @{$_}[1 .. $#$_]) for [ qw(two 200 200) ], [ qw(bad 200 500) ],
                        [ qw(dead 200 dead) ], [ qw(empty 204) ];

$t->config(<<"END")->start;
http {
    gray_zone gray 4m document=1k;
    variables_hash_max_size 2048;

    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;
    limit_req_zone \$server_port zone=never:1m rate=1r/m;

${\$counted->metrics}
    upstream up_stable { server 127.0.0.1:%%PORT_v1%%; }
$releases
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
    my ($path, $do, $status, @expected) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($add) = $do =~ s/ \+ (.*)// ? $1 : undef;

    my $response = $counted->case("$path $do", sub {
        return $t->get("/$path", 'X-Do' => $do, 'X-Add' => $add);
    }, @expected);

    is($response->{status}, $status, "$path $do: status")
        or diag($response->{body});

    return $response;
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
