#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: routes, methods, and what GET serves.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;


my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone  gray 1m;

    upstream app_v1 { server 127.0.0.1:1; }
    upstream app_v2 { server 127.0.0.1:2; }

    gray_release app {
        zone     gray;
        hash     $cookie_uid;
        variant  stable app_v1;
        variant  canary app_v2 weight=5%;
        match    canary $http_x_canary = always;
    }

    gray_release search {
        zone     gray;
        variant  off;
        variant  on weight=0%;
    }

    server {
        listen  127.0.0.1:%%PORT%%;

        location /plain  { gray_admin; }
        location = /one  { gray_admin; }

        location /gray/ {
            gray_admin;
            gzip             on;
            gzip_types       *;
            gzip_min_length  1;
        }

        location /limited/ {
            gray_admin;
            limit_except GET { deny all; }
        }

        location /allowed/ {
            gray_admin;
            limit_except GET { allow 127.0.0.1; deny all; }
        }

        location /if/ {
            gray_admin readonly;
            if ($arg_x = "") { set $x 1; }
        }

        location /none/  { }

        location /seen   { return 200 "$gray_app_revision"; }
    }
}
END

my $app = '/gray/releases/app';


# -- routes: method, path, status, Allow

my @routes = (
    [ 'GET', '/gray/', 200 ],
    [ 'HEAD', '/gray/', 200 ],
    [ 'GET', '/plain', 200 ],
    [ 'GET', '/plain/', 200 ],
    [ 'GET', '/plain/releases/app', 200 ],
    [ 'GET', '/plainXreleases/app', 404 ],
    [ 'GET', '/one', 200 ],
    [ 'GET', '/none/releases', 404 ],
    [ 'GET', '/if/releases/search', 200 ],
    [ 'DELETE', '/if/releases/search', 403 ],
    [ 'GET', '/limited/releases/search', 200 ],
    [ 'DELETE', '/limited/releases/search', 403 ],
    [ 'GET', '/allowed/releases/search', 200 ],
    [ 'DELETE', '/allowed/releases/search', 200 ],
    [ 'PATCH', '/allowed/releases/search', 415 ],
    [ 'POST', '/gray/', 405, 'GET, HEAD' ],
    [ 'GET', '/gray/releases', 200 ],
    [ 'GET', '/gray/releases/', 404 ],
    [ 'GET', '/gray/release', 404 ],
    [ 'PUT', '/gray/releases', 405, 'GET, HEAD' ],
    [ 'GET', '/gray/releases/app', 200 ],
    [ 'GET', '/gray/releases/APP', 404 ],
    [ 'GET', '/gray/releases/app/', 404 ],
    [ 'GET', '/gray/releases/other', 404 ],
    [ 'PUT', '/gray/releases/other', 404 ],
    [ 'GET', '/gray/releases/%61pp', 200 ],
    [ 'POST', '/gray/releases/app', 405, 'GET, HEAD, PUT, PATCH, DELETE' ],
    [ 'OPTIONS', '/gray/releases/app', 405, 'GET, HEAD, PUT, PATCH, DELETE' ],
    [ 'FOO', '/gray/releases/app', 405, 'GET, HEAD, PUT, PATCH, DELETE' ],
    [ 'GET', '/gray/releases/app/explain', 405, 'POST' ],
    [ 'GET', '/gray/releases/app/history', 409 ],
    [ 'PUT', '/gray/releases/app/history', 405, 'GET, HEAD' ],
    [ 'GET', '/gray/releases/app/revert', 405, 'POST' ],
    [ 'GET', '/gray/releases/other/history', 404 ],
    [ 'GET', '/gray/releases/app/nothing', 404 ],
    [ 'GET', '/gray/releases/app/rollout', 404 ],
    [ 'GET', '/gray/releases/other/rollout', 404 ],
    [ 'POST', '/gray/releases/app/rollout', 405, 'GET, HEAD' ],
    [ 'GET', '/gray/releases/app/rollout/', 404 ],
    [ 'GET', '/gray/releases/app/rollout/begin', 404 ],
    [ 'GET', '/gray/releases/app/rollout/start', 405, 'POST' ],
    [ 'GET', '/gray/releases/app/rollout/pause', 405, 'POST' ],
    [ 'GET', '/gray/releases/app/rollout/resume', 405, 'POST' ],
    [ 'GET', '/gray/releases/app/rollout/approve', 405, 'POST' ],
    [ 'GET', '/gray/releases/app/rollout/promote', 405, 'POST' ],
    [ 'GET', '/gray/releases/app/rollout/rollback', 405, 'POST' ],
    [ 'GET', '/gray/releases/app/rollout/abort', 405, 'POST' ],
    [ 'POST', '/gray/releases/app/rollout/start', 404 ],
    [ 'POST', '/gray/releases/app/rollout/start?dry_run=1', 400 ],
    [ 'POST', '/if/releases/app/rollout/start', 403 ],
    [ 'POST', '/if/releases/app/rollout/gate', 403 ],
    [ 'GET', '/gray/releases/app/rollout/verdict', 404 ],
    [ 'GET', '/gray/releases/app/rollout/verdict?wait=5', 400 ],
    [ 'GET', '/gray/releases/app/rollout/verdict?wait=61m', 400 ],
    [ 'GET', '/gray/releases/app/rollout/verdict?wait=', 400 ],
    [ 'POST', '/gray/releases/app/rollout/verdict', 405, 'GET, HEAD' ],
    [ 'PUT', '/gray/releases/app/rollout/gate', 405, 'GET, HEAD, POST' ],
    [ 'GET', '/gray/status', 200 ],
    [ 'HEAD', '/gray/status', 200 ],
    [ 'DELETE', '/gray/status', 405, 'GET, HEAD' ],
    [ 'GET', '/gray/lists/x', 409 ],
    [ 'POST', '/gray/lists/x', 405, 'GET, HEAD, PUT, DELETE' ],
    [ 'GET', '/gray/lists/x/y', 404 ],
    [ 'GET', '/gray/releases/app?x=1', 400 ],
    [ 'GET', '/gray/releases/app?dry_run=1', 400 ],
    [ 'DELETE', '/gray/releases/app?dry_run', 400 ],
    [ 'DELETE', '/gray/releases/app?dry_run=yes', 400 ],
    [ 'DELETE', '/gray/releases/app?dry_run=1&comment=x', 200 ],
    [ 'DELETE', '/gray/releases/app?dry_run=1&revision=1', 400 ],
    [ 'DELETE', '/gray/releases/app?dry_run=1&dry_run=0', 400 ],
    [ 'GET', '/gray/releases/app?', 200 ],
);

