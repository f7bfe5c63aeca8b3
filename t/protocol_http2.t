#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# HTTP/2 clients: many streams of one connection, each decided on its own.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;
use Test::Gray::Release;

plan(skip_all => 'no curl with HTTP/2')
    if (capture('curl', '-V'))[1] !~ /^Features:.*\bHTTP2\b/m;
plan(skip_all => 'no nghttp') if (capture('nghttp', '--version'))[0] != 0;
plan(skip_all => 'nginx without HTTP/2')
    unless Test::Gray->has('--with-http_v2_module');

my $http2 = Test::Gray->version_at_least('1.25.1')
    ? 'listen 127.0.0.1:%%PORT_h2%%; http2 on;'
    : 'listen 127.0.0.1:%%PORT_h2%% http2;';

my $t = Test::Gray->new->config(<<"END")->start;
http {
    gray_zone gray 1m;

    upstream app_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream app_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 4; }

    gray_release app {
        zone gray;
        hash \$cookie_uid \$arg_uid;
        variant stable app_v1;
        variant canary app_v2 weight=0%;
        match canary \$http_x_canary = always;
    }

    gray_release minted {
        zone gray;
        cookie gray_uid;
        variant stable app_v1;
        variant canary app_v2 weight=50%;
    }

    server {
        $http2
        location /       { proxy_pass http://app; }
        location /minted { proxy_pass http://minted; }
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        location / { return 200 "main"; }
        location /gray/ { gray_admin; }
    }

    server {
        listen 127.0.0.1:%%PORT_v1%%;
        return 200 "v1 \$request_uri\\n";
    }

    server {
        listen 127.0.0.1:%%PORT_v2%%;
        return 200 "v2 \$request_uri\\n";
    }
}
END


# one request; what curl of Debian 12 sends second on a connection is invalid

sub curl {
    my (@arguments) = @_;

    my ($status, $out, $err) = capture(
        qw(curl -q -sS --noproxy * --http2-prior-knowledge --max-time 30),
        @arguments);

    diag("curl: $err") if $status != 0;
    return $out;
}


sub url { return 'http://127.0.0.1:' . $t->port('h2') . $_[0] }


# parallel streams, whose answers come in any order

sub streams {
    my ($requests, @headers) = @_;

    return () unless @$requests;

    my ($status, $out, $err) = capture('nghttp', '--timeout=30', @headers,
        map { url("/?uid=$_->{uid}") } @$requests);

    diag("nghttp: $err") if $status != 0;

    my %by_user = reverse $out =~ m{^(v\d) /\?uid=(\S+)$}mg;

    return map { $by_user{$_->{uid}} || 'none' } @$requests;
}


follows_release($t, 'app', sub {
    my (@requests) = @_;

    # users come first, testers behind them

    return (streams([ grep { !$_->{canary} } @requests ]),
            streams([ grep { $_->{canary} } @requests ],
                    '-H', 'x-canary: always'));
});

# the key of a cookie, also where the client sends each in a field of its own

patch($t, 'app', { variants => { canary => { weight => 50 } } });

for my $user (map { "user-$_" } 1 .. 8) {
    my ($by_argument) = streams([ { uid => $user } ]);

    like(curl('-H', "Cookie: uid=$user", url('/')), qr/^$by_argument /,
         "$user by a cookie");
    like(curl('-H', 'Cookie: a=b', '-H', "Cookie: uid=$user",
              '-H', 'Cookie: c=d', url('/?uid=other')),
         qr/^$by_argument /, "$user by one of three cookies");
}

# the minted cookie comes with the first response and is sticky from there

for (1 .. 8) {
    my $jar = $t->dir . "/jar.$_";
    my ($first) = curl('-c', $jar, url('/minted')) =~ /^(v\d) /;

    like($t->read_file("jar.$_"), qr/\tgray_uid\t\S+$/m, 'a cookie is minted');
    is_deeply([ map { curl('-b', $jar, url('/minted')) =~ /^(v\d) / } 1 .. 3 ],
              [ ($first) x 3 ], 'and is sticky');
}

like(curl('-I', '-H', 'X-Canary: always', url('/')), qr{^HTTP/2 200 }, 'HEAD');

$t->done;
