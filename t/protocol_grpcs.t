#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# grpc_pass over TLS to the upstreams of a release: server name and
# verification are those of the variant's own upstream.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Release;
use Test::Gray::TLS;

plan(skip_all => 'nginx without HTTP/2')
    unless Test::Gray->has('--with-http_v2_module');

my $t = Test::Gray->new;

authority($t);
certificate($t, $_) for qw(v1.example.test v2.example.test);

my $listen = Test::Gray->version_at_least('1.25.1')
    ? 'http2 on; listen 127.0.0.1:%%PORT_NAME%% ssl;'
    : 'listen 127.0.0.1:%%PORT_NAME%% ssl http2;';

# a gRPC server needs to be no more than one of HTTP/2 here

my $backends = join '', map { <<"END" } qw(v1 v2);
    server {
        @{[ $listen =~ s/NAME/$_/r ]}
        ssl_certificate     %%DIR%%/$_.example.test.crt;
        ssl_certificate_key %%DIR%%/$_.example.test.key;
        return 200 "$_ \$ssl_server_name \$server_protocol";
    }
END

$t->config(<<"END")->start;
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
        hash \$arg_uid;
        variant stable v1.example.test;
        variant canary v2.example.test weight=0%;
        match canary \$http_x_canary = always;
    }

    gray_release wrong {
        zone gray;
        variant stable v1.example.test;
        variant canary stranger;
        match canary \$http_x_canary = always;
    }

    grpc_ssl_server_name on;
    grpc_ssl_verify on;
    grpc_ssl_trusted_certificate %%DIR%%/ca.crt;

    server {
        listen 127.0.0.1:%%PORT%%;

        location /app   { grpc_pass grpcs://app; }
        location /once  { grpc_pass grpcs://app;
                          grpc_ssl_session_reuse off; }
        location /set   { set \$to app; grpc_pass grpcs://\$to; }
        location /whole { set \$to grpcs://app; grpc_pass \$to; }
        location /wrong { grpc_pass grpcs://wrong; }
        location /named { grpc_pass grpcs://wrong;
                          grpc_ssl_name v2.example.test;
                          grpc_ssl_session_reuse off; }
        location /gray/ { gray_admin; }
    }

$backends
}
END

for my $path (qw(/app /once /set /whole)) {
    follows_release($t, 'app', sub {
        my (@requests) = @_;

        # each backend is asked for by its own name

        return map { $_->{body} =~ m{^(v\d) \1\.example\.test HTTP/2\.0$} ? $1
                         : "$_->{status} $_->{body}" }
            $t->many(scalar @requests, sub {
                my $request = $requests[$_[0]];
                return ("$path?uid=$request->{uid}",
                        $request->{canary} ? ('X-Canary' => 'always') : ());
            });
    });
}

my @canary = ('X-Canary' => 'always');

like($t->get('/wrong')->{body}, qr/^v1 v1\.example\.test /, 'the right name');
is($t->get('/wrong', @canary)->{status}, 502, 'a name in no certificate');
like($t->log, qr/certificate does not match "stranger"/,
     'the variant\'s name is verified');
like($t->get('/named', @canary)->{body}, qr/^v2 v2\.example\.test /,
     'grpc_ssl_name goes before the variant\'s name');

$t->done;
