#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# TLS where a request falls back: the baseline is asked for, and verified, by
# the name of its own upstream, and has sessions of its own.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::TLS;

my $t = Test::Gray->new;

authority($t);
certificate($t, $_) for qw(v1.example.test v2.example.test);

# canaries: nothing listens; what listens does not speak TLS; it is another
# than its name says; it must not be asked; it is well, but for /v2/fails

my %canary = (
    dead              => 'server 127.0.0.1:%%PORT_dead%%;',
    plain             => 'server 127.0.0.1:%%PORT_plain%%;',
    stranger          => 'server 127.0.0.1:%%PORT_v2%%;',
    down              => 'server 127.0.0.1:%%PORT_v2%% down;',
    'v2.example.test' => 'server 127.0.0.1:%%PORT_v2%%; keepalive 4;',
);

my ($upstreams, $releases, $locations) = ('', '', '');

for my $canary (sort keys %canary) {
    my $name = $canary =~ s/\..*//r;

    $upstreams .= "    upstream $canary { $canary{$canary} }\n";
    $releases .= <<"END";
    gray_release to_$name {
        zone gray;
        variant stable v1.example.test;
        variant canary $canary weight=100%;
        fallback baseline;
    }
END
    $locations .= "        location /$name {"
                  . " proxy_pass https://to_$name; }\n";
}

$t->config(<<"END")->start;
http {
    gray_zone gray 4m;

    upstream v1.example.test { server 127.0.0.1:%%PORT_v1%%; keepalive 4; }

$upstreams
$releases
    proxy_ssl_server_name on;
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate %%DIR%%/ca.crt;
    proxy_next_upstream error timeout http_500;

    # a connection for each request: handshakes are counted

    proxy_http_version 1.0;

    server {
        listen 127.0.0.1:%%PORT%%;

$locations
        location /kept {
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass https://to_dead;
        }

        location /variable { set \$to to_dead; proxy_pass https://\$to; }
    }

    server {
        listen 127.0.0.1:%%PORT_v1%% ssl;
        ssl_certificate     %%DIR%%/v1.example.test.crt;
        ssl_certificate_key %%DIR%%/v1.example.test.key;
        set \$tls "\$ssl_server_name \$ssl_session_reused";
        return 200 "v1 \$tls \$connection_requests";
    }

    server {
        listen 127.0.0.1:%%PORT_v2%% ssl;
        ssl_certificate     %%DIR%%/v2.example.test.crt;
        ssl_certificate_key %%DIR%%/v2.example.test.key;

        location / { return 200 "v2 \$ssl_server_name \$ssl_session_reused"; }
        location /v2/fails { return 500; }
    }

    server { listen 127.0.0.1:%%PORT_plain%%; }
}
END

for my $path (qw(dead plain stranger down variable v2/fails)) {
    my @bodies = map { $_->{body} } $t->many(5, sub { return "/$path" });

    is(scalar grep({ /^v1 v1\.example\.test / } @bodies), 5,
       "$path: the baseline by its name") or diag(@bodies);
    like($bodies[4], qr/^v1 v1\.example\.test r/, "$path: its session");
}

my @bodies = map { $_->{body} } $t->many(5, sub { return '/v2' });

like($bodies[4], qr/^v2 v2\.example\.test r/, 'no fallback: the session');

like($t->get('/kept')->{body}, qr/ 1$/, 'a connection');
like($t->get('/kept')->{body}, qr/ 2$/, 'is kept');

like($t->log, qr/certificate does not match "stranger"/,
     'the canary is verified by its own name');

$t->done;
