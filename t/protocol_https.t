#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# TLS to the upstreams of a release: server name and verification are those
# of the variant's own upstream, not of the release.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Release;
use Test::Gray::TLS;

my $t = Test::Gray->new;

authority($t);
certificate($t, $_) for qw(v1.example.test v2.example.test);

$t->config(<<'END')->start;
http {
    gray_zone gray 1m;

    upstream v1.example.test { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2.example.test {
        server 127.0.0.1:%%PORT_v2%%;
        keepalive 4;
    }

    # its name is in no certificate

    upstream stranger { server 127.0.0.1:%%PORT_v2%%; }

    gray_release app {
        zone gray;
        hash $arg_uid;
        variant stable v1.example.test;
        variant canary v2.example.test weight=0%;
        match canary $http_x_canary = always;
    }

    gray_release wrong {
        zone gray;
        variant stable v1.example.test;
        variant canary stranger;
        match canary $http_x_canary = always;
    }

    proxy_ssl_server_name on;
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate %%DIR%%/ca.crt;
    # a connection for each request: handshakes are counted

    proxy_http_version 1.0;

    server {
        listen 127.0.0.1:%%PORT%%;

        location /app   { proxy_pass https://app; }
        location /once  { proxy_pass https://app;
                          proxy_ssl_session_reuse off; }
        location /set   { set $to app; proxy_pass https://$to; }
        location /wrong { proxy_pass https://wrong; }
        location /named { proxy_pass https://wrong;
                          proxy_ssl_name v2.example.test;
                          proxy_ssl_session_reuse off; }
        location /gray/ { gray_admin; }
    }

    server {
        listen 127.0.0.1:%%PORT_v1%% ssl;
        ssl_certificate     %%DIR%%/v1.example.test.crt;
        ssl_certificate_key %%DIR%%/v1.example.test.key;
        return 200 "v1 $ssl_server_name $ssl_session_reused";
    }

    server {
        listen 127.0.0.1:%%PORT_v2%% ssl;
        ssl_certificate     %%DIR%%/v2.example.test.crt;
        ssl_certificate_key %%DIR%%/v2.example.test.key;
        return 200 "v2 $ssl_server_name $ssl_session_reused";
    }
}
END


for my $path (qw(/app /once /set)) {
    follows_release($t, 'app', sub {
        my (@requests) = @_;

        # each backend is asked for by its own name

        return map { $_->{body} =~ /^(v\d) \1\.example\.test / ? $1
                         : "$_->{status} $_->{body}" }
            $t->many(scalar @requests, sub {
                my $request = $requests[$_[0]];
                return ("$path?uid=$request->{uid}",
                        $request->{canary} ? ('X-Canary' => 'always') : ());
            });
    });
}

# sessions are kept apart, and are resumed

my @answers = map { $_->{body} } $t->many(10, sub { return '/app?uid=1' });

is(scalar(grep { /^v1 v1\.example\.test r/ } @answers), 10,
   'a session is resumed');

my @canary = ('X-Canary' => 'always');

like($t->get('/wrong')->{body}, qr/^v1 v1\.example\.test /, 'the right name');
is($t->get('/wrong', @canary)->{status}, 502, 'a name in no certificate');
like($t->log, qr/certificate does not match "stranger"/,
     'the variant\'s name is verified');
like($t->get('/named', @canary)->{body}, qr/^v2 v2\.example\.test /,
     'proxy_ssl_name goes before the variant\'s name');

$t->done;
