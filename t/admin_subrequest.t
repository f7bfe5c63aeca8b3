#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API behind subrequests and internal redirects: it answers as to
# the client itself, and lets in whom it would let in.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;

$t->config(<<'END')->start;
http {
    gray_zone gray 1m;

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; }

    gray_release app {
        zone gray;
        hash $arg_uid;
        variant stable v1;
        variant canary v1;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_proxied%% proxy_protocol;

        location /gray/ { gray_admin; }

        location /auth {
            auth_request /gray/status;
            auth_request_set $type $sent_http_content_type;
            add_header X-Status $type;
            proxy_pass http://app;
        }

        location /mirror {
            mirror /gray/releases/app;
            proxy_pass http://app;
        }

        location /ssi {
            ssi on;
            default_type text/html;
            return 200 "[<!--#include virtual='/gray/releases/app' -->]";
        }

        location /rewrite { rewrite ^ /gray/releases/app last; }
    }

    server {
        listen 127.0.0.1:%%PORT_v1%%;
        location / { return 200 v1; }
    }
}
END

my @far = ('X-Forwarded-For' => '192.0.2.1');

is($t->get('/auth')->{status}, 200, 'auth_request');
is($t->get('/auth', @far)->{status}, 403, 'auth_request, from afar');

like($t->get('/ssi')->{body}, qr/^\[\{\n  "release": "app"/, 'ssi');
unlike($t->get('/ssi', @far)->{body}, qr/"release"/, 'ssi, from afar');

is($t->get('/rewrite')->{json}{release}, 'app', 'rewrite')
    if defined $t->get('/rewrite')->{json};
is($t->get('/rewrite')->{status}, 200, 'rewrite: status');
is($t->get('/rewrite', @far)->{status}, 403, 'rewrite, from afar');

is($t->get('/mirror')->{body}, 'v1', 'mirror');
is($t->request('PATCH', '/mirror', [ 'Content-Type' => 'application/json' ],
               '{"enabled":false}')->{body}, 'v1', 'mirror of a change');

# the answer does not wait for it

my $enabled = 1;

for (1 .. 500) {
    $enabled = $t->api('GET', '/gray/releases/app')->{json}{enabled};
    last unless $enabled;
}

ok(!$enabled, 'is made');

is($t->request('PATCH', '/mirror', [ 'Content-Type' => 'application/json',
                                     @far ], '{"enabled":true}')->{body},
   'v1', 'mirror of a change from afar');
ok(!$t->api('GET', '/gray/releases/app')->{json}{enabled}, 'is not');

my $proxied = $t->http('proxied');

is($proxied->raw("PROXY UNKNOWN\r\nGET /auth HTTP/1.1\r\nHost: localhost\r\n"
                 . "Connection: close\r\n\r\n") =~ m{^HTTP/1.1 (\d+)} && $1,
   403, 'auth_request, by the PROXY protocol');

my $r = $t->get('/gray');
is($r->{status}, 301, 'without its slash');
like($r->{headers}{location}, qr{/gray/$}, 'the location is elsewhere');

$t->done;