for (@routes) {
    my ($method, $path, $status, $allow) = @$_;
    my $response = $t->api($method, $path);

    is($response->{status}, $status, "$method $path");
    is($response->{headers}{allow}, $allow, "$method $path: Allow") if $allow;
}

my $r = $t->api('GET', '/gray/releases/other');
is($r->{headers}{'content-type'}, 'application/problem+json', 'problem');
is_deeply($r->{json},
          { title => 'Not Found', status => 404,
            detail => 'no release "other"; there are app, search' },
          'its members');

is_deeply($t->api('GET', '/gray/')->{json}{releases}, [ qw(app search) ],
          'index');

$r = $t->api('GET', '/gray/releases');
is_deeply([ map { $_->{release} } @{ $r->{json}{releases} } ],
          [ qw(app search) ], 'documents');

$r = $t->api('GET', '/gray/status');
is($r->{json}{workers}, 1, 'workers');
is($r->{json}{pid}, ($t->workers)[0], 'pid');
is($r->{json}{zones}[0]{size}, 1048576, 'size of the zone');
is_deeply($r->{json}{releases}[0],
          { release => 'app', zone => 'gray', revision => 1,
            origin => 'nginx.conf', declared_differs => JSON::PP::false(),
            health => 'ok', degraded => 0, limited => 0 }, 'status of a release');


# -- what GET serves

$r = $t->api('GET', $app, undef, 'Accept-Encoding' => 'gzip');
is($r->{headers}{etag}, '"1"', 'ETag, which gzip does not weaken');
is($r->{headers}{'cache-control'}, 'no-store', 'Cache-Control');
is($r->{headers}{'x-content-type-options'}, 'nosniff', 'nosniff');
like($r->{body}, qr/\A\{\n  "release": "app",\n.*\}\n\z/s, 'for people');

my $head = $t->api('HEAD', $app);
is($head->{headers}{'content-length'}, length $r->{body}, 'HEAD: length');
is($head->{headers}{etag}, '"1"', 'HEAD: ETag');
is($head->{body}, '', 'HEAD: no body');

my $document = $r->{json};
is_deeply($document->{variants}{canary}, { upstream => 'app_v2', weight => 5 },
          'document');
is($document->{origin}, 'nginx.conf', 'origin');

# conditions: header, value, status

my @conditions = (
    [ 'If-None-Match', '"1"', 304 ],
    [ 'If-None-Match', 'W/"1"', 304 ],
    [ 'If-None-Match', '"7", "1"', 304 ],
    [ 'If-None-Match', '*', 304 ],
    [ 'If-None-Match', '"2"', 200 ],
    [ 'If-Match', '"1"', 200 ],
    [ 'If-Match', '"2"', 412 ],
    [ 'If-Modified-Since', 'Tue, 01 Jan 2030 00:00:00 GMT', 200 ],
);

for (@conditions) {
    my ($name, $value, $status) = @$_;

    for my $method (qw(GET HEAD)) {
        $r = $t->api($method, $app, undef, $name => $value);

        is($r->{status}, $status, "$method, $name: $value");
        is($r->{headers}{etag}, '"1"', "$method, $name: $value: ETag")
            if $status != 412;
    }
}

$t->done;
